"""Pictures: words fit where they stand, and are readable on their ground."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirror_realm.compiler.draw.palette import CARD, FAMILIES, FRAMES, INK, MUTED, OTHER, PAPER, STATES
from mirror_realm.compiler.draw.png import font
from mirror_realm.compiler.draw.scene import scene
from mirror_realm.compiler.draw.words import clip, text_width, wrapped
from mirror_realm.compiler.graph import Edge, Graph, GraphNode
from mirror_realm.compiler.scopes import Scope
from tests.compiler.drawings import NOWHERE, check, graph_of


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


def test_very_long_texts_are_cut():
    owner = GraphNode("照" * 5000, "x", (), NOWHERE)
    graph = Graph((owner,), (Edge(owner.id, owner.id, "a" * 1_000_000),))
    scope = Scope((), graph, graph)
    inner = graph_of(["n"], [])
    scope.children.append(Scope((), inner, inner, owner, scope, "b" * 5000))
    picture = scene(scope)
    check(picture)
    assert picture.width < 1200


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
