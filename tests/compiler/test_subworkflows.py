"""Sub-workflows: found by name and range, checked where they are named, emitted once, pinned when registered."""

import json

import pytest

from mirror_realm.compiler import analyze, emit
from mirror_realm.core.settings import settings
from mirror_realm.deployments.registration import register
from mirror_realm.deployments.run import run_workflow
from mirror_realm.store import Store

LEAF = """
name: leaf
version: {version}
input: {{type: object, required: [n], properties: {{n: {{type: number, maximum: 1000}}}}, additionalProperties: false}}
variables: {{k: {k}}}
nodes: [{{node_id: sum, type: control/set, parameters: {{values: {{n: "{{{{ input.n + vars.k }}}}"}}}}}}]
output: {{n: "{{{{ nodes.sum.n }}}}", by: "{{{{ execution.workflow }}}}"}}
"""
MAIN = """
name: main
variables: {k: 7}
nodes:
  - node_id: each
    type: control/foreach
    parameters: {items: [1, 2]}
    body: [{node_id: sum, type: control/subworkflow, parameters: {name: leaf, input: {n: "{{ item }}"}}}]
  - {node_id: once, type: control/subworkflow, parameters: {name: leaf%s}, input: {n: 5}}
output: {all: "{{ nodes.each.map(one, one.sum.n) }}", once: "{{ nodes.once }}", k: "{{ vars.k }}"}
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "leaf.yaml").write_text(LEAF.format(version="1.0.0", k=10))
    (tmp_path / "leaf-2.yaml").write_text(LEAF.format(version="2.0.0", k=20))
    return tmp_path


def main(folder, version=""):
    path = folder / "main.yaml"
    path.write_text(MAIN % version)
    return path


async def test_it_runs_inside_with_its_own_input_and_variables(folder, home):
    result = await run_workflow(main(folder, ', version: "^1"'), engine="local")
    assert result["status"] == "completed", result["error"]
    # The one in the foreach asks for any version, and gets the newest.
    assert result["output"] == {"all": [21, 22], "once": {"n": 15, "by": "leaf"}, "k": 7}
    assert result["nodes"]["once/sum"]["status"] == "completed"
    assert result["nodes"]["each/sum/sum[1]"]["status"] == "completed"


def test_it_is_emitted_once(folder):
    source = emit(analyze(main(folder)))
    assert source.count("@subworkflow(LEAF)") == 1
    assert source.count("body=leaf)") == 2
    assert "{{ input.n + vars.k }}" in source


def test_its_own_input_schema_is_checked_when_it_runs(folder, home):
    path = folder / "main.yaml"
    path.write_text(
        "name: main\nnodes: [{node_id: a, type: control/subworkflow, parameters: {name: leaf}}]\n"
    )

    async def result():
        return await run_workflow(path, input={"n": "five"}, engine="local")

    import asyncio

    found = asyncio.run(result())
    assert found["error"]["code"] == "INVALID_ARGUMENT"
    assert "leaf" in found["error"]["message"]


def node(parameters):
    return f"name: main\nnodes: [{{node_id: a, type: control/subworkflow, parameters: {parameters}}}]\n"


@pytest.mark.parametrize(
    ("parameters", "code", "words"),
    [
        ("{name: leef}", "MR230", "there is no workflow 'leef'"),
        ("{name: leaf, version: ^7}", "MR230", "no version of 'leaf' is in '^7'"),
        ("{name: leaf, version: soon}", "MR115", "not a range"),
        ("{name: main}", "MR231", "main → main"),
        ("{name: knot}", "MR230", "recursion"),
        ("{name: '{{ input.which }}'}", "MR230", "named when it is compiled"),
        ("{name: broken}", "MR230", "its definition has errors"),
        ("{name: leaf, input: {}}", "MR350", "needs the input 'n'"),
        ("{name: leaf, input: {n: 1, m: 2}}", "MR121", "unknown input 'm'"),
    ],
)
def test_what_is_wrong_is_said_at_the_node(folder, parameters, code, words):
    (folder / "knot.yaml").write_text(node("{name: main}").replace("name: main\n", "name: knot\n", 1))
    (folder / "broken.yaml").write_text("name: broken\nnodes: [{node_id: a, type: no/such}]\n")
    path = folder / "main.yaml"
    path.write_text(node(parameters))
    found = [d for d in analyze(path).diagnostics if d.severity == "error"]
    assert [d.code for d in found] == [code]
    assert words in found[0].message
    assert found[0].line == 2


def test_a_published_version_keeps_its_sub_workflows(folder, home):
    (folder / "leaf-2.yaml").unlink()
    with Store.open(settings().database) as store:
        made = register(analyze(main(folder)), store, settings())
        (folder / "leaf-3.yaml").write_text(LEAF.format(version="3.0.0", k=30))
        register(analyze(folder / "leaf-3.yaml"), store, settings())
        assert '"1.0.0"' in made.path.read_text(encoding="utf-8")
        published = json.dumps(store.workflows.get("main").definition)
        assert published.count('"version": "1.0.0"') == 2
        again = register(analyze(main(folder)), store, settings())
        assert again.version != made.version  # It now means leaf 3.0.0, so it is another version.


async def test_a_registered_workflow_can_be_named(folder, home):
    with Store.open(settings().database) as store:
        register(analyze(folder / "leaf.yaml"), store, settings())
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    path = elsewhere / "main.yaml"
    path.write_text(node("{name: leaf, input: {n: 1}}"))
    result = await run_workflow(path, engine="local")
    assert result["output"] == {"a": {"n": 11, "by": "leaf"}}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("{n: three}", ("MR122", "three")),
        ('{n: "{{ nodes.s.text }}"}', ("MR305", '"{{')),
        ('{n: "no. {{ nodes.s.number }}"}', ("MR305", '"no.')),
        ('{n: "{{ nodes.s.number }}"}', None),
        ('{n: "{{ nodes.s.anything }}"}', None),
        ("{m: 3}", ("MR121", "m: 3")),
        ('{n: "{{ vars.large }}"}', ("MR122", '"{{')),
        ('{n: "{{ vars.k }}"}', None),
        ('{n: "{{ vars.word }}"}', ("MR305", '"{{')),
    ],
)
def test_inputs_are_of_the_types_that_its_schema_has(folder, given, told):
    text = f"""
name: outer
input: {{type: object, properties: {{anything: {{}}}}}}
variables: {{k: 3, large: 2000, word: three}}
nodes:
  - node_id: s
    type: control/set
    parameters:
      values: {{text: "a{{{{ input.a }}}}", number: "{{{{ 1 + 2 }}}}", anything: "{{{{ input.anything }}}}"}}
  - {{node_id: leaf, type: control/subworkflow, depends_on: [s], parameters: {{name: leaf, input: {given}}}}}
"""
    found = analyze(folder / "outer.yaml", text=text).errors
    lines = text.split("\n")
    shown = [(d.code, lines[d.line - 1][d.column - 1 :][: len(told[1])]) for d in found] if told else found
    assert list(shown) == ([told] if told else [])
