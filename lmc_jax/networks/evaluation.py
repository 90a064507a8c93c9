"""Losses and errors of networks on labelled images, at a point and along paths.

Losses are mean negative log-likelihoods in nats, errors are fractions; both are
computed in float64 even when training uses float32.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.sharding import PartitionSpec

from lmc_jax.networks.permutations import Spec, permute
from lmc_jax.paths import lerp, path_losses

METRICS = ("nll", "error")
CHUNK = 500  # images a step of an evaluation: their activations stay in the cache


class Sample(NamedTuple):
    """Labelled images: uint8 ``[n, h, w, c]``, int32 ``[n]``, and what centres them.

    A network sees ``(pixel - mean) / std``, mean and std float64 ``[c]``.
    """

    images: Array
    labels: Array
    mean: Array
    std: Array

    def inputs(self, index: Any, dtype) -> Array:
        """The examples at ``index`` as a network sees them."""
        images = self.images[index].astype(dtype)
        return (images - self.mean.astype(dtype)) / self.std.astype(dtype)


def float64(weights: Any) -> Any:
    """The weights in float64."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), weights)


def negative_log_likelihoods(logits: Array, labels: Array) -> Array:
    """-log softmax(logits)[label] of ``[n, classes]`` and ``[n]``: ``[n]``."""
    own = jnp.take_along_axis(logits, labels[:, None], axis=1)[:, 0]
    return jax.nn.logsumexp(logits, axis=1) - own


def nll_and_error(
    apply: Callable[[Any, Array], Array], weights: Any, sample: Sample
) -> Array:
    """Mean negative log-likelihood and fraction of wrong answers.

    Args:
      apply: weights and inputs ``[n, h, w, c]`` to logits ``[n, classes]``.
      weights: float64 pytree.
      sample: the images.

    Returns:
      float64 ``[2]``, in the order of ``METRICS``.
    """
    count = sample.images.shape[0]
    chunk = min(CHUNK, count)

    def add(total, start):
        index = start + jnp.arange(chunk)
        real = (index < count).astype(jnp.float64)
        index = jnp.minimum(index, count - 1)
        labels = sample.labels[index]
        logits = apply(weights, sample.inputs(index, jnp.float64))
        losses = negative_log_likelihoods(logits, labels)
        wrong = jnp.argmax(logits, axis=1).astype(labels.dtype) != labels
        return total + jnp.stack([losses, wrong.astype(jnp.float64)]) @ real, None

    starts = jnp.arange(0, count, chunk)
    return jax.lax.scan(add, jnp.zeros(2, jnp.float64), starts)[0] / count


def on_samples(
    apply: Callable[[Any, Array], Array], samples: Sequence[Sample]
) -> Callable[[Any], Array]:
    """The function from weights to ``nll_and_error`` by sample: ``[samples, 2]``."""
    return lambda weights: jnp.stack(
        [nll_and_error(apply, weights, sample) for sample in samples]
    )


def along_paths(
    loss: Callable[[Any], Array],
    spec: Spec,
    first: Any,
    second: Any,
    perms: Any,
    ts: Array,
    mend: Callable[[Any, Any, Any, Array], Any] | None = None,
) -> Array:
    """Losses on the paths from one network to another in several orders of its units.

    Args:
      loss: weights to ``[...]``.
      spec: permutation specification of the weights.
      first: float64 pytree of weights, at t = 0.
      second: the same, at t = 1 once permuted.
      perms: by group, ``[orders, units]``.
      ts: positions ``[T]``.
      mend: ``(first, permuted second, between, t)`` to what is measured in place of the
        weights between; default those.

    Returns:
      ``[orders, T, ...]``.
    """

    def losses(order):
        end = permute(second, spec, order)
        if mend is None:
            return path_losses(loss, first, end, ts)
        return jax.lax.map(lambda t: loss(mend(first, end, lerp(first, end, t), t)), ts)

    return jax.lax.map(losses, perms)


def over_networks(function: Callable, mapped: int, shared: int) -> Callable:
    """A function of one network on many, each device on its share of them.

    On CPU a device takes its networks one after the other (their matrices fill the
    cache and the arithmetic units as they are), elsewhere side by side (vmap). So on
    CPU a network is computed as it is alone; XLA may round its sums otherwise.

    Args:
      function: of ``mapped`` arguments of one network, then ``shared`` of all.
      mapped: how many.
      shared: how many.

    Returns:
      The compiled function; ``mapped`` arguments and results have networks on their
      leading axes, filled up to the number of devices with repetitions of the last.
    """
    devices = jax.local_device_count()
    mesh = jax.make_mesh((devices,), ("runs",), (jax.sharding.AxisType.Auto,))

    def many(*arguments):
        own, rest = arguments[:mapped], arguments[mapped:]
        if jax.default_backend() == "cpu":
            return jax.lax.map(lambda own: function(*own, *rest), own)
        return jax.vmap(lambda *own: function(*own, *rest))(*own)

    runs, everywhere = PartitionSpec("runs"), PartitionSpec()
    compiled = jax.jit(
        jax.shard_map(
            many,
            mesh=mesh,
            in_specs=(runs,) * mapped + (everywhere,) * shared,
            out_specs=runs,
            check_vma=False,
        )
    )

    def padded(*arguments):
        count = jax.tree.leaves(arguments[0])[0].shape[0]
        if not (missing := -count % devices):
            return compiled(*arguments)
        own = jax.tree.map(
            lambda leaf: jnp.concatenate([leaf, *[leaf[-1:]] * missing]),
            arguments[:mapped],
        )
        result = compiled(*own, *arguments[mapped:])
        return jax.tree.map(lambda leaf: leaf[:count], result)

    return padded
