"""Whole uniform minima of small width: statements about their paths, checked on them.

Wide students are known by their leftovers alone; here nothing is left out.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lmc_jax import paths
from lmc_jax.environment import root_key
from lmc_jax.matching import ALGORITHM_1, LEFTOVERS, match_refine, match_types
from lmc_jax.statistics import ratio_interval
from lmc_jax.students import minima, mixed, two_layer


class Whole(NamedTuple):
    """What pairs of one width showed.

    ends: the largest loss of a student. alike: barriers ``[n]`` of the paths, matched
    by type, between minima with equally many neurons of each type. unmatched: the
    largest difference of a loss on a path from the one that unmatched pairs give.
    dimension: the same from d = k to d = 10 k. best: by order, the ratio of the mean
    barrier to that of swap descent (``refine``), with its interval.
    """

    k: int
    m: int
    pairs: int
    ends: float
    alike: np.ndarray
    unmatched: float
    dimension: float
    best: dict[str, np.ndarray]


def checked(k: int, m: int, pairs: int, seed: int) -> Whole:
    """Draws pairs of width m and measures all of their paths with every neuron."""
    keys = jax.random.split(root_key(seed), (pairs, 2))
    draw = jax.vmap(jax.vmap(lambda key: minima.sample(key, m, k, k)))
    students = np.asarray(draw(keys))
    perms = [match_types(students, k, leftovers=order)[0] for order in LEFTOVERS]
    perms.append(match_refine(students, k)[0])
    found = [_along(students, perm, k) for perm in perms]
    losses, few = map(np.stack, zip(*found, strict=True))  # [matchings, n, T]
    deep = np.pad(students, ((0, 0), (0, 0), (0, 0), (0, 9 * k)))
    deeper = np.asarray(_along(deep, perms[0], k)[0])
    counts = np.asarray(minima.counts(minima.types(jnp.asarray(students), k), k))
    same = (counts[:, 0] == counts[:, 1]).all(axis=1)
    heights = np.asarray(paths.barrier(jnp.asarray(losses), paths.times()))
    return Whole(
        *(k, m, pairs),
        ends=float(losses[0][:, [0, -1]].max()),
        alike=heights[:-1, same].ravel(),
        unmatched=float(np.abs(losses - few).max()),
        dimension=float(np.abs(deeper - losses[0]).max()),
        best={
            name: ratio_interval(own, heights[-1])
            for name, own in zip(ALGORITHM_1, heights, strict=False)
        },
    )


@functools.partial(jax.jit, static_argnums=2)
def _along(students, perms, k: int):
    """Losses ``[n, T]`` on paths, of whole students and of their unmatched pairs."""
    ts = paths.times()

    def one(both):
        pair, perm = both
        whole = functools.partial(two_layer.loss, k=k)
        return (
            paths.path_losses(whole, pair[0], pair[1][perm], ts),
            mixed.path_losses(mixed.mixed(pair, perm, k), k, ts),
        )

    return jax.lax.map(one, (students, perms))
