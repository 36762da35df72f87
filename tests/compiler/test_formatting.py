"""`fmt`: a tidier text that says the same, keeps every comment in its order, and is tidy already when seen again."""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirror_realm.compiler.source import load
from mirror_realm.compiler.writing import format_document
from mirror_realm.core.errors import RealmError

from .writing_strategies import messy, trees, with_comments

FOLDER = Path(__file__).parent / "fixtures" / "valid"
FILES = [*sorted(FOLDER.iterdir()), *sorted((Path(__file__).parents[2] / "examples").rglob("workflow.*"))]


def fmt(text: str, name: str = "w.yaml", *, sort_keys: bool = False) -> str:
    loaded = load(name, text=text)
    assert loaded.document is not None
    return format_document(loaded.document, sort_keys=sort_keys)


def agrees(text: str, name: str = "w.yaml") -> str:
    """The formatted text, which is tidy and has the same comments in the same order."""
    formatted = fmt(text, name)
    assert fmt(formatted, name) == formatted
    assert re.findall(r"# (?:own|side) \d", formatted) == re.findall(r"# (?:own|side) \d", text)
    return formatted


def check(before: str, after: str) -> None:
    assert agrees(textwrap.dedent(before)) == textwrap.dedent(after)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_definitions_of_people(path):
    agrees(path.read_text(encoding="utf-8"), path.name)


def test_the_example_is_tidy_already():
    path = next(path for path in FILES if path.match("nas-photo-processing/workflow.yaml"))
    text = path.read_text(encoding="utf-8")
    assert fmt(text) == text


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from("abcd"), trees, min_size=1), st.randoms(use_true_random=False))
def test_whatever_is_written_however(tree, chance):
    text = messy({**tree, "edges": [tree]}, chance)
    agrees(text.replace("\n", "\r\n") if chance.random() < 0.2 else text)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from([p for p in FILES if p.suffix == ".yaml"]), st.randoms(use_true_random=False))
def test_comments_anywhere(path, chance):
    agrees(with_comments(path.read_text(encoding="utf-8"), chance))


@settings(max_examples=60, deadline=None)
@given(trees, st.sampled_from([None, 0, 1, 8]), st.booleans())
def test_json_stays_json(tree, indent, ascii):
    text = json.dumps({"k": tree}, indent=indent, ensure_ascii=ascii)
    formatted = agrees(text, "w.json")
    assert json.loads(formatted) == {"k": tree}


