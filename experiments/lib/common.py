"""What entrypoints share: flags, lists, refusals, the sweep into a store, the end."""

import contextlib
import errno
import gc
import math
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from absl import app, flags, logging

from experiments.lib import claims, machine, plot
from experiments.lib.compute import Done
from experiments.lib.compute import computed as computed
from experiments.lib.lists import Refusal, integers, multiples, numbers, words
from lmc_jax import environment
from lmc_jax.matching import MATCHINGS
from lmc_jax.paths import BARRIERS
from lmc_jax.results import files, store, summary
from lmc_jax.students.optimizers import OPTIMIZERS
from lmc_jax.sweep import devices
from lmc_jax.sweep.cell import Cell, Descent, Minima
from lmc_jax.sweep.run import OutOfMemory

FLAGS = flags.FLAGS
TRAINED = ("gd", "sgd")
SOURCES = (*TRAINED, "uniform", "dirichlet", "equal")
FAILURES = (store.StoreError, environment.UnsoundJax, OutOfMemory, devices.Lost)
MOST_CELLS = 100_000  # of a grid
CONVENTION = "L = ½E[(f-f*)²], x ~ N(0, I)"


@contextlib.contextmanager
def refusing() -> Iterator[None]:
    """Turns the one-line ValueErrors of the library into refusals."""
    try:
        yield
    except ValueError as error:
        raise Refusal(str(error)) from error


def run(main: Callable[..., None], *arguments: str) -> None:
    """Parses the flags and runs ``main``; exits 2 on bad input, 1 on a failure.

    ``arguments`` name what must be given beside flags, which goes to ``main``; a last
    "..." stands for any number more.
    """

    # --help lists the flags of the main module only; its neighbours' belong to it.
    for module, defined in FLAGS.flags_by_module_dict().items():
        if module.startswith("experiments."):
            for flag in defined:
                FLAGS.register_key_flag_for_module(sys.argv[0], flag)

    def parse(argv: Sequence[str]) -> list[str]:
        try:
            rest = FLAGS(argv)
        except SystemExit as end:  # of --help, to which absl gives the status 1
            raise SystemExit(0) from end
        except (flags.Error, ValueError) as error:  # ValueError: of absl's own flags
            _leave(2, str(error))
        if arguments[-1:] == ("...",):
            return rest if rest[1:] else _leave(2, f"{arguments[0]} is missing")
        if len(rest) > 1 + len(arguments):
            other = rest[1 + len(arguments)]
            _leave(2, f"unexpected argument {other!r}: settings are given as --flags")
        if len(rest) < 1 + len(arguments):
            _leave(2, f"{arguments[len(rest) - 1]} is missing: see --help")
        return rest

    def guarded(argv: Sequence[str]) -> None:
        try:
            try:
                main(*argv[1:])
            except Done as end:
                if str(end):
                    print(end)
            sys.stdout.flush()
        except Refusal as error:
            _leave(2, str(error))
        except FAILURES as error:
            _leave(1, str(error))
        except BrokenPipeError:  # who read what is printed has gone
            _mute()
            machine.leave(128 + signal.SIGPIPE)
        except Exception as error:
            # Of standard output: where files do not fit there is a StoreError.
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                _mute()
                _leave(1, f"cannot print: {error.strerror}")
            if devices.several():  # which would wait for this process at its end
                traceback.print_exc()
                machine.leave(1)
            raise

    # What is imported stays: to look at it, and often, costs a tenth of a redraw.
    gc.freeze()
    gc.set_threshold(100_000)
    # JAX and font libraries log through absl; their notes are not the user's.
    logging.set_verbosity(logging.WARNING)
    app.run(guarded, flags_parser=parse)


