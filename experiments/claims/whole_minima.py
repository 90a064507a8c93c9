"""What holds of the paths between uniform minima, judged by whole small students."""

import math
from collections.abc import Sequence

import numpy as np

from experiments.lib.claims import Claim, Statement, within
from experiments.lib.table import interval
from experiments.lib.whole import Whole
from lmc_jax.matching import MATCHINGS

ROUNDING = 1e-12
MINIMA = Statement(
    "every point of the set that Lemma 2 describes is a global minimum",
    "no loss of a point drawn from the set exceeds 1e-12",
    "Lemma 2",
)
COINCIDING = Statement(
    "two global minima whose types match have no barrier",
    "none exceeds 1e-12, m > k > 1",
    "Section 3",
)
UNMATCHED = Statement(
    "the losses on a path are those of its unmatched pairs", "none exceeds 1e-12"
)
DIMENSION = Statement(  # no curse of dimensionality
    "the rate of uniform minima does not depend on the input dimension",
    "an identity, as nothing in their unmatched pairs has a d: no loss changes by more "
    "than 1e-12",
    "Section 1",
)
LEAST = Statement(
    "Algorithm 1 with opposed leftovers has the least barrier known",
    "its ratio's interval lies below 1.05; it fails where it lies above, and is not "
    "judged where it reaches across",
)


def claims(found: Sequence[Whole]) -> list[Claim]:
    if not found:
        return []
    pairs = sum(one.pairs for one in found)
    widths = ", ".join(f"m = {one.m} of k = {one.k}" for one in found)
    heights = np.concatenate([one.alike for one in found])
    alike = heights.max(initial=0)
    ends, unmatched, dimension = (
        max(getattr(one, name) for one in found)
        for name in ("ends", "unmatched", "dimension")
    )
    return [
        MINIMA.judged(
            "",
            f"largest loss of a sampled point {ends:.1e}",
            2 * pairs,
            ends <= ROUNDING,
        ),
        COINCIDING.judged(
            "",
            f"largest barrier of {len(heights)} paths between minima with equally many "
            f"neurons of each type, matched by type, {alike:.1e}",
            len(heights),
            alike <= ROUNDING if len(heights) else None,
        ),
        UNMATCHED.judged(
            "",
            f"largest difference {unmatched:.1e}, every matching, at {widths}",
            pairs,
            unmatched <= ROUNDING,
        ),
        DIMENSION.judged(
            "",
            "the losses of whole students on their paths "
            f"change by {dimension:.1e} at most from d = k to d = 10 k",
            pairs,
            dimension <= ROUNDING,
        ),
        *map(_least, found),
    ]


def _least(one: Whole) -> Claim:
    ratios = "; ".join(
        f"{MATCHINGS[name].label}: {interval(ratio, '.3f')}"
        for name, ratio in one.best.items()
    )
    measured = f"ratios to swap descent on the barrier, the best known: {ratios}"
    holds = within(one.best["types_opposed"], -math.inf, 1.05)
    return LEAST.judged(f"k = {one.k}, m = {one.m}", measured, one.pairs, holds)
