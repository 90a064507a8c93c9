"""Bad input: one line and status 2, before anything is compiled or written."""

import gc
import os
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from helpers import assert_one_line, command, run

from lmc_jax.data import datasets
from lmc_jax.results import store

# Of minima, which are drawn, not trained.
UNUSED = (
    *("lr", "lr_times_m", "steps", "tol", "check_every", "hold", "init_std", "batch"),
    *("zero_row", "optimizer", "precision"),
)
REFUSED = [
    ("--k=3 --d=2", "k=3 > d=2"),
    ("--m=0", "m=0"),
    ("--m=5,-3", "m=-3"),
    ("--k=0", "k=0"),
    ("--pairs=0", "pairs=0"),
    ("--pairs=abc", "abc"),
    ("--pairs=2.5", "2.5"),
    ("--lr=nan", "--lr=nan"),
    ("--lr_times_m=2,nan", "--lr_times_m=2,nan"),
    ("--lr=0.1 --lr_times_m=2", "exclude"),
    ("--source=sdg", "'sdg'"),
    ("--matching=hungarian", "'hungarian'"),
    ("--m=4 --m_over_k=2", "exclude"),
    ("--m_over_k=0", "--m_over_k=0"),
    ("--zero_row=-1", "zero_row=-1"),
    ("--m=5,\n10,x", "--m=5"),
    ("--m=1:10000,1:10000", "at most 10000"),
    (f"--m=1:{10**400}:x3", "1:1000"),
    ("--k=1:20 --m=40:4000", "20000 cells"),
    ("--k=1:20 --m_over_k=1:1500", "20000 cells"),
    ("--k=1:10000 --m=1:10000", "--k=1:10000: give at most 200 values"),
    ("--source=uniform --lr=abc --tol=nan", "is for gd and sgd, and changes nothing"),
    ("--source=gd --batch=8", "nothing of --source=gd"),
    *((f"--source=uniform --{name}=1", f"--{name}=1") for name in UNUSED),
    ("--m_over_k=1e308", "--m_over_k=1e308"),
    ("--source=uniform --k=2 --m_over_k=20000", "m=40000, d=2: give at most 32768"),
    ("--m_over_k=1e-320:2:x3", "--m_over_k=1e-320"),
    ("--m=", "--m="),
    ("--k=two", "--k=two"),
    ("--seed=-1", "seed=-1"),
    ("--seed=4294967296", "seed=4294967296"),
    ("--m=4 --k=5 --source=uniform", "m=4 < k=5"),
    ("--precision=float16", "'float16'"),
    ("--optimizer=yogi", "'yogi': choose among sgd, momentum, nesterov, adam"),
    ("--init_std=0", "init_std=0"),
    ("--tol=nan", "tol=nan"),
    ("--steps=0", "steps=0"),
    ("--check_every=0", "check_every=0"),
    ("--hold=0", "hold=0"),
    ("--source=sgd --batch=0", "batch=0"),
    ("--source=sgd --batch=99999999999999999999", "batch=9999"),
    ("--source=gd --check_every=99999999999999999999", "check_every=9999"),
    ("--points=10", "points=10"),
    ("--pqi_p=2 --pqi_q=2", "p=2"),
    ("--barrier=height", "height"),
    ("--preset=slow", "slow"),
    ("--teacher=axes", "teacher='axes' of k=5 neurons: give orthonormal, equi"),
    ("--k=2 --teacher=norms:1,2,4", "teacher='norms:1,2,4' of k=2 neurons: give"),
    ("--widths=5", "widths"),
    ("5,10", "'5,10'"),
]


COMPILED: list[str] = []


@jax.monitoring.register_event_duration_secs_listener
def compiled(event, *_, **__):
    if "compile" in event:
        COMPILED.append(event)


def assert_refused(arguments, fragment, name="barrier_vs_width"):
    COMPILED.clear()
    gc.freeze()  # as a command does: what this process holds is not its own
    began = time.thread_time()
    assert_one_line(command(name, *arguments), fragment)
    assert time.thread_time() - began < 1  # with a second of imports it is below 2
    assert not COMPILED
    gc.unfreeze()


def test_what_compiles_is_seen():
    """Or the others would prove nothing."""
    COMPILED.clear()
    jax.jit(lambda x: x + 1)(1)
    assert COMPILED


@pytest.mark.parametrize(("arguments", "fragment"), REFUSED)
def test_bad_input_is_refused_in_one_line_before_anything_compiles(
    tmp_path, arguments, fragment, nothing_is_swept
):
    out = tmp_path / "out"
    assert_refused([*arguments.split(" "), f"--out={out}"], fragment)
    assert not out.exists()  # nothing is left of a refused run


