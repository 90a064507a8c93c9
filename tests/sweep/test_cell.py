"""Cells: what is refused, and what names them."""

import dataclasses
import json
import math
from fractions import Fraction

import pytest

from lmc_jax.matching import MATCHINGS
from lmc_jax.results import store
from lmc_jax.students.optimizers import OPTIMIZERS
from lmc_jax.sweep.cell import PRECISIONS, Cell, Descent, Minima

TRAINED = Cell(k=2, m=4, d=3, source=Descent(lr=0.1), pairs=5)
SAMPLED = Cell(k=2, m=4, d=3, source=Minima(), pairs=5)


def changed(cell, **changes):
    """The cell with fields replaced, its own or its source's."""
    names = {field.name for field in dataclasses.fields(cell.source)}
    inner = {name: value for name, value in changes.items() if name in names}
    outer = {name: value for name, value in changes.items() if name not in names}
    source = dataclasses.replace(cell.source, **inner)
    return dataclasses.replace(cell, **{"source": source} | outer)


@pytest.mark.parametrize("cell", [TRAINED, SAMPLED], ids=["trained", "sampled"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"k": 1, "m": 1, "d": 1, "pairs": 1},
        {"k": 3, "m": 3, "d": 3},
        {"d": 100},
        {"seed": 2**32 - 1},
        {"matchings": ()},
        {"matchings": tuple(MATCHINGS)},
        {"points": 3},
        {"pqi": (0.5, 0.6)},
    ],
    ids=str,
)
def test_cells_that_can_be_computed_are_valid(cell, changes):
    assert changed(cell, **changes).validate() is None


def test_every_known_way_of_training_and_sampling_is_valid():
    for optimizer in OPTIMIZERS:
        changed(TRAINED, optimizer=optimizer).validate()
    for precision in PRECISIONS:
        changed(TRAINED, precision=precision).validate()
    changed(TRAINED, batch=1, steps=1, check_every=1).validate()
    changed(TRAINED, zero_row=0.0).validate()
    changed(TRAINED, m=1).validate()  # narrower than the teacher
    changed(TRAINED, steps=2**31 - 1).validate()
    for alpha in ("equal", 1e-3, 1, 50.0):
        changed(SAMPLED, alpha=alpha).validate()


@pytest.mark.parametrize("cell", [TRAINED, SAMPLED], ids=["trained", "sampled"])
@pytest.mark.parametrize(
    ("changes", "fragment"),
    [
        ({"k": 0}, "k=0"),
        ({"k": -1}, "k=-1"),
        ({"m": 0}, "m=0"),
        ({"m": -7}, "m=-7"),
        ({"pairs": 0}, "pairs=0"),
        ({"k": 4}, "k=4 > d=3"),
        ({"d": 1}, "k=2 > d=1"),
        ({"d": 0}, "d=0"),
        ({"seed": -1}, "seed=-1"),
        ({"seed": 2**32}, "seed=4294967296"),
        ({"pqi": (0.0, 1.0)}, "p=0.0"),
        ({"pqi": (1.0, 1.0)}, "q=1.0"),
        ({"pqi": (2.0, 1.0)}, "p=2.0"),
        ({"pqi": (1.0, math.inf)}, "q=inf"),
        ({"pqi": (math.nan, 2.0)}, "p=nan"),
        ({"pqi": (1.0, math.nan)}, "q=nan"),
        ({"points": 1}, "points=1"),
        ({"points": 0}, "points=0"),
        ({"points": -3}, "points=-3"),
        ({"points": 10}, "points=10"),
        ({"matchings": ("hungarian",)}, "'hungarian'"),
        ({"matchings": ("",)}, "''"),
        ({"matchings": ["refine"]}, "tuple of names"),
        ({"k": 2.5}, "k=2.5: give an integer"),
        ({"pairs": "3"}, "pairs='3': give an integer"),
        ({"source": "gd"}, "source='gd': give a Descent or Minima"),
        ({"matchings": ("weights", "types_index", "weights")}, "twice"),
    ],
    ids=str,
)
def test_impossible_cells_are_refused_in_one_line(cell, changes, fragment):
    assert_refused(changed(cell, **changes), fragment)


@pytest.mark.parametrize(
    ("changes", "fragment"),
    [
        ({"lr": 0.0}, "lr=0.0"),
        ({"lr": -0.1}, "lr=-0.1"),
        ({"lr": math.nan}, "lr=nan"),
        ({"lr": math.inf}, "lr=inf"),
        ({"lr": "a"}, "lr='a': give a positive"),
        ({"lr": None}, "lr=None: give a positive"),
        ({"batch": 1.5}, "batch=1.5: give an integer"),
        ({"tol": 0.0}, "tol=0.0"),
        ({"tol": -1e-6}, "tol=-1e-06"),
        ({"tol": math.nan}, "tol=nan"),
        ({"tol": math.inf}, "tol=inf"),
        ({"init_std": 0.0}, "init_std=0.0"),
        ({"init_std": -1.0}, "init_std=-1.0"),
        ({"init_std": math.nan}, "init_std=nan"),
        ({"steps": 0}, "steps=0"),
        ({"steps": -5}, "steps=-5"),
        ({"steps": 2**31}, "steps=2147483648"),
        ({"hold": 2**31}, "hold=2147483648"),
        ({"check_every": 2**31}, "check_every=2147483648"),
        ({"batch": 10**20}, "batch=100000000000000000000"),
        ({"check_every": 0}, "check_every=0"),
        ({"hold": 0}, "hold=0"),
        ({"batch": -1}, "batch=-1"),
        ({"optimizer": "nonesuch"}, "'nonesuch'"),
        ({"precision": "bfloat16"}, "'bfloat16'"),
        ({"zero_row": -1e-3}, "zero_row=-0.001"),
        ({"zero_row": math.nan}, "zero_row=nan"),
        ({"zero_row": math.inf}, "zero_row=inf"),
    ],
    ids=str,
)
def test_impossible_training_is_refused_in_one_line(changes, fragment):
    assert_refused(changed(TRAINED, **changes), fragment)


