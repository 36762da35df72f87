"""Lists of fixed places: what each of their items is, is known."""

import pytest
from pydantic import BaseModel

from mirror_realm.compiler import analyze
from mirror_realm.tasks.registry import registry
from mirror_realm.tasks.sdk import node_type


class Nothing(BaseModel):
    pass


class Point(BaseModel):
    x: int
    y: int


class Named(BaseModel):
    x: int
    name: str


class Tuples(BaseModel):
    pair: tuple[Point, Point]
    box: tuple[int, int, int, int]
    mixed: tuple[Point, Named]
    odd: tuple[int, str]
    nested: list[tuple[Point, str]] = []


@node_type("t/tuples", version="1.0.0")
def tuples(parameters: Nothing, input: Nothing, context) -> Tuples:
    """Make lists of fixed places."""
    raise NotImplementedError


FRAME = """
name: tuples
input:
  type: object
  properties:
    open:
      type: array
      prefixItems: [{{type: object, properties: {{y: {{type: integer}}}}, additionalProperties: false}}]
    closed: {{type: array, prefixItems: [{{type: integer}}], items: false}}
triggers: [{{type: manual}}]
nodes:
  - {{node_id: a, type: t/tuples}}
  - {{node_id: b, type: control/set, depends_on: a, parameters: {{values: {{v: "{{{{ {expression} }}}}"}}}}}}
"""


def found(expression):
    text = FRAME.format(expression=expression)
    analysis = analyze("x.yaml", text=text, registry=registry().plus([tuples]))
    return [(one.code, one.message) for one in analysis.diagnostics if one.code in ("MR303", "MR305")]


@pytest.mark.parametrize(
    "expression",
    [
        "nodes.a.pair.map(p, p.y)",
        "nodes.a.box.map(side, side * 2)",
        "nodes.a.mixed.map(p, p.x)",
        "nodes.a.mixed[1].name",
        "nodes.a.mixed.map(p, has(p.name) ? p.name : '')",
        "nodes.a.mixed.map(p, default(p.name, ''))",
        "nodes.a.mixed.filter(p, has(p.y)).map(p, p.y)",
        "nodes.a.odd.filter(p, type(p) == int && p > 1)",
        "nodes.a.odd.map(p, string(p))",
        "nodes.a.mixed.exists(p, p.y > 1)",
        "nodes.a.nested.map(one, one[0].y)",
        "input.open.map(p, p.y)",
        "input.open[3].what",
        "input.closed[0] + 1",
    ],
)
def test_what_may_be_right_is_accepted(expression):
    assert found(expression) == []


@pytest.mark.parametrize(
    ("expression", "code", "words"),
    [
        ("nodes.a.pair.map(p, p.z)", "MR303", "p has no field 'z'"),
        ("nodes.a.pair.map(p, p.x + 'a')", "MR305", "a number"),
        ("nodes.a.pair.filter(p, p.y > 1).map(p, p.z)", "MR303", "p has no field 'z'"),
        ("nodes.a.pair[0].z", "MR303", "nodes.a.pair[0] has no field 'z'"),
        ("nodes.a.pair[2].x", "MR303", "nodes.a.pair is a list of at most 2 items and has no [2]"),
        ("nodes.a.box.map(side, side.x)", "MR303", "side is a number"),
        ("nodes.a.mixed.map(p, p.z)", "MR303", "p has no field 'z'"),
        ("nodes.a.mixed.map(p, p.y)", "MR303", "p has no field 'y', where p is item 1 of the list"),
        ("nodes.a.odd.map(p, p + 1)", "MR305", "where p is item 1 of the list"),
        ("nodes.a.odd.filter(p, p > 1)", "MR305", "where p is item 1 of the list"),
        ("nodes.a.nested.map(one, one[0].z)", "MR303", "has no field 'z'"),
        ("nodes.a.nested.map(one, one.map(p, p.y))", "MR303", "where p is item 1 of the list"),
        ("input.closed[1]", "MR303", "a list of at most 1 items and has no [1]"),
    ],
)
def test_what_is_wrong_is_found_once(expression, code, words):
    told = found(expression)
    assert [one for one, _ in told] == [code]
    assert words in told[0][1]
