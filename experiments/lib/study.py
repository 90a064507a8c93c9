"""A figure as a value: from settings to cells, rows, pictures, claims and files.

    STUDY = Study("overlap", PRESETS, table, (Figure("overlap", draw, ...),), rows)

``STUDY.main()`` runs it from flags, ``STUDY.run(k=[5], m=[6, 8], pairs=10)`` from
Python. Flags are read here and nowhere below.
"""

import collections
import dataclasses
import operator
import shlex
import tempfile
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from absl import flags

from experiments.lib import (
    claims,
    command,
    compute,
    curves,
    estimate,
    machine,
    plot,
    settings,
    students,
)
from experiments.lib.claims import Claim
from experiments.lib.compute import Done, Family
from experiments.lib.lists import MOST_CURVES, Refusal, joined
from experiments.lib.settings import Presets, Setting, Values
from experiments.lib.table import narrow, table
from lmc_jax import environment
from lmc_jax.matching import DIRECT
from lmc_jax.results import files, store

ROWS = 24  # printed of a table


class Measured(NamedTuple):
    """What the cells of a study gave.

    records: one of each cell of the grid, in its order. table: the rows of summary.csv
    that are of these cells, one per cell and path, with the column ``rate`` of
    students: the learning rate as it was given.
    """

    setting: Values
    grid: Sequence[Any]
    records: store.Records
    table: list[dict[str, Any]]

    @property
    def cells(self) -> list[dict[str, Any]]:
        """The rows of the direct path, one per cell: what belongs to the cell."""
        return [row for row in self.table if row["matching"] == DIRECT.name]


class Figure(NamedTuple):
    """One picture of a study, from the rows of the study.

    name: of its files. draw: rows to a Matplotlib figure. caption: rows and settings to
    its words. claims: rows to what is stated of it, judged.
    """

    name: str
    draw: Callable[[Any], Any]
    caption: Callable[[Any, Values], str]
    claims: Callable[[Any], Sequence[Claim]]


class Result(NamedTuple):
    """What a study gives: the table printed, figures by name, claims, files written."""

    table: list[dict[str, Any]]
    figures: dict[str, Any]
    claims: list[Claim]
    files: list[Path]

    @property
    def figure(self) -> Any:
        """The first figure."""
        return next(iter(self.figures.values()))