def test_the_layout():
    check(
        """
        # about the file


        name:   "tidy"        # kept in its column
        description: 'It''s "fine"'
        version: "1.0"
        nodes:
        -   node_id:    a
            type:   'control/set'


            # about parameters
            parameters: {
                values: {x: 010,
                         y: "no"}   # y stays quoted: YAML 1.1 reads a boolean
            }
        # about b
        -
            node_id: b
            parameters:
                script: |
                      two
                        lines
                folded: >-
                      one
                      line

                text: plain words
                   that go on
        edges:
        - from: a
          to: b
        - from: b   # this one is talked about
          to: a
        """,
        """\
        # about the file

        name: tidy            # kept in its column
        description: It's "fine"
        version: "1.0"
        nodes:
          - node_id: a
            type: control/set

            # about parameters
            parameters:
              values: {x: 010, y: "no"} # y stays quoted: YAML 1.1 reads a boolean
          # about b
          - node_id: b
            parameters:
              script: |
                two
                  lines
              folded: >-
                one
                line

              text: plain words
                that go on
        edges:
          - {from: a, to: b}
          - from: b # this one is talked about
            to: a
        """,
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(
            "a: &x   {k: 1}\nb: &y\n    <<: *x\nc: [*x, !!str 12, ! 1, !!int '3']\n",
            'a: &x {k: 1}\nb: &y\n  <<: *x\nc: [*x, !!str 12, ! 1, !!int "3"]\n',
            id="anchors and tags",
        ),
        pytest.param(
            "# c\n%YAML 1.2\n# d\n---   # e\na:  1\n...\n# f\n",
            "# c\n# d\n%YAML 1.2\n---\n# e\na: 1\n# f\n",
            id="directive",
        ),
        pytest.param(
            "edges:\n    # - {source: a}\n    # - {source: b}\n# about tags\ntags:\n- x\n  # - y\n",
            "edges:\n  # - {source: a}\n  # - {source: b}\n# about tags\ntags:\n  - x\n  # - y\n",
            id="commented out",
        ),
        pytest.param(
            "a: [ # one\n  x, # two\n  # three\n  y\n  # four\n] # five\nb: [ # none\n]\n",
            "a:   # one\n  - x # two\n  # three\n  - y\n  # four\n  # five\nb: [] # none\n",
            id="comments between brackets",
        ),
        pytest.param(
            "a:\n  # above\n  1\n-b: {c: , d: ~}\n? e\n# of e\n: 2\nf: |+ # keeps\n  x\n\n\ng: 1\n",
            "# above\na: 1\n-b: {c: null, d: ~}\n# of e\ne: 2\nf: |+ # keeps\n  x\n\n\ng: 1\n",
            id="comments before a value",
        ),
        pytest.param(
            "- - a\n  -   # dash\n    b: 1\n-\n  # inside\n  c: 1\n-\n- &z\n  d: 1\n",
            "- - a\n  -   # dash\n    b: 1\n-\n  # inside\n  c: 1\n-\n- &z\n  d: 1\n",
            id="dashes",
        ),
        pytest.param(
            "q: 'one\n\n  two'\nr: \"a\\\n   \\ b\"\ns:   '404'\n'404': x\n405: y\n",
            'q: \'one\n\n  two\'\nr: "a\\\n  \\ b"\ns: "404"\n"404": x\n405: y\n',
            id="quotes over lines",
        ),
        pytest.param('"text"', "text\n", id="a lone scalar"),
        pytest.param("k: {a: [1, {b: 2}]}\r\n", "k: {a: [1, {b: 2}]}\r\n", id="line breaks of Windows"),
    ],
)
def test_cases(before, after):
    assert agrees(before) == after


def test_what_does_not_fit_becomes_a_block():
    words = [f"word-{number}" for number in range(20)]
    assert agrees(f"k: {{a: [{', '.join(words)}], b: [x]}}\n") == (
        "k:\n  a:\n" + "".join(f"    - {word}\n" for word in words) + "  b: [x]\n"
    )


def test_json_keeps_what_was_on_one_line():
    text = '{"b":[1,  2.50],\n"a":{"c":1e3,"照":"\\u7167"}, "e": {\n}, "f": [\n1]}'
    assert agrees(text, "w.json") == (
        '{\n  "b": [1, 2.50],\n  "a": {"c": 1e3, "照": "照"},\n  "e": {},\n  "f": [\n    1\n  ]\n}\n'
    )
    assert agrees(text, "w.yaml").startswith("{\n")


def test_sorted_keys_are_the_models_and_the_others_follow():
    text = """\
    edges:
      - {condition: x, to: b, from: a}
    # about the nodes
    nodes:
      - next: [b]
        body:
          edges: []
          nodes: [{type: t, node_id: c}]
        node_type: t
        <<: {join: any}
        node_id: a
    name: x
    """
    formatted = fmt(textwrap.dedent(text), sort_keys=True)
    assert formatted == textwrap.dedent("""\
    name: x
    # about the nodes
    nodes:
      - <<: {join: any}
        node_id: a
        node_type: t
        body:
          nodes: [{node_id: c, type: t}]
          edges: []
        next: [b]
    edges:
      - {from: a, to: b, condition: x}
    """)
    assert fmt('{"nodes": [], "name": "x"}', "w.json", sort_keys=True) == '{"name": "x", "nodes": []}\n'


def test_an_order_that_would_part_an_alias_from_its_anchor_is_refused():
    with pytest.raises(RealmError, match="without changing"):
        fmt("nodes: &x [a]\nname: *x\n", sort_keys=True)
