"""Pairs of classifiers: trained independently, aligned, measured along the path.

A cell is one architecture on one data set, with independent pairs of fresh networks.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from lmc_jax import versions
from lmc_jax.data.datasets import Dataset
from lmc_jax.data.noise import shuffled_labels
from lmc_jax.environment import root_key
from lmc_jax.networks import Network, cnn, mlp, resnet
from lmc_jax.networks.alignment import align_activations, align_weights
from lmc_jax.networks.evaluation import (
    Sample,
    along_paths,
    float64,
    on_samples,
    over_networks,
)
from lmc_jax.networks.permutations import group_sizes
from lmc_jax.networks.repair import repair
from lmc_jax.networks.training import Training, TrainingState, train
from lmc_jax.paths import times
from lmc_jax.sweep.cell import require_integers, require_known

TASK = "pairs of classifiers"
ARCHITECTURES = ("mlp", "cnn", "resnet")
ALIGNMENTS = ("weights", "activations")
ALIGN_IMAGES = 2000  # training images for alignment and for statistics
LOOK_IMAGES = 10_000  # training images for the losses recorded during training
CLASSES = 10


@dataclasses.dataclass(frozen=True)
class ClassifierCell:
    """One point of a curve.

    data, digest: name and content of the data set. train_images, test_images: how many
    of its first images are used. architecture: one of ``ARCHITECTURES``. width: hidden
    units of each layer of an MLP, channels of the first convolution of a CNN, which
    double from one to the next, or of the first stage of a ResNet. layers: of weights,
    the output's included, so 4 layers are three hidden ones; of a ResNet without those
    of skips. norm: as of the networks. alignments: of ``ALIGNMENTS``, beside the direct
    path. repaired: whether permuted paths are measured once more with REPAIR. With
    batch normalisation REPAIR is to take its statistics anew; other paths then
    interpolate them, where without ``repaired`` every path takes them anew. points: of
    a path. pairs, seed: of two fresh networks each. label_noise: share of the training
    images that have their labels shuffled among them.
    """

    data: str
    digest: str
    train_images: int
    test_images: int
    architecture: str
    width: int
    layers: int
    training: Training
    norm: str = "none"
    alignments: tuple[str, ...] = ALIGNMENTS
    repaired: bool = False
    points: int = 11
    pairs: int = 10
    seed: int = 0
    label_noise: float = 0.0

    def network(self, shape: Sequence[int]) -> Network:
        """The network on images of a shape (rows, columns, channels).

        Raises:
          ValueError: for a size that cannot be built, in one line.
        """
        hidden = self.layers - 1
        if self.architecture == "cnn":
            channels = [self.width * 2**i for i in range(hidden)]
            return cnn(shape, channels, (), CLASSES, self.norm)
        if self.architecture == "resnet":
            return resnet(shape, self.width, self.layers, CLASSES, self.norm)
        inputs = int(np.prod(shape))
        return mlp((inputs, *[self.width] * hidden, CLASSES), self.norm)

    @property
    def look_images(self) -> int:
        """Training images of a look: all of them where they say who is done."""
        if self.training.until:
            return self.train_images
        return min(LOOK_IMAGES, self.train_images)

    def validate(self, data: Dataset) -> None:
        """Raises ValueError, in one line, for what cannot be run on this data set."""
        for name, images in (
            ("train_images", data.train_images),
            ("test_images", data.test_images),
        ):
            if not 1 <= getattr(self, name) <= len(images):
                raise ValueError(
                    f"{name}={getattr(self, name)}: {data.name} has {len(images)}, "
                    "give 1 to that many, or 0 for all"
                )
        for labels in (data.train_labels, data.test_labels):
            if not ((labels >= 0) & (labels < CLASSES)).all():
                raise ValueError(f"{data.name} has labels beyond 0 to {CLASSES - 1}")
        require_known("architecture", self.architecture, ARCHITECTURES)
        for name in self.alignments:
            require_known("alignment", name, ALIGNMENTS)
        require_integers(self, "width", "pairs")
        require_integers(self, "points", least=2)
        require_integers(self, "layers", least=2, most=1000)  # they are listed
        require_integers(self, "seed", least=0, most=2**32 - 1)
        if not 0 <= self.label_noise <= 1:
            raise ValueError(f"label_noise={self.label_noise}: give a share, 0 to 1")
        if self.repaired and not self.alignments:
            raise ValueError("repair without an alignment: it mends permuted paths")
        self.network(data.train_images.shape[1:])
        self.training.validate(self.train_images)

    def parameters(self) -> dict[str, Any]:
        """Plain values for the store; without label noise where there is none.

        So cells from before there was any keep their names.
        """
        programs = "training", *["alignment"] * bool(self.alignments), "evaluation"
        made = {"task": TASK, "versions": versions.of(*programs)}
        own = {"training": self.training.parameters()}
        values = made | dataclasses.asdict(self) | own
        if not self.label_noise:
            del values["label_noise"]
        return values

    def keys(self) -> Array:
        """Keys of the networks ``[2 pairs]``, both of a pair side by side."""
        key = root_key(self.seed)
        for number in (ARCHITECTURES.index(self.architecture), self.layers, self.width):
            key = jax.random.fold_in(key, number)
        roles = jnp.arange(2 * self.pairs, dtype=jnp.uint32)
        return jax.vmap(lambda role: jax.random.fold_in(key, role))(roles)


def orders(parameters: Mapping[str, Any]) -> list[str]:
    """What the paths of a cell's pairs are called, the direct one first."""
    names = parameters["alignments"]
    more = [f"{name}_repaired" for name in names if parameters["repaired"]]
    return ["direct", *names, *more]


