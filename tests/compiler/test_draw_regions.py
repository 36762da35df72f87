"""Pictures: what is inside a node is in its frame."""

from pathlib import Path

import pytest

from mirror_realm.compiler import analyze
from mirror_realm.compiler.draw import State, draw
from mirror_realm.compiler.draw.captions import caption
from mirror_realm.compiler.draw.scene import scene
from tests.compiler.drawings import album_in, check


@pytest.fixture
def album(tmp_path):
    return album_in(tmp_path)


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
