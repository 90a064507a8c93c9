"""Trained students of several widths beside uniform minima: means and their ratios."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.lib import projected, students
from lmc_jax.results import store
from lmc_jax.results.selection import converged_runs, regular_runs
from lmc_jax.statistics import (
    largest_shares,
    mean_interval,
    resampled_means,
    slopes,
    statistic_interval,
)
from lmc_jax.theory import uniform_model

MEANS = ("pqi", "barrier")  # that are compared


def of_width(record: store.Record, definition: str) -> dict[str, Any]:
    """What the runs and pairs of one width have: arrays, one value each."""
    arrays, m = record.arrays, record.parameters["m"]
    used = regular_runs(arrays)
    (barriers,) = projected.barriers(record, definition).values()
    return {
        "m": m,
        "converged": converged_runs(arrays).ravel(),
        "index": uniform_model.dispersion_index(arrays["counts"][used], m),
        "pqi": arrays["pqi_rows"][used],
        "barrier": barriers,
    }


def means(widths: Sequence[dict], first: int = 0) -> dict[str, np.ndarray]:
    """Resampled means ``[1 + resamples, widths]`` of what is compared."""
    return {
        name: resampled_means([one[name] for one in widths], first=first)
        for name in MEANS
    }


def described(
    k: int, widths: Sequence[dict], model: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """Measures ``[3, widths]`` or ``[widths]`` of one point, beside uniform minima.

    A mean or ratio stands before the ends of its interval. Where a width has under two
    pairs there is the least share of converged runs alone.
    """
    row = {
        "pairs": min(len(width["barrier"]) for width in widths),
        "converged": min(float(width["converged"].mean()) for width in widths),
    }
    if row["pairs"] < 2:
        return row
    own = means(widths)
    m = np.array([width["m"] for width in widths])
    wide = m >= 2 * k
    with np.errstate(divide="ignore", invalid="ignore"):  # few pairs may have none
        ratios = own["barrier"] / model["barrier"]
        steep = slopes(np.log(m[wide]), np.log(ratios[:, wide]))
    indexes = [mean_interval(width["index"], confidence=0.999) for width in widths]
    return row | {
        "m/k": m / k,
        "index": np.array(indexes).T,
        "pqi": np.apply_along_axis(statistic_interval, 0, own["pqi"] / model["pqi"]),
        "pqi_trend": statistic_interval(slopes(np.log(m), own["pqi"])),
        "ratio": np.apply_along_axis(statistic_interval, 0, ratios),
        "ratio_trend": statistic_interval(steep),
        "largest": largest_shares(own["barrier"]),
    }


def at_one(record: store.Record, least: float) -> dict[str, float]:
    """At k = 1 the KS distance of weights to normalised Exp(1) draws, and its limit.

    The limit is what 1% of uniform samples exceed. NaN where under a share ``least`` of
    the runs converged.
    """
    W = students.trained(record)[regular_runs(record.arrays)]
    row = {"ones": len(W) // 2, "ks": math.nan, "ks_limit": math.nan}
    if converged_runs(record.arrays).mean() < least or len(W) < 2:
        return row
    shares = W[..., 0] / W[..., 0].sum(axis=1, keepdims=True)
    limit = uniform_model.ks_limit(len(W), W.shape[1])
    return row | {"ks": uniform_model.ks_distance(shares), "ks_limit": limit}
