"""Merging: the mean of networks, each aligned with one reference."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp

from lmc_jax.networks.permutations import Perms, Spec, permute
from lmc_jax.paths import lerp


class Merging(NamedTuple):
    """How the others were aligned: ``perms`` and ``info`` of each, in their order."""

    perms: list[Perms]
    info: list[Any]


def merge(
    reference: Any,
    others: Sequence[Any],
    spec: Spec,
    align: Callable[[Any, Any], tuple[Perms, Any]],
) -> tuple[Any, Merging]:
    """The mean of a reference and any number of other networks aligned with it.

    Args:
      reference: pytree of weights; its units keep their order.
      others: pytrees of the same structure.
      spec: permutation specification.
      align: ``(reference, other) -> (perms, info)``, for example
        ``lambda a, b: align_weights(a, b, spec)``.

    Returns:
      ``(merged, merging)``: the mean weights, in their dtypes, leaves that are no
      floating numbers from the reference; and how the others were aligned.

    Raises:
      ValueError: for a specification that does not fit, and what ``align`` raises.
    """
    aligned = [align(reference, other) for other in others]
    merging = Merging([perms for perms, _ in aligned], [info for _, info in aligned])
    moved = [
        permute(other, spec, perms)
        for other, perms in zip(others, merging.perms, strict=True)
    ]
    merged = reference
    for count, weights in enumerate(moved, 2):
        merged = lerp(merged, weights, jnp.asarray(1 / count))
    return merged, merging
