"""Public functions say what they do, and which errors they raise themselves."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "lmc_jax"


def public(body, prefix=""):
    """Public functions and classes of a body, methods of public classes included."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name[0] != "_":
            yield prefix + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body, f"{node.name}.")


FOUND = {
    f"{path.relative_to(PACKAGE).with_suffix('')}.{name}": node
    for path in sorted(PACKAGE.rglob("*.py"))
    for name, node in public(ast.parse(path.read_text(encoding="utf-8")).body)
}


def raised(function):
    """Names of the errors that a function raises, not those of what it calls."""
    errors = (node.exc for node in ast.walk(function) if isinstance(node, ast.Raise))
    called = (error.func for error in errors if isinstance(error, ast.Call))
    return {error.id for error in called if isinstance(error, ast.Name)}


@pytest.mark.parametrize("name", FOUND)
def test_public_names_are_documented_with_their_errors(name):
    said = ast.get_docstring(FOUND[name])
    assert said, name
    if isinstance(FOUND[name], ast.FunctionDef):
        for error in raised(FOUND[name]) - {"AssertionError"}:
            assert error in said, f"{name} raises {error}"


def test_public_names_are_found():
    assert {"sweep/cell.Cell.validate", "matching/types.match_types"} <= FOUND.keys()
    assert raised(FOUND["sweep/cell.Cell.validate"]) == {"ValueError"}
