"""What `realm compile` writes: golden files, names, layout, and that no text of a definition becomes code."""

import ast
import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mirror_realm.compiler import analyze, compile_workflow, emit, load_flow_module
from mirror_realm.compiler.literals import Call, Code, docstring, identifier, literal, quoted
from mirror_realm.core.errors import RealmError

HERE = Path(__file__).parent
VALID = sorted((HERE / "fixtures" / "valid").iterdir())
GOLDEN = HERE / "golden"


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.name)
def test_the_source_is_the_golden_one(path):
    source = emit(analyze(path), optimised=False)
    golden = GOLDEN / f"{path.stem}.py"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(source, encoding="utf-8")
    assert source == golden.read_text(encoding="utf-8"), "UPDATE_GOLDEN=1 accepts the new source"


def test_a_formatter_would_change_nothing():
    ruff = Path(sys.executable).with_name("ruff")
    if not ruff.exists():
        pytest.skip("ruff is a development dependency and not installed here")
    command = [
        ruff,
        "format",
        "--isolated",
        "--diff",
        "--line-length",
        "88",
        "--no-cache",
        *sorted(GOLDEN.glob("*.py")),
    ]
    assert subprocess.run(command, capture_output=True, text=True).stdout == ""


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.name)
def test_the_source_parses_and_names_every_node_once(path):
    analysis = analyze(path)
    declared = [
        call.args[0].value
        for call in ast.walk(ast.parse(emit(analysis)))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "node"
    ]
    assert declared == [node.node_id for node in analysis.definition.nodes]


def test_a_definition_with_errors_is_not_emitted():
    with pytest.raises(RealmError):
        emit(analyze("w.yaml", text="name: w\nnodes: []\n"))


def test_the_flow_starts_nodes_after_what_they_wait_for():
    text = (
        "name: w\nnodes:\n"
        "  - {node_id: last, type: control/end, depends_on: [middle]}\n"
        "  - {node_id: middle, type: control/set, parameters: {values: {}}, depends_on: [first]}\n"
        "  - {node_id: first, type: control/start}\n"
    )
    source = emit(analyze("w.yaml", text=text))
    order = [source.index(f"run.start({name}") for name in ("first", "middle", "last")]
    assert order == sorted(order)


def test_error_handling_is_every_nodes_retry_unless_it_has_its_own():
    text = (
        "name: w\nerror_handling: {max_retries: 2}\nnodes:\n"
        "  - {node_id: a, type: control/start}\n"
        "  - {node_id: b, type: control/end, depends_on: a, retry: {max_attempts: 1}}\n"
    )
    source = emit(analyze("w.yaml", text=text))
    assert "RETRY = Retry(max_attempts=3)\n" in source
    assert 'a = node("a", "control/start", retry=RETRY, at="w.yaml:4:5")' in source
    assert 'b = node("b", "control/end", retry=Retry(max_attempts=1), at="w.yaml:5:5")' in source


# Names


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("preprocess-01", "preprocess_01"),
        ("照片-1", "照片_1"),
        ("class", "class_"),
        ("print", "print_"),
        ("__name__", "name"),
        ("---", "node"),
        ("3d", "node_3d"),
        ("a b", "a_b"),
        ("ﬁle", "file"),
        ("x\u200by", "x_y"),
        ("😀", "node"),
    ],
)
def test_identifiers(text, name):
    assert identifier(text) == name


@given(st.lists(st.text(max_size=12), max_size=12))
def test_identifiers_are_distinct_and_valid_whatever_the_ids(texts):
    taken: list[str] = []
    for text in texts:
        taken.append(identifier(text, taken))
    assert len(set(taken)) == len(taken)
    for name in taken:
        assert name.isidentifier()
        assert not name.startswith("_")
        ast.parse(f"{name} = 1")


# Layout

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_a_literal_means_what_it_was_made_from(value):
    assert ast.literal_eval(literal(value)) == value
    assert ast.literal_eval(literal(value, "    ", 40)) == value


