"""Many networks aligned to each other (MergeMany, Ainsworth et al. 2022, Algorithm 3).

Their mean is near all of them once Σ |Θᵢ - mean|² is small. With all units but those of
some networks held, its best is the weight matching of the mean of these with the mean
of all others.
"""

from collections.abc import Collection, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lmc_jax.networks.alignment.descent import Order
from lmc_jax.networks.alignment.distances import counted
from lmc_jax.networks.alignment.weights import align_weights
from lmc_jax.networks.permutations import Spec, after, perm_shapes, permute

CYCLES = 50  # over all networks; a few are needed, the spread only falls
LEAST = 1e-12  # fall of the spread in a cycle, of the spread at first, to go on


def align_many(
    networks: Sequence[Any],
    spec: Spec,
    *,
    leave_out: Collection[str] = (),
    cycles: int = CYCLES,
) -> tuple[list[Order], np.ndarray]:
    """Permutations that bring several networks near their mean, the first as it is.

    All are aligned to the first. Then each in turn is aligned to the mean of the
    others, and in place of the first, whose order stays, all others as one.

    Args:
      networks: at least two pytrees of arrays, any float dtype.
      spec: their permutation specification.
      leave_out: as ``align_weights``.
      cycles: at most so many turns of all; 0 leaves them aligned to the first.

    Returns:
      ``(perms, spreads)``: permutations by network, as of ``align_weights``; and the
      mean squared distance of the networks from their mean, in the arrays that count,
      float64: as given, aligned to the first, and after each cycle, which never raises
      it.

    Raises:
      ValueError: as ``align_weights``.
    """
    first, *others = networks
    own: Order = {
        group: np.broadcast_to(np.arange(shape[-1], dtype=np.int32), shape)
        for group, shape in perm_shapes(first, spec).items()
    }
    perms = [own]
    perms += [align_weights(first, b, spec, leave_out=leave_out)[0] for b in others]
    placed = [permute(a, spec, perm) for a, perm in zip(networks, perms, strict=True)]
    spreads = [_spread(several, spec, leave_out) for several in (networks, placed)]
    every = range(len(networks))
    turns = [[i] for i in every[1:]] + [[*every[1:]]]
    for _ in range(cycles):
        for moving in turns:
            still = mean([placed[i] for i in every if i not in moving])
            moved = mean([placed[i] for i in moving])
            more, _ = align_weights(still, moved, spec, leave_out=leave_out)
            for i in moving:
                perms[i] = after(perms[i], more, spec)
                placed[i] = permute(networks[i], spec, perms[i])
        spreads.append(_spread(placed, spec, leave_out))
        if spreads[-2] - spreads[-1] <= LEAST * spreads[0]:
            break
    return perms, np.array(spreads)


def mean(networks: Sequence[Any]) -> Any:
    """The mean of networks, in float64; what has no mean, as counts, is the first's."""

    def of_leaf(first: Any, *others: Any) -> Any:
        if not jnp.issubdtype(first.dtype, jnp.inexact):
            return first
        dtype = np.promote_types(first.dtype, np.float64)
        arrays = [np.asarray(array).astype(dtype) for array in (first, *others)]
        return sum(arrays) / len(arrays)

    return jax.tree.map(of_leaf, *networks)


def _spread(networks: Sequence[Any], spec: Spec, leave_out: Collection[str]) -> float:
    """Mean squared distance of networks from their mean, in the arrays that count."""
    arrays = [counted(one, spec, leave_out) for one in networks]
    return sum(
        float(np.var([one[path] for one in arrays], axis=0).sum()) for path in arrays[0]
    )
