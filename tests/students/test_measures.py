"""Overlap and zero rows."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from lmc_jax.students.measures import overlap, zero_rows


def test_overlap_of_batches():
    counts = np.random.default_rng(0).integers(0, 9, (4, 3, 2, 5))
    expected = [[sum(map(min, *pair)) for pair in pairs] for pairs in counts.tolist()]
    np.testing.assert_array_equal(overlap(jnp.asarray(counts)), expected)


def test_zero_rows_by_hand(dtype):
    W = np.zeros((6, 3), dtype)
    W[0] = 1
    W[1, 2] = 0.125  # at the threshold counts as zero
    W[2, 1] = 0.126
    W[3] = 1e-30
    for m, expected in [(6, 4), (4, 2), (3, 1), (1, 0), (0, 0)]:
        assert zero_rows(jnp.asarray(W), m, 0.125) == expected
    assert zero_rows(jnp.asarray(W), 6, 0) == 2
    assert zero_rows(jnp.asarray(W), 6, 10) == 6
    W[0, 0] = np.nan
    assert zero_rows(jnp.asarray(W), 6, 0.125) == 4


def test_zero_rows_of_batches_and_traced_widths(dtype):
    rng = np.random.default_rng(1)
    W = rng.normal(size=(5, 2, 8, 3)).astype(dtype)
    W[rng.random((5, 2, 8)) < 0.4] = 0
    widths = np.array([8, 3, 1, 5, 8], np.int32)
    expected = [
        [(~row[:m].any(1)).sum() for row in pair]
        for pair, m in zip(W, widths, strict=True)
    ]
    count = jax.jit(jax.vmap(functools.partial(zero_rows, threshold=1e-6)))
    np.testing.assert_array_equal(count(W, widths), expected)
