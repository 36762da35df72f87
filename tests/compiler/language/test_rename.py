"""Renaming a node: the same definition under another name, or a refusal."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mirror_realm.compiler.language import Refused, references, renamable, rename
from tests.compiler.language.cursors import applied, view_of
from tests.compiler.language.test_answers import TEXT, VIEW

SPELLINGS = """\
name: spellings
nodes:
  - node_id: pre-1
    type: data/file-read
    parameters: {path: a.json}
    next: [check]
  - {"node_id": 'check', type: control/condition, parameters: {condition: "{{ nodes.pre_1.format == 'x' }}", true_path: "a-1", false_path: [b]}}
  - node_id: a-1
    type: control/set
    parameters:
      values:
        dot: "{{ nodes.pre_1.format + string(nodes . pre_1 . data) }}"
        double: "{{ nodes[\\"pre-1\\"].format }}"
        single: '{{ nodes[''pre-1''].format }}'
        folded: >-
          {{ default(nodes.pre_1.format,
          coalesce(nodes['pre-1'].data, 1)) }} and {{ nodes.pre_1.format }}
        inside: "{{ [1].map(nodes, nodes)[0] }} {{ 'nodes.pre_1' }}"
  - node_id: b
    type: control/set
    depends_on: pre-1
    on_error: {goto: a-1}
    parameters: {values: {x: 1}}
  - node_id: all
    type: control/aggregate
    parameters: {required: ["a-1"], optional: [b]}
"""  # noqa: E501
BRANCHES = """\
name: branches
nodes:
  - node_id: first
    type: data/file-read
    parameters: {path: x}
    branch_conditions:
      - {expression: "nodes.first.data > 3", target: big}
      - {expression: "{{ nodes.first.data > 2 }}", target: 中}
      - {target: small}
  - {node_id: big, type: control/set, parameters: {values: {x: 1}}}
  - {node_id: 中, type: control/set, parameters: {values: {x: 1}}}
  - {node_id: small, type: control/set, parameters: {values: {x: 1}}}
"""
JSON = '{"name": "j", "nodes": [{"node_id": "a", "type": "control/set", "parameters": {"values": {"x": 1}}, "next": ["b"]}, {"node_id": "b", "type": "control/set", "parameters": {"values": {"y": "{{ nodes[\\"a\\"].x + nodes.a.x + nodes[\'a\'].x }}"}}}]}'  # noqa: E501
DOCUMENTS = {"parts": TEXT, "spellings": SPELLINGS, "branches": BRANCHES, "json": JSON}
VIEWS = {name: view_of(text, "x.json" if name == "json" else "x.yaml") for name, text in DOCUMENTS.items()}


def declarations(view):
    """Every node: its scope's key, its id, the offset of its id."""
    for scope in view.scope.walk():
        for node in scope.graph.nodes:
            start, _ = view.span((*node.path, "node_id"))
            yield scope.key, node.id, start + (view.text[start] in "'\"")


NODES = [(name, *one) for name, view in VIEWS.items() for one in declarations(view)]


def meaning(view, old="", new=""):
    """The edges of every scope and the reports, with ``old`` read as ``new``."""

    def as_new(text):
        return new if text == old else text

    edges = sorted(
        (len(scope.path), as_new(edge.source), as_new(edge.target))
        for scope in view.scope.walk()
        for edge in scope.graph.edges
    )
    return edges, sorted((one.code, one.severity) for one in view.analysis.diagnostics)


IDS = st.one_of(
    st.sampled_from(
        ["new", "照片-2", "9z", "no", "1", "a_b-c", "null", "emoji😀", "true", "x:y", "-", "in", "#x"]
    ),
    st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=12),
)


FIXTURES = Path(__file__).parents[1] / "fixtures" / "dialects"
OTHERS = sorted(path for path in FIXTURES.rglob("*.yaml") if "invalid" not in path.parts)