@given(st.text())
def test_a_string_literal_is_one_line_of_printable_text(text):
    source = quoted(text)
    assert source.isprintable()
    assert ast.literal_eval(source) == text


@given(st.lists(st.text(), max_size=3))
def test_a_docstring_is_nothing_but_a_docstring(paragraphs):
    module = ast.parse(docstring(paragraphs))
    assert len(module.body) == 1
    assert isinstance(module.body[0], ast.Expr)
    assert isinstance(module.body[0].value, ast.Constant)


def test_a_call_is_broken_as_a_formatter_breaks_it():
    value = Call("run.start", [Code("a")], {"after": [Code("b" * 30), Code("c" * 30), Code("d" * 30)]})
    assert literal(value) == (
        "run.start(\n    a,\n    after=[\n"
        + "".join(f"        {letter * 30},\n" for letter in "bcd")
        + "    ],\n)"
    )


# Safety

NASTY = st.text(st.sampled_from("\";)(\\'\n\r\t #{}[]=:,_aZ0照\u2028\x00%"), max_size=24) | st.sampled_from(
    [
        'x"); import os #',
        '"""\nimport os\n"""',
        "\\",
        "a\nb",
        "'; raise SystemExit #",
        "{{ 1 }}",
        "__import__('os')",
    ]
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(node_id=NASTY, title=NASTY, value=NASTY, key=NASTY, file=NASTY)
def test_no_text_of_a_definition_becomes_code(node_id, title, value, key, file):
    text = json.dumps(
        {
            "name": "w",
            "display_name": title,
            "description": value,
            "tags": [title],
            "variables": {key: value},
            "nodes": [
                {
                    "node_id": node_id,
                    "type": "control/set",
                    "parameters": {"values": {"k": value.replace("{{", "")}},
                },
                {"node_id": "b", "type": "control/end", "depends_on": [node_id]},
            ],
        }
    )
    analysis = analyze(f"{file}.json", text=text)
    if not analysis.ok:
        return
    module = ast.parse(emit(analysis))
    allowed = {"Run", "edge", "flow", "main", "node", "workflow", "Retry"}
    calls = {ast.unparse(call.func) for call in ast.walk(module) if isinstance(call, ast.Call)}
    assert calls <= allowed | {"run.start"}
    imported = {
        (each.module if isinstance(each, ast.ImportFrom) else "import")
        for each in ast.walk(module)
        if isinstance(each, ast.Import | ast.ImportFrom)
    }
    assert imported == {"mirror_realm.flows", "mirror_realm.deployments.run"}
    declared = [
        call for call in ast.walk(module) if isinstance(call, ast.Call) and ast.unparse(call.func) == "node"
    ]
    assert declared[0].args[0].value == node_id


# Loading


def test_the_flow_is_loaded_from_the_very_source():
    compiled = compile_workflow(HERE / "fixtures" / "valid" / "branches.yaml")
    assert compiled.source == emit(analyze(HERE / "fixtures" / "valid" / "branches.yaml"))
    assert compiled.workflow.name == "branches"
    assert compiled.workflow.definition == compiled.definition.hash
    assert compiled.module.request.type == "control/set"
    assert compiled.module.report.timeout == 120
    assert asyncio.iscoroutinefunction(getattr(compiled.flow, "fn", compiled.flow)) or callable(compiled.flow)
    assert sys.modules[compiled.module.__name__] is compiled.module


def test_a_traceback_shows_the_loaded_source():
    import traceback

    module = load_flow_module("def fail():\n    raise ValueError('here')\n", "mirror_realm_test_traceback")
    with pytest.raises(ValueError, match="here") as caught:
        module.fail()
    assert "raise ValueError('here')" in "".join(traceback.format_exception(caught.value))
    del sys.modules[module.__name__]


def test_a_module_that_fails_leaves_no_trace():
    with pytest.raises(ZeroDivisionError):
        load_flow_module("1 / 0\n", "mirror_realm_test_failing")
    assert "mirror_realm_test_failing" not in sys.modules
