"""Pictures: nothing overlaps, and the flow runs in one direction."""

import random
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirror_realm.compiler.draw import draw
from mirror_realm.compiler.draw.scene import scene
from tests.compiler.drawings import (
    CONDITIONS,
    DIAMOND,
    check,
    graph_of,
    nested_scope,
    overlapping,
    random_graph,
)


@pytest.mark.parametrize("count", [1, 2, 40, 150])
@pytest.mark.parametrize("states", [None, {"node-0": ("completed", 1.5)}])
def test_nothing_overlaps_in_a_flat_graph(count, states):
    check(scene(random_graph(count, seed=count, back=0.05), states))


def test_hundreds_of_nodes_do_not_overlap():
    picture = scene(random_graph(700, seed=7, back=0.02))
    labels = {i: line.route.label for i, line in enumerate(picture.lines) if line.label}
    assert overlapping({**{card.figure.key: card.box for card in picture.cards}, **labels}) == []


@pytest.mark.parametrize("seed", range(12))
def test_nothing_overlaps_where_regions_are_nested(seed):
    chance = random.Random(seed)
    picture = scene(nested_scope(chance, chance.randrange(2, 14), 3), {"node-0": "running"})
    check(picture)
    assert draw(nested_scope(random.Random(seed), 5, 3), "svg") == draw(
        nested_scope(random.Random(seed), 5, 3), "svg"
    )


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 10).flatmap(
        lambda n: st.tuples(
            st.just(n),
            st.lists(
                st.tuples(st.integers(0, n - 1), st.integers(0, n - 1), st.sampled_from(CONDITIONS)),
                max_size=3 * n,
            ),
        )
    )
)
def test_any_graph_is_drawn(case):
    count, edges = case
    graph = graph_of([f"n{i}" for i in range(count)], [(f"n{a}", f"n{b}", c) for a, b, c in edges])
    picture = scene(graph)
    cards = {card.figure.key: card.box for card in picture.cards}
    labels = {i: line.route.label for i, line in enumerate(picture.lines) if line.label}
    assert overlapping({**cards, **labels}) == []
    assert [(line.source, line.target) for line in picture.lines] == [
        (e.source, e.target) for e in graph.edges
    ]
    ElementTree.fromstring(draw(graph, "svg"))


def test_the_flow_runs_in_one_direction():
    boxes = {card.figure.key: card.box for card in scene(DIAMOND).cards}
    assert boxes["start"].x < boxes["检查"].x < boxes["keep"].x == pytest.approx(boxes["drop"].x, abs=60)
    chain = graph_of([f"n{i}" for i in range(20)], [(f"n{i}", f"n{i + 1}") for i in range(19)])
    downward = [card.box.y for card in scene(chain).cards]
    assert downward == sorted(downward)


def test_parts_that_no_edge_joins_are_set_in_rows():
    graph = graph_of([f"n{i}" for i in range(12)], [("n0", "n11"), ("n1", "n2", "x > 1")])
    picture = scene(graph)
    check(picture)
    assert 0.8 < picture.width / picture.height < 3
    boxes = {card.figure.key: card.box for card in picture.cards}
    assert boxes["n0"].y == boxes["n11"].y


def test_a_cycle_is_cut_where_it_closes():
    graph = graph_of(
        ["a", "b", "c", "end", "d"], [("a", "b"), ("b", "c"), ("c", "b", "again"), ("c", "d"), ("d", "end")]
    )
    picture = scene(graph)
    assert [line.route.back for line in picture.lines] == [False, False, True, False, False]
    boxes = {card.figure.key: card.box for card in picture.cards}
    assert boxes["a"].x < boxes["b"].x < boxes["c"].x < boxes["d"].x < boxes["end"].x
    check(picture)
