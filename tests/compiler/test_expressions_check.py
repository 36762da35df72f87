"""What the compiler finds in expressions before anything runs, and where."""

from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from mirror_realm.compiler.expressions import check
from mirror_realm.compiler.expressions.positions import align
from mirror_realm.compiler.scopes import build_scopes
from mirror_realm.compiler.source import load
from mirror_realm.tasks.registry import Registry
from mirror_realm.tasks.sdk import node_type


class Nothing(BaseModel):
    pass


class Face(BaseModel):
    box: list[int]
    score: float


class Picture(BaseModel):
    width: int
    height: int
    score: float
    name: str
    ok: bool = True
    note: str | None = None
    face: Face
    maybe: Face | None = None
    faces: list[Face] = []
    extra: dict[str, int] = {}
    anything: Any = None
    either: int | str = 0


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    known: int = 0


@node_type("t/picture", version="1.0.0")
def picture(parameters: Nothing, input: Nothing, context) -> Picture:
    """Make a picture."""
    raise NotImplementedError


@node_type("t/open", version="1.0.0")
def anything(parameters: Nothing, input: Nothing, context) -> Open:
    """Make anything."""
    raise NotImplementedError


REGISTRY = Registry([picture, anything])
FRAME = """\
name: x
input: {{type: object, properties: {{score: {{type: number}}, mode: {{type: string}}}}{closed}}}
variables: {{q: 92, deep: {{a: x}}}}
nodes:
  - {{node_id: pre-01, type: t/picture}}
  - {{node_id: side, type: t/picture}}
  - node_id: reader
    type: t/picture
    {line}
  - {{node_id: later, type: t/open}}
  - {{node_id: odd, type: t/nowhere}}
edges:
  - {{source: pre-01, target: reader}}
  - {{source: odd, target: reader}}
  - {{source: reader, target: later}}
"""


def findings(text):
    loaded = load("x.yaml", text=text)
    assert loaded.document is not None
    assert loaded.diagnostics == ()
    return check(build_scopes(loaded.document, REGISTRY), loaded.document, REGISTRY)


def of_line(line, closed=", additionalProperties: false"):
    return findings(FRAME.format(line=line, closed=closed))


def under(text, diagnostic):
    """The characters that a diagnostic marks."""
    lines = text.split("\n")
    assert diagnostic.line == diagnostic.end_line
    return lines[diagnostic.line - 1][diagnostic.column - 1 : diagnostic.end_column - 1]


@pytest.mark.parametrize(
    ("expression", "code", "marked", "message"),
    [
        ("1 +", "MR301", None, "it ends too early"),
        ("input.score = 3", "MR301", "=", "'=' is not an operator"),
        ("inptu.score", "MR302", "inptu", "unknown name 'inptu'"),
        ("pre_01.width", "MR302", "pre_01", "unknown name 'pre_01'"),
        ("nodes.per_01.width", "MR201", "per_01", "there is no node 'per_01'"),
        ("nodes['per-01'].width", "MR201", "['per-01']", "there is no node 'per-01'"),
        ("nodes.reader.width", "MR310", "reader", "reads its own output"),
        ("nodes.later.known", "MR310", "later", "runs after 'reader'"),
        ("nodes.side.width", "MR310", "side", "no path leads"),
        ("default(nodes.side.width, 1)", "MR310", "side", "no path leads"),
        ("nodes.pre_01.widht", "MR303", "widht", "has no field 'widht'"),
        ("nodes.pre_01.face.bxo", "MR303", "bxo", "has no field 'bxo'"),
        ("nodes.pre_01.maybe.bxo", "MR303", "bxo", "has no field 'bxo'"),
        ("nodes.pre_01.faces[0].bxo", "MR303", "bxo", "has no field 'bxo'"),
        ("nodes.pre_01.faces.box", "MR303", "box", "is a list"),
        ("nodes.pre_01.name.size", "MR303", "size", "is a string"),
        ("input.scoer", "MR303", "scoer", "input has no field 'scoer'"),
        ("vars.qq", "MR303", "qq", "vars has no field 'qq'"),
        ("vars.deep.b", "MR303", "b", "vars.deep has no field 'b'"),
        ("nodes.pre_01.name + 1", "MR305", "+", "'+' does not work on a string and a number"),
        ("1 + default(nodes.pre_01.name + 1, 2)", "MR305", "+", "'+' does not work"),
        ("nodes.pre_01.name > 3", "MR305", ">", "'>' does not work on a string and a number"),
        ("nodes.pre_01.width && true", "MR305", "&&", "not a number"),
        ("not nodes.pre_01.width", "MR305", "not", "not a number"),
        ("nodes.pre_01.width ? 1 : 2", "MR305", "?", "what stands before ?"),
        ("'a' in nodes.pre_01.name", "MR305", "in", "in asks lists and maps"),
        ("nodes.pre_01.width.matches('a')", "MR305", "matches", "does not take"),
        ("size(nodes.pre_01.width)", "MR305", "size", "does not take"),
        ("foo(1)", "MR308", "foo", "unknown function 'foo'"),
        ("'a'.fooo()", "MR308", "fooo", "unknown method 'fooo'"),
        ("'" + "a" * 10_001 + "'", "MR309", None, "longer than"),
    ],
)
def test_an_error_is_found_at_its_place(expression, code, marked, message):
    text = FRAME.format(
        line=f'parameters: {{a: "照片 {{{{ {expression} }}}} x"}}', closed=", additionalProperties: false"
    )
    found = findings(text)
    assert [(d.code, d.severity) for d in found] == [(code, "error")]
    assert message in found[0].message
    assert found[0].path == "nodes[2].parameters.a"
    assert marked is None or under(text, found[0]) == marked


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("nodes.pre_01.name == 3", "never equal"),
        ("nodes.pre_01.width != 'a'", "always different"),
        ("nodes.pre_01.width in ['a']", "no items like a number"),
        ("default(nodes.pre_01.widht, 1)", "has no field 'widht'"),
        ("has(nodes.pre_01.widht)", "has no field 'widht'"),
        ("nodes.pre_01.width / nodes.pre_01.height > 1", "drops the fraction"),
    ],
)
def test_a_warning(expression, message):
    found = of_line(f'parameters: {{a: "{{{{ {expression} }}}}"}}')
    assert [d.severity for d in found] == ["warning"]
    assert message in found[0].message


