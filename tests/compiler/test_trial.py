"""Definitions as a stranger writes them: many that are wrong in a place or two, and some that are right but unusual.

``fixtures/trial/wrong`` marks each fault where it stands: ``«MR303|widht»`` is the text ``widht``, at whose first
character a finding with that code is due (or one of several codes, with commas between). The marks are taken out
before the definition is read. Nothing else may be found, and of ``fixtures/trial/right`` nothing at all. What is only
not executed yet (MR130) is left out of account.
"""

import json
import re
from pathlib import Path

import pytest

from mirror_realm.compiler import analyze, emit

FOLDER = Path(__file__).parent / "fixtures" / "trial"
WRONG, RIGHT = (sorted((FOLDER / name).iterdir()) for name in ("wrong", "right"))
MARK = re.compile(r"«([A-Z0-9,]+)\|(.*?)»", re.DOTALL)


def read(path):
    """The definition without its marks, and the codes, line and column of each fault."""
    text, plain, at, faults = path.read_text(encoding="utf-8"), "", 0, []
    for match in MARK.finditer(text):
        plain += text[at : match.start()]
        faults.append((match[1].split(","), plain.count("\n") + 1, len(plain) - plain.rfind("\n")))
        plain, at = plain + match[2], match.end()
    return plain + text[at:], faults


def findings(path, text):
    return [
        d for d in analyze(path.name, text=text).diagnostics if d.severity != "info" and d.code != "MR130"
    ]


def test_there_are_eighty():
    assert len(WRONG) >= 60
    assert len(RIGHT) >= 20


@pytest.mark.parametrize("path", WRONG, ids=lambda path: path.stem)
def test_every_fault_is_found_where_it_stands_and_nothing_else(path):
    text, faults = read(path)
    found = findings(path, text)
    assert faults
    left = list(found)
    for codes, line, column in faults:
        hits = [d for d in left if d.code in codes and (d.line, d.column) == (line, column)]
        assert hits, f"{codes} at {line}:{column} is not among\n" + "\n".join(map(str, found))
        left.remove(hits[0])
        assert hits[0].hint
    assert left == []


@pytest.mark.parametrize("path", RIGHT, ids=lambda path: path.stem)
def test_what_is_right_is_not_complained_about(path):
    text, faults = read(path)
    assert faults == []
    assert findings(path, text) == []
    compile(emit(analyze(path.name, text=text)), path.name, "exec")


@pytest.mark.parametrize("path", [WRONG[0], WRONG[-1], RIGHT[0]], ids=lambda path: path.stem)
def test_the_command_says_the_same(path, tmp_path, capsys):
    from mirror_realm.cli import main

    text, _ = read(path)
    (tmp_path / path.name).write_text(text, encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        main(["validate", str(tmp_path / path.name), "--format", "json"])
    expected = analyze(path.name, text=text).diagnostics
    assert ended.value.code == int(any(d.severity == "error" for d in expected))
    told = json.loads(capsys.readouterr().out)["diagnostics"]
    assert [(d["code"], d["line"], d["column"]) for d in told] == [
        (d.code, d.line, d.column) for d in expected
    ]