@dataclasses.dataclass(frozen=True)
class Study:
    """A figure, or a few that share their cells.

    name: of the study. presets: settings by the name of a preset, "quick" and
    "paper". rows: ``Measured`` to what is drawn, in any form; by default its table.
    table: rows to those printed, the same columns in each. figures: what is drawn.
    shared: settings of every preset. cells: settings to a grid. own: settings of
    this study alone, or in place of its family's. tables: files of rows by name,
    beside summary.csv. weights: whether it needs the trained weights. family: of
    its cells. curves: a grid to how many are drawn of it, where that is not what
    its family says. paper: where the paper has it. command: module and flag that
    run it, where that is not its name.
    """

    name: str
    presets: Presets
    table: Callable[[Any], list[dict[str, Any]]]
    figures: tuple[Figure, ...]
    rows: Callable[[Measured], Any] = operator.attrgetter("table")
    shared: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    cells: Callable[[Values], Sequence[Any]] = students.cells
    own: Mapping[str, Setting] = dataclasses.field(default_factory=dict)
    tables: Mapping[str, Callable[[Any], list[dict[str, Any]]]] = dataclasses.field(
        default_factory=dict
    )
    weights: bool = False
    family: Family = students.FAMILY
    curves: Callable[[Sequence[Any]], int] | None = None
    paper: str = ""
    command: str = ""

    def main(self, *variants: "Study") -> None:
        """Runs it from the flags of this process, or the variant that a flag names."""
        self.define(flags.FLAGS, variants)

        def begin() -> None:
            result = self._named(variants, flags.FLAGS)._run(flags.FLAGS)
            _show(result, verbose=flags.FLAGS.verbose)

        command.run(begin)

    def run(self, **given: Any) -> Result:
        """Runs it from Python with settings as the flags have them, lists as lists.

        Files go to ``out``, where finished cells are found again.

        Raises:
          Refusal: a ValueError, in one line, for settings that cannot be.
          Done: in a shard while others have cells to compute, and with ``estimate``.
        """
        texts = [
            f"--{name}={settings.text(value)}"
            for name, value in given.items()
            if value is not None
        ]
        return self._run(self._read(texts))

    def check(self, texts: Sequence[str], *variants: "Study") -> Path:
        """Refuses of these flags what the ``main`` of each shard would refuse.

        Returns its folder, in which nothing is written yet.

        Raises:
          Refusal: in one line.
        """
        values = self._read(texts, variants)
        for name in (*machine.SETTINGS, "estimate"):
            if values[name].present:
                raise Refusal(f"--{name}: is given to no shard, or to each its own")
        setting, *_ = self._named(variants, values)._asked(values, writes=False)
        return Path(setting["out"])

    def _read(
        self, texts: Sequence[str], variants: Sequence["Study"] = ()
    ) -> flags.FlagValues:
        values = flags.FlagValues()
        self.define(values, variants)
        try:
            rest = values([self.name, *texts])
        except flags.Error as error:
            said = str(error).replace("command line flag", "setting")
            raise Refusal(said) from error
        if rest[1:]:
            raise Refusal(f"{rest[1]!r}: settings are given as --flags")
        return values

    def _named(self, variants: Sequence["Study"], values: flags.FlagValues) -> "Study":
        """The variant whose flag is given, or this study."""
        asked = [one for one in variants if values[one._flag].value]
        if len(asked) > 1:
            raise Refusal(f"{', '.join(one.line[1] for one in asked)}: give one")
        return asked[0] if asked else self

    @property
    def line(self) -> list[str]:
        """The module and the flag that run it."""
        return (self.command or self.name).split()

    @property
    def choices(self) -> dict[str, Setting]:
        """What a user may choose."""
        return {**self.family.settings, **self.own}

    @property
    def _flag(self) -> str:
        """Of a variant, the name of the flag that runs it."""
        return self.line[1].removeprefix("--")

    def define(
        self, values: flags.FlagValues, variants: Sequence["Study"] = ()
    ) -> None:
        """Its flags, and one for each of its variants."""
        own: Any = {"flag_values": values}
        names, out = list(self.presets), f"Default: {self._out}."
        flags.DEFINE_enum("preset", "quick", names, "Set of defaults.", **own)
        flags.DEFINE_string("out", None, f"Folder of all that it writes. {out}", **own)
        switches = {
            "verbose": "Print all rows, and every case of a statement.",
            "estimate": "Print what it would take, and store nothing.",
        } | {one._flag: f"{one.paper} in place of {self.paper}." for one in variants}
        for name, words in switches.items():
            flags.DEFINE_bool(name, False, words, **own)
        settings.define(machine.SETTINGS, values)
        if self.family.processes:
            settings.define(machine.PROCESSES, values)
        presets = {name: {**self.shared, **own} for name, own in self.presets.items()}
        settings.define(self.choices, values, presets)

    @property
    def _out(self) -> str:
        return f"results/{self.name}"

    def _asked(
        self, values: flags.FlagValues, *, writes: bool
    ) -> tuple[Values, Values, Sequence[Any]]:
        """Settings, machine and grid that the flags ask for; all that can be refused
        before anything is written."""
        place = machine.given(values)
        preset = {**self.shared, **self.presets[values.preset]}
        setting = settings.chosen(self.choices, preset, values)
        out = self._out if values.out is None else values.out
        if not out:
            raise Refusal("--out=: give a folder")
        setting |= {"preset": values.preset, "out": out}
        setting["save_weights"] = setting.get("save_weights", False) or self.weights
        if not self.family.processes:
            machine.alone(place)
        environment.configure()
        if values.estimate and machine.told(place):
            raise Refusal("--estimate is for one process: start one alone")
        with tempfile.TemporaryDirectory() as elsewhere:
            # Grids of networks make the folder, which an estimate must not.
            moved = {} if writes else {"out": elsewhere}
            grid = joined([self.cells(setting | moved)])
        if (count := (self.curves or self.family.curves)(grid)) > MOST_CURVES:
            raise Refusal(
                f"{count} curves, which no figure can show: give shorter lists, for at "
                f"most {MOST_CURVES}"
            )
        self._require_use(grid, setting, values)
        return setting, place, grid

    def _require_use(
        self, grid: Sequence[Any], setting: Values, values: flags.FlagValues
    ) -> None:
        """Refuses a setting that was given and is for none of the sources."""
        for name, sources in self.family.used_by.items():
            used = any(cell.source.name in sources for cell in grid)
            if values[name].present and not used:
                raise Refusal(
                    f"--{name}={values[name].value}: is for {' and '.join(sources)}, "
                    f"and changes nothing of --source={setting['source']}"
                )

    def _run(self, values: flags.FlagValues) -> Result:
        setting, place, grid = self._asked(values, writes=not values.estimate)
        if values.estimate:
            raise Done(estimate.report(self.family, grid, setting))
        records = compute.computed(self.family, grid, setting, place)
        out = Path(setting["out"])
        summary, every = compute.write_summary(out, self.family, setting["barrier"])
        of_grid = [
            row | self.family.named(row, setting)
            for row in compute.of_grid(every, grid)
        ]
        study, rows, lost = self, None, _lost(of_grid)
        try:
            rows = self.rows(Measured(setting, grid, records, of_grid))
        except Refusal as error:  # what is left of the runs cannot be drawn
            study = self._blank(str(error))
        return study._written(rows, setting, [summary], _command(self, values), lost)

    def _blank(self, reason: str) -> "Study":
        """The same figures with a sentence in place of what they would show."""
        shown = lambda _: plot.sentence(reason), lambda *_: reason, lambda _: ()
        return dataclasses.replace(
            self,
            figures=tuple(Figure(one.name, *shown) for one in self.figures),
            table=lambda _: [{"nothing to draw": reason}],
            tables={},
        )

    def _written(
        self, rows: Any, setting: Values, written: list[Path], command: str, lost: str
    ) -> Result:
        out, drawn, judged = Path(setting["out"]), {}, []
        for name, made in self.tables.items():
            written.append(out / name)
            files.write_csv(out / name, made(rows))
        for name, draw, caption, claimed in self.figures:
            text, found = caption(rows, setting), list(claimed(rows))
            if lost:
                text = f"{lost}: no mean is shown. {text}"
            with plot.style():
                drawn[name] = draw(rows)
                if lost:
                    drawn[name].supxlabel(lost)
                written += plot.save(drawn[name], out / name)
            written.append(out / f"{name}.caption.txt")
            files.write_atomic(written[-1], f"{textwrap.fill(text, 88)}\n".encode())
            written.append(claims.write(out / name, text, found, command))
            judged += found
        return Result(self.table(rows), drawn, judged, written)


