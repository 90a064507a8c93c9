"""Training of many networks at a time on labelled images.

Every network has its own key: one half draws its initial weights, the other its
batches. An epoch visits the examples in a fresh random order, without the remainder
that fills no batch.
"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from lmc_jax.environment import PRNG
from lmc_jax.networks import Network
from lmc_jax.networks.evaluation import (
    Sample,
    float64,
    negative_log_likelihoods,
    on_samples,
    over_networks,
)
from lmc_jax.students.optimizers import optimizer_named
from lmc_jax.sweep.cell import require_integers, require_known, require_positive

RESET_IMAGES = 2000  # whose statistics batch normalisations keep

SCHEDULES: dict[str, Callable[[float, int], Any]] = {
    "constant": lambda lr, steps: lr,
    "linear": lambda lr, steps: optax.linear_schedule(lr, 0, steps),
    "cosine": lambda lr, steps: optax.cosine_decay_schedule(lr, steps),
}


@dataclasses.dataclass(frozen=True)
class Training:
    """How networks are trained.

    steps: updates. lr: learning rate, at the start of its schedule. batch: examples an
    update. optimizer: one of ``optimizers.OPTIMIZERS``. schedule: one of
    ``SCHEDULES``, over all steps. looks: how often losses are recorded and a checkpoint
    is offered, evenly spaced, the last time after the last step. until: a network is
    done once a look finds its training loss below it, 0 for never. measure_at_looks:
    updates, rising, after which there is one look more, for the networks of that moment
    to be measured too.
    """

    steps: int = 10_000
    lr: float = 0.05
    batch: int = 100
    optimizer: str = "sgd"
    schedule: str = "constant"
    looks: int = 10
    until: float = 0.0
    measure_at_looks: tuple[int, ...] = ()

    def validate(self, examples: int) -> None:
        """Raises ValueError, in one line, for what cannot be trained."""
        require_integers(self, "steps", "batch", "looks")
        require_positive("lr", self.lr, "float32")
        if self.until:
            require_positive("until", self.until)
        if self.looks > self.steps:
            raise ValueError(f"looks={self.looks}: give at most steps={self.steps}")
        marks = [0, *self.measure_at_looks, self.steps]
        if marks != sorted(set(marks)):
            raise ValueError(
                f"measure_at_looks={self.measure_at_looks}: give numbers of updates "
                f"between 0 and steps={self.steps}, in rising order"
            )
        if self.batch > examples:
            raise ValueError(
                f"batch={self.batch}: give at most the {examples} training images"
            )
        require_known("schedule", self.schedule, SCHEDULES)
        optimizer_named(self.optimizer)

    def transformation(self) -> optax.GradientTransformation:
        """The optimiser with its schedule."""
        schedule = SCHEDULES[self.schedule](self.lr, self.steps)
        return optimizer_named(self.optimizer)(schedule)

    def parameters(self) -> dict[str, Any]:
        """Plain values for the store, without what is not asked for.

        So cells from before there were such settings keep their names.

        >>> Training().parameters().keys() & {"until", "measure_at_looks"}
        set()
        """
        values = dataclasses.asdict(self)
        return {
            name: value
            for name, value in values.items()
            if value or name not in ("until", "measure_at_looks")
        }

    def stops(self) -> list[int]:
        """Updates after which losses are recorded.

        >>> Training(steps=900, looks=3, measure_at_looks=(10, 300)).stops()
        [10, 300, 600, 900]
        """
        even = [self.steps * (i + 1) // self.looks for i in range(self.looks)]
        return sorted({*even, *self.measure_at_looks})

    def reached(self, history: np.ndarray) -> np.ndarray:
        """Updates after which networks were found to be done, inf where never.

        Args:
          history: losses ``[looks so far, ..., samples, metrics]`` as recorded.

        Returns:
          float64 ``[...]``.
        """
        nll = history[..., 0, 0]
        stops = np.array(self.stops()[: len(nll)], float)
        stops = stops.reshape(-1, *[1] * (nll.ndim - 1))
        return np.where(nll < self.until, stops, np.inf).min(axis=0, initial=np.inf)


class TrainingState(NamedTuple):
    """Networks in training.

    weights, optimizer: pytrees with networks on their leading axes. step: updates done.
    history: float64 ``[looks so far, networks, 2, 2]``, the negative log-likelihood and
    error (last axis) on the training and the test sample; those of a network that is
    done stay as they are. snapshots: weights after each of ``measure_at_looks`` so far,
    with statistics as in the result of ``train``.
    """

    weights: Any
    optimizer: Any
    step: int
    history: np.ndarray
    snapshots: tuple[Any, ...] = ()


def train(
    network: Network,
    training: Training,
    keys: Array,
    samples: tuple[Sample, Sample],
    *,
    looked_at: tuple[Sample, ...] | None = None,
    state: TrainingState | None = None,
    keep: Callable[[TrainingState], object] = lambda state: None,
    progress: Callable[[int], object] = lambda steps: None,
) -> TrainingState:
    """Trains one network a key, each until it is done.

    Args:
      network: what to train.
      training: how.
      keys: PRNG keys ``[networks]``.
      samples: training images and test images.
      looked_at: the samples on which losses are recorded, and by which networks are
        done; default ``samples``.
      state: a checkpoint to go on from, as given to ``keep``; the result has the same
        bits as that of an uninterrupted run.
      keep: called with the state after every look.
      progress: called with the number of updates done since the last call, summed over
        networks, those that networks were spared included.

    Returns:
      The state after the last step, batch statistics taken from the first
      ``RESET_IMAGES`` training images.
    """
    fitted = samples[0]
    optimizer = training.transformation()
    data = jax.random.key_data(keys)
    segment = over_networks(_segment(network, training, optimizer), 2, 4)
    measure = over_networks(
        lambda weights, *seen: on_samples(network.apply, seen)(float64(weights)), 1, 2
    )
    if state is None:
        begin = over_networks(start(network, optimizer), 1, 0)
        weights, memory = begin(data)
        state = TrainingState(weights, memory, 0, np.zeros((0, len(data), 2, 2)))
    nets, step, history, snapshots = (state[:2], *state[2:])
    for stop in [stop for stop in training.stops() if stop > step]:
        going = np.flatnonzero(np.isinf(training.reached(history)))
        own, own_data = _at(nets, going), data[going]
        for span in _spans(step, stop, len(fitted.labels) // training.batch):
            if going.size:
                own = segment(own, own_data, *map(jnp.int32, span), fitted)
                jax.block_until_ready(own)
            progress((span[2] - span[1]) * len(data))
        seen = history[-1].copy() if len(history) else np.zeros((len(data), 2, 2))
        if going.size:
            nets = jax.tree.map(
                lambda every, some, at=going: jnp.asarray(every).at[at].set(some),
                *(nets, own),
            )
            settled = settle(network, own[0], fitted)
            seen[going] = measure(settled, *(looked_at or samples))
        step, history = stop, np.concatenate([history, seen[None]])
        if stop in training.measure_at_looks:
            snapshots = *snapshots, settle(network, nets[0], fitted)
        state = TrainingState(*nets, step, history, snapshots)
        keep(state)
    return state._replace(weights=settle(network, state.weights, fitted))


def settle(network: Network, weights: Any, sample: Sample) -> Any:
    """Networks with the statistics of the first ``RESET_IMAGES`` images of a sample.

    Args:
      network: of all of them.
      weights: pytree with networks on the leading axes.
      sample: the images.

    Returns:
      ``weights`` where the network has no statistics.
    """
    if not network.statistics:
        return weights

    def reset(weights, sample):
        return network.reset(weights, sample.inputs(slice(RESET_IMAGES), jnp.float32))

    return over_networks(reset, 1, 1)(weights, sample)


def _spans(step: int, stop: int, epoch_steps: int) -> Iterator[tuple[int, int, int]]:
    """Updates ``step`` to ``stop`` as (epoch, first, last) within their epochs."""
    while step < stop:
        epoch, first = divmod(step, epoch_steps)
        last = min(epoch_steps, first + stop - step)
        yield epoch, first, last
        step += last - first


def _at(networks: Any, index: np.ndarray) -> Any:
    """Some of many networks."""
    return jax.tree.map(lambda leaf: leaf[index], networks)


def _keys(data: Array) -> tuple[Array, Array]:
    """The keys of initial weights and of batches."""
    first, second = jax.random.split(jax.random.wrap_key_data(data, impl=PRNG))
    return first, second


def start(network: Network, optimizer: optax.GradientTransformation) -> Callable:
    """A function of the data of a key: initial weights, and the optimiser's memory."""

    def begin(data):
        weights = network.init(_keys(data)[0])
        return weights, optimizer.init(weights)

    return begin


