"""Cells: what is refused, and what names them."""

import dataclasses
import json
import math

import numpy as np
import pytest

from lmc_jax.matching import MATCHINGS
from lmc_jax.results import store
from lmc_jax.students.optimizers import OPTIMIZERS
from lmc_jax.students.teachers import named
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
        {"k": 1, "m": 1, "d": 1, "pairs": 1, "points": 3, "matchings": ()},
        {"k": 3, "m": 3, "d": 3, "seed": 2**32 - 1, "pqi": (0.5, 0.6)},
        {"d": 100, "matchings": tuple(MATCHINGS)},
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
    changed(TRAINED, m=1, batch=1, steps=1, check_every=1, zero_row=0.0).validate()
    changed(TRAINED, steps=2**31 - 1).validate()
    for alpha in ("equal", 1e-3, 1, 50.0):
        changed(SAMPLED, alpha=alpha).validate()


NAN, INF = math.nan, math.inf
# Values that a field cannot have; the line of a refusal has name=value.
CELL = {
    **{"k": (0, -1, 2.5), "m": (0, -7), "pairs": (0, "3"), "d": (0,)},
    **{"seed": (-1, 2**32), "points": (1, 0, -3, 10)},
}
TRAINING = {
    **{"lr": (0.0, -0.1, NAN, INF, "a", None, 10**400, np.longdouble(0.5))},
    **{"init_std": (0.0, -1.0, NAN), "zero_row": (-1e-3, NAN, INF, 10**400)},
    **{"tol": (0.0, -1e-6, NAN, INF)},
    **{"steps": (0, -5, 2**31), "check_every": (0, 2**31), "hold": (0, 2**31)},
    "batch": (-1, 1.5, 10**20),
}
SAMPLING = {"alpha": (0.0, -0.5, NAN, INF, "a", None)}  # ∞ is "equal"
# Other faults, and words of their line.
CELLS = [
    ({"k": 4}, "k=4 > d=3"),
    ({"d": 1}, "k=2 > d=1"),
    ({"pqi": (0.0, 1.0)}, "p=0.0"),
    ({"pqi": (1.0, 1.0)}, "q=1.0"),
    ({"pqi": (1.0, INF)}, "q=inf"),
    ({"pqi": (NAN, 2.0)}, "p=nan"),
    ({"matchings": ("hungarian",)}, "'hungarian'"),
    ({"matchings": ["refine"]}, "tuple of names"),
    ({"matchings": ("weights", "types_index", "weights")}, "twice"),
    ({"source": "gd"}, "source='gd': give a Descent or Minima"),
    ({"teacher": "axes"}, "teacher='axes' of k=2 neurons: give orthonormal, "),
    ({"teacher": "norms:1,2,4"}, "teacher='norms:1,2,4' of k=2 neurons: give"),
    ({"teacher": None}, "teacher=None: give a name"),
]
REFUSED = [
    (TRAINED, {"optimizer": "nonesuch"}, "'nonesuch'"),
    (TRAINED, {"precision": "bfloat16"}, "'bfloat16'"),
    (SAMPLED, {"m": 1}, "m=1 < k=2"),
    *((cell, *fault) for cell in (TRAINED, SAMPLED) for fault in CELLS),
    *(
        (cell, {name: value}, f"{name}={value!r}")
        for cell, table in ((TRAINED, CELL | TRAINING), (SAMPLED, CELL | SAMPLING))
        for name, wrong in table.items()
        for value in wrong
    ),
]


@pytest.mark.parametrize(("cell", "changes", "fragment"), REFUSED)
def test_what_cannot_be_is_refused_in_one_line(cell, changes, fragment):
    with pytest.raises(ValueError, match=r"\S") as caught:
        changed(cell, **changes).validate()
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


DRAWN = [(0, 4), (0, 9), (1, 4)]  # seeds and widths of random teachers
# Of every field another value.
CHANGES = {
    **{"k": 3, "m": 5, "d": 4, "pairs": 6, "seed": 1, "points": 21, "pqi": (0.5, 2.0)},
    **{"matchings": ("types_opposed", "types_index"), "teacher": "equiangular:0.5"},
}
TRAINED_CHANGES = CHANGES | {
    **{"lr": 0.1000000000000001, "optimizer": "adam", "batch": 8, "steps": 99_999},
    **{"tol": 1e-7, "check_every": 100, "hold": 2, "init_std": 0.1},
    **{"precision": "float64", "zero_row": 1e-4},
}
SAMPLED_CHANGES = CHANGES | {"alpha": 0.5, "zero_row": 1e-4}


@pytest.mark.parametrize(
    ("cell", "changes"), [(TRAINED, TRAINED_CHANGES), (SAMPLED, SAMPLED_CHANGES)]
)
def test_every_field_is_a_parameter_and_takes_part_in_the_name(cell, changes):
    fields = vars(cell).keys() | vars(cell.source).keys()
    assert changes.keys() == fields - {"source"}
    cells = [changed(cell, **{name: value}) for name, value in changes.items()]
    cells += [cell, changed(cell, **changes)]
    names = {store.fingerprint(cell.parameters()) for cell in cells}
    assert len(names) == len(cells)
    for one in cells:  # the parameters give the cell back
        read = json.loads(json.dumps(one.parameters(), allow_nan=False))
        assert read == one.parameters()
        source = dict(read.pop("source"))
        assert source.pop("name") == one.source.name
        del read["versions"]
        read |= {name: tuple(read[name]) for name in ("matchings", "pqi")}
        assert Cell(source=type(one.source)(**source), **read) == one


def test_an_orthonormal_teacher_is_no_parameter_and_leaves_its_width_to_programs():
    """Cells from before there were others keep their names."""
    assert "teacher" not in TRAINED.parameters()
    assert store.fingerprint(TRAINED.parameters()) == "e01b35a4d66d63e7f47d"
    assert TRAINED.taught is TRAINED.k
    other = changed(TRAINED, teacher="equiangular:0.5")
    assert other.parameters()["teacher"] == "equiangular:0.5"
    assert other.taught == named("equiangular:0.5", 2, 3)
    drawn = [changed(TRAINED, teacher="random", seed=seed, m=m) for seed, m in DRAWN]
    first, wider, another = (cell.taught for cell in drawn)
    assert first == wider != another


def test_the_name_depends_on_values_only():
    read = json.loads(json.dumps(TRAINED.parameters()))
    name = store.fingerprint(TRAINED.parameters())
    assert store.fingerprint(dict(reversed(read.items()))) == name
    whole = store.fingerprint(changed(SAMPLED, alpha=1).parameters())
    assert whole == store.fingerprint(SAMPLED.parameters())
