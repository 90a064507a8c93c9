"""Weight matching by coordinate descent over layers (Ainsworth et al. 2022).

Maximises Σ ⟨A, π(B)⟩ over all arrays with permuted axes, which is to minimise the
distance between A and π(B).
"""

from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np

from lmc_jax.networks.alignment.descent import Order
from lmc_jax.networks.alignment.distances import counted, scaled
from lmc_jax.networks.alignment.nested import matched
from lmc_jax.networks.permutations import Spec, group_sizes, perm_shapes


class CoordinateDescent(NamedTuple):
    """How a coordinate descent went.

    objective: the inner product Σ ⟨A, π(B)⟩, the larger the nearer, at the start, at
      least that of the given order, and after every assignment; it never falls, and
      stays where a rise is below its rounding.
    converged: whether no group alone can do better.
    """

    objective: np.ndarray
    converged: bool


def align_weights(
    first: Any, second: Any, spec: Spec, *, leave_out: Collection[str] = ()
) -> tuple[Order, CoordinateDescent]:
    """Permutations of the second network that bring its weights near the first's.

    A local optimum, never farther than the given order, found from a first pass over
    the groups; then groups are visited in a random order. Exact copies are found where
    units differ in what the first pass matches them by.

    Args:
      first: pytree of arrays, any float dtype.
      second: the same structure.
      spec: its permutation specification.
      leave_out: paths of arrays that do not count, such as running statistics.

    Returns:
      ``(perms, info)``: int32 ``[units]`` by group, or ``[outers..., units]`` of units
      within others.

    Raises:
      ValueError: for a specification that does not fit, arrays of different shapes, and
        weights that are not real or not finite.
      ArithmeticError: should the distance ever rise, which would be a fault here.
    """
    shapes = perm_shapes(first, spec)
    group_sizes(second, spec)
    (ours, power), (theirs, other_power) = (
        scaled(counted(weights, spec, leave_out)) for weights in (first, second)
    )
    for path, array in ours.items():
        if array.shape != theirs[path].shape:
            raise ValueError(
                f"array {path!r} is {array.shape} in the first network and "
                f"{theirs[path].shape} in the second: only equal shapes are aligned"
            )
    perms, objective, converged = matched(ours, theirs, spec, shapes)
    products = np.ldexp(objective, power + other_power)
    return perms, CoordinateDescent(products, converged)
