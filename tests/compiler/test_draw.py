"""Pictures: nothing overlaps, what is inside a node is in its frame, everything is escaped."""

import io
import random
import re
from itertools import combinations, pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirror_realm.compiler import analyze
from mirror_realm.compiler.document import Span
from mirror_realm.compiler.draw import FORMATS, State, draw
from mirror_realm.compiler.draw.captions import caption
from mirror_realm.compiler.draw.curves import cubics, sampled
from mirror_realm.compiler.draw.paint import Words, paint
from mirror_realm.compiler.draw.palette import CARD, FAMILIES, FRAMES, INK, MUTED, OTHER, PAPER, STATES
from mirror_realm.compiler.draw.png import chinese_path, font, unreadable
from mirror_realm.compiler.draw.scene import scene
from mirror_realm.compiler.draw.words import clip, text_width, wrapped
from mirror_realm.compiler.graph import Edge, Graph, GraphNode
from mirror_realm.compiler.scopes import Scope
from mirror_realm.core.errors import Code, RealmError

NOWHERE = Span(1, 1, 1, 1)
CONDITIONS = (
    None,
    None,
    "nodes.x.score >= 60",
    "else",
    "input.质量 == '高' && size(input.files) > 10 && input.again",
)


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
            edges.append((*pair, chance.choice(CONDITIONS)))
    return graph_of(ids, edges)


def nested_scope(chance, count, levels, owner=None, parent=None, name=None):
    """A scope of ``count`` nodes, some of them with bodies and branches, down to ``levels`` levels."""
    graph = random_graph(count, chance.random(), back=0.03)
    scope = Scope((), graph, graph, owner, parent, name)
    for node in graph.nodes:
        if levels and chance.random() < 0.25:
            for branch in chance.choice([[None], [None], ["左", "right"], ["a", "b", "c"]]):
                inner = nested_scope(chance, chance.randrange(1, 6), levels - 1, node, scope, branch)
                scope.children.append(inner)
    return scope


def apart(one, other):
    return (
        one.right <= other.x + 1e-6
        or other.right <= one.x + 1e-6
        or one.bottom <= other.y + 1e-6
        or other.bottom <= one.y + 1e-6
    )


def within(inner, outer):
    return (
        inner.x >= outer.x - 1e-6
        and inner.y >= outer.y - 1e-6
        and inner.right <= outer.right + 1e-6
        and inner.bottom <= outer.bottom + 1e-6
    )


def overlapping(boxes):
    """Pairs of boxes that share area (a sweep over x)."""
    found, active = [], []
    for name, box in sorted(boxes.items(), key=lambda item: item[1].x):
        active = [(n, b) for n, b in active if b.right > box.x]
        found += [(n, name) for n, b in active if not apart(b, box)]
        active.append((name, box))
    return found


def check(picture):
    """The laws of a picture."""
    cards = {card.figure.key: card.box for card in picture.cards}
    frames = {frame.figure.key: frame for frame in picture.frames}
    labels = {i: line.route.label for i, line in enumerate(picture.lines) if line.label}
    assert overlapping({**cards, **labels}) == []
    for key, box in {**cards, **{key: frame.box for key, frame in frames.items()}}.items():
        assert 0 <= box.x <= box.right <= picture.width
        assert 0 <= box.y <= box.bottom <= picture.height
        around = max((k for k in frames if key.startswith(k + "/")), key=len, default=None)
        if around is not None:
            assert sum(within(box, lane.box) for lane in frames[around].lanes) == 1, key
    for one, other in combinations(frames.values(), 2):
        nested = any(a.figure.key.startswith(b.figure.key + "/") for a, b in ((one, other), (other, one)))
        assert nested or apart(one.box, other.box)
    boxes = {**cards, **{key: frame.box for key, frame in frames.items()}}
    for line in picture.lines:
        keep_clear(picture, line, boxes)
    for group in paint(picture):
        for words in (shape for shape in group.shapes if isinstance(shape, Words) and group.key):
            assert words.x + text_width(words.text, words.size, bold=words.bold) <= boxes[group.key].right


def keep_clear(picture, line, boxes):
    """An edge begins and ends at its nodes, and crosses no node beside them."""
    around = line.source.rpartition("/")[0]
    points = sampled(cubics(line.route, picture.direction), 8)
    for x, y in points:
        for key, box in boxes.items():
            inside = box.x + 1 < x < box.right - 1 and box.y + 1 < y < box.bottom - 1
            assert not inside or f"{around}/".startswith(f"{key}/"), (line.source, line.target, key)
    first, last = line.route.points[0], line.route.points[-1]
    for (x, y), box in ((first, boxes[line.source]), (last, boxes[line.target])):
        assert box.x - 1e-6 <= x <= box.right + 1e-6
        assert box.y - 1e-6 <= y <= box.bottom + 1e-6


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


# What is inside a node.

