"""Means of many students: against pairs, definitions, and other ways to align."""

import dataclasses

import numpy as np
import oracles
import pytest
from cases import GD64, UNIFORM, swept

from lmc_jax.sweep import many
from lmc_jax.sweep.cell import Cell
from lmc_jax.sweep.merge import WAYS, MergeCell, measure

GD = dataclasses.replace(GD64, steps=20_000, tol=1e-6)
FIRST = WAYS.index("first")


def cell(source=UNIFORM, k=3, m=7, pairs=12, **changes):
    own = {"d": k, "matchings": (), "points": 3} | changes
    return Cell(k=k, m=m, source=source, pairs=pairs, **own)


def students(one):
    """Its students [2 pairs, m, d], as a sweep makes them."""
    (found,) = swept([one]).values()
    return found["weights"].reshape(-1, *found["weights"].shape[2:]).astype(float)


@pytest.mark.parametrize("source", [UNIFORM, GD], ids=["uniform", "gd"])
def test_two_students_have_the_midpoint_barrier_of_the_pair(source):
    one = cell(source, pairs=6)
    found = measure(MergeCell(one, (2,)))
    joined = dataclasses.replace(one, matchings=("types_opposed",))
    losses = next(iter(swept([joined]).values()))["losses"]
    excess = losses[..., 1] - losses[..., [0, 2]].mean(axis=-1)
    assert found["used"].all()
    np.testing.assert_allclose(found["2/excess"][:, :2], excess, atol=1e-12)
    # Aligned to each other already, cycles change nothing.
    np.testing.assert_allclose(found["2/excess"][:, 2], excess[:, 1], atol=1e-12)
    assert found["2/settled"].all()


@pytest.mark.parametrize(("n", "m", "k"), [(2, 4, 2), (3, 9, 2), (4, 9, 3), (3, 3, 3)])
def test_excess_and_types_by_their_definition(n, m, k):
    one = cell(k=k, m=m)
    found = measure(MergeCell(one, (n,)))
    W = students(one)
    groups = W[: len(W) // n * n].reshape(-1, n, m, k)
    kinds, tallies = groups.argmax(axis=3), (groups > 0).sum(axis=2)
    for g, group in enumerate(groups):
        loss = oracles.loss(group.mean(axis=0), k)
        assert found[f"{n}/excess"][g, 0] == pytest.approx(loss, abs=1e-12)
        shared = {kinds[g, 0, i] for i in range(m) if len(set(kinds[g, :, i])) == 1}
        assert found[f"{n}/centre"][g, 0] == (shared == set(range(k)))
        assert found[f"{n}/alike"][g] == (tallies[g] == tallies[g, 0]).all()
    assert found[f"{n}/centre"][:, FIRST].all()
    assert np.all(found[f"{n}/excess"][:, FIRST] <= found[f"{n}/certificate"] + 1e-12)
    if m == k:
        assert np.abs(found[f"{n}/excess"][:, FIRST]).max() < 1e-12


def test_alignment_permutes_and_cycles_end_where_another_changes_nothing():
    one = cell(k=3, m=8)
    groups = students(one).reshape(-1, 4, 8, 3)
    first = many.to_first(groups, one)
    cycles, settled = many.by_cycles(first, one)
    for aligned in (first, cycles):
        rows = (
            np.sort(each.reshape(*each.shape[:2], -1)) for each in (groups, aligned)
        )
        np.testing.assert_array_equal(*rows)
    assert settled.any()
    again, _ = many.by_cycles(cycles[settled], one)
    np.testing.assert_array_equal(again, cycles[settled])


def test_two_neurons_are_merged_alike_whichever_comes_first():
    """And three are not, so that this could fail."""
    for k, same in ((2, True), (3, False)):
        one = cell(k=k, m=12)
        groups = students(one).reshape(-1, 4, 12, k)
        ways = [groups, groups[:, ::-1]]
        losses = [
            [oracles.loss(each.mean(axis=0), k) for each in many.to_first(way, one)]
            for way in ways
        ]
        gap = np.abs(np.subtract(*losses)).max()
        assert gap < 1e-12 if same else gap > 1e-6


def test_trained_students_reach_the_centre_of_their_types():
    found = measure(MergeCell(cell(GD, pairs=6), (3, 12)))
    for n in (3, 12):
        assert found[f"{n}/centre"][:, FIRST].all()
        assert found[f"{n}/reach"].max() < GD.tol
        assert f"{n}/certificate" not in found


def test_students_that_did_not_converge_are_left_out():
    short = dataclasses.replace(GD, steps=5)
    found = measure(MergeCell(cell(short, pairs=2), (2,)))
    assert not found["used"].any()
    assert found["2/excess"].shape == (0, len(WAYS))


@pytest.mark.parametrize("sizes", [(1,), (2, 25)])
def test_groups_that_cannot_be_are_refused(sizes):
    with pytest.raises(ValueError, match="give groups of 2 to 24"):
        MergeCell(cell(), sizes).validate()


def test_batches_change_nothing(monkeypatch):
    found = [measure(MergeCell(cell(), (4,)))]
    monkeypatch.setattr(many, "BATCH", 3)
    found.append(measure(MergeCell(cell(), (4,))))
    for name, array in found[0].items():
        np.testing.assert_array_equal(array, found[1][name])