def samples(cell: ClassifierCell, data: Dataset) -> tuple[Sample, Sample]:
    """The training and the test images of a cell, centred by all training images.

    Labels are shuffled in the training sample alone.
    """
    pixels = data.train_images
    fitted = shuffled_labels(
        data.train_labels[: cell.train_images], cell.label_noise, cell.seed
    )
    mean = jnp.asarray(pixels.mean((0, 1, 2)), jnp.float64)
    std = jnp.asarray(pixels.std((0, 1, 2)), jnp.float64)
    both = []
    for images, labels, count in (
        (data.train_images, fitted, cell.train_images),
        (data.test_images, data.test_labels, cell.test_images),
    ):
        kept = jnp.asarray(images[:count]), jnp.asarray(labels[:count], jnp.int32)
        both.append(Sample(*kept, mean, std))
    return both[0], both[1]


def compute(
    cell: ClassifierCell,
    data: Dataset,
    *,
    state: TrainingState | None = None,
    keep: Callable[[TrainingState], object] = lambda state: None,
    progress: Callable[[int], object] = lambda steps: None,
) -> tuple[dict[str, np.ndarray], Any]:
    """Trains, aligns and measures the pairs of a cell.

    Args:
      cell: what.
      data: its data set.
      state: a checkpoint to go on from, as given to ``keep``.
      keep: called with the state of training after every look.
      progress: called with updates done since the last call, summed over networks.

    Returns:
      ``(arrays, weights)``. arrays, all float64: ``losses [pairs, orders, points,
      samples, metrics]``, training and test images, ``evaluation.METRICS``, ``orders``
      as the function says; ``losses_at_looks [pairs, looks, orders, ...]``, the same
      after each of ``training.measure_at_looks``, where there are any; ``history
      [looks, pairs, 2, samples, metrics]``, of the two networks on the first
      ``cell.look_images`` training and all test images. weights: the trained networks,
      float32 ``[pairs, 2, ...]``.
    """
    network = cell.network(data.train_images.shape[1:])
    seen = samples(cell, data)
    state = train(
        network,
        cell.training,
        cell.keys(),
        seen,
        looked_at=(first_images(seen[0], cell.look_images), seen[1]),
        state=state,
        keep=keep,
        progress=progress,
    )
    at_looks = [in_pairs(weights) for weights in (*state.snapshots, state.weights)]
    every_pair = jax.tree.map(lambda *leaf: np.concatenate(leaf), *at_looks)
    perms = align(cell, network, every_pair, seen[0])
    losses = np.asarray(losses_along_paths(cell, network, every_pair, perms, seen))
    *earlier, last = losses.reshape(-1, cell.pairs, *losses.shape[1:])
    shape = (len(state.history), cell.pairs, 2, 2, 2)
    arrays = {"losses": last, "history": state.history.reshape(shape)}
    if earlier:
        arrays["losses_at_looks"] = np.stack(earlier, axis=1)
    return arrays, at_looks[-1]


