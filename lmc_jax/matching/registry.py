"""Every matching by its name: how it is called, and how a reader sees it.

Sweeps, flags, figures and claims know matchings from here alone.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

from jax import Array

from lmc_jax.matching.assignment import (
    match_activations,
    match_identity,
    match_weights,
)
from lmc_jax.matching.contract import Info, Perm
from lmc_jax.matching.refine import align_refined, match_refine
from lmc_jax.matching.types import LEFTOVERS, align_types, match_types
from lmc_jax.students.teachers import Teacher


class Matching(NamedTuple):
    """One matching.

    Attributes:
      name: in flags, cells and tables.
      label: in figures and claims.
      marker: of its curves.
      color: of its curves where colours tell matchings apart.
      on_host: ``(students [pairs, 2, m, d], k)`` to ``(perm [pairs, m], info)``, in the
        precision of their training; k is the teacher's width, or the teacher where it
        is not orthonormal. A function of the pair alone: it is given no key,
        so random choices are drawn from the numbers of the pair.
      on_device: ``(pair [2, rows, d], k, m)`` to the permutation ``[rows]`` of one
        pair, under ``jit`` and ``vmap``. Rows from the traced width m on are zero and
        stay in place. Without it sweeps match on the host.
      linestyle: of its curves where colours tell something else.
      baseline: whether it is shown for comparison only, and claims leave it out.
      words: what it does, for captions and help; each of ``MATCHINGS`` has some.
    """

    name: str
    label: str
    marker: str
    color: str
    on_host: Callable[..., tuple[Perm, Info]]
    on_device: Callable[[Array, int | Teacher, Array], Array] | None = None
    linestyle: str = "-"
    baseline: bool = False
    words: str = ""


def _of_types(
    leftovers: str, words: str, marker: str, color: str, linestyle: str = "-"
) -> Matching:
    return Matching(
        f"types_{leftovers}",
        f"Algorithm 1 ({leftovers})",
        marker,
        color,
        functools.partial(match_types, leftovers=leftovers),
        lambda pair, k, m: align_types(pair, k, leftovers=leftovers, m=m),
        linestyle,
        words=f"neurons of one type are paired, the others {words}",
    )


# Neurons stay where they are. Always measured, so no cell names it.
DIRECT = Matching(
    "direct",
    "direct",
    "x",
    "#000000",
    lambda students, k: match_identity(students),
    linestyle="--",
    baseline=True,
)
# Colours of Tol's muted palette, safe for colour-blind readers, none of a source. Free
# are #DDCC77 and the markers < > p h (X and * are of the references in experiments).
MATCHINGS = {
    matching.name: matching
    for matching in (
        _of_types("sorted", "largest with largest", "^", "#88CCEE"),
        _of_types("index", "in the order of their rows", "o", "#999933", "--"),
        _of_types("opposed", "largest with smallest", "s", "#CC6677"),
        Matching(
            "weights",
            "weight matching",
            "D",
            "#117733",
            lambda students, k: match_weights(students),
            words="the products of paired weights are largest",
        ),
        Matching(
            "activations",
            "activation matching",
            "v",
            "#AA4499",
            lambda students, k: match_activations(students),
            words="the correlations of paired activations are largest",
        ),
        Matching(
            "refine",
            "refined by swaps",
            "P",
            "#332288",
            match_refine,
            lambda pair, k, m: align_refined(pair, k, m=m),
            words="swaps that lower the loss at the middle of the path",
        ),
    )
}
ALGORITHM_1 = tuple(f"types_{leftovers}" for leftovers in LEFTOVERS)  # their names
PATHS = {DIRECT.name: DIRECT} | MATCHINGS  # all that a summary has rows of