def _turned(arrays: Any) -> Any:
    """Matrices transposed: so the slopes of narrow layers take half of the time."""
    return jax.tree.map(lambda leaf: leaf.T if leaf.ndim == 2 else leaf, arrays)


def shuffled(key: Array, count: int) -> Array:
    """A random order of ``0 ... count - 1``, int32.

    By one sort of random numbers, each with its place in its last bits. Sorting places
    by random numbers, as ``jax.random.permutation`` does, takes ten times as long on
    CPU: more than the updates of an epoch of narrow networks.

    >>> from lmc_jax.environment import root_key
    >>> sorted(shuffled(root_key(0), 5).tolist())
    [0, 1, 2, 3, 4]
    """
    places = jnp.uint64(1 << (count - 1).bit_length())
    bits = jax.random.bits(key, (count,), jnp.uint64)
    marked = bits - bits % places + jnp.arange(count, dtype=jnp.uint64)
    return (jax.lax.sort(marked, is_stable=False) % places).astype(jnp.int32)


def _segment(
    network: Network, training: Training, optimizer: optax.GradientTransformation
) -> Callable:
    """Updates ``first`` to ``last`` of one epoch of one network."""

    def loss(turned, x, labels):
        logits = network.fit(_turned(turned), x)
        return jnp.mean(negative_log_likelihoods(logits, labels))

    def segment(state, data, epoch, first, last, sample):
        key = jax.random.fold_in(_keys(data)[1], epoch)
        order = shuffled(key, len(sample.labels))

        def update(step, state):
            weights, memory = state
            index = jax.lax.dynamic_slice_in_dim(
                order, step * training.batch, training.batch
            )
            x = sample.inputs(index, jnp.float32)
            slope = jax.grad(loss)(weights, x, sample.labels[index])
            change, memory = optimizer.update(slope, memory, weights)
            return optax.apply_updates(weights, change), memory

        return _turned(jax.lax.fori_loop(first, last, update, _turned(state)))

    return segment
