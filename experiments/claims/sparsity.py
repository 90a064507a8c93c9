"""What the paper and linear stability say about sparse minima, judged by a sweep.

Rows are those of ``sparsity.described``.
"""

import math
from collections.abc import Mapping, Sequence

from experiments.lib import curves
from experiments.lib.claims import Claim, below
from experiments.lib.table import at, with_interval
from lmc_jax.theory import stability

MEASURES = {
    "pqi_flat": "PQI, flattened",
    "pqi_rows": "PQI, row norms",
    "zero_fraction": "zero-row fraction",
}
NEAR = 0.01  # of students whose masses add up to k


def dense(row: dict) -> bool:
    """Fewer than half a zero row a student, by the whole interval."""
    return bool(row["zero_fraction_high"] < 1 / (2 * row["m"]))


def sparse(row: dict) -> bool:
    """More than half a zero row a student, by the whole interval."""
    return bool(row["zero_fraction_low"] > 1 / (2 * row["m"]))


def rate_threshold(m: int, k: int) -> float:
    """η* m, above which dense minima are unstable."""
    return float(stability.critical_learning_rate(m, k)) * m


def width_claims(groups: Mapping[str, Sequence[dict]]) -> list[Claim]:
    """Figure 5: uniform minima are the least sparse, sparsity grows with η.

    Takes curves against m by learning rate, and those of uniform minima.
    """
    every = [row for curve in groups.values() for row in curve]
    judged = [_characterised(every), _stable("all widths", every)]
    groups = {label: _finished(curve) for label, curve in groups.items()}
    uniform = groups.pop(curves.NAMES["uniform"], [])
    for name in ("pqi_flat", "pqi_rows"):
        judged.append(_uniform_lowest(name, uniform, groups))
        judged.append(_grows_with_rate(name, groups))
        judged += [_grows_with_width(name, label, c) for label, c in groups.items()]
    return judged


def _characterised(rows: Sequence[dict]) -> Claim:
    """Lemma 2: that trained students end where it says, in d > k dimensions too."""
    ended = [row for row in rows if row["source"] != "uniform" and row["runs"]]
    furthest = max((row["distance"] for row in ended), default=math.nan)
    incomplete = sum(row["incomplete"] for row in ended)
    return Claim(
        paper="Lemma 2",
        text=(
            "there are no global minima but those of Lemma 2: every neuron "
            "on a teacher's axis, every axis taken, masses that add up to 1"
        ),
        measured=f"converged runs end within {furthest:.1e} of one; {incomplete} "
        "lack a type",
        rule=f"every converged run is within {NEAR} of one (Euclidean distance of "
        "the weights) and has a neuron of every type",
        n=sum(row["runs"] for row in ended),
        holds=bool(furthest <= NEAR and not incomplete) if ended else None,
    )


def _finished(curve: Sequence[dict]) -> list[dict]:
    return [row for row in curve if row["runs"]]


def _uniform_lowest(name: str, uniform: Sequence[dict], groups: dict) -> Claim:
    low = {row["m"]: row[f"{name}_low"] for row in uniform}
    trained = [row for curve in groups.values() for row in curve if row["m"] in low]
    lower = sum(low[row["m"]] <= row[f"{name}_high"] for row in trained)
    return Claim(
        paper="Figure 5",
        text=f"uniform minima have the lowest {MEASURES[name]}",
        measured=f"at {lower} of {len(trained)} (m, η) the uniform value is not above "
        "the trained one's",
        rule="at every (m, η) the uniform interval does not lie above GD's",
        n=min((row["runs"] for row in uniform), default=0),
        holds=bool(lower == len(trained)) if trained else None,
    )


def _grows_with_rate(name: str, groups: Mapping[str, Sequence[dict]]) -> Claim:
    rows = [row for curve in groups.values() for row in curve]
    widest = max((row["m"] for row in rows), default=0)
    ends = [row for row in rows if row["m"] == widest]
    ends = [row for row in ends if row[f"{name}_low"] == row[f"{name}_low"]]
    ends.sort(key=lambda row: row["lr_times_m"])
    measured = "fewer than two rates converged at the largest width"
    rule = "needs two rates at the largest width, each with two converged runs"
    n, holds = 0, None
    if len(ends) > 1:
        slow, fast = ends[0], ends[-1]
        shown = " against ".join(
            f"{with_interval(row, name)} at η = {row['lr_times_m']:.3g}/m"
            for row in (fast, slow)
        )
        measured = f"m = {widest}: {shown}"
        rule = (
            "at the largest width the intervals of the largest and the smallest rate "
            "do not meet, and the largest is higher"
        )
        n, holds = fast["runs"], below(slow, fast, name)
    text = f"{MEASURES[name]} grows with the learning rate"
    return Claim(text, measured, rule, n, holds, "Figure 5")


def _grows_with_width(name: str, label: str, curve: Sequence[dict]) -> Claim:
    large = bool(curve) and curve[0]["lr_times_m"] >= 5
    grows = "grows with m at large" if large else "does not grow with m at small"
    measured, n, holds = "too few widths converged", 0, None
    if len(curve) > 1:
        first, last = curve[0], curve[-1]
        measured = f"{at(first, name)}, {at(last, name)}"
        n, holds = last["runs"], bool(below(first, last, name)) == large
    return Claim(
        paper="Figure 5",
        text=f"{MEASURES[name]} {grows} learning rates",
        case=label,
        measured=measured,
        rule="it grows if the interval at the largest m lies above that at the "
        "smallest; large rates are η >= 5/m",
        n=n,
        holds=holds,
    )


