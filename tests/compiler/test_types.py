"""Types of templates and edges against what node types take; the wrong ones are in ``fixtures/invalid/types.yaml``."""

import datetime

import pytest
from pydantic import BaseModel, ConfigDict, Field, field_validator

from mirror_realm.compiler import analyze
from mirror_realm.compiler.verify.fitting import fit_field
from mirror_realm.tasks import NodeContext, node_type
from mirror_realm.tasks.registry import Registry, registry

HEAD = """name: w
triggers: [{type: manual}]
input:
  type: object
  required: [n, x, s, b, l, m, e]
  properties: {n: {type: integer}, x: {type: number}, s: {type: string}, b: {type: boolean}, l: {type: array}, m: {type: object},
    e: {enum: ["1", "2"]}, maybe: {type: [number, "null"]}, either: {type: [number, string]}, 名: {type: string}}
"""  # noqa: E501


class Every(BaseModel):
    model_config = ConfigDict(extra="allow")

    whole: int = 0
    number: float = 0.0
    text: str = ""
    flag: bool = False
    several: list[str] = []
    mapping: dict[str, int] = {}
    either: str | list[str] = ""
    anything: object = None
    moment: datetime.datetime | None = None
    loose: int = 0
    aliased: int = Field(default=0, alias="别名")

    @field_validator("loose", mode="before")
    @classmethod
    def _words(cls, value: object) -> object:
        return len(value) if isinstance(value, str) else value


class Text(BaseModel):
    text: str = "a"
    number: float = 1.0


@node_type("test/every", version="1.0.0")
def every(parameters: Every, input: Every, context: NodeContext) -> Text:
    """Take everything."""
    raise NotImplementedError


TYPES = registry().plus([every])


def told(text, types: Registry = TYPES):
    found = analyze("w.yaml", text=HEAD + text, registry=types).diagnostics
    return [(d.code, d.severity) for d in found if d.code in ("MR305", "MR307", "MR351")]


TWICE = [("MR351", "warning")]
ERROR, WARNING = [("MR305", "error")], [("MR305", "warning")]


@pytest.mark.parametrize(
    ("parameter", "value", "found"),
    [
        ("whole", "{{ input.n }}", []),
        ("whole", "{{ input.x }}", []),
        ("whole", "{{ input.maybe }}", []),
        ("whole", "{{ input.either }}", []),
        ("whole", "{{ input.e }}", []),
        ("whole", "{{ input.b }}", []),
        ("whole", "{{ input.unknown }}", []),
        ("whole", "1{{ input.n }}", []),
        ("whole", "{{ input.n + 1 }}", []),
        ("whole", "{{ round(input.x) }}", []),
        ("whole", "{{ input.s }}", WARNING),
        ("whole", "{{ input.名 }}", WARNING),
        ("whole", "{{ input.l }}", ERROR),
        ("whole", "{{ input.n }} 张", ERROR),
        ("whole", "{{ input.s.trim() }}", WARNING),
        ("whole", "{{ [1] }}", ERROR),
        ("loose", "{{ input.s }}", []),
        ("别名", "{{ input.m }}", ERROR),
        ("number", "{{ input.s }}", WARNING),
        ("number", "{{ input.n }}", []),
        ("text", "{{ input.s }}", []),
        ("text", "{{ input.n }}", ERROR),
        ("text", "a {{ input.n }}", []),
        ("text", "{{ string(input.n) }}", []),
        ("text", "{{ input.b ? 'a' : 'b' }}", []),
        ("text", "{{ input.b ? 1 : 2 }}", ERROR),
        ("text", "{{ input.b ? 1 : 'b' }}", []),
        ("text", "{{ input.n > 3 }}", ERROR),
        ("text", "{{ default(input.n, 3) }}", []),
        ("text", "{{ vars.k }}", ERROR),
        ("flag", "{{ input.n > 3 && input.b }}", []),
        ("flag", "{{ input.s }}", WARNING),
        ("flag", "{{ input.n }}", WARNING),
        ("flag", "{{ input.m }}", ERROR),
        ("several", "{{ input.l }}", []),
        ("several", "{{ input.s }}", ERROR),
        ("mapping", "{{ input.m }}", []),
        ("mapping", "{{ input.l }}", ERROR),
        ("either", "{{ input.s }}", []),
        ("either", "{{ input.n }}", ERROR),
        ("anything", "{{ input.n }}", []),
        ("moment", "{{ input.s }}", []),
        ("moment", "{{ input.l }}", ERROR),
        ("extra", "{{ input.n }}", []),
        ("several", ["{{ input.s }}"], []),
        ("several", ["a", "{{ input.n }}"], ERROR),
        ("mapping", {"键": "{{ input.n }}"}, []),
        ("mapping", {"键": "{{ input.l }}"}, ERROR),
    ],
)
def test_a_template_gives_what_the_parameter_takes(parameter, value, found):
    node = (
        f"variables: {{k: 3}}\nnodes:\n  - {{node_id: a, type: test/every, %s: {{{parameter}: {value!r}}}}}\n"
    )
    assert told(node % "parameters") == found
    assert told(node % "input") == found