NESTED = """
name: album
display_name: 相册
nodes:
  - {node_id: scan, type: control/start, display_name: 扫描}
  - node_id: each
    type: control/foreach
    parameters: {items: "{{ input.files }}", item: file, max_concurrent: 16}
    body:
      nodes:
        - {node_id: resize, type: image/preprocess}
        - node_id: both
          type: control/parallel
          parameters: {wait_for: any}
          branches:
            标签: [{node_id: tag, type: ai/image-analyze}]
            mark: [{node_id: stamp, type: image/watermark, parameters: {text: x}}]
      edges: [{source: resize, target: both, condition: "nodes.resize.width > 100"}]
  - {node_id: tail, type: control/subworkflow, parameters: {name: tail}}
edges: [{source: scan, target: each}, {source: each, target: tail}]
"""
TAIL = (
    "name: tail\nversion: 1.2.0\nnodes: [{node_id: note, type: control/set, parameters: {values: {v: 1}}}]\n"
)


@pytest.fixture
def album(tmp_path):
    (tmp_path / "album.yaml").write_text(NESTED, encoding="utf-8")
    (tmp_path / "tail.yaml").write_text(TAIL, encoding="utf-8")
    return analyze(tmp_path / "album.yaml")


def test_a_construct_is_a_frame_around_its_nodes(album):
    picture = scene(album)
    frames = {frame.figure.key: frame for frame in picture.frames}
    assert {card.figure.key for card in picture.cards} == {
        "scan", "each/resize", "each/both/标签/tag", "each/both/mark/stamp", "tail/note",
    }  # fmt: skip
    assert frames["each"].texts.small == ("for each file in input.files, ≤ 16 at once",)
    assert frames["each/both"].texts.small == ("the first of 2 branches",)
    assert [lane.name for lane in frames["each/both"].lanes] == ["标签", "mark"]
    assert frames["tail"].texts.small == ("tail 1.2.0",)
    assert [(line.source, line.target) for line in picture.lines] == [
        ("each/resize", "each/both"), ("scan", "each"), ("each", "tail"),
    ]  # fmt: skip
    check(picture)
    assert picture.title == "相册"
    (scan,) = (card for card in picture.cards if card.figure.key == "scan")
    assert (scan.texts.title, scan.texts.small) == (("扫描",), ("scan · control/start",))


def test_a_scope_alone_knows_nesting(album):
    picture = scene(album.scope)
    assert {frame.figure.key for frame in picture.frames} == {"each", "each/both"}
    check(picture)


@pytest.mark.parametrize(
    ("kind", "node", "words"),
    [
        ("control/foreach", {"parameters": {"items": [1, 2]}}, "for each item in [1, 2], ≤ 8 at once"),
        ("control/loop", {"parameters": {"condition": "{{ a < 3 }}"}}, "while a < 3"),
        (
            "control/loop",
            {"parameters": {"mode": "do-while", "condition": True, "max_iterations": 9}},
            "again while true, ≤ 9 rounds",
        ),
        ("control/parallel", {"branches": [{}, {}], "parameters": {"wait_for": 1}}, "1 of 2 branches"),
        ("control/parallel", {"branches": {}, "parameters": 7}, "all of 0 branches"),
        ("control/transaction", {}, "all of it, or undone"),
        ("control/foreach", {"parameters": None}, "for each item in ?, ≤ 8 at once"),
        ("image/preprocess", {}, None),
    ],
)
def test_what_a_construct_does_in_a_line(kind, node, words):
    assert caption(kind, node) == words


def test_rounds_are_counted_under_their_node(album):
    states = {
        "each": {"status": "running", "done": 7341, "total": 10000},
        **{f"each/resize[{i}]": ("completed", 1) for i in range(1200)},
        "each/resize[1200]": "running",
        "each/both[0]": "completed",
        "each/both[1]": "failed",
        "each/both/标签/tag[0]": ("completed", 2.0),
        "scan": State("completed", 0.25),
    }
    drawn = scene(album, states)
    shown = {one.figure.key: one.texts.state.text for one in (*drawn.cards, *drawn.frames)}
    assert shown == {
        "scan": "completed · 250ms",
        "each": "running · 7,341 of 10,000 done",
        "each/resize": "running · 1,200 done",
        "each/both": "failed · 1 of 2 done",
        "each/both/标签/tag": "completed · 2s",
        "each/both/mark/stamp": "pending",
        "tail": "pending",
        "tail/note": "pending",
    }
    check(drawn)
    for format in ("svg", "mermaid", "dot"):
        assert "7,341 of 10,000 done" in draw(album, format, states).replace("#44;", ",")


def test_other_tools_get_regions_as_subgraphs(album):
    mermaid = draw(album, "mermaid").splitlines()
    assert sum(line.lstrip().startswith("subgraph ") for line in mermaid) == 5
    assert sum(line.strip() == "end" for line in mermaid) == 5
    assert "  n0 --> n1" in mermaid
    dot = draw(album, "dot")
    assert dot.count("subgraph cluster_") == 5
    assert dot.count("{") == dot.count("}")
    assert '"scan" -> "each/resize" [lhead="cluster_1"];' in dot
    assert '"each/resize" -> "tail/note" [ltail="cluster_1", lhead="cluster_6"];' in dot