def _mute() -> None:
    """What is left to print goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _leave(status: int, message: str) -> NoReturn:
    line = " ".join(message.split())
    print(f"error: {line}", file=sys.stderr)
    machine.leave(status)


# --- flags ---------------------------------------------------------------------------


def define_output(name: str) -> None:
    """Flags of every entrypoint."""
    flags.DEFINE_enum("preset", "quick", ["quick", "paper"], "Set of defaults.")
    flags.DEFINE_string("out", f"results/{name}", "Folder of cells, table, figure.")
    flags.register_validator("out", bool, "give a folder")


def define_cells() -> None:
    """Flags of the cells of a sweep. Those left out take the preset's value."""
    machine.define()
    machine.define_processes()
    flags.DEFINE_string("k", None, "Teacher widths: 5,10,20.")
    flags.DEFINE_string("m", None, "Student widths: 5,10,20 or 5:100:5 or 5:400:x25.")
    flags.DEFINE_string(
        "m_over_k", None, "Widths in units of k: 1,1.5,2 or 1:8:x12; instead of --m."
    )
    flags.DEFINE_integer("d", None, "Input dimension, at least k. Default: k.")
    flags.DEFINE_string("source", None, f"Students: {', '.join(SOURCES)}.")
    names = ", ".join(MATCHINGS)
    flags.DEFINE_string("matching", None, f"Beside the direct path: {names}.")
    flags.DEFINE_integer("pairs", None, "Independent pairs a point.")
    flags.DEFINE_string("lr_times_m", None, "Learning rates c, for η = c/m: 0.5,1,2.")
    flags.DEFINE_string("lr", None, "Learning rates η; instead of --lr_times_m.")
    flags.DEFINE_integer("steps", None, "Most steps of a run.")
    flags.DEFINE_float("tol", None, "A run ends once its loss is below this.")
    flags.DEFINE_integer("check_every", None, "Steps between two looks at the loss.")
    flags.DEFINE_integer("hold", None, "Looks in a row that must be below --tol.")
    flags.DEFINE_float("init_std", None, "Standard deviation of an initial weight.")
    flags.DEFINE_float("zero_row", None, "Norm up to which a trained neuron is zero.")
    flags.DEFINE_string("optimizer", None, f"One of {', '.join(OPTIMIZERS)}.")
    flags.DEFINE_integer("batch", None, "Fresh inputs a step of the source sgd.")
    flags.DEFINE_float("alpha", None, "Dirichlet concentration, source dirichlet.")
    flags.DEFINE_string("precision", None, "Of the training: float32 or float64.")
    flags.DEFINE_integer("points", None, "Positions along a path, ends included.")
    flags.DEFINE_float("pqi_p", None, "Exponent p of the PQ index, 0 < p < q.")
    flags.DEFINE_float("pqi_q", None, "Exponent q of the PQ index.")
    flags.DEFINE_integer("seed", None, "Root seed, 0 ... 4294967295.")
    flags.DEFINE_enum("barrier", "lerp", list(BARRIERS), "Definition of the barrier.")
    flags.DEFINE_bool("save_weights", False, "Store the students as well.")


DEFAULTS = {
    "m": None,
    "m_over_k": None,
    "d": None,
    "source": "gd,uniform",
    "matching": "types_index,types_opposed",
    "pairs": 40,
    "lr_times_m": "2",
    "lr": None,
    "steps": 100_000,
    "tol": 1e-6,
    "check_every": 200,
    "hold": 1,
    "init_std": 0.01,
    "zero_row": 1e-6,
    "optimizer": "sgd",
    "batch": 256,
    "alpha": 0.5,
    "precision": "float32",
    "points": 11,
    "pqi_p": 1.0,
    "pqi_q": 2.0,
    "seed": 0,
}


