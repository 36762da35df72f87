"""Pools: what fits no worker, how many nodes may want how much at once; and the antichain against enumeration."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirror_realm.compiler import analyze
from mirror_realm.compiler.verify.antichain import heaviest_antichain
from mirror_realm.compiler.verify.feasibility import Demand, widths
from mirror_realm.compiler.verify.pool import CPU, Pool
from mirror_realm.tasks.registry import registry

HEAD = "name: w\ntriggers: [{type: manual}]\n"
PHOTO = "type: image/thumbnail, input: {image: '{{ input.image }}'}"
ENHANCE = "type: ai/image-enhance, input: {image: '{{ input.image }}'}"


def found(text, *workers):
    analysis = analyze("w.yaml", text=HEAD + text, pool=Pool.parse(workers))
    return [
        (d.code, d.severity, d.line, d.message) for d in analysis.diagnostics if d.code in ("MR402", "MR403")
    ]


def width(text, resource=CPU):
    analysis = analyze("w.yaml", text=HEAD + text)
    return Demand(analysis.document, registry(), analysis.subworkflows).width(analysis.scope, resource)


@pytest.mark.parametrize(
    ("texts", "workers"),
    [
        (["gpu=1, cpu=8, memory=16GiB"], [{"GPU": 1, "CPU_MILLIS": 8000, "MEMORY_MB": 16384}]),
        (["2x cpu=0.5", "memory=512"], [{"CPU_MILLIS": 500}, {"CPU_MILLIS": 500}, {"MEMORY_MB": 512}]),
        (["accelerator=A100,vram=80GB"], [{"GPU": 1, "VRAM_MB": 81920, "ACCELERATOR:A100": 1}]),
        (["照相机=2"], [{"照相机": 2}]),
    ],
)
def test_pools_as_people_write_them(texts, workers):
    assert list(Pool.parse(texts).workers) == workers


@pytest.mark.parametrize("text", ["cpu", "cpu=", "=4", "cpu=four", "memory=2 parsecs", "gpu=1GiB", ""])
def test_what_is_no_worker(text):
    with pytest.raises(ValueError, match="write for example"):
        Pool.parse([text])


def test_a_gpu_where_none_is():
    text = f"nodes:\n  - {{node_id: 增强, {ENHANCE}, resources: {{gpu: required}}}}\n"
    assert found(text, "cpu=8") == [
        ("MR402", "error", 4, "node '增强' requires a GPU, and no worker of the pool has one")
    ]
    assert found(text, "cpu=8", "gpu=1,cpu=8") == []


def test_a_node_larger_than_every_worker():
    text = f"nodes:\n  - {{node_id: a, {PHOTO}, resources: {{cpu_millis: 6000, memory_mb: 4096}}}}\n"
    ((code, severity, _, message),) = found(text, "4x cpu=4,memory=8GiB")
    assert (code, severity) == ("MR402", "error")
    assert message == "node 'a' fits no worker of the pool: it asks for cpu 6 (the most is cpu 4)"
    assert found(text, "gpu=1") == [], "what the pool does not count is no limit"


def test_a_preferred_gpu_can_do_without():
    assert found(f"nodes: [{{node_id: a, {ENHANCE}}}]\n", "cpu=8") == []


def test_custom_resources_and_nodes_inside_others():
    text = f"""
nodes:
  - node_id: each
    type: control/foreach
    parameters: {{items: "{{{{ input.images }}}}", max_concurrent: 4}}
    body: {{nodes: [{{node_id: x, {PHOTO}, resources: {{custom: {{scanner: 1}}}}}}]}}
"""
    assert [code for code, *_ in found(text, "cpu=9")] == ["MR402"]
    ((code, severity, _, message),) = found(text, "cpu=9,scanner=1")
    assert (code, severity) == ("MR403", "info")
    assert message == "up to scanner 4 may be asked for at once, and the pool has scanner 1: each/x ×4"


def test_the_width_of_nested_constructs():
    node = "{node_id: %s, " + PHOTO + "}"
    text = f"""
nodes:
  - node_id: fork
    type: control/parallel
    parameters: {{max_concurrent: 2}}
    branches:
      - {{name: 左, nodes: [{node % "a"}, {node % "b"}]}}
      - {{name: 中, nodes: [{node % "c"}]}}
      - name: 右
        nodes:
          - node_id: each
            type: control/foreach
            parameters: {{items: [1, 2, 3]}}
            body: {{nodes: [{node % "d"}, {node % "e"}]}}
  - node_id: again
    type: control/loop
    parameters: {{condition: loop.index < 9}}
    body: {{nodes: [{node % "f"}]}}
"""
    wide = width(text)
    assert wide.amount == 9000  # 3 × 2 of the right branch, 2 of the left one, and the loop's
    assert dict(wide.nodes)["fork/右/each/d"] == 3
    assert "fork/中/c" not in dict(wide.nodes)


def test_the_widths_of_a_definition_are_facts_without_a_pool():
    analysis = analyze("w.yaml", text=HEAD + f"nodes: [{{node_id: a, {PHOTO}}}, {{node_id: b, {ENHANCE}}}]\n")
    facts = widths(Demand(analysis.document, registry()), analysis.scope)
    assert {name: width.amount for name, width in facts.items()} == {
        "CPU_MILLIS": 2000,
        "MEMORY_MB": 2560,
        "GPU": 0.25,
    }


def brute_force(successors, weights):
    count = len(weights)
    below = [0] * count
    for node in reversed(range(count)):
        for successor in successors[node]:
            below[node] |= 1 << successor | below[successor]
    best = 0
    for chosen in range(1 << count):
        members = [node for node in range(count) if chosen >> node & 1]
        if not any(below[node] & chosen for node in members):
            best = max(best, sum(weights[node] for node in members))
    return best


@st.composite
def weighted_graphs(draw):
    count = draw(st.integers(1, 9))
    edges = [[other for other in range(node + 1, count) if draw(st.booleans())] for node in range(count)]
    return edges, [draw(st.integers(0, 5)) for _ in range(count)]


@settings(max_examples=400, deadline=None)
@given(weighted_graphs())
def test_the_heaviest_antichain_is_that_of_enumeration(graph):
    successors, weights = graph
    total, chosen = heaviest_antichain(successors, weights)
    assert total == brute_force(successors, weights) == sum(weights[node] for node in chosen)


def test_every_graph_of_four_nodes():
    pairs = [(one, other) for one in range(4) for other in range(one + 1, 4)]
    for bits in range(1 << len(pairs)):
        edges = [pair for index, pair in enumerate(pairs) if bits >> index & 1]
        successors = [[other for one, other in edges if one == node] for node in range(4)]
        for weights in ([1, 1, 1, 1], [3, 1, 2, 2], [0, 5, 0, 1]):
            assert heaviest_antichain(successors, weights)[0] == brute_force(successors, weights)
