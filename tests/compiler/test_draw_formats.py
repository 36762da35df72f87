"""Pictures: each format says the same, and everything is escaped."""

import io
import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from mirror_realm.compiler.draw import FORMATS, State, draw
from mirror_realm.compiler.draw.png import chinese_path, unreadable
from mirror_realm.compiler.draw.scene import scene
from mirror_realm.core.errors import Code, RealmError
from tests.compiler.drawings import (
    DIAMOND,
    album_in,
    graph_of,
    random_graph,
)

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


@pytest.fixture
def album(tmp_path):
    return album_in(tmp_path)


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
