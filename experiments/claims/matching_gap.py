"""What is claimed of matchings, judged by the rows of ``matching_gap``."""

from collections.abc import Sequence

import numpy as np

from lmc_jax.matching import MATCHINGS
from lmc_jax.matching.exhaustive import WIDEST
from lmc_jax.statistics import mean_interval, ratio_interval

ROUNDING = 1e-13  # of a loss: two ways to compute it may differ by less


def statistics(row: dict) -> dict[str, tuple[float, float, float]]:
    """Means and ratios of means with their intervals."""
    heights, best = row["heights"], row["best"]
    if best.mean() < ROUNDING:  # equal counts in every pair: nothing to compare with
        best = np.zeros_like(best)
    return {
        "barrier": mean_interval(heights),
        "ratio": ratio_interval(heights, best),
        "lower": ratio_interval(row["lower"], best),
        "gap": _gap(heights, row["lower"]),
    }


def _gap(found: np.ndarray, lower: np.ndarray) -> tuple[float, float, float]:
    if found.mean() < ROUNDING:
        return 0.0, 0.0, 0.0
    above = found - lower
    return ratio_interval(np.where(np.abs(above) < ROUNDING, 0, above), found)


def optimal(row: dict) -> float:
    """Share of the pairs with the reference's barrier."""
    best = row["best"]
    return float(np.mean(row["heights"] <= best + ROUNDING + 1e-9 * best))


def with_interval(interval: Sequence[float]) -> str:
    value, low, high = interval
    return f"{value:.3g} [{low:.2g}, {high:.2g}]"


def claims(rows: Sequence[dict]) -> list[dict]:
    judged = [_never_below(rows), _refined(rows), _bounded(rows), _certified(rows)]
    for name in [name for name, known in MATCHINGS.items() if not known.baseline]:
        judged += _near(name, [row for row in rows if row["matching"] == name])
    return judged


def _never_below(rows: Sequence[dict]) -> dict:
    tried = [row for row in rows if row["reference"] == "exhaustive"]
    least = min((float((r["heights"] - r["best"]).min()) for r in tried), default=0.0)
    return {
        "paper": "",
        "text": "no matching's barrier is below the optimum over all permutations",
        "measured": f"least difference {least:.1e} over {len(tried)} points",
        "rule": f"none below -{ROUNDING:g}, the rounding of a loss, in any pair",
        "n": sum(row["pairs"] for row in tried),
        "holds": bool(least >= -ROUNDING) if tried else None,
    }


def _refined(rows: Sequence[dict]) -> dict:
    """Beyond m = 9 the reference is a heuristic too: whether another one beats it."""
    beyond = [row for row in rows if row["reference"] != "exhaustive"]
    others = [row for row in beyond if row["matching"] != row["reference"]]
    below = [
        row for row in others if row["heights"].mean() < row["best"].mean() - ROUNDING
    ]
    ratios = [float(row["heights"].mean() / row["best"].mean()) for row in below]
    widths = sorted({row["m"] for row in beyond})
    return {
        "paper": "",
        "text": (
            f"beyond m = {WIDEST} no other matching has a lower mean "
            "barrier than swap descent on the barrier with restarts"
        ),
        "measured": f"m = {', '.join(map(str, widths))}: {len(below)} of {len(others)} "
        "means lie below"
        + (f", the lowest {min(ratios):.4g} times its mean" if ratios else ""),
        "rule": f"no mean of another matching lies below by more than {ROUNDING:g}, "
        "over the same pairs",
        "n": sum(row["pairs"] for row in others),
        "holds": not below if others else None,
    }


def _bounded(rows: Sequence[dict]) -> dict:
    least = min(float((row["heights"] - row["lower"]).min()) for row in rows)
    best = [row for row in rows if row["matching"] == row["reference"]]
    gaps = [_gap(row["best"], row["lower"])[0] for row in best]
    return {
        "paper": "",
        "text": "no permutation's barrier is below the proved lower bound",
        "measured": f"least difference {least:.1e}; gap (best - lower)/best of the "
        f"means {max(min(gaps), 0):.0%} to {max(gaps):.0%}",
        "rule": f"no barrier is below it by more than {ROUNDING:g}, in any pair",
        "n": sum(row["pairs"] for row in rows),
        "holds": bool(least >= -ROUNDING),
    }


def _certified(rows: Sequence[dict]) -> dict:
    best = [row for row in rows if row["matching"] == row["reference"]]
    excess = max(row["certificate_excess"] for row in best)
    above = [row for row in best if row["best"].mean() > ROUNDING]
    ratios = [float(row["upper"].mean() / row["best"].mean()) for row in above]
    spread = f"{min(ratios):.3g} to {max(ratios):.3g}" if ratios else "not defined"
    return {
        "paper": "",
        "text": "the certificate bounds the loss on every path",
        "case": "opposed leftovers",
        "measured": f"largest excess of a loss {excess:.1e}; certificate, largest "
        f"inside the path, over the best barrier: {spread}",
        "rule": f"no loss exceeds it at the same t by more than {ROUNDING:g}",
        "n": sum(row["pairs"] for row in best),
        "holds": bool(excess <= ROUNDING),
    }


def _kind(name: str) -> str:
    return "Algorithm 1" if name.startswith("types") else "another matching"


def _near(name: str, rows: Sequence[dict]) -> list[dict]:
    """Whether a matching is near the optimum at every point that has one."""
    tried = [row for row in rows if row["reference"] == "exhaustive"]
    found = [(row, statistics(row)["ratio"]) for row in tried]
    found = [(row, ratio) for row, ratio in found if not np.isnan(ratio).any()]
    if not found:
        return []
    worst, ratio = max(found, key=lambda pair: pair[1][0])
    share = np.average(
        [optimal(r) for r, _ in found], weights=[r["pairs"] for r, _ in found]
    )
    return [
        {
            "paper": _kind(name) if name.startswith("types") else "",
            "text": (
                f"the barrier of {_kind(name)} is within 5% of the best permutation's"
            ),
            "case": MATCHINGS[name].label,
            "measured": f"at most {with_interval(ratio)} times, at k = {worst['k']}, "
            f"m = {worst['m']}, {worst['source']}; the optimum itself in {share:.0%} "
            "of the pairs",
            "rule": "the interval of the ratio of means lies below 1.05 at every "
            f"m <= {WIDEST}",
            "n": sum(row["pairs"] for row, _ in found),
            "holds": bool(max(high for _, (_, _, high) in found) < 1.05),
        }
    ]
