"""The examples in this room's docstrings are true."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

ROOM = Path(__file__).parents[2] / "tasks"
MODULES = sorted(path.stem for path in ROOM.glob("*.py") if ">>> " in path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", MODULES)
def test_examples_are_true(name):
    result = doctest.testmod(importlib.import_module(f"mirror_realm.tasks.{name}"))
    assert result.attempted > 0
    assert result.failed == 0
