"""The width at which the barrier of classifiers peaks, and that at which they fit.

Both by the same bootstrap resamples of pairs, width by width.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from experiments.lib import classifiers
from experiments.lib.lists import Refusal
from lmc_jax.networks.evaluation import METRICS
from lmc_jax.results import store
from lmc_jax.statistics import named, resampled_means, statistic_interval

FITS = 0.01  # mean training error below which networks fit their images
CURVE = ("data", "layers", "train_images", "label_noise")  # what its cells share


def by_curve(records: Iterable[store.Record]) -> list[list[store.Record]]:
    """Records of curves of widths, in the order in which the curves begin."""
    groups: dict[tuple, list[store.Record]] = {}
    for record in records:
        cell = {"label_noise": 0.0, **record.parameters}
        groups.setdefault(tuple(cell[name] for name in CURVE), []).append(record)
    return list(groups.values())


def barrier_means(
    records: Sequence[store.Record],
    definition: str,
    path: str,
    sample: str = "test",
    metric: str = "nll",
    step: int | None = None,
) -> np.ndarray:
    """Mean barriers and those of bootstrap resamples, ``[1 + resamples, widths]``.

    Args:
      records: of a curve, each with a pair at least that did not diverge.
      definition: of the barrier.
      path, sample, metric: as in the rows of the summary.
      step: updates after which paths were measured, by default all.
    """
    heights = []
    for record in records:
        cell = record.parameters
        losses = dict(classifiers.at_looks(record))[step or cell["training"]["steps"]]
        order = classifiers.orders(cell).index(path)
        at = order, classifiers.SAMPLES.index(sample), METRICS.index(metric)
        heights.append(classifiers.barriers(losses, definition)[:, *at])
    return resampled_means(heights)


def peak_widths(
    records: Sequence[store.Record], *which: Any, **more: Any
) -> np.ndarray:
    """Widths of the largest mean barrier, ``[1 + resamples]``.

    Takes what ``barrier_means`` takes.
    """
    widths = np.array([record.parameters["width"] for record in records])
    return widths[np.argmax(barrier_means(records, *which, **more), axis=1)]


def errors(records: Sequence[store.Record], sample: str) -> list[np.ndarray]:
    """Mean error ``[pairs]`` of the two networks of each kept pair, by width."""
    at = classifiers.SAMPLES.index(sample), METRICS.index("error")
    return [classifiers.kept(r)[:, 0, [0, -1], *at].mean(1) for r in records]


def places(
    records: Sequence[store.Record], definition: str, path: str, sample: str = "test"
) -> dict[str, Any]:
    """Of one curve the width of the largest barrier, and the least that fits.

    Args:
      records: in order of width; widths at which every pair has a diverged network are
        left out.
      definition: of the barrier.
      path, sample: as in the rows of the summary.

    Returns:
      What the cells share; ``peak_*`` and ``fit_*``, the widths with 95% intervals,
      and ``peaks``, ``fits [1 + resamples]``, from which these are; a fit is inf where
      no width fits. ``widths [n]``, those tried; ``pairs``, the fewest; ``error``, the
      least mean test error; ``learned``, whether the networks of the largest width all
      ended by their training loss.

    Raises:
      Refusal: when no width is left.
    """
    cell = {"label_noise": 0.0, **records[0].parameters}
    records = [record for record in records if len(classifiers.kept(record))]
    if not records:
        raise Refusal(
            f"All pairs of {cell['layers']} layers on {cell['data']} diverged: give a "
            "smaller --lr"
        )
    widths = np.array([record.parameters["width"] for record in records])
    peaks = peak_widths(records, definition, path, sample)
    fit = resampled_means(errors(records, "train")) < FITS
    fits = np.where(fit.any(axis=1), widths[np.argmax(fit, axis=1)], np.inf)
    return {
        **{name: cell[name] for name in CURVE},
        **{"path": path, "sample": sample},
        **{"widths": widths, "pairs": min(len(classifiers.kept(r)) for r in records)},
        **{"peaks": peaks, "fits": fits},
        **named("peak", statistic_interval(peaks)),
        **named("fit", statistic_interval(fits)),
        "error": min(float(error.mean()) for error in errors(records, "test")),
        "learned": classifiers.learned(records[-1]),
    }


def inside(place: dict[str, Any]) -> bool:
    """Whether the peak is neither at the least nor at the largest width tried."""
    return bool(place["widths"][0] < place["peak_mean"] < place["widths"][-1])
