"""Paths and the four definitions of a barrier, by hand and on pytrees."""

import functools
from collections import OrderedDict

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmc_jax.paths import BARRIERS, barrier, lerp, path_losses, times

QUARTERS = np.linspace(0, 1, 5)


def plain_barrier(losses, ts, definition):
    first, last = losses[0], losses[-1]
    excess = [x - ((1 - t) * first + t * last) for x, t in zip(losses, ts, strict=True)]
    return {
        "lerp": max(excess),
        "mean": max(losses) - (first + last) / 2,
        "max": max(losses) - max(first, last),
        "midpoint": excess[len(ts) // 2],
    }[definition]


def networks(dtype):
    """Two pytrees of weights."""
    rng = np.random.default_rng(0)

    def network():
        layers = {"w": rng.normal(size=(3, 4)), "b": rng.normal(size=4)}
        tree = {"layers": [layers, {"w": rng.normal(size=(4, 2))}], "scale": (0.7,)}
        return jax.tree.map(lambda x: jnp.asarray(x, dtype), tree)

    return network(), network()


def energy(tree):
    return sum(jnp.sum(jnp.cos(leaf)) for leaf in jax.tree.leaves(tree))


def test_times_are_evenly_spaced_float64():
    assert times().dtype == jnp.float64
    np.testing.assert_allclose(times(), np.arange(11) / 10, rtol=1e-15)
    np.testing.assert_array_equal(times(5), QUARTERS)
    for points in (2, 3, 11, 26, 101):
        ts = np.asarray(times(points))
        assert len(ts) == points
        assert (ts[0], ts[-1]) == (0, 1)
        if points % 2:
            assert ts[points // 2] == 0.5


@pytest.mark.parametrize("points", [1, 2.5, 3.0, True, "5"])
def test_paths_of_other_numbers_of_points_are_refused(points):
    with pytest.raises(ValueError, match=rf"^points={points}: a path has at least 2, "):
        times(points)


def test_path_is_exact_at_its_ends(dtype):
    start, end = networks(dtype)
    start["scale"] = (jnp.asarray([1e30, 3e-30, -0.1, 0], dtype),)
    end["scale"] = (jnp.asarray([-7e-30, 1e30, 1e30, 0.3], dtype),)
    for t, expected in [(0, start), (1, end)]:
        found = lerp(start, end, jnp.asarray(t, dtype))
        assert jax.tree.structure(found) == jax.tree.structure(start)
        for leaf, other in zip(*map(jax.tree.leaves, (found, expected)), strict=True):
            assert leaf.dtype == dtype
            np.testing.assert_array_equal(leaf, other)


def test_plain_numbers_are_mixed_as_arrays_are():
    start, end = {"scale": 0.5}, {"scale": -1.5}
    assert lerp(start, end, 0.25)["scale"] == 0
    losses = path_losses(lambda tree: tree["scale"] ** 2, start, end, times(3))
    np.testing.assert_allclose(losses, [0.25, 0.25, 2.25], rtol=1e-15)


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ({"w": np.ones(4), "b": np.ones((4, 1))}, r"array 'b' is \(4,\) and \(4, 1\)"),
        ({"w": np.ones((1, 4)), "b": np.ones(4)}, r"array 'w' is \(4,\) and \(1, 4\)"),
        ({"w": np.ones(4)}, "array 'b' is at one end of the path only"),
        ({"w": np.ones(4), "c": np.ones(4)}, "array 'b' is at one end"),
        ({"w": np.ones(4), "b": {"c": np.ones(4)}}, "array 'b' is at one end"),
        ({"w": np.ones(4), "b": None}, "array 'b' is at one end"),
        ([np.ones(4), np.ones(4)], "array '0' is at one end"),
        (OrderedDict(w=np.ones(4), b=np.ones(4)), "of different types"),
        ({"w": np.ones(4), "b": np.ones(4, int)}, "array 'b' has dtype int64"),
        ({"w": np.ones(4), "b": np.ones(4, bool)}, "array 'b' has dtype bool"),
    ],
)
def test_ends_that_do_not_fit_are_refused_by_the_name_of_the_array(end, said):
    start = {"w": np.zeros(4), "b": np.zeros(4)}
    for first, second in ((start, end), (end, start)):
        with pytest.raises(ValueError, match=said if first is start else r"\S"):
            path_losses(energy, first, second, times(3))


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_losses_of_a_pytree_along_the_default_times(precision):
    start, end = networks(jnp.dtype(precision))
    found = np.asarray(path_losses(energy, start, end, times()), float)
    leaves = list(zip(*map(jax.tree.leaves, (start, end)), strict=True))
    leaves = [(np.asarray(a, float), np.asarray(b, float)) for a, b in leaves]
    expected = [
        sum(np.cos((1 - t) * a + t * b).sum() for a, b in leaves)
        for t in np.arange(11) / 10
    ]
    atol = 64 * jnp.finfo(precision).eps  # a sum of 25 cosines
    np.testing.assert_allclose(found, expected, rtol=0, atol=atol)