@pytest.mark.parametrize(
    ("edge", "found"),
    [
        ("", []),
        (", mapping: {whole: $.number}", []),
        (", mapping: {whole: $.text}", WARNING),
        (", mapping: {several: $.text}", ERROR),
        (", mapping: {several: $}", ERROR),
        (", mapping: {several: '{{ input.n }}'}", ERROR),
        (", mapping: {several: [a]}", []),
        (", mapping: {several: a}", ERROR),
        (", mapping: {whole: '7'}", []),
        (", mapping: {whole: 照片}", ERROR),
        (", mapping: {several: $.text[0]}", []),
        (", mapping: {several.a: $.text}", []),
        (", mapping: {unknown: $.text, unknown.a: $.number}", [("MR307", "error")]),
        (", mapping: {'unknown\\.a': $.text, unknown: $.number}", []),
        (", mapping: {mapping: {a: 1}, mapping.b: $.number}", []),
    ],
)
def test_what_comes_over_an_edge_is_what_the_node_takes(edge, found):
    nodes = "nodes: [{node_id: a, type: test/every}, {node_id: b, type: test/every}]\n"
    assert told(nodes + f"edges: [{{source: a, target: b{edge}}}]\n") == found


def test_merged_outputs_are_held_against_the_input_too():
    class Takes(BaseModel):
        text: list[str] = []

    @node_type("test/takes", version="1.0.0")
    def takes(parameters: Text, input: Takes, context: NodeContext) -> Text:
        """Take a list."""
        raise NotImplementedError

    nodes = "nodes: [{node_id: a, type: test/every, next: [b]}, {node_id: b, type: test/takes%s}]\n"
    types = TYPES.plus([takes])
    assert told(nodes % "", types) == ERROR
    assert told(nodes % ", input: {text: [x]}", types) == []


READ = "type: data/file-read, parameters: {path: a.json}"


@pytest.mark.parametrize(
    ("edges", "found"),
    [
        ("{source: a, target: c}, {source: b, target: c}", TWICE),
        ("{source: a, target: c}, {source: b, target: c, mapping: {other: $.data}}", []),
        ("{source: a, target: c, mapping: {data: $.rows}}, {source: b, target: c, mapping: {data: $.rows}}", TWICE),
        ("{source: a, target: c, condition: input.b}, {source: b, target: c, condition: '!input.b'}", []),
        ("{source: a, target: c, condition: input.b}, {source: b, target: c, condition: 'input.n > 3'}", TWICE),
        ("{source: a, target: c}, {source: a, target: c, condition: input.b}", []),
        ("{source: a, target: b}, {source: b, target: c}", []),
    ],
)  # fmt: skip
def test_a_field_comes_from_one_predecessor(edges, found):
    nodes = f"nodes: [{{node_id: a, {READ}}}, {{node_id: b, {READ}}}, {{node_id: c, %s}}]\nedges: [{edges}]\n"
    assert told(nodes % "type: data/file-write, parameters: {path: b.json}") == found
    own = told(nodes % "type: data/file-write, parameters: {path: b.json}, input: {data: 1}")
    assert own == [("MR307", "warning")] * edges.count("mapping")  # Its own input replaces the mappings.
    assert told(nodes % "type: control/end") == []


def test_nodes_that_hand_a_picture_on_supply_it_together():
    text = """
nodes:
  - {node_id: a, type: image/preprocess, next: [b, c]}
  - {node_id: b, type: image/metadata, next: [d]}
  - {node_id: c, type: ai/image-analyze, next: [d]}
  - {node_id: d, type: image/thumbnail}
"""
    assert told(text) == []


def test_a_model_is_asked_once():
    assert fit_field(Every, "whole", "list") is fit_field(Every, "whole", "list")
