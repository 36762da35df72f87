"""No text and no place makes an answer raise."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirror_realm.compiler.language import (
    Refused,
    View,
    actions,
    complete,
    definition,
    explain,
    hover,
    references,
    related,
    renamable,
    rename,
    symbols,
)
from tests.compiler.language.cursors import view_of
from tests.compiler.language.test_rename import DOCUMENTS, VIEWS

FIXTURES = Path(__file__).parents[1] / "fixtures"
INVALID = sorted(path for path in (FIXTURES / "invalid").glob("*.*") if path.suffix in (".yaml", ".json"))
PIECES = [
    *[
        "{{ ",
        " }}",
        "nodes.",
        "nodes['",
        "']",
        "loop.",
        "item.",
        "input.x",
        "type: ",
        "node_id: ",
        "body:\n",
        "branches:\n",
    ],
    *["\n", "  ", "- ", "{", "}", "[", "]", ": ", '"', "'", "|\n", "#", ",", "\\", "\t", "&a ", "*a", "\r"],
    *["😀", "照", "\u2028", "\x00", "\ufeff", "\ud800"],
]


def ask(view: View, text: str, offset: int) -> None:
    """Every question that is asked while typing."""
    hover(view, text, offset)
    items = complete(view, text, offset)
    for item in items:
        assert 0 <= item.start <= item.end <= len(text)
    for item in items[:2]:
        explain(view, item.about)


def ask_all(view: View, offset: int) -> None:
    """Every question about an analysed text."""
    ask(view, view.text, offset)
    found = definition(view, offset)
    assert found is None or 0 <= found.start <= found.end <= len(view.text)
    for one in references(view, offset):
        assert view.text[one.start : one.end].strip("[]'\"\\ ").replace("-", "_")
    actions(view, offset, offset + 1)
    if renamable(view, offset):
        with suppress(Refused):
            rename(view, offset, "brand-new")


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(sorted(DOCUMENTS)),
    st.integers(0, 3000),
    st.integers(0, 40),
    st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=4)), max_size=6),
    st.data(),
)
def test_typing_into_a_definition(name, at, removed, pieces, data):
    view = VIEWS[name]
    at = min(at, len(view.text))
    typed = "".join(pieces)
    text = view.text[:at] + typed + view.text[at + removed :]
    ask(view, text, at + len(typed))
    ask(view, text, data.draw(st.integers(0, len(text))))


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(sorted(DOCUMENTS)),
    st.integers(0, 3000),
    st.integers(0, 40),
    st.lists(st.sampled_from(PIECES), max_size=5),
    st.data(),
)
def test_broken_definitions(name, at, removed, pieces, data):
    text = VIEWS[name].text
    view = view_of(text[:at] + "".join(pieces) + text[at + removed :])
    ask_all(view, data.draw(st.integers(0, len(view.text))))
    symbols(view)
    for one in view.analysis.diagnostics[:5]:
        related(view, one)


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.name)
def test_invalid_fixtures(path):
    view = view_of(path.read_text(encoding="utf-8", errors="replace"), path.name)
    for offset in range(0, len(view.text) + 1, len(view.text) // 8 + 1):
        ask_all(view, offset)
    symbols(view)
    for one in view.analysis.diagnostics:
        related(view, one)


@settings(max_examples=100, deadline=None)
@given(st.text(st.sampled_from("ab{}[]:,-'\"\n \t#|>&*{.%"), max_size=60), st.integers(0, 60))
def test_any_text(text, offset):
    ask(VIEWS["parts"], text, min(offset, len(text)))
