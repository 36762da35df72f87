"""Pictures of graphs: nothing overlaps, everything is escaped, all formats come out."""

import io
import random
import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirror_realm.compiler.document import Span
from mirror_realm.compiler.draw import FORMATS, State, draw
from mirror_realm.compiler.draw.scene import clip, scene, text_width
from mirror_realm.compiler.graph import Edge, Graph, GraphNode
from mirror_realm.core.errors import Code, RealmError

NOWHERE = Span(1, 1, 1, 1)


def graph_of(nodes, edges):
    """A graph from ``id`` or ``(id, type)`` and ``(source, target[, condition])``."""
    pairs = [(node, "image/preprocess") if isinstance(node, str) else node for node in nodes]
    return Graph(
        tuple(GraphNode(name, kind, (), NOWHERE) for name, kind in pairs),
        tuple(Edge(edge[0], edge[1], edge[2] if len(edge) > 2 else None) for edge in edges),
    )


def random_graph(count, seed, back=0.0):
    chance = random.Random(seed)
    ids = [f"node-{n}" + "照片" * chance.randrange(4) for n in range(count)]
    edges = []
    for index in range(1, count):
        for _ in range(chance.choice([0, 1, 1, 1, 2, 3])):
            source = chance.randrange(max(0, index - 30), index)
            pair = (ids[index], ids[source]) if chance.random() < back else (ids[source], ids[index])
            edges.append((*pair, chance.choice([None, None, "nodes.x.score >= 60", "else"])))
    return graph_of(ids, edges)


def overlapping(boxes):
    """Pairs of boxes that share area (a sweep over x)."""
    found, active = [], []
    for name, box in sorted(boxes.items(), key=lambda item: item[1].x):
        active = [(n, b) for n, b in active if b.x + b.width > box.x]
        found += [(n, name) for n, b in active if b.y < box.y + box.height and box.y < b.y + b.height]
        active.append((name, box))
    return found


DIAMOND = graph_of(
    [
        ("start", "control/start"),
        ("检查", "ai/image-analyze"),
        ("keep", "storage/minio"),
        ("drop", "data/file-write"),
    ],
    [
        ("start", "检查"),
        ("检查", "keep", "{{ nodes.检查.score >= 60 }}"),
        ("检查", "drop", "else"),
        ("start", "keep"),
    ],
)


@pytest.mark.parametrize("count", [1, 2, 40, 300, 700])
@pytest.mark.parametrize("states", [None, {"node-0": ("completed", 1.5)}])
def test_no_two_boxes_intersect(count, states):
    picture = scene(random_graph(count, seed=count, back=0.05), states)
    assert overlapping(picture.layout.boxes) == []
    for box in picture.layout.boxes.values():
        assert box.x >= 0
        assert box.y >= 0
        assert box.x + box.width <= picture.layout.width
        assert box.y + box.height <= picture.layout.height


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 12).flatmap(
        lambda n: st.tuples(
            st.just(n), st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=3 * n)
        )
    )
)
def test_any_graph_is_drawn(case):
    count, pairs = case
    graph = graph_of([f"n{i}" for i in range(count)], [(f"n{a}", f"n{b}") for a, b in pairs])
    picture = scene(graph, None)
    assert overlapping(picture.layout.boxes) == []
    assert len(picture.lines) == len(graph.edges)
    ElementTree.fromstring(draw(graph, "svg"))


def test_the_flow_runs_in_one_direction():
    boxes = scene(DIAMOND, None).layout.boxes
    assert boxes["start"].x < boxes["检查"].x < boxes["keep"].x == pytest.approx(boxes["drop"].x, abs=60)
    chain = graph_of([f"n{i}" for i in range(20)], [(f"n{i}", f"n{i + 1}") for i in range(19)])
    downward = [scene(chain, None).layout.boxes[f"n{i}"].y for i in range(20)]
    assert downward == sorted(downward)


def test_a_cycle_is_cut_where_it_closes():
    graph = graph_of(
        ["a", "b", "c", "end", "d"], [("a", "b"), ("b", "c"), ("c", "b"), ("c", "d"), ("d", "end")]
    )
    picture = scene(graph, None)
    assert [line.route.back for line in picture.lines] == [False, False, True, False, False]
    boxes = picture.layout.boxes
    assert boxes["a"].x < boxes["b"].x < boxes["c"].x < boxes["d"].x < boxes["end"].x


def test_edges_begin_and_end_at_their_boxes():
    picture = scene(DIAMOND, None)
    for line in picture.lines:
        source, target = (picture.layout.boxes[n] for n in (line.route.edge.source, line.route.edge.target))
        (x0, y0), (x1, y1) = line.route.points[0], line.route.points[-1]
        assert x0 == pytest.approx(source.x + source.width)
        assert source.y < y0 < source.y + source.height
        assert x1 == pytest.approx(target.x)
        assert target.y < y1 < target.y + target.height


