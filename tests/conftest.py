"""Every test runs in a home of its own, with no settings from outside."""

import os

import pytest
from hypothesis import settings as hypothesis_settings

from mirror_realm.core.settings import settings
from mirror_realm.tasks.registry import registry

# How long an example takes says how busy the machine is, not whether the example is right.
# What CI says depends on the commit alone; a run at somebody's desk draws other examples each time.
hypothesis_settings.register_profile("realm", deadline=None, derandomize=bool(os.environ.get("CI")))
hypothesis_settings.load_profile("realm")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A fresh home folder; also the only allowed root besides the test's own tmp_path."""
    for name in list(os.environ):
        if name.startswith("MIRROR_REALM_"):
            monkeypatch.delenv(name)
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("MIRROR_REALM_HOME", str(folder))
    monkeypatch.setenv("MIRROR_REALM_ROOTS", str(tmp_path))
    settings.cache_clear()
    registry.cache_clear()
    yield folder
    settings.cache_clear()
    registry.cache_clear()
