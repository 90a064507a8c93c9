"""The floors of the house: a module imports only from floors below its own."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "lmc_jax"
MODULES = sorted(
    path.relative_to(PACKAGE).with_suffix("").as_posix().replace("/", ".")
    for path in PACKAGE.rglob("*.py")
)
FLOORS = [
    {"numerics", "kernels", "permutations"},
    {"two_layer", "minima", "networks"},
    {"descent", "matching", "alignment", "interpolation"},
    {"spec"},
    {"measures", "theory", "stability", "sharpness", "uniformity", "evaluation"},
    {"programs", "training"},
    {"batches"},
    {"sweep", "pairs"},
]
# The rooms on the host, and all of the package that each may know.
HOST = {
    "files": set(),
    "store": {"files"},
    "devices": set(),
    "records": set(),
    "download": set(),
    "data_files": {"records", "download"},
    "datasets": {"data_files", "records"},
    "figures": {"files"},
    "export": {"store", "summary", "interpolation", "descent"},
    "environment": {"two_layer"},
    "summary": {"store", "measures", "interpolation", "descent"},
    "simulation": {"sweep", "spec", "store", "summary", "interpolation"},
}
# Rooms that know of the host what is named here.
GUESTS = {
    "programs": {"devices", "environment"},
    "batches": {"devices"},
    "sweep": {"devices", "environment"},
    "training": {"environment"},
    "pairs": {"datasets", "environment"},
}
# Rooms of one floor that build on each other.
NEIGHBORS = {
    "kernels": {"numerics"},
    "stability": {"theory"},
    "networks": {"networks"},
    "matching": {"interpolation", "alignment", "matching"},
    "alignment": {"alignment", "interpolation"},
}
# What is imported from outside beside the standard library, where it is limited.
OUTSIDE = {
    "files": {"numpy"},
    "store": {"numpy"},
    "records": {"numpy"},
    "download": set(),
    "data_files": set(),
    "datasets": {"numpy"},
    "theory": {"numpy", "scipy"},
    "stability": {"numpy", "scipy"},
    "uniformity": {"numpy", "scipy"},
    "figures": {"numpy", "matplotlib", "cycler"},
}


def source(module):
    return (PACKAGE / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")


def imports(module):
    """Dotted names of everything a module imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(source(module))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: write imports in full"
            inside = node.module == "lmc_jax"
            named = {f"lmc_jax.{alias.name}" for alias in node.names}
            found |= named if inside else {node.module}
    return found


def room(module):
    """The room of a module of the package: ``matching.types`` is in ``matching``."""
    return module.split(".")[0]


def rooms_known_to(module):
    names = {name for name in imports(module) if name.split(".")[0] == "lmc_jax"}
    assert "lmc_jax" not in names, f"{module}: import what is needed, by name"
    return {name.split(".")[1] for name in names}


def allowed(own):
    """The rooms that a room may import."""
    if own in HOST:
        return HOST[own]
    for level, floor in enumerate(FLOORS):
        if own in floor:
            below = set().union(*FLOORS[:level])
            return below | NEIGHBORS.get(own, set()) | GUESTS.get(own, set())
    raise AssertionError(
        f"lmc_jax/{own} has no place in the house: put it on one of the FLOORS, or "
        "among the rooms on the HOST, of tests/test_floors.py"
    )


def test_the_package_is_found():
    assert {"numerics", "sweep", "store", "matching.types"} <= set(MODULES)


@pytest.mark.parametrize("module", [name for name in MODULES if name != "__init__"])
def test_module_imports_only_from_floors_below(module):
    beyond = rooms_known_to(module) - allowed(room(module))
    assert not beyond, f"{module} knows {sorted(beyond)}, which are not below it"


@pytest.mark.parametrize("module", MODULES)
def test_module_knows_nothing_of_experiments_and_tests(module):
    roots = {name.split(".")[0] for name in imports(module)}
    assert not roots & {"experiments", "tests"}


@pytest.mark.parametrize("module", [name for name in MODULES if room(name) in OUTSIDE])
def test_rooms_without_jax_import_only_what_they_are_allowed(module):
    outside = {name.split(".")[0] for name in imports(module)} - {"lmc_jax"}
    beyond = outside - OUTSIDE[room(module)] - sys.stdlib_module_names
    assert not beyond, f"{module} imports {sorted(beyond)}"


@pytest.mark.parametrize(
    "module", [name for name in MODULES if room(name) in FLOORS[0]]
)
def test_ground_floor_stands_on_jax_alone(module):
    outside = {name.split(".")[0] for name in imports(module)} - {"lmc_jax"}
    assert outside - sys.stdlib_module_names <= {"jax"}


@pytest.mark.parametrize("module", MODULES)
def test_module_is_short_enough_to_be_read(module):
    assert len(source(module).splitlines()) <= 400, f"split {module}"


def test_unknown_rooms_are_told_to_take_a_place():
    with pytest.raises(AssertionError, match="put it on one of the FLOORS"):
        allowed("attic")