@pytest.mark.parametrize(
    "expression",
    [
        "nodes.pre_01.width * 2.5 + nodes.pre_01.score >= 4 && nodes.pre_01.width % 2 == 1",
        "nodes.pre_01.width in [1.5, 2]",
        "nodes.pre_01.faces[nodes.pre_01.width].box[0] / 2.5",
        "double(nodes.pre_01.width) / nodes.pre_01.height > 1.3",
        "nodes.pre_01.note + 'x' == nodes.pre_01.name",
        "nodes.pre_01.note == null || nodes.pre_01.note is not empty",
        "nodes.pre_01.maybe.score > 3",
        "nodes.pre_01.extra.foo + nodes.pre_01.extra['bar']",
        "nodes.pre_01.anything.at.all[3] + 'x'",
        "nodes.pre_01.either + 1",
        "nodes.pre_01.ok ? 'a' : 1",
        "[1, 'a', nodes.pre_01.name]",
        "nodes.odd.whatever.it.gives",
        "nodes.pre_01.faces.map(f, f.score).size() > 2.5",
        "nodes.pre_01.faces.exists(f, default(f.score, 0) > 0.5)",
        "nodes.pre_01",
        "sum(nodes.pre_01.faces.map(f, f.score)) / size(nodes.pre_01.faces) > avg([1])",
        "round(nodes.pre_01.score * 100) / 100.0",
        "max(nodes.pre_01.width, nodes.pre_01.score) > min([1, 2.5])",
        "timestamp(nodes.pre_01.name) + duration('1h') < now()",
        "join(split(nodes.pre_01.name, ','), '-') + string(nodes.pre_01.width) + ext(nodes.pre_01.name)",
        "type(nodes.pre_01.width) == int",
        "{'a': nodes.pre_01.width, 'b': nodes.pre_01.name}.a",
        "[1] + ['a']",
        "trigger.payload.file_path + execution.id + env.HOME",
        "input.mode + vars.deep.a == 'x' || input.score > vars.q",
        "nodes[input.mode].width",
        "dyn(nodes.pre_01.name) == 3",
    ],
)
def test_no_false_alarm(expression):
    assert of_line(f'parameters: {{a: "{{{{ {expression} }}}}"}}') == []


@pytest.mark.parametrize(
    ("condition", "codes"),
    [
        ("nodes.pre_01.ok", []),
        ("{{ nodes.pre_01.width > 3 }}", []),
        ("{{nodes.pre_01.width}} >= 60", []),
        ("nodes.odd.ok", []),
        ("nodes.pre_01.width", ["MR304"]),
        ("'{{ nodes.pre_01.name }}'", ["MR304"]),
        ("nodes.pre_01.width +", ["MR301"]),
    ],
)
def test_a_condition_is_true_or_false(condition, codes):
    text = FRAME.format(line=f'when: "{condition}"', closed="")
    assert [d.code for d in findings(text)] == codes


def test_edges_read_their_source_and_what_is_before_it():
    text = """\
nodes:
  - {node_id: a, type: t/picture}
  - {node_id: b, type: t/picture}
edges:
  - {source: a, target: b, condition: "nodes.a.ok and nodes.b.ok", mapping: {x: "{{ nodes.b.ok }}"}}
  - {source: a, target: b, condition: else, mapping: {x: $.widht, y: $.face.box, z: $.a..b, w: "$.faces[*].nope", v: $}}
output: {a: "{{ nodes.a.width }}", b: ["{{ nodes.b.wdith }}"]}
"""
    found = findings(text)
    marked = [(d.code, d.line, under(text, d)) for d in sorted(found, key=lambda d: d.sort_key)]
    assert marked == [
        ("MR310", 5, "b"),
        ("MR310", 5, "b"),
        ("MR303", 6, "widht"),
        ("MR307", 6, "."),
        ("MR303", 6, "nope"),
        ("MR303", 7, "wdith"),
    ]


