"""Checks that need node types of their own, the dialects, and what may not be reported."""

import pytest
from pydantic import BaseModel, ConfigDict, Field, field_validator

from mirror_realm.compiler import analyze
from mirror_realm.tasks import NodeContext, node_type
from mirror_realm.tasks.registry import Registry


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")

    level: int = Field(default=1, ge=0, le=9, description="How much")
    names: list[str] = []

    @field_validator("names")
    @classmethod
    def _no_blank(cls, value: list[str]) -> list[str]:
        if "" in value:
            raise ValueError("A name must not be blank")
        return value


class Lax(BaseModel):
    """Drops what it does not know."""

    level: int = 1


class Broken(BaseModel):
    value: int = 0

    @field_validator("value")
    @classmethod
    def _explode(cls, value: int) -> int:
        raise KeyError("a validator of a careless plugin")


class Nothing(BaseModel):
    pass


class Picture(BaseModel):
    image: str
    width: int


class NeedsImage(BaseModel):
    image: str
    caption: str = ""


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")


@node_type("test/make", version="1.0.0")
def make(parameters: Strict, input: Nothing, context: NodeContext) -> Picture:
    """Make a picture."""
    raise NotImplementedError


@node_type("test/use", version="1.0.0")
def use(parameters: Lax, input: NeedsImage, context: NodeContext) -> Nothing:
    """Use a picture."""
    raise NotImplementedError


@node_type("test/pass", version="1.0.0")
def pass_on(parameters: Nothing, input: Open, context: NodeContext) -> Open:
    """Pass on anything."""
    raise NotImplementedError


@node_type("test/broken", version="1.0.0")
def broken(parameters: Broken, input: Open, context: NodeContext) -> Open:
    """Has a validator that raises what it should not."""
    raise NotImplementedError


TYPES = Registry([make, use, pass_on, broken])


def findings(nodes: str, head: str = "") -> list[tuple[str, str | None]]:
    analysis = analyze("w.yaml", text=f"name: w\n{head}nodes:\n{nodes}", registry=TYPES)
    return [(d.code, d.path) for d in analysis.diagnostics if d.severity != "info"]


@pytest.mark.parametrize(
    ("parameters", "found"),
    [
        ("{level: 3, names: [a]}", []),
        ("{level: '{{ input.level }}'}", []),
        ("{level: 12}", [("MR122", "nodes[0].parameters.level")]),
        ("{level: '{{ input.x }}', names: [a, 3]}", [("MR122", "nodes[0].parameters.names[1]")]),
        ("{names: ['{{ input.x }}', 3]}", [("MR122", "nodes[0].parameters.names[1]")]),
        ("{names: ['{{ input.x }}', '']}", []),
        ("{names: ['']}", [("MR122", "nodes[0].parameters.names")]),
        ("{levle: 1}", [("MR121", "nodes[0].parameters.levle")]),
    ],
)
def test_parameters_are_held_against_the_model_but_for_templates(parameters, found):
    assert findings(f"  - {{node_id: a, type: test/make, parameters: {parameters}}}\n") == found


def test_a_parameter_that_a_model_would_drop_silently_is_reported():
    nodes = "  - {node_id: a, type: test/use, parameters: {lvl: 1}, input: {image: x}}\n"
    assert findings(nodes) == [("MR121", "nodes[0].parameters.lvl")]


def test_a_validator_that_raises_anything_is_a_finding():
    assert findings("  - {node_id: a, type: test/broken, parameters: {value: 1}}\n") == [
        ("MR122", "nodes[0].parameters")
    ]


@pytest.mark.parametrize(
    ("first", "found"),
    [
        ("type: test/make, next: [b]", []),
        ("type: test/pass, next: [b]", []),
        ("type: test/use, input: {image: x}, next: [b]", [("MR350", "nodes[1].type")]),
        ("type: test/unknown, next: [b]", [("MR120", "nodes[0].type")]),
    ],
)
def test_required_input_must_come_from_somewhere(first, found):
    nodes = f"  - {{node_id: a, {first}}}\n  - {{node_id: b, type: test/use}}\n"
    assert findings(nodes) == found


def test_a_mapping_supplies_what_it_names_and_nothing_else():
    nodes = "  - {node_id: a, type: test/make}\n  - {node_id: b, type: test/use}\nedges:\n"
    assert findings(nodes + "  - {source: a, target: b, mapping: {image: $.image}}\n") == []
    assert findings(nodes + "  - {source: a, target: b, mapping: {picture: $.image}}\n") == [
        ("MR121", "edges[0].mapping.picture")
    ]


def test_an_explicit_input_replaces_everything():
    nodes = "  - {node_id: a, type: test/make}\n  - {node_id: b, type: test/use, depends_on: a, input: {caption: x}}\n"
    assert findings(nodes) == [("MR350", "nodes[1].input")]


