"""What holds of the paths between uniform minima, judged by whole small students."""

from collections.abc import Sequence

import numpy as np

from experiments.lib.claims import Claim
from experiments.lib.whole import Whole
from lmc_jax.matching import MATCHINGS

ROUNDING = 1e-12


def claims(found: Sequence[Whole]) -> list[Claim]:
    if not found:
        return []
    judged = [_minima, _coinciding, _unmatched, _dimension]
    return [*(judge(found) for judge in judged), *map(_best, found)]


def _pairs(found: Sequence[Whole]) -> int:
    return sum(one.pairs for one in found)


def _widths(found: Sequence[Whole]) -> str:
    return ", ".join(f"m = {one.m} of k = {one.k}" for one in found)


def _minima(found: Sequence[Whole]) -> Claim:
    top = max(one.ends for one in found)
    return Claim(
        paper="Lemma 2",
        text="every point of the set that Lemma 2 describes is a global minimum",
        measured=f"largest loss of a sampled point {top:.1e}",
        rule="no loss of a point drawn from the set exceeds 1e-12",
        n=2 * _pairs(found),
        holds=bool(top <= ROUNDING),
    )


def _coinciding(found: Sequence[Whole]) -> Claim:
    heights = np.concatenate([one.alike for one in found])
    top = heights.max(initial=0)
    return Claim(
        paper="Section 3",
        text="two global minima whose types match have no barrier",
        measured=f"largest barrier of {len(heights)} paths between minima with equally "
        f"many neurons of each type, matched by type, {top:.1e}",
        rule="none exceeds 1e-12, m > k > 1",
        n=len(heights),
        holds=bool(top <= ROUNDING) if len(heights) else None,
    )


def _unmatched(found: Sequence[Whole]) -> Claim:
    top = max(one.unmatched for one in found)
    return Claim(
        text="the losses on a path are those of its unmatched pairs",
        measured=f"largest difference {top:.1e}, every matching, at {_widths(found)}",
        rule="none exceeds 1e-12",
        n=_pairs(found),
        holds=bool(top <= ROUNDING),
    )


def _dimension(found: Sequence[Whole]) -> Claim:
    """Section 1: no curse of dimensionality."""
    top = max(one.dimension for one in found)
    return Claim(
        paper="Section 1",
        text="the rate does not depend on the input dimension",
        measured="unmatched pairs have no d; the losses of whole students on their "
        f"paths change by {top:.1e} at most from d = k to d = 10 k",
        rule="no loss changes by more than 1e-12",
        n=_pairs(found),
        holds=bool(top <= ROUNDING),
    )


def _best(one: Whole) -> Claim:
    _, low, high = one.best["types_opposed"]
    ratios = (
        "{}: {:.3f} [{:.3f}, {:.3f}]".format(MATCHINGS[name].label, *ratio)
        for name, ratio in one.best.items()
    )
    return Claim(
        text="Algorithm 1 with opposed leftovers has the least barrier known",
        case=f"k = {one.k}, m = {one.m}",
        measured="ratios to swap descent on the barrier, the best permutation known: "
        + "; ".join(ratios),
        rule="its ratio's interval lies below 1.05; it fails where it lies above, and "
        "is not judged where it reaches across",
        n=one.pairs,
        holds=True if high < 1.05 else False if low > 1.05 else None,
    )
