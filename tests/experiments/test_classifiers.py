"""Entrypoints on classifiers end to end, on generated IDX files."""

import csv
import json

import numpy as np
import pytest
from cases import CLASSIFIERS
from helpers import (
    arrays,
    assert_one_line,
    command,
    same_arrays,
    times,
)

from experiments.claims import networks
from experiments.lib import checkpoints
from lmc_jax.networks.cell import ClassifierCell
from lmc_jax.networks.training import Training, TrainingState
from lmc_jax.results import store

SMALL = ("--data=easy", "--widths=2", "--layers=2")


def run(name, data, out, *arguments, **variables):
    settings = (*CLASSIFIERS.split(), f"--out={out}", *arguments)
    return command(name, *settings, environ={"LMC_JAX_DATA": str(data), **variables})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "arguments", "stems"),
    [
        ("mnist_mlp", SMALL, ["mnist_mlp", "mnist_mlp_paths", "mnist_mlp_looks"]),
        (
            "cifar10_cnn",
            ["--data=easy", "--widths=2"],
            ["cifar10_cnn", "cifar10_cnn_paths"],
        ),
        ("peak_position", ["--data=easy,hard", "--layers=2"], ["peak_position"]),
        ("peak_and_fit", ["--data=easy", "--train_images=30,60"], ["peak_and_fit"]),
    ],
)
def test_leaves_figures_and_claims_and_computes_nothing_twice(
    name, arguments, stems, data, tmp_path
):
    first = run(name, data, tmp_path, *arguments)
    assert (first.returncode, first.stderr) == (0, "")
    captions = {(tmp_path / f"{stem}.caption.txt").read_text() for stem in stems}
    assert len(captions) == len(stems)
    for stem in stems:
        assert (tmp_path / f"{stem}.png").stat().st_size > 5000
        written = json.loads((tmp_path / f"{stem}.claims.json").read_text())
        assert "n = 2 independent pairs" in written["caption"]
        # Two pairs are too few for any verdict.
        assert {claim["holds"] for claim in written["claims"]} == {None}
    assert not list(tmp_path.glob("unfinished/cells/*.npz"))
    cells = times(tmp_path)
    assert run(name, data, tmp_path, *arguments) == first
    assert times(tmp_path) == cells


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("--data=none", "unknown data set 'none'"),
        ("--data=easy,hard", "give one; peak_position compares several"),
        ("--widths=0", "width=0: give at least 1"),
        ("--layers=1", "layers=1: give at least 2"),
        ("--until=-1", "until=-1.0: give a positive"),
        ("--measure_at_looks=6", "between 0 and steps=6, in rising order"),
        ("--measure_at_looks=all", "--measure_at_looks=all: 'all' is not a number"),
        ("--steps=2147483648", "steps=2147483648: give at most 2147483647"),
        ("--lr=1e308", "lr=1e+308 is inf in float32"),
        ("--train_images=61", "train_images=61: easy has 60"),
        ("--align=luck", "--align: unknown 'luck'"),
        ("--norm=group", "a norm among none, layer, batch"),
        ("--points=1", "points=1"),
        ("--pairs=0", "pairs=0: give at least 1"),
        ("--seed=-1", "seed=-1"),
        ("--schedule=step", "unknown schedule 'step'"),
        ("--num_processes=2", "Unknown command line flag 'num_processes'"),
    ],
)
def test_bad_input_is_one_line_and_status_2(argument, said, data, tmp_path):
    assert_one_line(run("mnist_mlp", data, tmp_path, "--data=easy", argument), said)


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("--pairs=0", "pairs=0: give at least 1"),
        ("--layers=9", "images of 28 × 28 with 8 poolings"),
        ("--train_images=60001", "train_images=60001: mnist has 60000"),
        ("--batch=61", "batch=61: give at most the 60 training images"),
        ("--num_shards=2", "go together"),
        ("--out=/proc/lmc_jax", "/proc/lmc_jax"),
    ],
)
def test_flags_are_looked_at_before_a_data_set_is(argument, said, tmp_path):
    done = run("cifar10_cnn", tmp_path, tmp_path / "o", "--data=mnist", argument)
    assert_one_line(done, said)
    assert not list(tmp_path.iterdir())  # nothing was downloaded