def test_an_entry_node_may_be_fed_by_the_instance():
    node = "  - {node_id: a, type: test/use}\n"
    assert findings(node) == []
    assert findings(node, "input: {properties: {image: {type: string}}}\n") == []
    assert findings(node, "input: {properties: {imag: {type: string}}}\n") == [("MR350", "nodes[0].type")]
    assert findings(node, "input: {properties: {imag: {type: string}}, additionalProperties: true}\n") == []


# Dialects

NODES = "  - {node_id: a, type: test/make%s}\n  - {node_id: b, type: test/use%s}\n"


@pytest.mark.parametrize(
    "nodes",
    [
        NODES % (", next: [b]", ""),
        NODES % (", next: b", ""),
        NODES % ("", ", depends_on: [a]"),
        NODES % ("", ", depends_on: a"),
        NODES % ("", "") + "edges: [{source: a, target: b}]\n",
        NODES % ("", "") + "edges: [{from: a, to: b}]\n",
        (NODES % (", next: [b]", "")).replace("type:", "node_type:"),
        NODES % (", branch_conditions: [{target: b}, {expression: 'nodes.a.width > 3', target: b}]", ""),
    ],
)
def test_every_spelling_means_the_same_edge(nodes):
    analysis = analyze("w.yaml", text=f"name: w\nnodes:\n{nodes}", registry=TYPES)
    assert analysis.ok, analysis.render()
    assert {(e.source, e.target) for e in analysis.graph.edges} == {("a", "b")}


def test_spellings_of_one_workflow_have_one_hash():
    texts = [NODES % (", next: [b]", ""), NODES % ("", "") + "edges: [{to: b, from: a}] # the same\n"]
    hashes = {analyze("w.yaml", text=f"name: w\nnodes:\n{t}", registry=TYPES).definition.hash for t in texts}
    assert len(hashes) == 1


def test_the_first_branch_that_holds_wins():
    nodes = (
        "  - node_id: a\n    type: test/make\n    branch_conditions:\n"
        "      - {expression: nodes.a.width > 9, target: b}\n"
        "      - {expression: '{{ nodes.a.width > 5 }}', target: c}\n"
        "      - {expression: default, target: d}\n"
        + "".join(f"  - {{node_id: {n}, type: test/use}}\n" for n in "bcd")
    )
    analysis = analyze("w.yaml", text=f"name: w\nnodes:\n{nodes}", registry=TYPES)
    assert [e.condition for e in analysis.graph.edges] == [
        "nodes.a.width > 9",
        "(nodes.a.width > 5) && !(nodes.a.width > 9)",
        "else",
    ]


def test_an_explicit_dialect_overrides():
    text = "name: w\nnodes:\n" + NODES % (", next: [b]", "")
    assert analyze("w.yaml", text=text, dialect="platform-next", registry=TYPES).ok
    assert [d.code for d in analyze("w.yaml", text=text, dialect="platform", registry=TYPES).errors] == [
        "MR111"
    ]
    assert [d.code for d in analyze("w.yaml", text=text, dialect="x", registry=TYPES).errors] == ["MR125"]


# No cascades


def test_one_fault_is_one_finding():
    chain = "".join(f"  - {{node_id: n{i}, type: test/pass, next: [n{i + 1}]}}\n" for i in range(5))
    assert findings(chain) == [("MR201", "nodes[4].next[0]")]
    looped = chain.replace("n5", "n1")
    assert findings(looped) == [("MR204", "nodes[4].next[0]")]


def test_a_lone_node_beside_connected_ones_is_a_warning():
    nodes = NODES % (", next: [b]", "") + "  - {node_id: c, type: test/make}\n"
    assert findings(nodes) == [("MR206", "nodes[2].node_id")]


def test_two_ids_that_are_one_name_in_expressions():
    nodes = "  - {node_id: a-1, type: test/make, next: [a_1]}\n  - {node_id: a_1, type: test/use}\n"
    assert findings(nodes) == [("MR202", "nodes[1].node_id")]


def test_names_in_every_language():
    nodes = "  - {node_id: 预处理-01, type: test/make, next: [归档]}\n  - {node_id: 归档, type: test/use}\n"
    assert findings(nodes) == []


CONSTANTS = """name: photos
variables: {box: {format: webpp}, some: "{{ input.x }}"}
triggers: [{type: manual}]
nodes:
  - {node_id: a, type: image/preprocess, parameters: {format: "%s"}}
"""


def test_a_constant_that_is_refused_says_where_its_variable_stands():
    found = analyze("flow.yaml", text=CONSTANTS % "{{ vars.box.format }}").errors
    assert [(one.code, one.path) for one in found] == [("MR122", "nodes[0].parameters.format")]
    assert "vars.box.format stands at flow.yaml:2:27" in (found[0].hint or "")


@pytest.mark.parametrize(
    "text",
    [
        "{{ vars.some }}",
        "{{ vars.missing }}",
        "{{ default(input.f, vars.box.format) }}",
        r"\\{{ vars.box.format }}",
    ],
)
def test_what_is_no_constant_is_not_tried(text):
    assert not [one for one in analyze("flow.yaml", text=CONSTANTS % text).errors if one.code == "MR122"]