@pytest.mark.parametrize(
    ("changes", "fragment"),
    [
        ({"m": 1}, "m=1 < k=2"),
        ({"alpha": 0.0}, "alpha=0.0"),
        ({"alpha": -0.5}, "alpha=-0.5"),
        ({"alpha": math.nan}, "alpha=nan"),
        ({"alpha": math.inf}, "alpha=inf"),  # that is "equal"
        ({"alpha": "a"}, "alpha='a'"),
        ({"alpha": None}, "alpha=None"),
    ],
    ids=str,
)
def test_impossible_minima_are_refused_in_one_line(changes, fragment):
    assert_refused(changed(SAMPLED, **changes), fragment)


@pytest.mark.parametrize("cell", [TRAINED, SAMPLED], ids=["trained", "sampled"])
@pytest.mark.parametrize("wrong", [True, False, Fraction(1, 2), 2.0 + 0j, "1", None])
def test_booleans_fractions_and_words_are_no_numbers(cell, wrong):
    """True is another cell than 1, though equal to it."""
    fields = dataclasses.asdict(cell) | vars(cell.source)
    for name in fields.keys() - {"source", "matchings", "optimizer", "precision"}:
        value = (wrong, 2.0) if name == "pqi" else wrong
        assert_refused(changed(cell, **{name: value}), name)


def assert_refused(cell, fragment):
    with pytest.raises(ValueError, match=r"\S") as caught:
        cell.validate()
    line = str(caught.value)
    assert fragment in line
    assert len(line.splitlines()) == 1


def test_sources_are_named_as_users_name_them():
    assert Descent(lr=1.0).name == "gd"
    assert Descent(lr=1.0, batch=8).name == "sgd"
    assert Minima().name == Minima(1).name == "uniform"
    assert Minima("equal").name == "equal"
    assert Minima(0.5).name == "dirichlet"
    assert Minima("equal").concentration == math.inf
    assert Minima(0.5).concentration == 0.5


@pytest.mark.parametrize(
    "cell",
    [TRAINED, SAMPLED, changed(TRAINED, batch=8), changed(SAMPLED, alpha="equal")],
    ids=lambda cell: cell.source.name,
)
def test_parameters_survive_json_and_give_the_cell_back(cell):
    parameters = cell.parameters()
    read = json.loads(json.dumps(parameters, allow_nan=False))
    assert read == parameters
    source = dict(read.pop("source"))
    assert source.pop("name") == cell.source.name
    del read["versions"]
    for name in ("matchings", "pqi"):
        read[name] = tuple(read[name])
    assert Cell(source=type(cell.source)(**source), **read) == cell


def test_parameters_do_not_alias_the_cell():
    parameters = TRAINED.parameters()
    parameters["source"]["lr"] = 5.0
    parameters["matchings"].append("weights")
    assert TRAINED.parameters()["source"]["lr"] == 0.1
    assert TRAINED.matchings == ("types_index", "types_opposed")


CHANGES = {
    "k": 3,
    "m": 5,
    "d": 4,
    "pairs": 6,
    "seed": 1,
    "matchings": ("types_opposed", "types_index"),
    "points": 21,
    "pqi": (0.5, 2.0),
}
SOURCE_CHANGES = {
    "lr": 0.1000000000000001,
    "optimizer": "adam",
    "batch": 8,
    "steps": 99_999,
    "tol": 1e-7,
    "check_every": 100,
    "hold": 2,
    "init_std": 0.1,
    "precision": "float64",
    "zero_row": 1e-4,
}


def test_every_field_takes_part_in_the_fingerprint():
    fields = {field.name for field in dataclasses.fields(Cell)} - {"source"}
    assert CHANGES.keys() == fields
    assert SOURCE_CHANGES.keys() == {
        field.name for field in dataclasses.fields(Descent)
    }
    minima = {field.name for field in dataclasses.fields(Minima)}
    assert minima == {"alpha", "zero_row"}
    cells = [TRAINED, SAMPLED]
    cells += [changed(TRAINED, **{name: value}) for name, value in CHANGES.items()]
    cells += [
        changed(TRAINED, **{name: value}) for name, value in SOURCE_CHANGES.items()
    ]
    cells += [changed(SAMPLED, alpha=alpha) for alpha in ("equal", 0.5, 2.0)]
    cells += [changed(SAMPLED, zero_row=1e-4)]
    names = [store.fingerprint(cell.parameters()) for cell in cells]
    assert len(set(names)) == len(cells)


def test_fingerprint_depends_on_values_only():
    same = Cell(k=2, m=4, d=3, source=Descent(lr=0.1), pairs=5)
    expected = store.fingerprint(TRAINED.parameters())
    assert store.fingerprint(same.parameters()) == expected
    read = json.loads(json.dumps(TRAINED.parameters()))
    assert store.fingerprint(dict(reversed(read.items()))) == expected
    whole = store.fingerprint(changed(SAMPLED, alpha=1).parameters())
    assert whole == store.fingerprint(SAMPLED.parameters())


def test_cells_are_hashable_and_immutable():
    assert len({TRAINED, changed(TRAINED, m=4), SAMPLED}) == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        TRAINED.m = 5