def settings(presets: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The chosen preset over ``DEFAULTS``, and the flags given over both."""
    chosen = {**DEFAULTS, **presets[FLAGS.preset]}
    given = {name: FLAGS[name].value for name in chosen if name in FLAGS}
    given = {name: value for name, value in given.items() if value is not None}
    for one, other in (("lr", "lr_times_m"), ("m", "m_over_k")):
        if one in given and other in given:
            raise Refusal(f"--{one} and --{other} exclude each other: give one of them")
        if one in given:
            chosen[other] = None
        if other in given:
            chosen[one] = None
    return chosen | given


def cells(setting: Mapping[str, Any]) -> list[Cell]:
    """The grid k × m × source × learning rate of the settings, validated.

    Raises:
      Refusal: for the first thing wrong, in one line.
    """
    asked = setting["matching"]
    matchings = words(asked, "matching", MATCHINGS) if asked else []
    grid = []
    for k, m in _shapes(setting):
        for name in words(setting["source"], "source", SOURCES):
            for source in _sources(name, m, setting):
                cell = Cell(
                    k=k,
                    m=m,
                    d=k if setting["d"] is None else setting["d"],
                    source=source,
                    pairs=setting["pairs"],
                    seed=setting["seed"],
                    matchings=tuple(matchings),
                    points=setting["points"],
                    pqi=(setting["pqi_p"], setting["pqi_q"]),
                )
                with refusing():
                    cell.validate()
                grid.append(cell)
        if len(grid) > MOST_CELLS:
            raise Refusal(f"more than {MOST_CELLS} cells: give shorter lists")
    return grid


def _shapes(setting: Mapping[str, Any]) -> Iterator[tuple[int, int]]:
    """Widths of the teacher and of the student."""
    for k in integers(setting["k"], "k"):
        for m in widths(k, setting):
            yield k, m


def widths(k: int, setting: Mapping[str, Any]) -> list[int]:
    """Student widths asked for, as they are or in units of k."""
    if setting["m_over_k"] is None:
        return integers(setting["m"], "m")
    return multiples(setting["m_over_k"], "m_over_k", k)


def require(grid: Sequence[Cell], kind: str, reason: str) -> None:
    """Refuses cells whose students are not ``minima`` (or ``descent``)."""
    wanted = {"minima": Minima, "descent": Descent}[kind]
    for cell in grid:
        if not isinstance(cell.source, wanted):
            raise Refusal(f"--source={cell.source.name} does not serve here: {reason}")


def _sources(name: str, m: int, setting: Mapping[str, Any]) -> list[Descent | Minima]:
    alphas = {"uniform": 1.0, "equal": "equal", "dirichlet": setting["alpha"]}
    if name in alphas:
        return [Minima(alphas[name])]
    if setting["lr_times_m"] is not None:
        rates = [c / max(m, 1) for c in numbers(setting["lr_times_m"], "lr_times_m")]
    else:
        rates = numbers(setting["lr"], "lr")
    if name == "sgd" and setting["batch"] < 1:
        raise Refusal(f"--batch={setting['batch']}: give at least 1")
    shared = (
        *("optimizer", "steps", "tol", "check_every", "hold"),
        *("init_std", "precision", "zero_row"),
    )
    return [
        Descent(
            lr=rate,
            batch=setting["batch"] if name == "sgd" else 0,
            **{key: setting[key] for key in shared},
        )
        for rate in rates
    ]


# --- the end -------------------------------------------------------------------------


def write_summary(out: str | Path) -> tuple[Path, list[dict[str, Any]]]:
    """Rebuilds OUT/summary.csv from every readable cell in OUT; also gives its rows."""
    path = Path(out, "summary.csv")

    def name(error: store.CorruptCell) -> None:
        print(f"warning: {error}; left out of {path}", file=sys.stderr)

    good = store.records(out, on_corrupt=name)
    rows = summary.rows(good, FLAGS.barrier)
    files.write_csv(path, rows)
    return path, rows


def of_grid(rows: Sequence[dict[str, Any]], grid: Sequence[Cell]) -> list[dict]:
    """The rows of the summary that are of these cells.

    Raises:
      StoreError: when a cell has none.
    """
    wanted = {store.fingerprint(cell.parameters()) for cell in grid}
    kept = [row for row in rows if row["cell"] in wanted]
    if lost := wanted - {row["cell"] for row in kept}:
        raise store.StoreError(
            f"{len(lost)} of {len(wanted)} cells were lost or damaged just now: run "
            "the command again"
        )
    return kept


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as aligned text under the names of the first row's columns."""
    columns = list(rows[0])
    body = [[_short(row[column]) for column in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *body, strict=True)]
    lines = [columns, *body]
    return "\n".join(
        "  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True))
        for line in lines
    )


def convention(setting: Mapping[str, Any], pairs: str) -> str:
    """How every caption of a barrier begins: definition, loss, n, interval."""
    return (
        f"Barrier ({FLAGS.barrier}, {setting['points']} points), {CONVENTION}. Means "
        f"over n = {pairs} independent pairs, 95% bootstrap intervals. "
        f"d = {setting['d'] or 'k'}, seed {setting['seed']}."
    )


def trained_by(setting: Mapping[str, Any]) -> str:
    """How captions name the training: source, optimiser, batch, scale, precision."""
    asked = [name.upper() for name in setting["source"].split(",") if name in TRAINED]
    batch = f", batch {setting['batch']}" if "SGD" in asked else ""
    return (
        f"{' and '.join(asked)} ({setting['optimizer']}{batch}, "
        f"{setting['precision']}) from N(0, {setting['init_std']}²) weights"
    )


def with_interval(row: Mapping[str, Any], value: str) -> str:
    """``mean [low, high]`` of a column of the summary."""
    mean, low, high = (row[f"{value}_{end}"] for end in ("mean", "low", "high"))
    return f"{mean:.3g} [{low:.2g}, {high:.2g}]"


def _short(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return "-" if math.isnan(value) else f"{value:.3g}"
    return str(value)


def finish(
    name: str, figure, caption: str, judged: Sequence[Mapping], *extra: Path
) -> None:
    """Saves figure and claims under OUT, prints verdicts and where the files are."""
    stem = Path(FLAGS.out, name)
    found = [claims.Claim(**fields) for fields in judged]
    written = [*extra, *plot.save(figure, stem, caption)]
    written.append(claims.write(stem, caption, found))
    for claim in found:
        verdict = claims.VERDICTS[claim.holds]
        case = f" ({claim.case})" if claim.case else ""
        print(f"{verdict:>13}  {claim.text}{case}: {claim.measured}")
    print("files:", *written, sep="\n  ")