def test_a_node_that_may_fail_and_one_that_compensates():
    text = """\
nodes:
  - {node_id: a, type: t/picture, fail_on_error: false}
  - node_id: b
    type: t/picture
    parameters: {e: "{{ nodes.a.error.code }}"}
    compensate: {type: t/picture, parameters: {w: "{{ nodes.b.width }}"}}
edges: [{source: a, target: b}]
"""
    assert findings(text) == []


def test_an_open_input_warns_about_what_it_does_not_describe_and_nothing_forgives():
    text = "{{ input.scoer }} {{ default(input.else, 1) }} {{ has(input.other) }} {{ input.something_else }}"
    found = of_line(f'parameters: {{a: "{text}"}}', closed="")
    assert [(d.severity, d.hint) for d in found] == [
        ("warning", "did you mean 'score'?"),
        (
            "warning",
            "describe it among the properties of input, or write default(input.something_else, …)",
        ),
    ]


BLOCKS = """\
nodes:
  - {node_id: a, type: t/picture}
  - node_id: b
    type: t/picture
    parameters:
      single: 'it''s {{ nodes.a.face.one }}'
      double: "esc\\n\\u7167 \\"{{ nodes.a.two }}\\""
      literal: |
        first {{ nodes.a.width }}
          second {{ nodes.a.three }}
      folded: >-
        some words
        {{ nodes.a.width
        + nodes.a.four }}
      plain: word {{ nodes.a.five }}
        and {{ nodes.a.six }}
edges: [{source: a, target: b}]
"""


def test_positions_in_every_kind_of_scalar():
    marked = [under(BLOCKS, d) for d in sorted(findings(BLOCKS), key=lambda d: d.sort_key)]
    assert marked == ["one", "two", "three", "four", "five", "six"]


def test_positions_in_json():
    text = """{"nodes": [{"node_id": "a", "type": "t/picture"}, {"node_id": "b", "type": "t/picture",
 "parameters": {"x": "\\u7167\\"\\n{{ nodes.a.one }}"}}], "edges": [{"source": "a", "target": "b"}]}"""
    assert [under(text, d) for d in findings(text)] == ["one"]


def test_malformed_documents_are_left_to_others():
    text = "nodes: [1, {node_id: 3, when: 5, parameters: x}, {node_id: a, input: [1]}]\nedges: {a: 1}\noutput: 3\n"
    assert findings(text) == []
    assert findings("edges: [1, {source: 1, mapping: [2], condition: true}]\nvariables: []\ninput: 3\n") == []


@pytest.mark.parametrize(
    ("raw", "value"), [("|", "a"), ('"a', "b"), ("'x'", "y"), (">\n  a", "b"), ('"\\', "\\")]
)
def test_what_does_not_align_is_not_guessed(raw, value):
    assert align(raw, value) is None


class TestNullableFields:
    """A field that may be null is its type or null: compared wrongly it is found, asked for null it is not."""

    @pytest.mark.parametrize(
        "condition", ["nodes.pre_01.note >= 5", "nodes.pre_01.note && true", "nodes.pre_01.note + 1 == 2"]
    )
    def test_a_wrong_use_is_found(self, condition):
        found = findings(FRAME.format(closed="", line=f'when: "{condition}"'))
        assert [d.code for d in found] == ["MR305"]

    @pytest.mark.parametrize(
        "condition",
        [
            "nodes.pre_01.note == null",
            "nodes.pre_01.note != null && nodes.pre_01.note == 'x'",
            "nodes.pre_01.note == null ? true : nodes.pre_01.note.contains('x')",
            "default(nodes.pre_01.note, 'x') == 'x'",
            "size(nodes.pre_01.note) > 1",
            "(nodes.pre_01.note == null ? '' : nodes.pre_01.note) + 'x' == 'x'",
        ],
    )
    def test_a_right_use_is_not(self, condition):
        assert findings(FRAME.format(closed="", line=f'when: "{condition}"')) == []


def test_a_variable_of_a_definition_without_variables():
    text = FRAME.format(closed="", line='when: "vars.nothing > 1"').replace(
        "variables: {q: 92, deep: {a: x}}\n", ""
    )
    (found,) = findings(text)
    assert (found.code, found.hint) == ("MR303", "declare it: variables: {nothing: …}")


def test_a_bare_hyphen_is_one_finding_with_the_spelling():
    (found,) = findings(FRAME.format(closed="", line='when: "nodes.pre-01.width > 1"'))
    assert found.code == "MR201"
    assert found.hint == "write nodes.pre_01 or nodes['pre-01']: a bare hyphen subtracts"