def test_chinese_text_fits():
    long = "照片预处理与质量检查节点编号一百二十三"
    assert text_width("照", 10) == 2 * text_width("a", 10)
    picture = scene(graph_of([long], []), None)
    assert picture.layout.boxes[long].width >= text_width(picture.cards[0].title, 14) + 30
    assert clip("照片照片", 5) == "照片…"
    assert clip("a\nb\u0007c", 10) == "a b c"


NASTY = [
    'a"b',
    "<b>&'x'</b>",
    "x]]>",
    "end",
    "subgraph",
    "a\\",
    "a|b",
    "]-->|x|",
    "{x}",
    "#35;",
    "\u202e",
    "</svg><script>",
]


def test_everything_is_escaped():
    edges = [(a, b, f"{a} > {b}") for a, b in pairwise(NASTY)]
    graph = graph_of([(name, f"x/{name}") for name in NASTY], edges)
    svg = draw(graph, "svg", dict.fromkeys(NASTY, "failed"))
    root = ElementTree.fromstring(svg)
    assert [g.get("data-node") for g in root.iter() if g.get("data-node")] == NASTY
    assert "<script" not in svg
    mermaid = draw(graph, "mermaid")
    for line in mermaid.splitlines()[1:]:
        assert re.fullmatch(
            r'  (n\d+\["[^"\]\[|{}<>]*(<[^"\]\[|{}]*)*"\]|n\d+ -->\|"[^"|<>]*"\| n\d+|style n\d+ [\w#:,-]+)',
            line,
        ), line
    dot = draw(graph, "dot")
    for line in dot.splitlines()[5:-1]:
        assert re.fullmatch(r'  ("(?:[^"\\]|\\.)*"|[^"])+;', line), line


def test_names_that_xml_cannot_carry():
    ElementTree.fromstring(draw(graph_of(["a\x00b\x1b\ud800"], []), "svg"))


def test_states_give_colour_and_time():
    states = {
        "start": State("completed", 0.25),
        "检查": ("failed", 75),
        "keep": {"status": "running"},
        "drop": "skipped",
    }
    svg = draw(DIAMOND, "svg", states)
    for words in ("completed · 250ms", "failed · 1m15s", "running", "skipped"):
        assert words in svg
    assert "completed" in draw(DIAMOND, "mermaid", states)
    assert "1m15s" in draw(DIAMOND, "dot", states)
    plain = draw(DIAMOND, "svg")
    assert "pending" not in plain
    assert "pending" in draw(DIAMOND, "svg", {"start": "completed"})


def test_conditions_label_their_edges():
    svg = draw(DIAMOND, "svg")
    assert "nodes.检查.score &gt;= 60</text>" in svg
    assert "{{" not in re.sub(r"<title>.*?</title>", "", svg)


def test_labels_of_neighbouring_edges_do_not_overlap():
    chain = [(f"n{i}", f"n{i + 1}") for i in range(10)]
    graph = graph_of(
        [f"n{i}" for i in range(11)] + ["left", "right"],
        [*chain, ("n3", "left", "nodes.n3.score >= 60"), ("n3", "right", "nodes.n3.score < 60")],
    )
    spots = [(line.route.label, line.label_size) for line in scene(graph, None).lines if line.label]
    (one, size), (other, _) = spots
    assert abs(one[0] - other[0]) >= size.width or abs(one[1] - other[1]) >= size.height


def test_png_is_the_same_picture():
    from PIL import Image

    for states in (None, {"start": "completed"}):
        layout = scene(DIAMOND, states).layout
        image = Image.open(io.BytesIO(draw(DIAMOND, "png", states)))
        assert image.size == (round(layout.width * 2), round(layout.height * 2))
        colors = image.convert("RGB").getcolors(1 << 20)
        assert colors is not None
        assert len(colors) > 50
    big = Image.open(io.BytesIO(draw(random_graph(40, 3), "png")))
    assert big.width * big.height < 20_000_000


def test_an_empty_graph_is_drawn():
    empty = graph_of([], [])
    ElementTree.fromstring(draw(empty, "svg"))
    assert draw(empty, "png").startswith(b"\x89PNG")
    assert draw(empty, "mermaid") == "flowchart LR\n"


def test_pictures_do_not_change_from_one_time_to_the_next():
    graph = random_graph(60, 1)
    assert all(draw(graph, f) == draw(graph, f) for f in FORMATS if f != "png")


def test_an_unknown_format():
    with pytest.raises(RealmError) as caught:
        draw(DIAMOND, "gif")
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert "svg" in (caught.value.hint or "")
