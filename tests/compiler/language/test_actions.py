"""Quick fixes end the finding that they are for."""

import pytest

from mirror_realm.compiler.language import actions, formatted
from tests.compiler.language.cursors import applied, view_of

BASE = """\
name: a
triggers: [{type: manual}]
nodes:
  - node_id: pre-1
    type: image/preprocess
    parameters: {format: jpeg}
    input: {file_path: "{{ input.x }}"}
  - node_id: two
    type: control/set
    parameters: {values: {w: "{{ nodes.pre_1.width }}", h: "{{ nodes['pre-1']['height'] }}"}}
edges:
  - {source: pre-1, target: two}
"""


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("type: image/preprocess", "type: image/preproces"),
        ("type: image/preprocess", "type: 'image/preproces'"),
        ("{format: jpeg}", "{formt: jpeg}"),
        ("{format: jpeg}", "{format: jpge}"),
        ("target: two}", "target: tow}"),
        ('target: two}', 'target: "tow"}'),
        ("nodes.pre_1.width", "nodes.pre_1.widht"),
        ("nodes.pre_1.width", "nodes.pree_1.width"),
        ("nodes['pre-1']['height']", "nodes['pre-1']['heigth']"),
        ("edges:", "edegs:"),
        ("node_id: two", "nodeid: two"),
        ("{type: manual}", "{type: manuel}"),
    ],
)  # fmt: skip
def test_the_word_that_was_meant(right, wrong):
    text = BASE.replace(right, wrong)
    view = view_of(text)
    finding = next(one for one in view.analysis.diagnostics if one.suggestions)
    place = view.places.offset(finding.line, finding.column)
    fix = next(one for one in actions(view, place, place) if one.diagnostic == finding)
    assert fix.preferred
    mended = view_of(applied(text, fix.edits))
    assert mended.analysis.diagnostics == view_of(BASE).analysis.diagnostics == ()


STYLES = {
    "lines": (
        "edges:\n  - {source: a, target: b, condition: input.x}\n",
        "{source: a, target: end, condition: else}",
    ),
    "blocks": (
        "edges:\n  - from: a\n    to: b\n    condition: input.x\n",
        "{from: a, to: end, condition: else}",
    ),
    "brackets": (
        "edges: [{source: a, target: b, condition: input.x}]\n",
        "{source: a, target: end, condition: else}",
    ),
    "over lines": (
        "edges: [\n  {source: a, target: b, condition: input.x},\n]\n",
        "{source: a, target: end, condition: else}",
    ),
}


@pytest.mark.parametrize(("edges", "written"), STYLES.values(), ids=STYLES)
def test_an_else_edge(edges, written):
    ids = ("a", "b", "end")
    nodes = "".join(
        f"  - {{node_id: {i}, type: control/set, parameters: {{values: {{v: 1}}}}}}\n" for i in ids
    )
    text = f"name: a\nnodes:\n{nodes}{edges}"
    view = view_of(text)
    place = text.index("condition: input.x")
    found = [one for one in actions(view, place, place) if one.title == "Add an else edge from 'a' to 'end'"]
    assert len(found) == 1
    changed = applied(text, found[0].edits)
    assert written in changed
    graph = view_of(changed).analysis.graph
    assert graph is not None
    assert [(edge.target, edge.condition) for edge in graph.outgoing("a")] == [
        ("b", "input.x"),
        ("end", "else"),
    ]


def test_no_else_where_one_way_is_always_taken():
    place = BASE.index("source: pre-1")
    assert not [one for one in actions(view_of(BASE), place, place) if "else" in one.title]


def test_formatting_changes_no_more_than_it_must():
    text = BASE.replace("node_id: two\n", "node_id:    two\n")
    [edit] = formatted(view_of(text))
    assert "pre-1" not in text[edit.start : edit.end]
    assert applied(text, [edit]) == applied(BASE, formatted(view_of(BASE)))


@pytest.mark.parametrize("text", ["a: [", "a: 1\na: 2\n", ""])
def test_what_cannot_be_read_is_not_formatted(text):
    assert formatted(view_of(text)) == []
