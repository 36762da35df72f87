"""What is said of wrong definitions, word for word: every finding with its place, its message and its hint.

``fixtures/said/x.yaml`` is wrong in one way, and ``x.txt`` is all that is said of it (``UPDATE_GOLDEN=1`` accepts what
is said now).
"""

import os
from pathlib import Path

import pytest

from mirror_realm.compiler import analyze

FOLDER = Path(__file__).parent / "fixtures" / "said"
FILES = sorted(FOLDER.glob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_is_said_is_what_was_agreed(path):
    text = path.read_text(encoding="utf-8")
    found = [one for one in analyze(path.name, text=text).diagnostics if one.severity != "info"]
    said = "".join(f"{one}\n" for one in found)
    golden = path.with_suffix(".txt")
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(said, encoding="utf-8")
    assert said == golden.read_text(encoding="utf-8"), "UPDATE_GOLDEN=1 accepts what is said now"


def test_nothing_is_agreed_on_without_a_definition():
    assert {path.stem for path in FOLDER.glob("*.txt")} == {path.stem for path in FILES}
