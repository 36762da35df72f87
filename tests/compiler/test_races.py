"""Races: which nodes may run at the same time, and what is told of them. See also ``fixtures/invalid/races.yaml``."""

import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirror_realm.compiler import analyze
from mirror_realm.compiler.library import Folder
from mirror_realm.compiler.verify.parallel import Parallel
from mirror_realm.compiler.verify.races import judge
from mirror_realm.tasks.registry import registry

HERE = Path(__file__).parent / "fixtures"
HEAD = "name: w\ntriggers: [{type: manual}]\n"
INPUT = "input: {type: object, required: [c, x], properties: {c: {type: boolean}, x: {type: string}}}\n"


def races(text, **more):
    found = analyze("w.yaml", text=HEAD + INPUT + text, **more).diagnostics
    return [(d.severity, d.message) for d in found if d.code == "MR260"]


def two(first, second, edges="[]"):
    return f"nodes:\n  - {{node_id: a, {first}}}\n  - {{node_id: b, {second}}}\nedges: {edges}\n"


def test_what_looks_like_a_race_and_is_none():
    analysis = analyze(HERE / "proofs" / "no-races.yaml")
    assert not [d for d in analysis.diagnostics if d.code == "MR260"], analysis.render()


WRITE = "type: data/file-write, parameters: {{path: {path}, data: 1}}"
SCRIPT = "type: script/python, parameters: {function: 'm:f'}"
SEND = "type: notify/send, parameters: {urls_from: X, body: hi}"
READ = "type: data/file-read, parameters: {{path: {path}}}"


@pytest.mark.parametrize(
    ("first", "second", "severity"),
    [
        (WRITE.format(path="a.json"), WRITE.format(path="a.json"), "error"),
        (WRITE.format(path="file:///a.json"), WRITE.format(path="/a.json"), "error"),
        (WRITE.format(path="a.json"), READ.format(path="./a.json"), "warning"),
        (WRITE.format(path="a.json") + ", when: input.c", WRITE.format(path="a.json"), "warning"),
        (WRITE.format(path="a.json") + ", when: input.c", WRITE.format(path="a.json") + ", when: '!input.c'", None),
        (WRITE.format(path="'{{ input.x }}'"), WRITE.format(path="'{{input.x}}'"), "warning"),
        (WRITE.format(path="'{{ input.x }}'"), WRITE.format(path="'{{ uuid() }}'"), None),
        (WRITE.format(path="'{{ uuid() }}'"), WRITE.format(path="'{{ uuid() }}'"), None),
        (READ.format(path="a.json"), READ.format(path="a.json"), None),
        (WRITE.format(path="照/片.json"), "type: media/deduplicate, parameters: {folder: 照}", "warning"),
        (WRITE.format(path="照片/1.json"), "type: media/deduplicate, parameters: {folder: 照}", None),
        (SCRIPT, SCRIPT, None),
        (SEND, SEND, None),
    ],
)  # fmt: skip
def test_two_nodes_side_by_side(first, second, severity):
    assert [found for found, _ in races(two(first, second))] == ([severity] if severity else [])


def test_an_edge_ends_the_race():
    write = WRITE.format(path="a.json")
    assert races(two(write, write, "[{source: a, target: b}]")) == []


def test_a_node_inside_another_races_with_one_beside_that():
    inner = "nodes: [{node_id: x, " + WRITE.format(path="a.json") + "}]"
    text = two(
        f"type: control/loop, parameters: {{condition: 'loop.index < 2'}}, body: {{{inner}}}",
        WRITE.format(path="a.json"),
    )
    assert races(text) == [("error", "'x' and 'b' may run at the same time, and both write file a.json")]


@pytest.mark.parametrize(
    ("items", "path", "severity"),
    [
        ("[1, 2]", "a.json", "error"),
        ("[1]", "a.json", None),
        ("'{{ [1, 2] }}'", "a.json", "warning"),
        ("[1, 2]", "'{{ input.x }}'", "warning"),
        ("[1, 2]", "'{{ photo }}.json'", None),
        ("[1, 2]", "'{{ nodes.inner }}.json'", None),
    ],
)
def test_a_node_races_with_itself(items, path, severity):
    text = f"""
nodes:
  - node_id: each
    type: control/foreach
    parameters: {{items: {items}, item: photo}}
    body:
      nodes:
        - {{node_id: inner, type: control/set, parameters: {{values: {{x: 1}}}}, next: [x]}}
        - {{node_id: x, {WRITE.format(path=path)}}}
"""
    assert [found for found, _ in races(text)] == ([severity] if severity else [])


