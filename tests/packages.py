"""Packages that are installed here, for tests of what happens where they are not."""

from __future__ import annotations

import importlib.util

import pytest


def hide(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    """Make ``package`` one that is not installed, to what asks before it imports."""
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == package else find(name, *rest)
    )
