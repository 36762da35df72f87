"""`convert`: the canonical form as text means the same, is its own canonical form, and keeps every comment."""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirror_realm.compiler import analyze
from mirror_realm.compiler.source_yaml import read_yaml
from mirror_realm.compiler.writing import convert, count_comments
from mirror_realm.compiler.writing.scalars import spell
from mirror_realm.core.errors import RealmError

from .writing_strategies import ODD, definitions, messy, text

VALID = sorted((Path(__file__).parent / "fixtures" / "valid").iterdir())
EXAMPLES = [
    path
    for path in sorted((Path(__file__).parents[2] / "examples").rglob("workflow.*"))
    if path.suffixes in ([".yaml"], [".json"])  # and not workflow.test.yaml
]


def canonical(source: str, name: str = "w.yaml") -> str:
    return convert(analyze(name, text=textwrap.dedent(source)))


def agrees(source: str, name: str) -> str:
    """The canonical text, which means what ``source`` means and stays as it is."""
    analysis = analyze(name, text=source)
    assert analysis.definition is not None, analysis.render()
    written = convert(analysis)
    again = analyze("canonical.yaml", text=written)
    assert again.definition == analysis.definition
    assert again.definition.hash == analysis.definition.hash
    assert convert(again) == written
    as_json = convert(analysis, "json")
    assert json.loads(as_json) == analysis.definition.document()
    assert convert(analyze("canonical.json", text=as_json), "json") == as_json
    return written


@pytest.mark.parametrize("path", [*VALID, *EXAMPLES], ids=lambda path: path.name)
def test_every_valid_definition_survives(path):
    source = path.read_text(encoding="utf-8")
    written = agrees(source, path.name)
    assert count_comments(written) == count_comments(source)


@settings(max_examples=40, deadline=None)
@given(definitions)
def test_any_definition_survives(document):
    agrees(json.dumps(document), "drawn.json")


@settings(max_examples=25, deadline=None)
@given(definitions, st.randoms(use_true_random=False))
def test_no_comment_is_lost_however_the_source_is_written(document, chance):
    source = messy(document, chance)
    assert count_comments(agrees(source, "drawn.yaml")) == count_comments(source)


@given(text)
def test_a_string_is_read_as_it_was(value):
    for line in (f"k: {spell(value)}", f"k: [{spell(value, flow=True)}, x]", f"? {spell(value)}\n: k"):
        tree, _, faults = read_yaml(line)
        assert not faults
        assert tree in ({"k": value}, {"k": [value, "x"]}, {value: "k"})


def test_quotes_only_where_they_are_needed():
    plain = [value for value in ODD if spell(value) == value]
    assert {"yes", "no", "1:30", "2026-01-01", "-x", "it's", "back\\slash", "照片", "a,b"} <= set(plain)
    assert not {"1e3", "0x1", "~", "true", "a: b", "#x", "", "010", "<<", "---"} & set(plain)


def test_only_a_bare_merge_key_merges():
    tree, _, _ = read_yaml('a: &a {x: 1}\nb: {<<: *a}\nc: {"<<": *a}\n')
    assert tree == {"a": {"x": 1}, "b": {"x": 1}, "c": {"<<": {"x": 1}}}


def test_it_is_readable():
    source = """
    edges: [{to: b, from: a}, {from: b, to: c, condition: "{{ nodes.b.much == true }}", mapping: {x.y: "$.z"}}]
    nodes: [{node_type: control/set, node_id: a, parameters: {values: {text: "two\\nlines\\n", 名: "照片"}}},
            {node_id: b, type: control/set, timeout: PT1M, join: any, parameters: {values: {much: true}},
             position: {x: 10.0, y: 0.5}},
            {node_id: c, type: control/end}]
    max_duration: 90m
    name: readable
    """
    assert canonical(source) == textwrap.dedent(
        """\
        name: readable

        nodes:
          - node_id: a
            type: control/set
            parameters:
              values:
                text: |
                  two
                  lines
                名: 照片
          - node_id: b
            type: control/set
            parameters:
              values: {much: true}
            timeout: 1m
            position: {x: 10, y: 0.5}
          - node_id: c
            type: control/end

        edges:
          - {source: a, target: b}
          - {source: b, target: c, condition: "{{ nodes.b.much == true }}", mapping: {x.y: $.z}}

        timeout: 1h30m
        """
    )


def test_comments_travel_with_their_values():
    source = """\
    # the file

    nodes:
      # first of all
      - node_id: a      # its name
        type: control/set
        parameters: {values: {x: 1}}
        join: any       # the default: left out
        next:
          # after a
          - b           # comes b
      - node_id: b
        type: control/set
        parameters:
          values:
            # about y
            y: 2
        next: c         # the last
      - {node_id: c, type: control/end}
    name: travel        # a name
    # the end
    """
    assert canonical(source) == textwrap.dedent(
        """\
        # the file

        name: travel  # a name

        nodes:
          # first of all
          - node_id: a  # its name
            type: control/set
            parameters:
              values: {x: 1}
            # the default: left out
          - node_id: b
            type: control/set
            parameters:
              values:
                # about y
                y: 2
          - node_id: c
            type: control/end

        edges:
          # after a
          - {source: a, target: b}  # comes b
          - {source: b, target: c}  # the last
        # the end
        """
    )


def test_json_cannot_keep_comments_and_what_is_wrong_has_no_canonical_form():
    with_comment = "# c\nname: x\nnodes: [{node_id: a, type: control/end}]\n"
    assert "#" not in convert(analyze("w.yaml", text=with_comment), "json")
    with pytest.raises(RealmError, match="no canonical form"):
        convert(analyze("w.yaml", text="name: X Y\n"))


def test_the_text_has_no_anchors_and_one_line_break_at_its_end():
    path = next(path for path in VALID if path.name == "anchors.yaml")
    written = convert(analyze(path))
    assert not re.search(r"[&*]\w", written)
    assert written.endswith("}\n")
    assert not written.endswith("\n\n")
