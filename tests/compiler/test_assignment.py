"""Definite assignment: what is told of references, and what is not. The wrong ones of every kind are in
``fixtures/invalid/executions.yaml`` and ``loops.yaml``, the right ones in ``fixtures/proofs/executions.yaml``."""

from pathlib import Path

import pytest

from mirror_realm.compiler import analyze

HERE = Path(__file__).parent / "fixtures"
HEAD = """
name: w
triggers: [{type: manual}]
input: {type: object, required: [a, b, n, kind], properties: {a: {type: boolean}, b: {type: boolean},
  n: {type: integer}, kind: {enum: [x, y]}, tags: {type: array}}}
nodes:
  - {node_id: s, type: control/set, parameters: {values: {v: 1}}}
"""


def told(text, code="MR306"):
    return [(d.severity, d.message) for d in analyze("w.yaml", text=text).diagnostics if d.code == code]


def reading(expression, producer="input.a", reader="", join="any"):
    """``p`` runs under a guard, ``r`` reads it under another one; both follow ``s``."""
    return (
        HEAD
        + f'  - {{node_id: p, type: control/set, when: "{producer}", parameters: {{values: {{x: 1}}}}}}\n'
        + f"  - node_id: r\n    type: control/set\n    join: {join}\n"
        + (f'    when: "{reader}"\n' if reader else "")
        + f'    parameters: {{values: {{y: "{{{{ {expression} }}}}"}}}}\n'
        + "edges: [{source: s, target: p}, {source: p, target: r}, {source: s, target: r}]\n"
    )


@pytest.mark.parametrize(
    "path", [HERE / "proofs" / "executions.yaml", HERE / "proofs" / "nothing-to-tell.yaml"]
)
def test_nothing_is_told_of_what_is_right(path):
    found = [d for d in analyze(path).diagnostics if d.severity != "info"]
    assert not [d for d in found if d.code == "MR306" or d.code.startswith(("MR24", "MR25"))], found


@pytest.mark.parametrize(
    "expression",
    [
        "default(nodes.p.x, 0)",
        "default(nodes.p.x + 1, 0)",
        "coalesce(nodes.p.x, null, 3)",
        "has(nodes.p.x)",
        "nodes.p.x == null",
        "nodes.p is not empty",
        "has(nodes.p) ? nodes.p.x : 0",
        "nodes.p.x != null && nodes.p.x > 3",
        "nodes.p.x > 3 && has(nodes.p.x)",
        "!has(nodes.p.x) || nodes.p.x > 3",
        "'p' in nodes && nodes.p.x > 3",
        "input.a ? nodes.p.x : 0",
        "!input.a ? 0 : nodes.p.x",
        "input.a == true && nodes.p.x > 3",
        "default(nodes.p.x, nodes.s.v)",
        "[1, 2].map(i, has(nodes.p.x) ? nodes.p.x + i : 0)",
    ],
)
def test_what_is_prepared_for_an_absence(expression):
    assert told(reading(expression)) == []


@pytest.mark.parametrize(
    "expression",
    [
        "nodes.p.x",
        "nodes['p'].x",
        "default(input.n, nodes.p.x)",
        "input.b ? nodes.p.x : 0",
        "nodes.p.x > 3 || input.b",
        "size(nodes.p.x)",
        "has(nodes.p.x) || nodes.p.x > 3",
        "[1, 2].map(i, nodes.p.x + i)",
        "{'k': [nodes.p.x]}",
    ],
)
def test_what_is_not(expression):
    ((severity, message),) = told(reading(expression))
    assert severity == "warning"
    assert message.endswith("may be absent: when `input.a` is false, 'p' is skipped, and 'r' reads it")


@pytest.mark.parametrize(
    ("producer", "reader", "severity"),
    [
        ("input.a", "input.a", None),
        ("input.a", "input.a && input.b", None),
        ("input.a || input.b", "input.b", None),
        ("input.a", "input.b", "warning"),
        ("input.a", "!input.a", "error"),
        ("input.n > 3", "input.n >= 4", None),  # n is whole
        ("input.n > 3", "input.n >= 3", "warning"),
        ("input.n > 3", "input.n == 7", None),
        ("input.n > 3", "input.n in [4, 5]", None),
        ("input.n != 3", "input.n == 4", None),
        ("3 < input.n", "not (input.n <= 3)", None),
        ("input.n > 3", "input.n < 2", "error"),
        ("input.kind == 'x'", "input.kind != 'y'", None),
        ("input.kind == 'x'", "input.kind == 'y'", "error"),
        ("input.kind in ['x', 'y']", "input.b", None),
        ("'t' in input.tags", "'t' in input.tags", None),
        ("'t' in input.tags", "'u' in input.tags", "warning"),
        ("input.n + 1 > 3", "input.n > 2", None),  # for z3
        ("size(input.tags) > 0", "size(input.tags) >= 1", None),
    ],
)
def test_the_reader_s_condition_may_imply_the_producer_s(producer, reader, severity):
    pytest.importorskip("z3")
    found = told(reading("nodes.p.x", producer, reader))
    assert [one for one, _ in found] == ([severity] if severity else [])


def test_a_join_of_all_edges_is_a_guard():
    assert told(reading("nodes.p.x", join="all")) == []
    assert told(reading("nodes.p.x", join="2")) == []