def _lost(rows: Sequence[Mapping[str, Any]]) -> str:
    """Which sources, or pairs of networks, all diverged, in words; empty for none."""
    left = collections.Counter[str]()
    for row in rows:
        lost = row["kept"] == 0 if "kept" in row else row.get("diverged_fraction") == 1
        left[row.get("source", "")] += not lost
    sources = [source for source, count in left.items() if not count]
    if len(sources) == len(left):
        return "All runs diverged" * bool(left)
    names = " and ".join(curves.NAMES[source] for source in sources)
    return f"All runs of {names} diverged" if names else ""


def _command(study: Study, values: flags.FlagValues) -> str:
    """The command that does the same, as one would type it."""
    names = [*study.choices, *machine.SETTINGS, *machine.PROCESSES, "preset", "out"]
    texts = [
        f"--{name}={settings.text(values[name].value)}"
        for name in names
        if name in values and values[name].present
    ]
    module, *flag = study.line
    return shlex.join(["python", "-m", f"experiments.{module}", *flag, *texts])


def _show(result: Result, *, verbose: bool) -> None:
    rows = result.table if verbose else result.table[:ROWS]
    print(table(rows) if verbose else narrow(rows))
    if hidden := len(result.table) - len(rows):
        print(f"and {hidden} more rows: see summary.csv, or give --verbose")
    if verbose:
        print(*map(claims.line, result.claims), sep="\n")
    elif result.claims:
        print(*claims.statements(result.claims), sep="\n")
    print("files:", *result.files, sep="\n  ")