@pytest.mark.slow
def test_a_learning_rate_at_which_all_diverge_has_no_peak_but_a_table(data, tmp_path):
    few = (*SMALL, "--lr=1e30")
    curve = run("mnist_mlp", data, tmp_path, *few)
    assert (curve.returncode, curve.stderr) == (0, "")
    assert "not tested" in curve.stdout
    assert "All runs diverged" in (tmp_path / "mnist_mlp.caption.txt").read_text()
    peaks = run("peak_position", data, tmp_path, *few)
    assert (peaks.returncode, peaks.stderr) == (0, "")
    assert "All pairs of 2 layers on easy diverged: give a smaller --lr" in peaks.stdout
    caption = (tmp_path / "peak_position.caption.txt").read_text()
    assert caption.startswith(
        "All runs diverged: no mean is shown. All pairs of 2 layers"
    )


@pytest.mark.parametrize(
    ("architecture", "done", "holds"),
    [("mlp", 6, True), ("cnn", 6, False), ("cnn", 5, None)],
)
def test_direct_barrier_of_mlps_is_judged_from_the_first_width_of_the_paper(
    architecture, done, holds
):
    rows = [
        {
            **{"path": "direct", "sample": "test", "metric": "nll", "kept": 3},
            "done": done,
            **{"architecture": architecture, "width": width},
            **{"layers": 4, "data": "easy"},
            **{f"barrier_{end}": barrier for end in ("mean", "low", "high")},
        }
        for width, barrier in ((8, 0.1), (15, 2.0), (20, 3.0))
    ]
    claim = networks.direct_claim(rows, "")
    assert claim.holds is holds


@pytest.mark.parametrize(
    ("peak", "share", "done", "holds"),
    [
        (15, 0.96, 6, True),
        (15, 0.94, 6, None),  # resamples differ
        (15, 0.96, 5, None),  # a network of the largest width was not done
        (4, 0.96, 6, False),
        (4, 0.96, 0, None),
        (2, 1.0, 6, None),  # the edge of the widths tried
        (100, 1.0, 6, None),
    ],
)
def test_peak_is_placed_among_the_widths_of_the_paper(peak, share, done, holds):
    def largest(width):
        """The share of the peak, and the rest elsewhere: at 4, or of 4 at 15."""
        other = 15 if peak == 4 else 4
        return {peak: share, other: 1 - share}.get(width, 0.0)

    rows = [
        {
            **{"path": "weights", "sample": sample, "metric": metric, "kept": 3},
            **{"done": done if width == 100 else 0, "largest": largest(width)},
            **{"architecture": "mlp", "width": width, "layers": 4, "data": "mnist"},
            **{
                f"barrier_{end}": float(width == peak)
                for end in ("mean", "low", "high")
            },
        }
        for width in (2, 4, 15, 50, 100)
        for sample in ("test", "train")
        for metric in ("nll", "error")
    ]
    assert len(networks.peak_claims(rows, "")) == 3  # of other networks than its own
    *others, last = networks.peak_claims(rows, "Figure 7")
    assert len(others) == 3
    assert "peaks at a width of 15 to 100" in last.text
    assert f"at width = {peak} of 2, 4, 15, 50, 100" in last.measured
    assert f"{share:.0%} at {peak}" in last.measured
    assert last.holds is holds
    # The means of the rows have no spread: that a peak is there is sure.
    tested = done == 6 and 2 < peak < 100
    assert {claim.holds for claim in others} == {True if tested else None}


class Killed(BaseException):
    """The end of a process, in this one."""


def test_training_that_was_stopped_goes_on_from_its_last_look(
    data, tmp_path, monkeypatch
):
    few = ("mnist_mlp", data, tmp_path, *SMALL, "--align=")
    real, begun = checkpoints.compute, []

    def once(*arguments, state, keep, **rest):
        begun.append(state.step if state else 0)

        def last(state):
            keep(state)
            if begun == [0]:
                raise Killed

        return real(*arguments, state=state, keep=last, **rest)

    monkeypatch.setattr(checkpoints, "compute", once)
    with pytest.raises(Killed):
        run(*few)
    assert not list(tmp_path.glob("cells/*.npz"))
    assert run(*few).returncode == 0
    assert begun == [0, 2]
    [stopped] = arrays(tmp_path).values()
    monkeypatch.undo()
    [cell] = store.cell_files(tmp_path)
    cell.unlink()
    assert run(*few).returncode == 0
    assert same_arrays({"": stopped}, {"": store.read(cell).arrays})