def in_pairs(weights: Any) -> Any:
    """Networks ``[2 pairs, ...]`` as NumPy arrays ``[pairs, 2, ...]``."""
    return jax.tree.map(
        lambda leaf: np.asarray(leaf).reshape(-1, 2, *leaf.shape[1:]), weights
    )


def first_images(sample: Sample, count: int) -> Sample:
    """The first images of a sample, at most ``count``."""
    return sample._replace(images=sample.images[:count], labels=sample.labels[:count])


def align(
    cell: ClassifierCell, network: Network, weights: Any, sample: Sample
) -> dict[str, np.ndarray]:
    """Permutations of the second networks, int32 ``[pairs, 1 + alignments, units]``.

    By group; the first leaves the units as they are, and so do all of a pair with a
    diverged network.
    """
    x = sample.inputs(slice(ALIGN_IMAGES), jnp.float64)

    def by_weights(first, second):
        left_out = network.statistics
        return align_weights(first, second, network.spec, leave_out=left_out)[0]

    def by_activations(first, second):
        first, second = float64(first), float64(second)
        fire, spec = network.activations, network.spec
        return align_activations(fire, first, second, x, spec=spec)[0]

    alignments = dict(zip(ALIGNMENTS, (by_weights, by_activations), strict=True))

    orders: dict[str, list] = {}
    for i in range(len(jax.tree.leaves(weights)[0])):
        first, second = (
            jax.tree.map(lambda leaf, at=(i, role): leaf[at], weights)
            for role in (0, 1)
        )
        sizes = group_sizes(first, network.spec).items()
        own = {group: np.arange(units, dtype=np.int32) for group, units in sizes}
        finite = all(np.isfinite(leaf[i]).all() for leaf in jax.tree.leaves(weights))
        perms = [
            alignments[name](first, second) if finite else own
            for name in cell.alignments
        ]
        for group in own:
            found = [perm[group] for perm in (own, *perms)]
            orders.setdefault(group, []).append(found)
    return {group: np.array(perms) for group, perms in orders.items()}


def losses_along_paths(
    cell: ClassifierCell,
    network: Network,
    weights: Any,
    perms: dict[str, np.ndarray],
    seen: tuple[Sample, Sample],
) -> Array:
    """Losses ``[pairs, orders, points, 2, 2]`` along all paths of a cell."""
    ts = times(cell.points)

    def measure(pair, perms, *seen):
        first, second = (
            float64(jax.tree.map(lambda leaf, at=at: leaf[at], pair)) for at in (0, 1)
        )
        x = seen[0].inputs(slice(ALIGN_IMAGES), jnp.float64)
        loss = on_samples(network.apply, seen)

        def reset(first, end, between, t):
            return network.reset(between, x)

        def mend(first, end, between, t):
            return repair(
                network.hidden, network.spec, network.affine, first, end, between, t, x
            )

        normalised = bool(network.statistics)
        usual = reset if normalised and not cell.repaired else None
        measured = along_paths(loss, network.spec, first, second, perms, ts, usual)
        if not cell.repaired:
            return measured
        permuted = jax.tree.map(lambda perm: perm[1:], perms)
        repaired = reset if normalised else mend
        more = along_paths(loss, network.spec, first, second, permuted, ts, repaired)
        return jnp.concatenate([measured, more])

    return over_networks(measure, 2, 2)(weights, perms, *seen)
