"""Where barriers of networks peak and where they fit: numbers and verdicts."""

import numpy as np
import pytest

from experiments import peak_and_fit, peak_position
from experiments.claims import networks
from experiments.lib import classifiers, peaks, widths
from experiments.lib.study import Measured
from lmc_jax.networks.cell import ClassifierCell
from lmc_jax.networks.training import Training
from lmc_jax.results.store import Record

WIDTHS = (2, 4, 8, 16, 32)
FLAT = (0.1, 0.1, 0.1)  # barriers of three pairs


def record(width, heights, error=0.0, looks=(), done=True, images=1000, noise=0.0):
    """A cell of pairs with these barriers after all steps, and at looks before.

    Of the test NLL: those of the training NLL are half of them.
    """
    cell = ClassifierCell(
        data="mnist",
        digest="",
        train_images=images,
        test_images=100,
        architecture="mlp",
        width=width,
        layers=4,
        training=Training(
            steps=100,
            looks=1,
            until=1e-3,
            measure_at_looks=tuple(10 * (i + 1) for i in range(len(looks))),
        ),
        alignments=("weights",),
        points=3,
        pairs=len(heights),
        label_noise=noise,
    )

    def losses(heights):
        found = np.zeros((len(heights), 2, 3, 2, 2))  # pairs, orders, points, ...
        found[:, :, 1, 1, 0] = np.array(heights)[:, None]
        found[:, :, 1, 0, 0] = np.array(heights)[:, None] / 2
        found[..., 1] = error
        return found

    history = np.ones((len(looks) + 1, len(heights), 2, 2, 2))
    if done:
        history[-1] = 1e-4
    arrays = {"losses": losses(heights), "history": history}
    if looks:
        arrays["losses_at_looks"] = np.stack([losses(one) for one in looks], axis=1)
    return Record(cell.parameters(), arrays, {})


def measured(records):
    setting = {"barrier": "lerp", "until": 1e-3, "steps": 100, "looks": 1}
    return Measured(setting, [], records, classifiers.rows(records, "lerp"))


def hill(peak, height=1.0, **more):
    """Records of a curve with its peak at a width."""
    return [
        record(width, [height if width == peak else 0.1] * 3, **more)
        for width in WIDTHS
    ]


def test_shares_of_the_peak_are_those_of_all_resamples():
    """The mean of 0 and 2 is 2 in one resample of four, and 1 or 0 in the others."""
    records = [record(4, [1.5, 1.5]), record(8, [0.0, 2.0])]
    cells = peaks.rows(measured(records))
    shares = [row["largest"] for row in peaks.curve(cells.table, "weights")]
    np.testing.assert_allclose(shares, [0.75, 0.25], atol=0.04)  # four deviations
    found = widths.places(records, "lerp", "weights")
    assert (found["peak_mean"], found["peak_low"], found["peak_high"]) == (4, 4, 8)
    assert np.mean(found["peaks"][1:] == 8) == shares[1]


def test_networks_fit_from_the_first_width_with_few_errors_on():
    errors = (0.3, 0.02, 0.009, 0.011, 0.0)
    curve = [record(w, FLAT, e) for w, e in zip(WIDTHS, errors, strict=True)]
    found = widths.places(curve, "lerp", "weights")
    assert (found["fit_mean"], found["fit_low"], found["fit_high"]) == (8, 8, 8)
    assert found["error"] == 0  # test images have the same errors here
    none = widths.places(curve[:2], "lerp", "weights")
    assert np.isinf(none["fits"]).all()


def test_widths_at_which_all_pairs_diverged_are_left_out():
    curve = hill(8)
    curve[-1].arrays["losses"][:] = np.nan
    found = widths.places(curve, "lerp", "weights")
    assert found["widths"].tolist() == [2, 4, 8, 16]
    cells = peaks.rows(measured(curve))
    assert peaks.curve(cells.table, "weights")[-1]["largest"] == 0


@pytest.mark.parametrize(
    ("before", "after", "done", "holds"),
    [
        (4, 8, True, True),
        (8, 8, True, False),
        (16, 8, True, False),
        (4, 8, False, None),  # not trained to the end
        (4, 32, True, None),  # at the edge of the widths
    ],
)
def test_the_peak_moves_with_training_where_resamples_say_so(
    before, after, done, holds
):
    records = [
        record(
            width,
            [1.0 if width == after else 0.1] * 3,
            looks=[[1.0 if width == before else 0.1] * 3],
            done=done,
        )
        for width in WIDTHS
    ]
    [claim] = networks.of_looks(peaks.rows(measured(records)))
    assert f"width {before} [{before}, {before}] after 10 steps" in claim.measured
    assert f"width {after} [{after}, {after}] after 100 steps" in claim.measured
    assert claim.holds is holds


