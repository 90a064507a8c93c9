"""Shuffled labels: which, how many, and the same every time."""

import numpy as np
import pytest

from lmc_jax.data.noise import shuffled_labels

LABELS = np.random.default_rng(0).integers(10, size=2000).astype(np.int32)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_a_share_is_shuffled_and_classes_keep_their_sizes(share):
    noisy = shuffled_labels(LABELS, share, seed=1)
    assert noisy.dtype == LABELS.dtype
    np.testing.assert_array_equal(np.bincount(noisy), np.bincount(LABELS))
    # A tenth of them is right by chance; five standard deviations.
    count = share * len(LABELS)
    wrong = int((noisy != LABELS).sum())
    assert abs(wrong - 0.9 * count) <= 5 * np.sqrt(0.09 * count)
    np.testing.assert_array_equal(noisy, shuffled_labels(LABELS, share, seed=1))


def test_a_smaller_share_is_of_the_same_images_and_seeds_differ():
    labels = np.arange(2000)  # no two equal: all that is shuffled is seen, nearly
    few, many, other = (
        set(np.flatnonzero(shuffled_labels(labels, share, seed) != labels).tolist())
        for share, seed in ((0.1, 0), (0.4, 0), (0.4, 1))
    )
    assert len(few - many) <= 5
    assert len(many) > 790
    assert len(many & other) < 500
