"""The house: a folder imports from folders below it, and a file from what is stated."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def modules(tree):
    """Dotted names of the modules of a tree, without its own."""
    return sorted(
        ".".join(path.relative_to(ROOT / tree).with_suffix("").parts)
        for path in (ROOT / tree).rglob("*.py")
    )


MODULES = modules("lmc_jax")
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
# The same of experiments: what works on figures may import them. The files beside the
# folders are the figures, and __main__, which lists them.
BELOW_FIGURES = {
    "lib": set(),
    "claims": {"lib"},
    "figures": {"claims", "lib"},
    "__main__": {"lib"},
    "tools": {"__main__", "lib"},
    "bench": {"figures", "lib", "tools"},
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


def source(module, tree="lmc_jax"):
    path = (ROOT / tree).joinpath(*module.split("."))
    return path.with_suffix(".py").read_text("utf-8")


def imports(module, tree="lmc_jax"):
    """Dotted names of everything a module imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(source(module, tree))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: write imports in full"
            named = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= named if node.module == tree else {node.module}
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


def part(module):
    """The part of experiments that a module is in."""
    first = module.split(".")[0]
    return first if first in BELOW_FIGURES else "figures"


@pytest.mark.parametrize(
    "module", [name for name in modules("experiments") if not name.endswith("__init__")]
)
def test_experiments_import_only_from_parts_below(module):
    own = "experiments."
    names = {n for n in imports(module, "experiments") if n.startswith(own)}
    parts = {part(name.removeprefix(own)) for name in names} - {part(module)}
    beyond = parts - BELOW_FIGURES[part(module)]
    assert not beyond, f"{module} imports {sorted(beyond)}, which are not below it"


@pytest.mark.parametrize(
    ("tree", "module"),
    [
        (tree, module)
        for tree in ("lmc_jax", "experiments", "tests")
        for module in modules(tree)
    ],
)
def test_module_is_short_enough_to_be_read(tree, module):
    assert len(source(module, tree).splitlines()) <= 350, f"split {tree}/{module}"


def test_unknown_rooms_are_told_to_take_a_place():
    with pytest.raises(AssertionError, match="has no place in the house: say in BELOW"):
        below("attic")
