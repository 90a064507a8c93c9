"""What the paper and linear stability say about sparse minima, judged by a sweep.

Rows are those of ``sparsity.described``.
"""

import math
from collections.abc import Mapping, Sequence

from experiments.lib import curves
from experiments.lib.claims import Claim
from experiments.lib.table import with_interval
from lmc_jax.theory import stability

MEASURES = {
    "pqi_flat": "PQI, flattened",
    "pqi_rows": "PQI, row norms",
    "zero_fraction": "zero-row fraction",
}
NEAR = 0.01  # of students whose masses add up to k


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
    below, compared = 0, 0
    for reference in uniform:
        for curve in groups.values():
            for row in (row for row in curve if row["m"] == reference["m"]):
                compared += 1
                below += reference[f"{name}_low"] <= row[f"{name}_high"]
    return Claim(
        paper="Figure 5",
        text=f"uniform minima have the lowest {MEASURES[name]}",
        measured=f"at {below} of {compared} (m, η) the uniform value is not above "
        "the trained one's",
        rule="at every (m, η) the uniform interval does not lie above GD's",
        n=min((row["runs"] for row in uniform), default=0),
        holds=bool(below == compared) if compared else None,
    )


def _grows_with_rate(name: str, groups: Mapping[str, Sequence[dict]]) -> Claim:
    claim = f"{MEASURES[name]} grows with the learning rate"
    widest = max((row["m"] for curve in groups.values() for row in curve), default=0)
    ends = [row for curve in groups.values() for row in curve if row["m"] == widest]
    ends = [row for row in ends if row[f"{name}_low"] == row[f"{name}_low"]]
    if len(ends) < 2:
        return Claim(
            paper="Figure 5",
            text=claim,
            measured="fewer than two rates converged at the largest width",
            rule="needs two rates at the largest width, each with two converged runs",
            n=0,
            holds=None,
        )
    slow = min(ends, key=lambda row: row["lr_times_m"])
    fast = max(ends, key=lambda row: row["lr_times_m"])
    return Claim(
        paper="Figure 5",
        text=claim,
        measured=f"m = {fast['m']}: {with_interval(fast, name)} at "
        f"η = {fast['lr_times_m']:.3g}/m against {with_interval(slow, name)} at "
        f"η = {slow['lr_times_m']:.3g}/m",
        rule="at the largest width the intervals of the largest and the smallest "
        "rate do not meet, and the largest is higher",
        n=fast["runs"],
        holds=bool(fast[f"{name}_low"] > slow[f"{name}_high"]),
    )


def _grows_with_width(name: str, label: str, curve: Sequence[dict]) -> Claim:
    large = bool(curve) and curve[0]["lr_times_m"] >= 5
    grows = "grows with m at large" if large else "does not grow with m at small"
    measured, n, holds = "too few widths converged", 0, None
    if len(curve) > 1:
        first, last = curve[0], curve[-1]
        measured = (
            f"{with_interval(first, name)} at m = {first['m']}, "
            f"{with_interval(last, name)} at m = {last['m']}"
        )
        grew = last[f"{name}_low"] > first[f"{name}_high"]
        n, holds = last["runs"], grew == large
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
    dense = [row for row in curve if row["zero_fraction_high"] < 1 / (2 * m)]
    sparse = [row for row in curve if row["zero_fraction_low"] > 1 / (2 * m)]
    measured, holds = "no rate on one side of it", None
    if dense and sparse:
        last, first, most = dense[-1], sparse[0], sparse[-1]
        ordered = last["lr_times_m"] < first["lr_times_m"]
        between = len(curve) - len(dense) - len(sparse)
        risen = most["pqi_rows_low"] > last["pqi_rows_high"]
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
    threshold = float(stability.critical_learning_rate(m, curve[0]["k"])) * m
    below = [row for row in curve if row["lr_times_m"] < threshold]
    broken = {
        f"{row['lr_times_m']:.4g}": with_interval(row, "zero_fraction")
        for row in below
        if row["zero_fraction_mean"] > 0
    }
    return Claim(
        paper="",
        text="below the predicted threshold no minimum has zero rows",
        case=f"m = {m}",
        measured=f"zero fraction 0 at {len(below) - len(broken)} of {len(below)} "
        f"rates below η*m = {threshold:.4g}; exceptions, by ηm: {broken or 'none'}",
        rule="the mean zero fraction of the converged runs is 0 at every rate below",
        n=sum(row["runs"] for row in below),
        holds=not broken if below else None,
    )


def _threshold(m: int, curve: Sequence[dict]) -> Claim:
    threshold = float(stability.critical_learning_rate(m, curve[0]["k"])) * m
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