@pytest.mark.slow
def test_training_until_a_loss_measured_on_the_way_and_its_log(
    data, tmp_path, monkeypatch
):
    few = ("--data=easy", "--widths=2,3", "--align=", "--lr=0.1")
    ended = (*few, "--until=2.3", "--measure_at_looks=1,5")
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    ran = run("mnist_mlp", data, whole, *ended)
    assert (ran.returncode, ran.stderr) == (0, "")
    rows, log = (table(whole / name) for name in ("summary.csv", "looks.csv"))
    assert {row["step"] for row in rows} == {"1", "5", "6"}
    assert [line["step"] for line in log] == ["1", "3", "5", "6"] * 2
    last = [line for line in log if line["step"] == "6"]
    for row in (row for row in rows if row["step"] == "6"):
        [line] = [line for line in last if line["width"] == row["width"]]
        assert row["done"] == line["done"]
    done = sum(int(line["done"]) for line in last)
    assert 0 < done < 8, "to be of use here some must be done and some not"
    caption = " ".join((whole / "mnist_mlp.caption.txt").read_text().split())
    assert "NLL on all training images is below 2.3, looked at every 3" in caption
    for line in last:
        assert f"width {line['width']} {line['done']} of 4" in caption
    assert run("mnist_mlp", data, whole, *few).returncode == 0  # joins old cells

    real, saved = store.save, []

    def save(out, *rest, **more):
        saved.append(real(out, *rest, **more))
        if len(saved) == 2:  # before the log says so
            raise Killed
        return saved[-1]

    monkeypatch.setattr(store, "save", save)
    with pytest.raises(Killed):
        run("mnist_mlp", data, stopped, *ended)
    assert [line["step"] for line in table(stopped / "looks.csv")] == ["1"]
    assert run("mnist_mlp", data, stopped, *ended).returncode == 0
    assert table(stopped / "looks.csv") == log
    assert table(stopped / "summary.csv") == rows


def test_a_look_is_in_the_log_once_however_often_it_is_written(tmp_path):
    """As after a kill: anew from the checkpoint, and other cells keep theirs."""
    how = Training(steps=6, looks=2)
    narrow, wide = (
        ClassifierCell("easy", "0", 60, 20, "mlp", width, 2, how) for width in (2, 4)
    )
    half, whole = (TrainingState((), (), 3 * n, np.ones((n, 2, 2, 2))) for n in (1, 2))
    for cell, state in (narrow, half), (wide, whole), (narrow, half), (narrow, whole):
        checkpoints.log(tmp_path, cell, state)
    found = [(line["width"], line["step"]) for line in table(tmp_path / "looks.csv")]
    assert found == [("4", "3"), ("4", "6"), ("2", "3"), ("2", "6")]


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_one_of_several_processes_is_refused_unless_it_is_a_shard(data, tmp_path):
    srun = {"SLURM_STEP_NUM_TASKS": "2"}
    done = run("mnist_mlp", data, tmp_path, "--data=easy", **srun)
    assert_one_line(done, "give --num_shards")
    shards = [
        run(
            *("mnist_mlp", data, tmp_path, *SMALL),
            *("--num_shards=2", f"--shard_index={index}"),
            **srun,
        )
        for index in (1, 0)  # shard 1 has nothing to compute
    ]
    assert [(shard.returncode, shard.stderr) for shard in shards] == [(0, "")] * 2
    assert "1 of 1 cells are missing" in shards[0].stdout
    assert (tmp_path / "mnist_mlp.png").exists()


@pytest.mark.slow
def test_networks_that_do_not_fit_into_memory_end_in_one_line(data, tmp_path):
    huge = ["--data=easy", "--widths=2,10000000"]  # 800 TB a layer
    done = run("mnist_mlp", data, tmp_path, *huge)
    said = (
        "easy, 4 layers of 10000000: 4 networks do not fit",
        "take fewer --pairs",
    )
    assert_one_line(done, *said, status=1)
    assert len(list(tmp_path.glob("cells/*.npz"))) == 1