def training_set(number, peak, fit, done=True, images=None):
    """Records of one size of the training images."""
    return [
        record(
            width,
            [1.0 if width == peak else 0.1] * 3,
            error=0.0 if width >= fit else 0.5,
            done=done,
            images=images or 1000 * (number + 1),
            noise=number / 10,
        )
        for width in (2, 4, 8, 16, 32, 64)
    ]


@pytest.mark.parametrize(
    ("peaks_at", "fits_at", "done", "slope", "holds"),
    [
        ((8, 16, 32), (4, 8, 16), True, "slope 1.00 [1.00, 1.00]", True),
        ((8, 8, 8), (4, 8, 16), True, "slope 0.00 [0.00, 0.00]", False),
        ((16, 8, 4), (4, 8, 16), True, "slope -1.00 [-1.00, -1.00]", False),
        ((8, 16, 32), (4, 8, 16), False, "0 of 3", None),  # not trained to the end
        ((8, 16, 32), (2, 4, 8), True, "2 of 3", None),  # all widths fit
        ((8, 16, 32), (4, 8, 99), True, "2 of 3", None),  # none fits
        ((8, 16, 64), (4, 8, 16), True, "2 of 3", None),  # a peak at the edge
        ((8, 16, 32), (8, 8, 8), True, "slope nan", None),  # fits do not move
    ],
)
def test_both_widths_move_together_by_the_slope(peaks_at, fits_at, done, slope, holds):
    both = enumerate(zip(peaks_at, fits_at, strict=True))
    records = [one for i, at in both for one in training_set(i, *at, done=done)]
    rows = peak_and_fit.rows(measured(records))
    assert len(peak_and_fit.table(rows)) == 3
    claims = peak_and_fit.claims(rows)
    assert [claim.case for claim in claims] == [
        "test, weight matching",
        "train, weight matching",
    ]
    for claim in claims:
        assert slope in claim.measured
        assert claim.holds is holds


def test_the_interval_of_the_slope_is_that_of_noisy_peaks():
    """Against NumPy's fits of resamples drawn one after another."""
    rng = np.random.default_rng(0)
    fits = np.tile([4.0, 8.0, 16.0, 16.0], (2001, 1))
    noisy = fits * rng.choice([1, 2, 4], size=fits.shape)
    places = [{"fits": fits[:, i], "peaks": noisy[:, i]} for i in range(4)]
    found = peak_and_fit.slope_of(places)
    slopes = [np.polyfit(np.log(fits[0]), np.log(one), 1)[0] for one in noisy]
    expected = slopes[0], *np.quantile(slopes[1:], [0.025, 0.975])
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize(
    ("peak", "done", "tested"), [(8, True, True), (32, True, False), (8, False, False)]
)
def test_depths_are_compared_by_peaks_inside_of_networks_that_learned(
    peak, done, tested
):
    found = [
        widths.places(hill(peak, done=done), "lerp", "weights") | {"layers": layers}
        for layers in (2, 3, 4)
    ]
    claim = peak_position.depth_claim(found)
    assert claim.holds is (True if tested else None)


@pytest.mark.parametrize(
    ("repaired", "said"),
    [
        (False, "anew along paths)"),
        (True, "anew along repaired paths, interpolated along others)"),
    ],
)
def test_a_caption_says_which_statistics_batch_normalisations_have(repaired, said):
    plain = record(4, FLAT)
    changed = {"architecture": "resnet", "norm": "batch", "alignments": []}
    own = plain._replace(parameters=plain.parameters | changed | {"repaired": repaired})
    setting = classifiers.SETTINGS.items()
    setting = {name: one.default for name, one in setting} | {"barrier": "lerp"}
    caption = peaks.caption(peaks.rows(measured([own])), setting)
    assert f"batch normalisation (statistics {said} on MNIST" in caption
    assert "4-layer ResNets" in caption
    claim = networks.direct_claim(classifiers.rows([own], "lerp"), "")
    assert "of 4-layer ResNets on MNIST is large" in claim.text
