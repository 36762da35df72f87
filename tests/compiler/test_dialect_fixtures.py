"""The dialects as data: each folder has valid documents with their canonical form, and wrong ones with what is found.

``valid/x.yaml`` is written canonically in ``golden/x.json`` (``UPDATE_GOLDEN=1`` accepts what is made now). In
``invalid`` each finding is expected by ``# expect: MR201`` on its line, or in a file beside a JSON document.
"""

import json
import os
import re
from pathlib import Path

import pytest

from mirror_realm.compiler import analyze, compile_workflow
from mirror_realm.compiler.diagnostics import title_of
from mirror_realm.compiler.dialects import DIALECTS
from mirror_realm.compiler.source import load

FOLDER = Path(__file__).parent / "fixtures" / "dialects"
OURS = ("api-orchestration", "links", "wfformat", "connections", "next-branch", "control-tree", "event-steps")
TOLERATED = ("MR130", "MR220")
"""Warnings that a valid document may have: what is not executed yet, branches that leave a case open."""
VALID = [path for ours in OURS for path in sorted((FOLDER / ours / "valid").iterdir())]
INVALID = [
    path
    for ours in OURS
    for path in sorted((FOLDER / ours / "invalid").iterdir())
    if path.suffix in (".yaml", ".json")
]


def named(path):
    return f"{path.parent.parent.name}-{path.stem}"


def expected(path):
    beside = path.with_suffix(".expect")
    if beside.exists():
        return {(code, int(line)) for code, line in (word.split("@") for word in beside.read_text().split())}
    found = set()
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if match := re.search(r"# expect: (.*)$", line):
            found |= {(code, number) for code in match.group(1).split()}
    return found


@pytest.mark.parametrize("dialect", OURS)
def test_there_are_enough_of_them(dialect):
    assert sum(path.parts[-3] == dialect for path in VALID) >= 6
    assert sum(path.parts[-3] == dialect for path in INVALID) >= 12


@pytest.mark.parametrize("path", VALID, ids=named)
def test_a_valid_document_has_its_canonical_form(path):
    analysis = analyze(path)
    assert not analysis.errors, "\n" + analysis.render()
    doubts = [d for d in analysis.diagnostics if d.severity == "warning" and d.code not in TOLERATED]
    assert not doubts, "\n" + analysis.render()
    assert analysis.definition is not None
    made = json.dumps(analysis.definition.document(), ensure_ascii=False, indent=1) + "\n"
    golden = path.parent.parent / "golden" / f"{path.stem}.json"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(made, encoding="utf-8")
    assert made == golden.read_text(encoding="utf-8"), "UPDATE_GOLDEN=1 accepts the new form"


@pytest.mark.parametrize("path", VALID, ids=named)
def test_the_canonical_form_means_the_same_without_the_dialect(path):
    definition = analyze(path).definition
    again = analyze("again.json", text=json.dumps(definition.document())).definition
    assert again.hash == definition.hash


@pytest.mark.parametrize("path", VALID, ids=named)
def test_only_its_own_dialect_recognises_a_document(path):
    tree = load(path).document.tree
    own = [one.ID for one in DIALECTS if one.VOCABULARY is None and one.recognises(tree)]
    assert own == [path.parts[-3]]


@pytest.mark.parametrize("path", VALID, ids=named)
def test_a_valid_document_compiles_to_a_flow(path):
    assert compile_workflow(path).workflow.name == analyze(path).definition.name


@pytest.mark.parametrize("path", INVALID, ids=named)
def test_every_fault_is_found_at_its_line_and_nothing_else(path):
    analysis = analyze(path)
    found = {(d.code, d.line) for d in analysis.diagnostics if d.severity != "info"}
    assert found == expected(path), "\n" + analysis.render()


@pytest.mark.parametrize("path", INVALID, ids=named)
def test_every_finding_says_what_to_do(path):
    for finding in analyze(path).diagnostics:
        assert finding.hint, finding
        assert title_of(finding.code) != finding.code
        assert finding.column is not None
