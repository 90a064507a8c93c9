"""A folder of cells."""

import pytest

from lmc_jax.results import store


@pytest.fixture
def out(tmp_path):
    return store.open_store(tmp_path / "out")
