"""The house: a folder imports from folders below it, and a file from what is stated."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "lmc_jax"
MODULES = sorted(
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    for path in PACKAGE.rglob("*.py")
)
# What a room may import of the package, from the ground up. A room is a folder, or
# a file beside the folders.
BELOW = {
    "numerics": set(),
    "paths": set(),
    "statistics": set(),
    "versions": set(),
    "students": {"numerics"},
    "environment": {"students"},
    "theory": {"students"},
    "matching": {"numerics", "paths", "students"},
    "sweep": {"numerics", "paths", "students", "matching", "environment", "versions"},
    "data": set(),
    "networks": {
        *("numerics", "paths", "students", "matching", "sweep"),
        *("data", "environment", "versions"),
    },
    "results": {"paths", "statistics", "students", "versions"},
    "simulation": {"environment", "paths", "results", "students", "sweep"},
}
# What is imported from outside beside the standard library, where it is limited.
OUTSIDE = {
    "numerics": {"jax"},
    "paths": {"jax", "numpy"},
    "statistics": {"numpy"},
    "theory": {"numpy", "scipy"},
    "data": {"numpy", "pooch", "tqdm"},
    "results.files": {"numpy"},
    "results.store": {"numpy"},
}


def source(module):
    return PACKAGE.joinpath(*module.split(".")).with_suffix(".py").read_text("utf-8")


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


def below(own):
    assert own in BELOW, (
        f"lmc_jax/{own} has no place in the house: say in BELOW, in "
        "tests/repository/test_layers.py, what it may import"
    )
    return BELOW[own]


def test_the_package_is_found():
    assert {"numerics", "sweep.run", "results.store", "matching.types"} <= set(MODULES)
    assert {room(name) for name in MODULES} - {"__init__"} == set(BELOW)


@pytest.mark.parametrize("module", [name for name in MODULES if name != "__init__"])
def test_module_imports_only_from_rooms_below(module):
    names = {name for name in imports(module) if name.split(".")[0] == "lmc_jax"}
    assert "lmc_jax" not in names, f"{module}: import what is needed, by name"
    rooms = {name.split(".")[1] for name in names} - {room(module)}
    beyond = rooms - below(room(module))
    assert not beyond, f"{module} knows {sorted(beyond)}, which are not below it"


@pytest.mark.parametrize("module", MODULES)
def test_module_knows_nothing_of_experiments_and_tests(module):
    roots = {name.split(".")[0] for name in imports(module)}
    assert not roots & {"experiments", "tests"}


@pytest.mark.parametrize(
    "module", [name for name in MODULES if {name, room(name)} & OUTSIDE.keys()]
)
def test_rooms_import_from_outside_only_what_they_are_allowed(module):
    outside = {name.split(".")[0] for name in imports(module)} - {"lmc_jax"}
    allowed = OUTSIDE.get(module) or OUTSIDE[room(module)]
    beyond = outside - allowed - sys.stdlib_module_names
    assert not beyond, f"{module} imports {sorted(beyond)}"


@pytest.mark.parametrize("module", MODULES)
def test_module_is_short_enough_to_be_read(module):
    assert len(source(module).splitlines()) <= 350, f"split {module}"


def test_unknown_rooms_are_told_to_take_a_place():
    with pytest.raises(AssertionError, match="has no place in the house: say in BELOW"):
        below("attic")
