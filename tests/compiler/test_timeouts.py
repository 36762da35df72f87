"""Timeouts against the least time: the critical path of what surely waits."""

import pytest

from mirror_realm.compiler import analyze
from mirror_realm.compiler.library import Folder

HEAD = "name: w\ntriggers: [{type: manual}]\ninput: {type: object, required: [c], properties: {c: {type: boolean}}}\n"
END = "{node_id: y, type: control/end}"


def told(text, **more):
    return [
        (d.line, d.message)
        for d in analyze("w.yaml", text=HEAD + text, **more).diagnostics
        if d.code == "MR270"
    ]


def delay(node_id, duration, more=""):
    return f"{{node_id: {node_id}, type: control/delay, parameters: {{duration: {duration}}}{more}}}"


def test_waits_in_a_row_add_up():
    text = f"timeout: 1h\nnodes: [{delay('等待', '40m', ', next: [b]')}, {delay('b', '30m')}]\n"
    assert told(text) == [(4, "the workflow takes at least 1h10m (等待 → b), and its timeout is 1h")]


def test_waits_side_by_side_do_not():
    assert told(f"timeout: 1h\nnodes: [{delay('a', '40m')}, {delay('b', '30m')}]\n") == []


def test_the_default_timeout_counts_too():
    assert told(f"nodes:\n  - {delay('a', '2d')}\n") == [
        (5, "the workflow takes at least 2d (a), and its timeout is 1d, as none is written")
    ]


def test_branches_that_exclude_each_other_do_not_add_up():
    nodes = [delay("a", "40m"), delay("b", "30m"), "{node_id: s, type: control/start}"]
    edges = (
        "[{source: s, target: a, condition: input.c}, {source: s, target: b, condition: '!input.c'}, "
        "{source: a, target: b}]"
    )
    assert told(f"timeout: 1h\nnodes: [{', '.join(nodes)}]\nedges: {edges}\n") != [], "both run when c holds"
    edges = edges.replace("{source: a, target: b}", "{source: a, target: b, condition: '!input.c'}")
    assert told(f"timeout: 1h\nnodes: [{', '.join(nodes)}]\nedges: {edges}\n") == []


def test_a_branch_that_always_overruns_is_told():
    nodes = [delay("a", "2h"), "{node_id: s, type: control/start}"]
    text = (
        f"timeout: 1h\nnodes: [{', '.join(nodes)}]\nedges: [{{source: s, target: a, condition: input.c}}]\n"
    )
    assert len(told(text)) == 1


@pytest.mark.parametrize(
    ("construct", "seconds"),
    [
        ("type: control/foreach, parameters: {items: [1, 2, 3], max_concurrent: 2}, body: {nodes: [%s]}", "20s"),
        ("type: control/foreach, parameters: {items: '{{ [1, 2] }}'}, body: {nodes: [%s]}", None),
        ("type: control/loop, parameters: {condition: loop.index < 3}, body: {nodes: [%s]}", "30s"),
        ("type: control/loop, parameters: {condition: input.c, max_iterations: 9}, body: {nodes: [%s]}", None),
        ("type: control/loop, parameters: {condition: 'false', mode: do-while}, body: {nodes: [%s]}", "10s"),
        ("type: control/transaction, body: {nodes: [%s]}", "10s"),
        ("type: control/parallel, branches: [{nodes: [%s]}, {nodes: [END]}]", "10s"),
        ("type: control/parallel, parameters: {wait_for: any}, branches: [{nodes: [%s]}, {nodes: [END]}]", None),
    ],
)  # fmt: skip
def test_constructs_take_what_their_parts_take(construct, seconds):
    text = (
        "nodes:\n  - {node_id: outer, timeout: 5s, "
        + construct.replace("END", END) % delay("x", "10s")
        + "}\n"
    )
    message = f"node 'outer' takes at least {seconds} (x), and its timeout is 5s"
    assert told(text) == ([(5, message)] if seconds else [])


def test_a_delay_longer_than_its_own_timeout():
    assert told(f"nodes:\n  - {delay('a', '10m', ', timeout: 60s')}\n") == [
        (5, "node 'a' takes at least 10m, and its timeout is 1m")
    ]


@pytest.mark.parametrize("parameters", ["{duration: '{{ input.d }}'}", "{until: 2099-01-01T00:00:00Z}"])
def test_what_is_not_known_beforehand_is_no_wait(parameters):
    assert (
        told(f"timeout: 1s\nnodes: [{{node_id: a, type: control/delay, parameters: {parameters}}}]\n") == []
    )


def test_a_sub_workflow_takes_its_own_time(tmp_path):
    (tmp_path / "child.yaml").write_text(f"name: child\nversion: 1.0.0\nnodes: [{delay('n', '2h')}]\n")
    text = "timeout: 1h\nnodes: [{node_id: sub, type: control/subworkflow, parameters: {name: child}}]\n"
    assert told(text, library=Folder(str(tmp_path))) == [
        (4, "the workflow takes at least 2h (sub), and its timeout is 1h")
    ]


def test_a_node_that_follows_itself_is_no_fault_of_the_sum():
    edges = "[{from: a, to: a}, {from: a, to: b}]"
    text = f"timeout: 1h\nnodes: [{delay('a', '2h')}, {delay('b', '1s')}]\nedges: {edges}\n"
    found = analyze("w.yaml", text=HEAD + text).diagnostics
    assert {"MR203", "MR270"} <= {d.code for d in found}
