"""Networks trained a minute, against what could be done instead, and weight matching.

MLPs of four widths, batches of 100 of as many random images as MNIST has, the same
number of updates: as `train` does it, with all networks of a device side by side
(vmap) and in a serial PyTorch loop, one network at a time by one thread and by as many
as PyTorch takes (left out without PyTorch); small CNNs, for a 200th of the updates,
with the patches of `train` and with XLA's convolution.
"""

import itertools
import time
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np

from experiments.bench import peers, timing
from lmc_jax import environment
from lmc_jax.networks import Network, cnn, mlp
from lmc_jax.networks.alignment import align_weights
from lmc_jax.networks.evaluation import Sample
from lmc_jax.networks.permutations import permute
from lmc_jax.networks.training import Training, train

IMAGES, FEW_IMAGES = 60_000, 10_000  # of MLPs, and of CNNs
BATCH, LR = 100, 0.05
NETWORKS, STEPS = 8, 1200  # trained at a time; updates, two epochs
WIDTHS = 8, 25, 64, 100  # of hidden layers


def main() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(256, size=(IMAGES, 28, 28, 1), dtype=np.uint8)
    labels = rng.integers(10, size=IMAGES).astype(np.int32)
    rows = []
    for width in WIDTHS:
        network = mlp((784, *[width] * 3, 10))
        seconds = {"lmc_jax": ours(network, STEPS, images, labels)}
        with mock.patch.object(jax.lax, "map", lambda one, many: jax.vmap(one)(many)):
            seconds["the same by vmap"] = ours(network, STEPS, images, labels)
        for threads in torch_threads():
            name = f"PyTorch, threads: {threads}"
            seconds[name] = theirs(width, images, labels, threads)
        kind = f"MLP 3 × {width}"
        rows += [row(kind, name, STEPS, spent) for name, spent in seconds.items()]
    images = rng.integers(256, size=(FEW_IMAGES, 32, 32, 3), dtype=np.uint8)
    few = max(1, STEPS // 200)
    for channels in (4, 16):
        network = cnn((32, 32, 3), (channels, 2 * channels), (), 10)
        for name, fit in (
            ("lmc_jax", network.fit),
            ("with XLA's convolution", network.apply),
        ):
            spent = ours(network._replace(fit=fit), few, images, labels[:FEW_IMAGES])
            kind = f"CNN {channels}, {2 * channels}"
            rows.append(row(kind, name, few, spent))
    timing.show(rows)
    timing.show([matching()])


def torch_threads() -> list[int]:
    """As many as PyTorch takes, and one; none without PyTorch."""
    if not peers.TORCH:
        return []
    import torch

    return list(dict.fromkeys((torch.get_num_threads(), 1)))


def row(network: str, training: str, steps: int, seconds: float) -> dict[str, Any]:
    return {
        "network": network,
        "training": training,
        "steps": steps,
        "networks a minute": 60 / seconds,
        "ms a step": 1000 * seconds / steps,
    }


def ours(
    network: Network,
    steps: int,
    images: np.ndarray,
    labels: np.ndarray,
    count: int = NETWORKS,
) -> float:
    """Seconds a network, ``count`` at a time; the second half of a run, compiled."""
    moments = [
        jnp.full(images.shape[-1], value, jnp.float64) for value in (127.5, 73.0)
    ]
    sample = Sample(jnp.asarray(images), jnp.asarray(labels), *moments)
    few = sample._replace(images=sample.images[:100], labels=sample.labels[:100])
    training = Training(steps=2 * steps, lr=LR, batch=BATCH, looks=2)
    keys = jax.random.split(environment.root_key(0), count)
    looks: list[float] = []
    train(
        network,
        training,
        keys,
        (sample, few),
        looked_at=(few, few),
        keep=lambda fits: looks.append(time.perf_counter()),
    )
    return (looks[1] - looks[0]) / count


def theirs(width: int, images: np.ndarray, labels: np.ndarray, threads: int) -> float:
    """Seconds for one network."""
    import torch

    usual = torch.get_num_threads()
    torch.set_num_threads(threads)
    x = (torch.tensor(images).reshape(IMAGES, -1).float() - 127.5) / 73.0
    y = torch.tensor(labels).long()
    widths = [784, *[width] * 3]
    layers: list[Any] = []
    for fan_in, fan_out in itertools.pairwise(widths):
        layers += [torch.nn.Linear(fan_in, fan_out), torch.nn.ReLU()]
    network = torch.nn.Sequential(*layers, torch.nn.Linear(widths[-1], 10))
    optimizer = torch.optim.SGD(network.parameters(), lr=LR)
    begun = time.perf_counter()
    for step in range(STEPS):
        if step % (IMAGES // BATCH) == 0:
            order = torch.randperm(IMAGES)
        at = step % (IMAGES // BATCH) * BATCH
        index = order[at : at + BATCH]
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(x[index]), y[index]).backward()
        optimizer.step()
    spent = time.perf_counter() - begun
    torch.set_num_threads(usual)
    return spent


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
    timing.run(main)
