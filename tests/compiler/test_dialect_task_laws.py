"""Seed 004's task languages: whatever is done to a document, what is found has its place in it."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mirror_realm.compiler import analyze
from mirror_realm.compiler.dialects import (
    canonical_values,
    event_state,
    event_transforms,
    head,
    task_names,
    task_types,
)
from mirror_realm.compiler.source import load
from tests.compiler.mutations import damaged_text, damaged_tree
from tests.compiler.test_dialect_laws import survives

FOLDER = Path(__file__).parent / "fixtures" / "dialects"
OURS = ("connections", "next-branch", "control-tree", "event-steps")
TEXTS = {
    f"{ours}/{path.name}": path.read_text(encoding="utf-8")
    for ours in OURS
    for path in sorted((FOLDER / ours / "valid").iterdir())
}
TREES = {name: load(name, text=text).document.tree for name, text in TEXTS.items()}
OFTEN = settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


@OFTEN
@given(name=st.sampled_from(sorted(TEXTS)), chance=st.randoms(use_true_random=False))
def test_damaged_text_is_diagnosed(name, chance):
    survives(damaged_text(TEXTS[name], chance), Path(name).name)


@OFTEN
@given(name=st.sampled_from(sorted(TEXTS)), chance=st.randoms(use_true_random=False), kept=st.booleans())
def test_a_damaged_tree_is_diagnosed(name, chance, kept):
    tree = damaged_tree(TREES[name], TREES[chance.choice(sorted(TREES))], chance)
    text = json.dumps(tree, ensure_ascii=False, indent=1)
    survives(text, f"{Path(name).stem}.json", name.partition("/")[0] if kept else None)


@pytest.mark.parametrize("dialect", OURS)
@pytest.mark.parametrize("name", sorted(TEXTS))
def test_any_document_as_any_dialect_is_diagnosed(name, dialect):
    survives(TEXTS[name], Path(name).name, dialect)


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_every_place_of_the_canonical_document_is_the_authors(name):
    """Its span is in the text, and its path leads to something that the author wrote."""
    document = analyze(Path(name).name, text=TEXTS[name]).document
    stack = [()]
    while stack:
        path = stack.pop()
        value = document.value(path)
        keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
        stack += [(*path, key) for key in keys]
        written = TREES[name]
        for part in document.origin(path):
            written = written[part]
        span = document.span(path)
        assert 1 <= span.line <= span.end_line <= TEXTS[name].count("\n") + 1


def test_an_error_in_rewritten_text_stands_where_it_was_written():
    text = (
        "id: w\ntasks:\n  a: {task_type: set, config: {x: 1}, next: [b]}\n  b:\n    task_type: set\n"
        "    inputs: {total: {from: a.x}, rest: {from: a.output.x, transform: value - nosuch(1)}}\n"
        "    required_inputs: [total]\n"
        '    config: {y: "sum: ${total + 1} of ${total + size(input.list) + nothere(2)}"}\n'
    )
    found = [d for d in analyze("w.yaml", text=text).errors if d.code == "MR308"]
    lines = text.split("\n")
    words = [lines[d.line - 1][d.column - 1 :] for d in found]
    assert [word[:7] for word in words] == ["nosuch(", "nothere"]


@pytest.mark.parametrize(
    "module", [canonical_values, event_state, event_transforms, head, task_names, task_types]
)
def test_the_examples_in_the_docstrings_hold(module):
    import doctest

    outcome = doctest.testmod(module)
    assert outcome.attempted
    assert not outcome.failed