@pytest.mark.parametrize("path", OTHERS[::6], ids=lambda path: path.stem)
def test_in_other_dialects_a_renaming_is_right_or_refused(path):
    view = view_of(path.read_text(encoding="utf-8"), path.name)
    for _, old, offset in list(declarations(view))[:4] if view.scope else ():
        with contextlib.suppress(Refused):
            renamed = view_of(applied(view.text, rename(view, offset, "brand-9")), path.name)
            assert meaning(renamed) == meaning(view, old, "brand-9")


def test_every_document_is_right():
    for name, view in VIEWS.items():
        assert view.analysis.errors == (), name


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(NODES), IDS)
def test_a_renamed_definition_means_the_same(node, new):
    name, _, old, offset = node
    view = VIEWS[name]
    try:
        edits = rename(view, offset, new)
    except Refused:
        assume(False)
    renamed = view_of(applied(view.text, edits), view.analysis.file)
    assert meaning(renamed) == meaning(view, old, new)
    if edits:
        there = min(one.start for one in references(renamed, _offset(renamed, new)))
        back = rename(renamed, there, old)
        assert len(back) == len(edits)
        assert meaning(view_of(applied(renamed.text, back), view.analysis.file)) == meaning(view)


def _offset(view, node_id):
    return next(offset for _, one, offset in declarations(view) if one == node_id)


def test_all_spellings_are_renamed():
    view = VIEWS["spellings"]
    renamed = applied(view.text, rename(view, view.text.index("pre-1"), "质检-9"))
    assert "pre" not in renamed.replace("'nodes.pre_1'", "")
    assert renamed.count("质检_9") == 5
    assert renamed.count("质检-9") == 5


def test_a_name_that_is_no_identifier_goes_into_brackets():
    view = VIEWS["spellings"]
    renamed = applied(view.text, rename(view, view.text.index("pre-1"), "1-b"))
    assert "{{ nodes['1-b'].format + string(nodes ['1-b'] . data) }}" in renamed
    assert 'node_id: "1-b"' in renamed
    assert "nodes[''1-b'']" in renamed


def test_a_renaming_stays_in_its_scope():
    text = TEXT.replace("node_id: b,", "node_id: a,")
    view = view_of(text)
    renamed = applied(text, rename(view, text.index("node_id: a,") + 9, "z"))
    assert renamed.count("node_id: a,") == 1
    assert renamed.count("node_id: z,") == 1


@pytest.mark.parametrize(
    ("new", "why"),
    [
        ("", "is not a node id"),
        ("a b", "is not a node id"),
        ("a.b", "is not a node id"),
        ("a/b", "is not a node id"),
        ("it's", "is not a node id"),
        ("x" * 129, "is not a node id"),
        ("?/x", "is not a node id"),
        ("up", "there is a node 'up' already, on line 23"),
        ("done", "there is a node 'done' already"),
        ("pre_1", "could not tell"),
    ],
)
def test_refusals(new, why):
    with pytest.raises(Refused, match=why.replace("(", r"\(")):
        rename(VIEW, TEXT.index("缩小"), new)


def test_a_name_inside_the_node_is_taken_too():
    with pytest.raises(Refused, match="already"):
        rename(VIEW, TEXT.index("pre-1"), "up")


def test_only_names_of_nodes_can_be_renamed():
    assert renamable(VIEW, TEXT.index("quality")) is None
    with pytest.raises(Refused, match="no node here"):
        rename(VIEW, TEXT.index("quality"), "x")


@pytest.mark.parametrize("place", ["node_id: pre-1", "nodes['pre-1'].width", "nodes.pre_1.width }}"])
def test_what_is_offered_for_renaming_is_the_bare_name(place):
    found = renamable(VIEW, TEXT.index(place) + place.index("pre") + 2)
    assert found is not None
    assert TEXT[found.start : found.end] in ("pre-1", "pre_1")