def test_what_differs_only_in_the_outer_loop_is_the_same_thing_in_the_inner_one():
    text = """
nodes:
  - node_id: outer
    type: control/foreach
    parameters: {items: [1, 2], item: one}
    body:
      nodes:
        - node_id: inner
          type: control/foreach
          parameters: {items: [1, 2], item: two}
          body: {nodes: [{node_id: x, type: data/file-write, parameters: {path: "%s", data: 1}}]}
"""
    assert len(races(text % "{{ one }}.json")) == 1
    assert races(text % "{{ two }}.json") == []


def test_a_sub_workflow_touches_what_its_nodes_touch(tmp_path):
    (tmp_path / "child.yaml").write_text(
        "name: child\nversion: 1.0.0\nnodes: [{node_id: n, " + WRITE.format(path="a.json") + "}]\n"
    )
    text = two("type: control/subworkflow, parameters: {name: child}", WRITE.format(path="a.json"))
    assert [found for found, _ in races(text, library=Folder(str(tmp_path)))] == ["error"]


def test_nodes_that_do_not_say_what_they_change_are_unknown():
    analysis = analyze("w.yaml", text=HEAD + two(SCRIPT, SCRIPT))
    (found,) = judge(analysis.document, analysis.scope, registry())
    assert (found.verdict, found.severity) == ("unknown", None)


# --- may happen in parallel, against enumeration ---------------------------------------------------------------------

NAMES = "abcd"
PAIRS = [(one, other) for one, other in itertools.combinations(NAMES, 2)]
KINDS = (None, "", "input.c", "!input.c")
"""No edge, a plain one, and two that exclude each other."""


def simulated(edges, joins):
    """The pairs of nodes that are ever seen running together, by walking through every state of every execution."""
    seen = set()
    incoming = {n: [(e[0], kind) for e, kind in edges.items() if e[1] == n] for n in NAMES}
    for outcome in (True, False):
        start = ("pending",) * len(NAMES)
        states, stack = {start}, [start]
        while stack:
            state = stack.pop()
            running = [n for n, s in zip(NAMES, state, strict=True) if s == "running"]
            seen |= set(itertools.combinations(running, 2))
            for index, node in enumerate(NAMES):
                for after in steps(node, dict(zip(NAMES, state, strict=True)), incoming, joins, outcome):
                    following = (*state[:index], after, *state[index + 1 :])
                    if following not in states:
                        states.add(following)
                        stack.append(following)
    return seen


def steps(node, state, incoming, joins, outcome):
    if state[node] == "running":
        return ["done"]
    if state[node] != "pending" or any(state[s] in ("pending", "running") for s, _ in incoming[node]):
        return []
    live = [
        s for s, kind in incoming[node] if state[s] == "done" and kind in ("", KINDS[2 if outcome else 3])
    ]
    needed = 0 if not incoming[node] else len(incoming[node]) if joins[node] == "all" else 1
    return ["running"] if len(live) >= needed else ["skipped"]


def told(edges, joins):
    lines = "".join(f"  - {{node_id: {n}, type: control/end, join: {joins[n]}}}\n" for n in NAMES)
    for (source, target), kind in edges.items():
        condition = f", condition: '{kind}'" if kind else ""
        lines += (
            "" if "edges:" in lines else "edges:\n"
        ) + f"  - {{source: {source}, target: {target}{condition}}}\n"
    analysis = analyze("w.yaml", text=HEAD + INPUT + "nodes:\n" + lines)
    parallel = Parallel(analysis.document, registry())
    scope = analysis.scope
    return {(one, other) for one, other in PAIRS if parallel.meet((scope, one), (scope, other)) is not None}


def compare(kinds, joins):
    edges = {pair: kind for pair, kind in zip(PAIRS, kinds, strict=True) if kind is not None}
    assert told(edges, joins) == simulated(edges, joins), (edges, joins)


@pytest.mark.parametrize("plain", list(itertools.product((None, ""), repeat=len(PAIRS))), ids=str)
def test_all_plain_graphs_of_four_nodes(plain):
    compare(plain, dict.fromkeys(NAMES, "any"))


@settings(max_examples=120, deadline=None)
@given(
    st.lists(st.sampled_from(KINDS), min_size=len(PAIRS), max_size=len(PAIRS)),
    st.lists(st.sampled_from(["any", "all"]), min_size=4, max_size=4),
)
def test_graphs_with_conditions_and_joins(kinds, joins):
    compare(kinds, dict(zip(NAMES, joins, strict=True)))


def test_an_input_schema_that_is_wrong_is_only_reported():
    write = WRITE.format(path="a.json")
    nodes = two(f"{write}, when: input.c", f"{write}, when: 'input.c && input.x'")
    head = HEAD + "input: {type: object, required: true, properties: {c: {type: boolean}}}\n"
    codes = {d.code for d in analyze("w.yaml", text=head + nodes).errors}
    assert codes == {"MR124"}
