"""A folder of cells, whose parameters name no versions of programs."""

import pytest

from lmc_jax.results import store


@pytest.fixture
def out(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "outdated", lambda parameters: "")
    return store.open_store(tmp_path / "out")