def test_many_sub_workflows_are_drawn_closed(tmp_path):
    nodes = "".join(
        f"  - {{node_id: n{i}, type: control/set, parameters: {{values: {{}}}}}}\n" for i in range(600)
    )
    (tmp_path / "tail.yaml").write_text("name: tail\nnodes:\n" + nodes, encoding="utf-8")
    calls = "".join(
        f"  - {{node_id: c{i}, type: control/subworkflow, parameters: {{name: tail}}}}\n" for i in range(4)
    )
    (tmp_path / "w.yaml").write_text("name: w\nnodes:\n" + calls, encoding="utf-8")
    picture = scene(analyze(tmp_path / "w.yaml"))
    assert [frame.figure.key for frame in picture.frames] == ["c0", "c1"]
    assert [c.texts.small for c in picture.cards if c.figure.key == "c3"] == [("tail (600 nodes)",)]


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[2] / "examples").glob("*/*.yaml")), ids=lambda p: p.stem
)
def test_the_examples_are_drawn(path):
    check(scene(analyze(path)))


# Words and colours.


def test_texts_are_as_wide_as_said():
    assert text_width("照", 10) == 10
    texts = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=30)

    @settings(max_examples=100, deadline=None)
    @given(texts, st.booleans())
    def holds(text, bold):
        drawn = font(100, bold).getlength(text) * 0.14
        assert drawn <= text_width(text, 14, bold=bold) + 10

    holds()


@given(st.text(max_size=80), st.integers(2, 20), st.integers(1, 4))
def test_lines_fit_and_lose_nothing_but_the_end(text, limit, count):
    found = wrapped(text, limit, count)
    assert 1 <= len(found) <= count
    if not found[-1].endswith("…"):
        squeezed = "".join(c if c.isprintable() else " " for c in text).replace(" ", "")
        assert "".join(found).replace(" ", "") == squeezed


def test_long_texts_are_broken_where_they_may_be():
    assert wrapped("nodes.judge.quality_score >= vars.good_enough", 34, 3) == (
        "nodes.judge.quality_score",
        ">= vars.good_enough",
    )
    assert wrapped("照片预处理质量检查", 10, 2) == ("照片预处理", "质量检查")
    assert clip("照片照片", 5) == "照片…"
    assert clip("a\nb\u0007c", 10) == "a b c"


def luminance(color):
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("side", ["light", "dark"])
def test_texts_are_readable_on_their_ground(side):
    """WCAG 2.1: 4.5 to 1 for texts, 3 to 1 for marks."""
    for ground in (CARD, PAPER, *FRAMES):
        for tone in (INK, MUTED, OTHER, *FAMILIES.values(), *STATES.values()):
            shades = sorted(luminance(getattr(one, side)) + 0.05 for one in (tone, ground))
            least = 3 if tone in STATES.values() else 4.5
            assert shades[1] / shades[0] >= least, (tone.name, ground.name)


def test_svg_says_what_it_shows_and_knows_the_dark(album):
    svg = draw(album, "svg", {"scan": "completed"})
    root = ElementTree.fromstring(svg)
    title, about = list(root)[:2]
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == f"{title.get('id')} {about.get('id')}"
    assert title.text == "相册"
    assert about.text.startswith("8 nodes and 3 edges. each: for each file in input.files")
    assert "@media (prefers-color-scheme:dark)" in svg
    used = set(re.findall(r"[fs]-[\w-]+", " ".join(re.findall(r'class="([^"]*)"', svg))))
    assert used == set(re.findall(r"\.([fs]-[\w-]+)\{", svg))


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


def test_very_long_texts_are_cut():
    owner = GraphNode("照" * 5000, "x", (), NOWHERE)
    graph = Graph((owner,), (Edge(owner.id, owner.id, "a" * 1_000_000),))
    scope = Scope((), graph, graph)
    inner = graph_of(["n"], [])
    scope.children.append(Scope((), inner, inner, owner, scope, "b" * 5000))
    picture = scene(scope)
    check(picture)
    assert picture.width < 1200


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
    for line in dot.splitlines()[4:-1]:
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
    assert "pending" not in draw(DIAMOND, "svg")
    assert "pending" in draw(DIAMOND, "svg", {"start": "completed"})


def test_conditions_label_their_edges():
    svg = draw(DIAMOND, "svg")
    assert "nodes.检查.score &gt;= 60</text>" in svg
    assert "{{" not in re.sub(r"<title>.*?</title>", "", svg)


def test_png_is_the_same_picture(album):
    from PIL import Image

    states = {"scan": "completed", "each/resize": "skipped"}
    picture = scene(album, states)
    image = Image.open(io.BytesIO(draw(album, "png", states)))
    assert image.size == (round(picture.width * 2), round(picture.height * 2))
    colors = image.convert("RGB").getcolors(1 << 20)
    assert colors is not None
    assert len(colors) > 50
    big = Image.open(io.BytesIO(draw(random_graph(40, 3), "png")))
    assert big.width * big.height < 20_000_000


def test_chinese_without_a_font_is_told(album):
    assert unreadable(album) == (chinese_path() is None)
    assert not unreadable(graph_of(["a", "b"], [("a", "b", "x > 1")]))


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