LONG = ",".join(map(str, range(1, 3001)))
SOME = ",".join(map(str, range(1, 151)))
FEW = "--k=2 --m=4 --pairs=1"
# Curves and cells are counted over the whole grid, and before it is built.
TOO_MANY = [
    ("sgd_threshold", f"{FEW} --batch=1:3000 --scan=1", "at most 200 values"),
    ("sgd_threshold", f"{FEW} --batch=1:150 --source=gd,sgd --m=4,6", "curves, which"),
    ("why_gd_differs", f"--init_std={LONG} --m=8", "at most 200 values"),
    ("why_gd_differs", f"--init_std={SOME} --m=8 --lr_times_m=2,5", "curves"),
    ("why_gd_differs", f"--init_std={SOME} --m=5:304", "20000 cells"),
    ("uniformity", f"--init_std={SOME} --m=8", "curves, which"),
    ("barrier_vs_width", f"--lr_times_m={SOME} --source=gd", "curves, which"),
    ("barrier_vs_width", f"--lr={SOME} --source=gd", "curves, which"),
    ("sparsity", f"--fixed_m=5:250 --scan={SOME}", "20000 cells"),
    ("settings_map", f"--init_std={SOME} --shares={SOME}", "20000 cells"),
    ("settings_map", "--k=2:150 --d_over_k=1:200 --m_over_k=2,3", "20000 cells"),
    ("barrier_rate", "--k=1:65 --m=70:9999", "20000 cells"),
    ("barrier_rate", "--k=2:101 --m=1000", "300 curves, which no figure can show"),
    ("barrier_rate", "--k=1:9999 --m=1000000:1009999", "at most 200 values"),
    ("mnist_mlp", "--widths=1:9999 --data=mnist,fashion-mnist,cifar-10", "give one"),
    ("peak_position", "--widths=1:9999 --layers=2:9", "20000 cells"),
    ("peak_position", "--widths=4 --layers=2:130", "curves, which"),
]


@pytest.mark.parametrize(("name", "arguments", "fragment"), TOO_MANY)
def test_a_grid_that_is_too_large_is_refused_before_it_is_built(
    tmp_path, name, arguments, fragment, monkeypatch
):
    monkeypatch.setattr(datasets, "load", lambda name, _: datasets.blank(name))
    out = f"--out={tmp_path}/out"
    assert_refused([*arguments.split(" "), out], fragment, name)


@pytest.mark.parametrize(
    "kind", ["file", "below a file", "not writable", "schema", "summary"]
)
def test_unusable_out_is_refused_in_one_line_before_anything_compiles(
    tmp_path, kind, nothing_is_swept
):
    out = {
        "file": tmp_path / "file",
        "below a file": tmp_path / "file" / "below",
        "not writable": Path("/proc/lmc_jax"),
        "schema": tmp_path / "other",
        "summary": tmp_path / "summary",
    }[kind]
    (tmp_path / "summary" / "summary.csv").mkdir(parents=True)
    (tmp_path / "file").write_text("not a folder")
    if kind == "schema":
        with_other_schema(out)
    before = sorted(tmp_path.rglob("*"))
    assert_refused(["--k=2", "--m=3", "--source=uniform", f"--out={out}"], str(out))
    assert sorted(tmp_path.rglob("*")) == before


def with_other_schema(out):
    """A folder with one sound cell, sealed under another version of the layout."""
    store.open_store(out)
    path = store.save(out, {"k": 1}, {"losses": np.zeros(3)}, {})
    old, new = (b"schema %04d" % number for number in (store.SCHEMA, store.SCHEMA + 1))
    data = path.read_bytes().replace(old, new)[:-64]
    path.write_bytes(data + store.sha256(data).hexdigest().encode())


def test_a_process_refuses_with_status_2_and_one_line():
    assert_one_line(run("--k=7", "--d=5"), "k=7 > d=5")


@pytest.mark.parametrize("name", ["tools.verify", "tools.export", "tools.compare"])
def test_names_that_cannot_be_folders_hold_no_cells(name):
    others = ["b"] if name == "tools.compare" else []
    assert_one_line(command(name, "a" * 300, *others), "cells: give")


@pytest.mark.parametrize("name", ["barrier_vs_width", "tools.verify"])
def test_names_that_are_not_utf8_are_refused(tmp_path, name):
    given = "--out=" if name == "barrier_vs_width" else ""
    out = os.fsdecode(bytes(tmp_path / "name") + b"\xff")
    assert_one_line(command(name, f"{given}{out}"), "is not UTF-8")
    assert not list(tmp_path.iterdir())


def test_jobs_with_flags_that_would_be_refused_are_not_submitted(tmp_path):
    submit = ("tools.slurm", f"--logs={tmp_path}/logs", "barrier_vs_width", "--")
    for given, said in (
        (["--k=3", "--d=2"], "k=3 > d=2"),
        (["--nonsense=1"], "nonsense"),
        (["--source=uniform", "--lr=1"], "changes nothing"),
        (["--normalize", "--panels"], "--normalize, --panels: give one"),
        (["--normalize", "--matching="], "a ratio needs"),
        (["5"], "'5': settings are given as --flags"),
        ([f"--out={tmp_path}/file/below"], "as the output directory"),
        (["--num_shards=4", "--shard_index=1"], "--num_shards: is given to no shard"),
        (["--estimate"], "--estimate: is given to no shard"),
    ):
        (tmp_path / "file").touch()
        assert_one_line(command(*submit, *given), said)
        assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_folder_is_not_left_behind_where_jobs_cannot_be_submitted(tmp_path):
    submit = (sys.executable, "-m", "experiments.tools.slurm", "barrier_vs_width")
    line = [*submit, "--cluster=local", "--logs=/proc/none", "--", "--k=2", "--m=3"]
    ran = run(f"--out={tmp_path}/new", entrypoint=line)
    assert_one_line(ran, "--logs=/proc/none cannot be used")
    assert not list(tmp_path.iterdir())


def test_a_folder_is_not_left_behind_by_data_that_are_refused(tmp_path, data):
    given = (f"--data_dir={data}", "--data=easy", "--train_images=9999")
    out = tmp_path / "new" / "out"
    ran = command("mnist_mlp", *given, "--widths=2", "--layers=2", f"--out={out}")
    assert_one_line(ran, "train_images=9999: easy has 60")
    assert not (tmp_path / "new").exists()
