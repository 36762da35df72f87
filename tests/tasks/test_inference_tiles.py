"""Tiles: whatever the sizes, the weights sum to one, and what is joined is what was cut."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mirror_realm.core.errors import Code, RealmError
from mirror_realm.tasks.inference.canvas import Canvas
from mirror_realm.tasks.inference.tiles import (
    from_unit,
    full_scale,
    plan_tiles,
    reduction,
    to_unit,
)

sizes = st.integers(1, 400)
tiles = st.sampled_from([64, 80, 96, 128, 300])
overlaps = st.sampled_from([2, 8, 16, 32])
multiples = st.sampled_from([1, 2, 4])


@given(sizes, sizes, tiles, overlaps, multiples, st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_the_weights_of_every_output_pixel_sum_to_one(height, width, tile, overlap, multiple, scale):
    plan = plan_tiles(height, width, tile, overlap=overlap, multiple=multiple)
    for axis in (plan.rows, plan.columns):
        total = np.zeros((axis.starts[-1] + axis.span) * scale)
        for index, start in enumerate(axis.starts):
            weights = axis.weights(index, scale)
            assert (weights >= 0).all()
            total[start * scale : (start + axis.span) * scale] += weights
        np.testing.assert_allclose(total[: axis.length * scale], 1.0, atol=1e-6)


@given(sizes, tiles, overlaps, multiples)
@settings(max_examples=60, deadline=None)
def test_neighbours_share_the_overlap_and_all_tiles_have_one_shape(length, tile, overlap, multiple):
    axis = plan_tiles(length, length, tile, overlap=overlap, multiple=multiple).rows
    assert axis.starts[0] == 0
    assert axis.starts[-1] + axis.span >= length
    assert axis.span <= tile + multiple
    assert all(start % multiple == 0 for start in axis.starts)
    for before, after in zip(axis.starts, axis.starts[1:], strict=False):
        assert before + axis.span - after >= overlap
        # Nothing of a tile's outermost quarter of the overlap counts, inside the picture.
    for index in range(1, len(axis.starts)):
        assert not axis.weights(index)[: overlap // 4].any()


@given(sizes, sizes, tiles, multiples, st.sampled_from([np.uint8, np.uint16]), st.integers(1, 3))
@settings(max_examples=25, deadline=None)
def test_joining_what_was_cut_gives_the_picture(height, width, tile, multiple, dtype, scale):
    image = np.random.default_rng(height * 401 + width).integers(
        0, np.iinfo(dtype).max, (height, width, 3), dtype, endpoint=True
    )
    plan = plan_tiles(height, width, tile, overlap=16, multiple=multiple)
    canvas = Canvas(plan, scale, 3, dtype)
    for part in plan.tiles:
        piece = to_unit(plan.cut(image, part))
        assert piece.shape[:2] == plan.tile_shape
        canvas.add(part, torch.from_numpy(piece.repeat(scale, axis=0).repeat(scale, axis=1)))
    expected = image.repeat(scale, axis=0).repeat(scale, axis=1)
    assert np.abs(canvas.finish().astype(int) - expected.astype(int)).max() <= 1


def test_a_small_picture_is_one_tile_padded_to_what_the_network_needs():
    plan = plan_tiles(30, 41, 64, multiple=4)
    assert (len(plan), plan.tile_shape) == (1, (32, 44))
    assert len(plan_tiles(3000, 4000, 0)) == 1


def test_few_shapes_for_the_usual_photograph():
    plan = plan_tiles(3000, 4000, 300)
    assert plan.tile_shape == (288, 288)
    assert len(plan) == 12 * 16


@pytest.mark.parametrize(("height", "width", "tile"), [(0, 5, 64), (5, 0, 64), (500, 500, 32)])
def test_what_cannot_be_tiled_is_refused(height, width, tile):
    with pytest.raises(RealmError) as caught:
        plan_tiles(height, width, tile)
    assert caught.value.code is Code.INVALID_ARGUMENT


@given(st.integers(1, 8), st.integers(1, 8))
def test_reduction_keeps_the_mean(scale, target):
    matrix = reduction(scale, target)
    assert matrix.shape == (target, scale)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(matrix.sum(axis=0), target / scale, atol=1e-6)


def test_depth_follows_the_type_and_not_the_values():
    dark = np.full((2, 2), 200, np.uint16)  # a 16-bit picture that is nearly black
    assert to_unit(dark).max() == pytest.approx(200 / 65535)
    assert (from_unit(to_unit(dark), np.uint16) == dark).all()
    assert from_unit(np.array([-1.0, 0.5, 2.0], np.float32), np.uint8).tolist() == [0, 128, 255]
    with pytest.raises(RealmError, match="float64"):
        full_scale(np.float64)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_value_survives_the_way_to_floats_and_back(dtype):
    values = np.arange(np.iinfo(dtype).max + 1).astype(dtype)
    assert (from_unit(to_unit(values), dtype) == values).all()


def test_where_the_gpu_has_no_room_to_join_them_tiles_are_joined_on_the_cpu(monkeypatch):
    real = torch.zeros

    def zeros(shape, *, dtype, device="cpu"):
        if device != "cpu":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return real(shape, dtype=dtype)

    monkeypatch.setattr(torch, "zeros", zeros)
    image = np.random.default_rng(1).integers(0, 255, (90, 200, 3), np.uint8)
    plan = plan_tiles(90, 200, 64, overlap=16)
    canvas = Canvas(plan, 1, 3, np.uint8, "cuda:0")
    for part in plan.tiles:
        canvas.add(part, torch.from_numpy(to_unit(plan.cut(image, part)).copy()))
    assert np.abs(canvas.finish().astype(int) - image).max() <= 1


def test_a_fault_that_is_no_lack_of_memory_is_not_taken_for_one(monkeypatch):
    def zeros(*_, **__):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(torch, "zeros", zeros)
    with pytest.raises(RuntimeError, match="illegal memory access"):
        Canvas(plan_tiles(90, 200, 64, overlap=16), 1, 3, np.uint8, "cuda:0")
