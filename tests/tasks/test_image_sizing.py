"""The arithmetic of max_size holds for all sizes, not only for the ones we thought of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror_realm.tasks.imaging.sizing import fit, parse_max_size

sides = st.integers(1, 100_000)


@given(size=st.tuples(sides, sides), box=st.tuples(sides, sides))
def test_fit_stays_inside_never_enlarges_and_keeps_the_aspect(size, box):
    width, height = fit(size, box)
    assert 1 <= width <= min(size[0], max(box[0], 1))
    assert 1 <= height <= min(size[1], max(box[1], 1))
    if (width, height) != size:
        # One side fills the box; the other is off by half a pixel at most (or is the least there is).
        assert width == box[0] or height == box[1]
        exact = size[1] * width / size[0] if width == box[0] else size[0] * height / size[1]
        other = height if width == box[0] else width
        assert abs(other - exact) <= 0.5 + 1e-6 or other == 1 or exact > other


@given(size=st.tuples(sides, sides), box=st.tuples(sides, sides))
def test_fit_is_settled_after_once_and_turns_with_the_picture(size, box):
    once = fit(size, box)
    assert fit(once, box) == once
    turned = fit(size[::-1], box[::-1])
    assert abs(turned[0] - once[1]) <= 1
    assert abs(turned[1] - once[0]) <= 1


@given(size=st.tuples(sides, sides))
def test_no_box_changes_nothing(size):
    assert fit(size, None) == size


@given(width=st.integers(1, 1_000_000), height=st.integers(1, 1_000_000))
def test_every_spelling_means_the_same(width, height):
    spellings = [f"{width}x{height}", f" {width} × {height} ", f"{width}*{height}", [width, height]]
    assert {parse_max_size(s) for s in spellings} == {(width, height)}
    assert parse_max_size(width) == parse_max_size(str(width)) == (width, width)


@pytest.mark.parametrize(
    "bad", ["", "big", "0x100", "-5", 0, -1, True, 1.5, [1], [1, 2, 3], ["1", 2], "1000001", {}]
)
def test_a_wrong_size_says_what_is_right(bad):
    with pytest.raises(ValueError, match="4096x4096"):
        parse_max_size(bad)