def rate_claims(rows: Sequence[dict]) -> list[Claim]:
    """Figure 6: a sharp threshold where linear stability puts it."""
    judged = []
    for m in sorted({row["m"] for row in rows}):
        every = [row for row in rows if row["m"] == m]
        if curve := _finished(every):
            judged += [_sharp(m, curve), _dense(m, curve), _threshold(m, curve)]
        judged.append(_stable(f"m = {m}", every))
    return judged


def _sharp(m: int, curve: Sequence[dict]) -> Claim:
    """The paper's threshold: none below, some at every rate above, PQI higher there."""
    curve = sorted(curve, key=lambda row: row["lr_times_m"])
    before, after = ([r for r in curve if kind(r)] for kind in (dense, sparse))
    measured, holds = "no rate on one side of it", None
    if before and after:
        last, first, most = before[-1], after[0], after[-1]
        ordered = last["lr_times_m"] < first["lr_times_m"]
        between = len(curve) - len(before) - len(after)
        risen = below(last, most, "pqi_rows")
        holds = bool(ordered and between <= 1 and risen)
        measured = (
            f"zero fraction {with_interval(last, 'zero_fraction')} at ηm = "
            f"{last['lr_times_m']:.4g}, the last with fewer than half a zero row, "
            f"{with_interval(first, 'zero_fraction')} at {first['lr_times_m']:.4g}, "
            f"the first with more, {between} rates between; PQI of row norms "
            f"{with_interval(last, 'pqi_rows')} below, "
            f"{with_interval(most, 'pqi_rows')} at ηm = {most['lr_times_m']:.4g}"
        )
    return Claim(
        paper="Figure 6",
        text="zero rows appear at a threshold of the learning rate, and the PQI rises "
        "with them",
        case=f"m = {m}",
        measured=measured,
        rule="ordered by rate, the points with fewer than half a zero row all come "
        "before those with more, each by its interval, at most one point between; the "
        "PQI of row norms is higher at the largest rate above than at the last below, "
        "without meeting intervals",
        n=sum(row["runs"] for row in curve),
        holds=holds,
    )


def _dense(m: int, curve: Sequence[dict]) -> Claim:
    threshold = rate_threshold(m, curve[0]["k"])
    slower = [row for row in curve if row["lr_times_m"] < threshold]
    broken = {
        f"{row['lr_times_m']:.4g}": with_interval(row, "zero_fraction")
        for row in slower
        if row["zero_fraction_mean"] > 0
    }
    return Claim(
        paper="",
        text="below the predicted threshold no minimum has zero rows",
        case=f"m = {m}",
        measured=f"zero fraction 0 at {len(slower) - len(broken)} of {len(slower)} "
        f"rates below η*m = {threshold:.4g}; exceptions, by ηm: {broken or 'none'}",
        rule="the mean zero fraction of the converged runs is 0 at every rate below",
        n=sum(row["runs"] for row in slower),
        holds=not broken if slower else None,
    )


def _threshold(m: int, curve: Sequence[dict]) -> Claim:
    threshold = rate_threshold(m, curve[0]["k"])
    above = [row for row in curve if row["lr_times_m"] > threshold]
    near = [
        row["zero_fraction_high"] >= row["predicted"] - 1e-9
        and row["zero_fraction_low"] <= row["predicted"] + 1 / m + 1e-9
        for row in above
    ]
    gaps = [row["zero_fraction_mean"] - row["predicted"] for row in above]
    return Claim(
        paper="",
        text=(
            "above the threshold the zero rows are as many as linear stability asks for"
        ),
        case=f"m = {m}",
        measured=f"{sum(near)} of {len(near)} rates above η*m = {threshold:.4g} "
        "within one neuron above the least stable zero fraction; the largest excess is "
        f"{max(gaps, default=math.nan):.3g}",
        rule="at every rate above it the interval meets [predicted, predicted + 1/m]",
        n=sum(row["runs"] for row in above),
        holds=all(near) if above else None,
    )


def _stable(case: str, curve: Sequence[dict]) -> Claim:
    judged = [row for row in curve if row["judged"]]
    runs, broken, raw = (
        sum(row[name] for row in judged)
        for name in ("judged", "unstable", "unstable_raw")
    )
    measured = "no run reached the tolerance"
    if runs:
        edge, cut, as_is = (
            max(row[name] for row in judged)
            for name in ("edge", "edge_cut", "edge_raw")
        )
        finer, finest = map(
            sum, zip(*(r["unstable_finer"] for r in judged), strict=True)
        )
        measured = (
            f"a fraction {broken / runs:.3g} ({broken} of {runs}) violates it; the "
            f"largest η λ_max is {edge:.5f} from types, {cut:.5f} from Hessian-vector "
            f"products there; at the weights as they are, dying rows not yet zero, "
            f"{raw} of {runs} are above 2, up to {as_is:.4g}; rows up to 1e-4 (1e-5) "
            f"taken as zero: {finer} ({finest})"
        )
    return Claim(
        text="every minimum that GD reaches, its dying rows taken as zero, has η λ_max "
        "<= 2",
        case=case,
        measured=measured,
        rule="of all runs with a final loss below the tolerance, held or not, none "
        "above 2 + 1e-6 with rows up to the stated norm taken as zero",
        n=runs,
        holds=broken == 0 if runs else None,
    )
