"""The graph as a value: order, cycles, reachability, against plain definitions of them."""

from hypothesis import given
from hypothesis import strategies as st

from mirror_realm.compiler.document import Document, Span
from mirror_realm.compiler.graph import Edge, Graph, GraphNode, build_graph
from mirror_realm.compiler.source import load

HERE = Span(1, 1, 1, 1)


def graph_of(count: int, pairs: set[tuple[int, int]]) -> Graph:
    nodes = tuple(GraphNode(f"n{i}", "t/x", ("nodes", i), HERE) for i in range(count))
    return Graph(nodes, tuple(Edge(f"n{a}", f"n{b}") for a, b in sorted(pairs)))


graphs = st.integers(1, 9).flatmap(
    lambda count: st.builds(
        graph_of,
        st.just(count),
        st.sets(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), max_size=20),
    )
)


def closure(graph: Graph) -> dict[str, set[str]]:
    """Which nodes a path of at least one edge leads to, by repeated squaring of nothing cleverer than sets."""
    reach = {node.id: {e.target for e in graph.edges if e.source == node.id} for node in graph.nodes}
    for _ in graph.nodes:
        for source in reach:
            reach[source] |= {far for near in tuple(reach[source]) for far in reach[near]}
    return reach


@given(graphs)
def test_order_puts_every_node_after_its_predecessors(graph):
    reach = closure(graph)
    cyclic = {node for node, far in reach.items() if node in far}
    held_up = cyclic | {far for node in cyclic for far in reach[node]}
    order = list(graph.order)
    assert sorted(order) == sorted(node.id for node in graph.nodes)
    for edge in graph.edges:
        if edge.target not in held_up:
            assert order.index(edge.source) < order.index(edge.target)


@given(graphs)
def test_cycles_are_cycles_and_every_knot_has_one(graph):
    reach = closure(graph)
    knots = {frozenset(b for b in reach if b in reach[a] and a in reach[b]) for a in reach if a in reach[a]}
    knots = {knot for knot in knots if len(knot) > 1}
    assert len(graph.cycles) == len(knots)
    edges = {(e.source, e.target) for e in graph.edges}
    for cycle in graph.cycles:
        assert any(set(cycle) <= knot for knot in knots)
        assert len(set(cycle)) == len(cycle) > 1
        assert all(pair in edges for pair in zip(cycle, (*cycle[1:], cycle[0]), strict=True))


@given(graphs)
def test_reaching(graph):
    reach = closure(graph)
    for a in reach:
        for b in reach:
            assert graph.reaches(a, b) == (b in reach[a])
        assert graph.reachable([a]) == {a} | reach[a]


def test_order_is_that_of_the_definition_where_edges_leave_a_choice():
    assert graph_of(5, {(3, 1)}).order == ("n0", "n2", "n3", "n1", "n4")


def test_places_do_not_count_in_equality():
    first = load("a.yaml", text="nodes: [{node_id: a, type: t}]").document
    second = load("b.yaml", text="\n\nnodes:\n  - node_id: a\n    type: t\n").document
    assert build_graph(first) == build_graph(second)


def test_what_is_malformed_is_left_out():
    text = "nodes: [1, {node_id: a}, {node_id: [x]}, {node_id: a, type: t}]\n"
    text += "edges: [x, {source: a}, {source: a, target: b}]\n"
    graph = build_graph(load("a.yaml", text=text).document)
    assert [(node.id, node.type) for node in graph.nodes] == [("a", "")]
    assert graph.edges == ()
    assert [(e.source, e.target) for e in graph.dangling] == [("a", "b")]
    assert build_graph(Document(None, 0, "")).nodes == ()


def test_a_long_chain_needs_no_recursion():
    graph = graph_of(20_000, {(i, i + 1) for i in range(19_999)} | {(19_999, 0)})
    assert len(graph.cycles[0]) == 20_000


def test_what_is_no_node_is_not_reached():
    """A name that was refused as an id, say, that an expression reads."""
    graph = graph_of(2, {(0, 1)})
    assert not graph.reaches("", "n1")
    assert not graph.reaches("n0", "")