@pytest.mark.parametrize(
    ("losses", "lerp_", "mean", "max_", "midpoint"),
    [
        ([1, 3, 2.5, 5, 2], 3.25, 3.5, 3, 1),
        ([2, 1, 0.5, 1, 2], 0, 0, 0, -1.5),
        ([4, 1, 0.5, 0.25, 1], 0, 1.5, 0, -2),
        ([0, 1, 2, 3, 4], 0, 2, 0, 0),
        ([0, 0, 8, 0, 0], 8, 8, 8, 8),
        ([3, 3, 3, 3, 3], 0, 0, 0, 0),
        ([1, 0, np.inf, 0, 1], np.inf, np.inf, np.inf, np.inf),
    ],
)
def test_barriers_by_hand(losses, lerp_, mean, max_, midpoint, dtype):
    losses, ts = jnp.asarray(losses, dtype), jnp.asarray(QUARTERS, dtype)
    expected = dict(zip(BARRIERS, (lerp_, mean, max_, midpoint), strict=True))
    for definition, height in expected.items():
        found = barrier(losses, ts, definition)
        assert found.dtype == dtype
        assert float(found) == height  # dyadic numbers: no rounding
    np.testing.assert_array_equal(barrier(losses, ts), barrier(losses, ts, "lerp"))


@pytest.mark.parametrize("definition", BARRIERS)
def test_barriers_of_batches(definition, dtype):
    ts = times().astype(dtype)
    losses = np.random.default_rng(2).exponential(size=(4, 3, 11)).astype(dtype)
    function = jax.jit(functools.partial(barrier, definition=definition))
    expected = [
        [
            plain_barrier(row.astype(float), np.arange(11) / 10, definition)
            for row in rows
        ]
        for rows in losses
    ]
    atol = 8 * jnp.finfo(dtype).eps * losses.max()
    np.testing.assert_allclose(function(losses, ts), expected, rtol=0, atol=atol)


def test_unknown_definition_is_one_clear_line():
    with pytest.raises(ValueError, match="unknown barrier 'height'") as caught:
        barrier(jnp.ones(11), times(), "height")
    assert "lerp, mean, max, midpoint" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_midpoint_of_an_even_number_of_positions_is_refused():
    with pytest.raises(ValueError, match="odd number of points, got 10"):
        barrier(jnp.ones(10), times(10), "midpoint")


HEIGHTS = [0.0, 0.25, 1.0, 0.5, 0.5]
EVEN = [0, 0.25, 0.5, 0.75, 1]


def test_lists_are_arrays_and_halves_are_computed_in_single_precision():
    for definition in BARRIERS:
        expected = plain_barrier(HEIGHTS, EVEN, definition)
        assert barrier(HEIGHTS, EVEN, definition) == expected
        assert barrier([HEIGHTS], EVEN, definition).shape == (1,)
        # 2049 is no float16: with a mean in halves the barrier would be 0.
        halves = jnp.asarray([2048, 0, 2050, 0, 2050], jnp.float16)
        found = barrier(halves, jnp.asarray(EVEN, jnp.float32), definition)
        assert found.dtype == jnp.float32
        exact = plain_barrier(np.asarray(halves, float), EVEN, definition)
        assert float(found) == exact
        # The sum of the ends is beyond the range of single precision.
        large = np.array([2.5e38, 3e38, 3.25e38, 3e38, 3e38], np.float32)
        exact = plain_barrier(large.astype(float), EVEN, definition)
        assert float(barrier(large, EVEN, definition)) == pytest.approx(exact, rel=1e-6)
        whole = np.array([0, 3, 7, 1, 2])
        assert barrier(whole, EVEN, definition) == plain_barrier(
            whole, EVEN, definition
        )


@pytest.mark.parametrize(
    ("losses", "ts", "said"),
    [
        (HEIGHTS, np.linspace(0, 1, 7), r"losses \(5,\) at positions \(7,\)"),
        (HEIGHTS, np.linspace(0, 100, 5), "rise from 0 to 1"),
        (HEIGHTS, EVEN[::-1], "rise from 0 to 1"),
        (HEIGHTS, [0, 0.5, 0.25, 0.75, 1], "rise from 0 to 1"),
        (HEIGHTS, [0.1, 0.2, 0.3, 0.4, 1], "rise from 0 to 1"),
        (HEIGHTS, [0, 0.25, np.nan, 0.75, 1], "rise from 0 to 1"),
        (HEIGHTS, 0.5, "at positions"),
        (1.0, EVEN, r"losses \(\) at"),
        ([1.0], [0.0], "rise from 0 to 1"),
        (np.ma.masked_array(HEIGHTS, [0, 0, 1, 0, 0]), EVEN, "masked"),
        ([np.ma.masked_array(HEIGHTS, [0, 0, 1, 0, 0])], EVEN, "masked"),
        ([np.nan, 1, 2, 1, 0], EVEN, "not finite"),
        ([[0, 1, 2, 1, 0], [0, 1, 2, 1, np.inf]], EVEN, "not finite"),
        (list("abcde"), EVEN, "give real numbers"),
        (np.array(HEIGHTS) + 1j, EVEN, "give real numbers"),
        ([True, False, True, False, True], EVEN, "give real numbers"),
    ],
)
def test_losses_and_positions_that_do_not_fit_are_refused(losses, ts, said):
    with pytest.raises(ValueError, match=said) as caught:
        barrier(losses, ts)
    assert "\n" not in str(caught.value)
