"""The examples in docstrings are right."""

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for folder in ("lmc_jax", "experiments/lib")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
EXAMPLES = {
    test.name: test
    for name in MODULES
    for test in doctest.DocTestFinder().find(importlib.import_module(name))
    if test.examples
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_is_right(name):
    assert doctest.DocTestRunner().run(EXAMPLES[name]).failed == 0


def test_examples_are_found():
    assert {"lmc_jax.paths.lerp", "lmc_jax.simulation.simulate"} <= {*EXAMPLES}
