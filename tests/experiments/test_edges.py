"""η λ_max of a stored cell: against its Hessians, and kept once measured."""

import numpy as np
import oracles
import pytest
from helpers import command

from experiments.lib import edges
from lmc_jax.results import store
from lmc_jax.versions import VERSIONS, of

K, M, D, LR = 3, 5, 4, 0.3


def stored(out, W, losses, lr=LR):
    """A cell of students [pairs, 2, m, d] with final losses [pairs, 2]."""
    source = {"name": "gd", "lr": lr, "tol": 1e-8, "zero_row": 1e-3}
    parameters = {"k": K, "m": W.shape[2], "source": source}
    parameters["versions"] = of("descent")
    ends = np.zeros((len(W), 1, 11))
    ends[:, 0, [0, -1]] = losses
    path = store.save(store.open_store(out), parameters, {"losses": ends}, {}, {"W": W})
    return store.read(path)


def students(rng, pairs):
    counts = [[2, 2, 1], [3, 1, 1]]
    return np.array(
        [[oracles.minimum(rng, counts[i % 2], D) for i in range(2)]] * pairs
    )


def largest(W):
    hessian = oracles.hessian_at_minimum(W, K)
    return np.linalg.eigvalsh(hessian.reshape(W.size, W.size))[-1]


def test_edges_are_those_of_the_hessian_at_minima(tmp_path):
    W = students(np.random.default_rng(0), 3)
    found = edges.edges(stored(tmp_path, W, np.full((3, 2), 1e-9)))
    expected = LR * max(largest(w) for pair in W for w in pair)
    assert found["judged"] == 6
    for name in ("edge", "edge_cut", "edge_raw"):
        assert found[name] == pytest.approx(expected, rel=1e-8)
    unstable = sum(LR * largest(w) > 2 for pair in W for w in pair)
    assert found["unstable"] == found["unstable_raw"] == unstable
    assert found["unstable_finer"] == [unstable] * 2


def test_dying_rows_count_at_the_weights_alone(tmp_path):
    W = students(np.random.default_rng(1), 1)
    W[0, 0] = (
        np.eye(D)[[0, 0, 1, 1, 2]] * np.array([2e-5, 1 - 2e-5, 0.4, 0.6, 1])[:, None]
    )
    cut = W[0, 0].copy()
    cut[0] = 0
    lr = 4 / (largest(W[0, 0]) + largest(cut))  # the edge is between the two
    found = edges.edges(stored(tmp_path, W, np.array([[1e-9, 1]]), lr))
    assert found["judged"] == 1  # the other's loss is above the tolerance
    assert found["edge"] == pytest.approx(lr * largest(cut), rel=1e-12)
    assert found["edge_raw"] == pytest.approx(lr * largest(W[0, 0]), rel=1e-8)
    assert found["edge_cut"] < 2 < found["edge_raw"]
    assert (found["unstable"], found["unstable_raw"]) == (0, 1)
    assert found["unstable_finer"] == [0, 1]  # the row has a norm of 2e-5


def test_what_was_measured_is_read_again_and_a_damaged_file_measured_anew(
    tmp_path, monkeypatch, capsys
):
    record = stored(
        tmp_path, students(np.random.default_rng(2), 2), np.full((2, 2), 1e-9)
    )
    first = edges.edges(record)
    measured = edges._measured
    monkeypatch.setattr(edges, "_measured", None)  # not called again
    assert edges.edges(record) == first
    monkeypatch.setattr(edges, "_measured", measured)
    [kept] = store.cell_files(tmp_path / "curvature")
    kept.write_bytes(kept.read_bytes()[:-10])
    assert edges.edges(record) == first
    assert "measuring it again" in capsys.readouterr().err


def test_curvature_of_older_programs_or_damaged_is_named_and_measured_again(
    tmp_path, monkeypatch, capsys
):
    W = students(np.random.default_rng(2), 1)
    record = stored(tmp_path, W, np.full((1, 2), 1e-9))
    first = edges.edges(record)
    assert "3 of 3 files are sound" in command("tools.verify", tmp_path).stdout
    [kept] = store.cell_files(tmp_path / "curvature")
    whole = kept.read_bytes()
    kept.write_bytes(whole[:-10])
    ran = command("tools.verify", tmp_path)
    assert (ran.returncode, "2 of 3 files are sound" in ran.stdout) == (1, True)
    kept.write_bytes(whole)
    monkeypatch.setitem(VERSIONS, "sharpness", 2)
    ran = command("tools.verify", tmp_path)
    needs = "needs the command of its sweep again: made by sharpness 1, now 2"
    assert f"{kept.name}' {needs}" in ran.stdout
    assert edges.edges(record) == first
    assert "sharpness 1, now 2; measuring it again" in capsys.readouterr().err
    ran = command("tools.verify", tmp_path)
    assert f"{kept.name}' was" not in ran.stdout


def test_no_run_below_the_tolerance_and_no_learning_rate_are_nothing_judged(tmp_path):
    W = students(np.random.default_rng(3), 1)
    record = stored(tmp_path, W, np.ones((1, 2)))
    assert edges.edges(record) == {"judged": 0}
    record.parameters["source"] = {"name": "uniform"}
    assert edges.edges(record) == {"judged": 0}
