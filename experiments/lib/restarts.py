"""Descent from near minima: where GD and SGD stay, and how GD diverges."""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from lmc_jax.students import descent, two_layer
from lmc_jax.students.sharpness import sharpness
from lmc_jax.theory.stability import (
    balanced_counts,
    balanced_sharpness,
    zero_fraction,
)

SLOW = 0.7  # in units of η*: the rate that finds dense minima
LIVING, DEAD = 1e-2, 1e-6  # by how much rows of sparse minima are moved
STEPS = 20_000  # at most, of a run from a minimum
FIRST = 30  # steps that are followed
STARTS = {
    "small": "from small weights",
    "dense": "from dense minima",
    "exact": "from sparse minima, zero rows 0",
    "touched": "from sparse minima, zero rows moved",
}
SPARSE = ("exact", "touched")


class Path(NamedTuple):
    """The first steps of GD: losses and η λ_max, each ``[steps, runs]``."""

    k: int
    m: int
    lr: float
    losses: np.ndarray
    edges: np.ndarray


class Setup(NamedTuple):
    """Where GD is started: k, m, d, the number of runs, the settings of a study."""

    k: int
    m: int
    d: int
    runs: int
    setting: dict[str, Any]

    def fates(self, threshold: float, rates: list[float]) -> list[dict[str, Any]]:
        """A row for each start and learning rate: shares of runs, how they diverged.

        Without rows at rates at which no minimum is stable.
        """
        small = self._small()
        dense = self._run(small, SLOW * threshold).weights
        sparsest = 2 / balanced_sharpness(self.k)
        found = []
        for lr in (rate for rate in rates if rate <= sparsest):
            starts = {"small": small, "dense": dense} | self._sparse(lr)
            for start, W in starts.items():
                row = self._named(start, lr) | {"sparsest": sparsest * self.m}
                found.append(row | self._fate(W, lr))
        return found

    def noisy(self, rates: Mapping[int, float]) -> list[dict[str, Any]]:
        """A row for each batch size, given with a rate, and start of SGD.

        Near the sparsest minima, k neurons on k axes.
        """
        starts = self._sparse(2 / balanced_sharpness(self.k))
        return [
            self._named(start, lr) | {"B": batch} | self._fate(starts[start], lr, batch)
            for batch, lr in rates.items()
            for start in SPARSE
        ]

    def path(self, lr: float) -> Path:
        """The first steps from small weights."""
        losses, curvatures = _followed(self._small(), self.k, lr)
        return Path(self.k, self.m, lr, np.asarray(losses), lr * np.asarray(curvatures))

    def _named(self, start: str, lr: float) -> dict[str, Any]:
        names = {"k": self.k, "m": self.m, "start": start, "runs": self.runs}
        return names | {"lr_times_m": lr * self.m}

    def _small(self) -> Array:
        keys = jax.random.split(jax.random.key(self.setting["seed"]), self.runs)
        std = self.setting["init_std"]
        make = functools.partial(two_layer.init, m=self.m, d=self.d, std=std)
        return jax.vmap(lambda key: make(key, dtype=jnp.float64))(keys)

    def _sparse(self, lr: float) -> dict[str, Array]:
        """Near the densest stable minima, with zero rows exactly 0 and moved."""
        zeros = round(self.m * float(zero_fraction(lr, self.m, self.k)))
        rng = np.random.default_rng(self.setting["seed"])
        counts = balanced_counts(self.m - zeros, self.k)
        kinds = np.repeat(np.arange(self.k), counts)
        W = np.zeros((self.runs, self.m, self.d))
        W[:, np.arange(len(kinds)), kinds] = 1 / counts[kinds]
        noise = rng.normal(size=W.shape)
        W[:, : len(kinds)] += LIVING * noise[:, : len(kinds)]
        moved = W.copy()
        moved[:, len(kinds) :] += DEAD * noise[:, len(kinds) :]
        return dict(zip(SPARSE, (jnp.asarray(W), jnp.asarray(moved)), strict=True))

    def _run(self, W: Array, lr: float, batch: int = 0) -> descent.Trained:
        names = ("tol", "check_every", "hold")
        given = {name: self.setting[name] for name in names}
        key = jax.random.fold_in(jax.random.key(self.setting["seed"]), 1)
        keys = jax.random.split(key, self.runs) if batch else None
        return _run(W, lr, keys, k=self.k, steps=STEPS, batch=batch, **given)

    def _fate(self, W: Array, lr: float, batch: int = 0) -> dict[str, Any]:
        end = self._run(W, lr, batch)
        status = np.asarray(end.status)
        lost = status == descent.DIVERGED
        last = np.asarray(end.weights)[lost]
        norms = np.linalg.norm(last, axis=-1).sum(axis=-1)
        aligned = np.linalg.norm(last.sum(axis=1), axis=-1) / norms
        return {
            "converged": float(np.mean(status == descent.CONVERGED)),
            "diverged": float(lost.mean()),
            "aligned": float(aligned.min(initial=1)),
        }


@functools.partial(
    jax.jit, static_argnames=("k", "steps", "batch", "tol", "check_every", "hold")
)
def _run(W: Array, lr: float, keys: Array | None, **static) -> descent.Trained:
    return jax.vmap(lambda w, key: descent.run(w, lr=lr, key=key, **static))(W, keys)


@functools.partial(jax.jit, static_argnums=1)
def _followed(W: Array, k: int, lr: float) -> tuple[Array, Array]:
    """Losses and λ_max of ``FIRST`` steps and the start, each ``[1 + FIRST, runs]``."""

    def step(W, _):
        measured = two_layer.loss(W, k), sharpness(W, k)
        return W - lr * two_layer.gradient(W, k), measured

    follow = functools.partial(jax.lax.scan, step, xs=None, length=1 + FIRST)
    _, measured = jax.vmap(follow, out_axes=1)(W)
    return measured