def test_the_message_names_the_branch_and_the_ways_out():
    text = (
        HEAD.replace("s, type", "check, type").replace("check", "检查", 1).replace("检查", "check")
        + "  - {node_id: a, type: control/set, parameters: {values: {x: 1}}}\n"
        + "  - {node_id: 片, type: control/set, parameters: {values: {x: 1}}}\n"
        + "  - {node_id: b, type: control/set, parameters: {values: {y: '一 {{ nodes.片.x }}'}}}\n"
        + "edges:\n  - {source: check, target: a, condition: input.b}\n"
        + "  - {source: check, target: 片, condition: else}\n"
        + "  - {source: a, target: b}\n  - {source: 片, target: b}\n"
    )
    (found,) = [d for d in analyze("w.yaml", text=text).diagnostics if d.code == "MR306"]
    assert (
        found.message == "nodes.片.x may be absent: when `input.b` is true, '片' is skipped, and 'b' reads it"
    )
    assert found.hint == "it may be skipped: write default(nodes.片.x, …), or ask has(nodes.片.x) first"
    assert found.verdict == "refuted"
    line = text.splitlines()[found.line - 1]
    assert line[found.column - 1 : found.end_column - 1] == "nodes.片.x"


INSIDE = """  - {node_id: p, type: control/set, when: input.a, parameters: {values: {x: 1}}}
  - node_id: each
    type: control/foreach
    parameters: {items: "{{ input.tags }}"}
    body:
      nodes:
        - {node_id: free, type: control/set, parameters: {values: {y: "{{ nodes.p.x }}"}}}
        - {node_id: guarded, type: control/set, when: input.a, parameters: {values: {y: "{{ nodes.p.x }}"}}}
edges: [{source: s, target: each}, {source: p, target: each}]
"""


def test_a_reader_inside_a_construct_sees_what_led_to_the_construct():
    assert told(HEAD + INSIDE) == [
        ("warning", "nodes.p.x may be absent: when `input.a` is false, 'p' is skipped, and 'free' reads it")
    ]
    assert told(HEAD + INSIDE.replace("foreach\n", "foreach\n    when: input.a\n")) == []


FORK = """  - node_id: fork
    type: control/parallel
    parameters: {wait_for: %s}
    branches:
      - {name: left, nodes: [{node_id: l, type: control/set, parameters: {values: {x: 1}}}]}
      - {name: right, nodes: [{node_id: r, type: control/set, when: input.a, parameters: {values: {x: 1}}}]}
  - {node_id: after, type: control/set, parameters: {values: {y: "{{ %s }}"}}}
edges: [{source: fork, target: after}]
"""


@pytest.mark.parametrize(
    ("waits", "expression", "what"),
    [
        ("all", "nodes.fork.left.l.x", None),
        ("2", "nodes.fork.left.l.x", None),
        ("any", "nodes.fork.left.l.x", "branch 'left' is cancelled"),
        ("any", "default(nodes.fork.left.l.x, nodes.fork.right)", None),  # One of them is over.
        ("any", "default(nodes.fork.left.l.x, nodes.fork.right.r.x)", "'r' is skipped"),
        ("all", "nodes.fork.right.r.x", "'r' is skipped"),
        ("all", "has(nodes.fork.right.r) ? nodes.fork.right.r.x : 0", None),
    ],
)
def test_branches_that_are_not_waited_for_and_nodes_inside_them(waits, expression, what):
    found = told(HEAD + FORK % (waits, expression))
    assert [what in message for _, message in found] == ([True] if what else [])


def test_a_failure_that_ends_the_way_of_its_reader_too_is_not_told():
    text = reading("nodes.p.x", "true").replace(
        "type: control/set, when", "type: control/set, fail_on_error: false, when"
    )
    assert [one for one, _ in told(text)] == ["warning"]
    assert told(text.replace("    join: any\n", "    fail_on_error: false\n")) == []


def test_the_output_of_an_instance_that_a_node_ends_is_not_rendered():
    ends = "  - {node_id: t, type: control/terminate, when: '!input.a', parameters: {status: failed, message: no}}\n"
    text = reading("1").replace("edges: [", ends + "edges: [{source: s, target: t}, ")
    assert told(text + "output: {x: '{{ nodes.p.x }}'}\n") == []
    assert len(told(text.replace("!input.a", "input.b") + "output: {x: '{{ nodes.p.x }}'}\n")) == 1


def test_a_graph_that_is_too_much_to_follow_is_unknown_and_ends():
    count = 26
    text = HEAD
    edges = []
    for index in range(count):
        one, other = (index * 7 + 3) % count, (index * 11 + 5) % count
        guard = f"input.f{index} == input.f{one} || input.f{other} > input.f{index}"
        text += f"  - {{node_id: n{index}, type: control/set, when: '{guard}', parameters: {{values: {{x: 1}}}}}}\n"
        edges += [f"{{source: s, target: n{index}}}", f"{{source: n{index}, target: m}}"]
    value = "'{{ nodes.n3.x }}'"
    text += f"  - {{node_id: m, type: control/set, join: 13, parameters: {{values: {{x: {value}}}}}}}\n"
    assert all("may be absent" in message for _, message in told(f"{text}edges: [{', '.join(edges)}]\n"))
