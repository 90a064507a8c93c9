"""Networks trained a minute, against a serial PyTorch loop, and weight matching.

The same network, batches of the same size from the same number of random images, the
same number of updates; PyTorch uses all cores for one network at a time. Without
PyTorch its row is left out.
"""

import importlib.util
import itertools
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from experiments import common
from lmc_jax import environment
from lmc_jax.alignment import align_weights
from lmc_jax.evaluation import Sample
from lmc_jax.networks import mlp
from lmc_jax.permutations import permute
from lmc_jax.spec import LARGEST
from lmc_jax.training import Training, train

NETWORKS = flags.DEFINE_integer(
    "networks", 8, "Trained at a time.", lower_bound=1, upper_bound=10_000
)
STEPS = flags.DEFINE_integer(
    "steps", 1000, "Updates of each.", lower_bound=1, upper_bound=10**9
)
WIDTH = flags.DEFINE_integer(
    "width", 64, "Of three hidden layers.", lower_bound=1, upper_bound=LARGEST
)
IMAGES, BATCH, LR = 10_000, 100, 0.05


def main() -> None:
    environment.configure()
    rng = np.random.default_rng(0)
    images = rng.integers(256, size=(IMAGES, 28, 28, 1), dtype=np.uint8)
    labels = rng.integers(10, size=IMAGES).astype(np.int32)
    seconds = {"lmc_jax": ours(images, labels) / NETWORKS.value}
    if importlib.util.find_spec("torch"):
        seconds["PyTorch, serial"] = theirs(images, labels)
    rows: list[dict[str, Any]] = [
        {"training": name, "steps": STEPS.value, "networks a minute": 60 / spent}
        for name, spent in seconds.items()
    ]
    print(common.table(rows))
    print(common.table([matching()]))


def ours(images: np.ndarray, labels: np.ndarray) -> float:
    """Seconds for all networks, compilation left out: the second of two runs."""
    moments = jnp.full(1, 127.5, jnp.float64), jnp.full(1, 73.0, jnp.float64)
    sample = Sample(jnp.asarray(images), jnp.asarray(labels), *moments)
    few = sample._replace(images=sample.images[:100], labels=sample.labels[:100])
    network = mlp((784, *[WIDTH.value] * 3, 10))
    training = Training(steps=2 * STEPS.value, lr=LR, batch=BATCH, looks=2)
    keys = jax.random.split(environment.root_key(0), NETWORKS.value)
    looks: list[float] = []
    train(
        network,
        training,
        keys,
        (sample, few),
        looked_at=(few, few),
        keep=lambda fits: looks.append(time.perf_counter()),
    )
    return looks[1] - looks[0]


def theirs(images: np.ndarray, labels: np.ndarray) -> float:
    """Seconds for one network."""
    import torch

    x = (torch.tensor(images).reshape(IMAGES, -1).float() - 127.5) / 73.0
    y = torch.tensor(labels).long()
    widths = [784, *[WIDTH.value] * 3]
    layers: list[Any] = []
    for fan_in, fan_out in itertools.pairwise(widths):
        layers += [torch.nn.Linear(fan_in, fan_out), torch.nn.ReLU()]
    network = torch.nn.Sequential(*layers, torch.nn.Linear(widths[-1], 10))
    optimizer = torch.optim.SGD(network.parameters(), lr=LR)
    begun = time.perf_counter()
    for step in range(STEPS.value):
        if step % (IMAGES // BATCH) == 0:
            order = torch.randperm(IMAGES)
        at = step % (IMAGES // BATCH) * BATCH
        index = order[at : at + BATCH]
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(x[index]), y[index]).backward()
        optimizer.step()
    return time.perf_counter() - begun


def matching() -> dict[str, Any]:
    """Seconds of the weight matching of two MLPs of 3 × 512, and a planted one."""
    network = mlp((784, 512, 512, 512, 10))
    first, second = (
        jax.tree.map(np.asarray, network.init(environment.root_key(seed)))
        for seed in (0, 1)
    )
    rng = np.random.default_rng(0)
    planted = {group: rng.permutation(512) for group in network.affine}
    row: dict[str, Any] = {"weight matching": "3 × 512"}
    for name, other in (
        ("independent [s]", second),
        ("planted [s]", permute(first, network.spec, planted)),
    ):
        begun = time.perf_counter()
        perms, _ = align_weights(first, other, network.spec)
        row[name] = time.perf_counter() - begun
    found = all((planted[g][perms[g]] == np.arange(512)).all() for g in planted)
    return row | {"recovered": found}


if __name__ == "__main__":
    common.run(main)
