"""Where a cursor is in a document, also in one that no parser takes."""

import pytest

from mirror_realm.compiler.language.context import context_at
from mirror_realm.compiler.language.fragments import expression_at, partial_at
from tests.compiler.language.cursors import split

# text with a cursor | role | path | word under the cursor | entries of the innermost mapping, among others
CASES = {
    "a value": (
        "nodes:\n  - node_id: p\n    type: im¦age\n",
        "value",
        ("nodes", 0, "type"),
        "image",
        {"node_id": "p", "type": "image"},
    ),
    "an empty value": (
        "edges:\n  - source: a\n    target: ¦\n",
        "value",
        ("edges", 0, "target"),
        "",
        {"source": "a", "target": ""},
    ),
    "a key among others": (
        "nodes:\n  - node_id: p\n    par¦\n    type: x/y\n",
        "key",
        ("nodes", 0),
        "par",
        {"node_id": "p", "type": "x/y"},
    ),
    "a key with its colon": ("na¦me: x\n", "key", (), "name", {"name": "x"}),
    "a blank line below a key": (
        "nodes:\n  - type: x/y\n    parameters:\n      ¦\n",
        "key",
        ("nodes", 0, "parameters"),
        "",
        {"type": "x/y", "parameters": ""},
    ),
    "a list at its key's column": (
        "nodes:\n- node_id: p\n  parameters:\n    ¦\n  type: x/y\n",
        "key",
        ("nodes", 0, "parameters"),
        "",
        {"node_id": "p", "parameters": "", "type": "x/y"},
    ),
    "the second item": ("nodes:\n  - node_id: a\n  - no¦\n", "value", ("nodes", 1), "no", {"nodes": ""}),
    "an item after a dash": (
        "nodes:\n  - node_id: a\n    next:\n      - ¦\n",
        "value",
        ("nodes", 0, "next", 0),
        "",
        {"node_id": "a", "next": ""},
    ),
    "brackets on a line": ("next: [b, c¦]\n", "value", ("next", 1), "c", {"next": ""}),
    "braces on a line": ("- {node_id: p, ty¦}\n", "key", (0,), "ty", {"node_id": "p"}),
    "braces over lines": (
        "edges: [\n  {source: a, target: ¦},\n]\n",
        "value",
        ("edges", 0, "target"),
        "",
        {"source": "a", "target": ""},
    ),
    "entries behind the cursor": ("- {parameters: {¦}, type: x/y}\n", "key", (0, "parameters"), "", {}),
    "an open quote": (
        '- node_id: a\n  when: "nodes.¦\n  type: x/y\n',
        "value",
        (0, "when"),
        "nodes.",
        {"node_id": "a", "when": '"nodes.', "type": "x/y"},
    ),
    "a single quote": ("type: 'ab¦c'\n", "value", ("type",), "abc", {"type": "abc"}),
    "a block of text": (
        "code: |-\n  def f():\n    return ¦1\nnext: a\n",
        "value",
        ("code",),
        "  def f():\n    return 1",
        {"code": ""},
    ),
    "after a block of text": ("code: |\n  a: b\nna¦\n", "key", (), "na", {"code": ""}),
    "in a branch": (
        "- type: control/parallel\n  branches:\n    - name: left\n      nodes:\n        - node_id: b\n    - name: r¦\n",
        "value",
        (0, "branches", 1, "name"),
        "r",
        {"name": "r"},
    ),
    "in a body": (
        "nodes:\n  - node_id: each\n    body:\n      nodes:\n        - {node_id: z, type: ¦}\n",
        "value",
        ("nodes", 0, "body", "nodes", 0, "type"),
        "",
        {"node_id": "z", "type": ""},
    ),
    "JSON": (
        '{"nodes": [{"node_id": "a", "type": "im¦"}]}',
        "value",
        ("nodes", 0, "type"),
        "im",
        {"node_id": "a", "type": "im"},
    ),
    "a key of JSON": ('{"nodes": [{"node_id": "a", "¦"}]}', "key", ("nodes", 0), "", {"node_id": "a"}),
    "JSON that is not closed": (
        '{"nodes": [{"node_id": "a"}, {"x": "{{ nodes.¦',
        "value",
        ("nodes", 1, "x"),
        "{{ nodes.",
        {},
    ),
    "JSON with brackets in a text": ('{"a": "]}[{", "b": {"c": "¦"}}', "value", ("b", "c"), "", {"c": ""}),
    "Chinese": (
        "nodes:\n  - node_id: 质检-01\n    type: 图¦片\n",
        "value",
        ("nodes", 0, "type"),
        "图片",
        {"node_id": "质检-01", "type": "图片"},
    ),
    "an empty document": ("¦", "key", (), "", {}),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_context(case):
    marked, role, path, word, entries = case
    text, offset = split(marked)
    context = context_at(text, offset)
    assert context is not None
    assert (context.role, context.path, text[context.start : context.end]) == (role, path, word)
    around = context.frames[-1].entries if context.frames else {}
    assert entries.items() <= around.items()


@pytest.mark.parametrize("marked", ["# no¦des: x\n", "name: a # he¦re\n"])
def test_a_comment_has_no_context(marked):
    assert context_at(*split(marked)) is None


PARTIALS = {
    "{{ ¦ }}": (None, "", ""),
    "{{ inp¦ }}": (None, "inp", ""),
    "{{ nodes.¦ }}": (("nodes",), "", ""),
    "{{ nodes.a_1.wi¦dth }}": (("nodes", "a_1"), "wi", ""),
    "{{ nodes['a-¦'] }}": (("nodes",), "a-", "'"),
    "{{ nodes['a-1'].faces[0].¦": (("nodes", "a-1", "faces", 0), "", ""),
    "{{ input.x > 3 && vars.¦ }}": (("vars",), "", ""),
    "{{ sum(input.l).¦ }}": ((), "", ""),
    "{{ 质检.得¦ }}": (("质检",), "得", ""),
    "{{ 'a text ¦' }}": None,
    "{{ 12¦ }}": None,
}


@pytest.mark.parametrize(("marked", "expected"), PARTIALS.items())
def test_what_is_being_typed(marked, expected):
    text, offset = split(f'output:\n  x: "{marked}"\n')
    context = context_at(text, offset)
    assert context is not None
    fragment = expression_at(text, context, offset, bare=False)
    assert fragment is not None
    partial = partial_at(fragment)
    assert (partial and (partial.chain, partial.word, partial.bracket)) == expected


@pytest.mark.parametrize("marked", ['x: "a¦ {{ b }}"', 'x: "{{ b }} ¦"', 'x: "{{ b }}¦"', "x: ¦abc"])
def test_outside_of_braces_there_is_no_expression(marked):
    text, offset = split(marked)
    context = context_at(text, offset)
    assert context is not None
    assert expression_at(text, context, offset, bare=False) is None
