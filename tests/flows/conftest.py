"""The runtime's tests run with their own node types, in this process and on Dask workers alike."""

import sys
from pathlib import Path

import pytest

from mirror_realm.core.settings import settings
from mirror_realm.tasks.registry import registry

HERE = str(Path(__file__).parent)


@pytest.fixture(autouse=True)
def test_nodes(home, monkeypatch):
    """Make ``realm_test_nodes`` the setting ``nodes``, importable here and in child processes."""
    monkeypatch.setenv("MIRROR_REALM_NODES", "realm_test_nodes")
    monkeypatch.setenv("PYTHONPATH", HERE)
    if HERE not in sys.path:
        monkeypatch.syspath_prepend(HERE)
    settings.cache_clear()
    registry.cache_clear()
