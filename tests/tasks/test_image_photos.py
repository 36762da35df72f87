"""The photographs that the tests are made of are what they say."""

from __future__ import annotations

import struct

import pytest
from PIL import Image, ImageOps

from tests import photos


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_stored_photo_turns_upright_by_its_orientation(tmp_path, orientation):
    path = photos.photo(tmp_path / "照片 1.png", orientation=orientation)
    with Image.open(path) as image:
        assert image.getexif()[0x0112] == orientation
        upright = ImageOps.exif_transpose(image).convert("RGB")
    assert photos.psnr(photos.np.asarray(upright), photos.scene()) == float("inf")


def test_the_bomb_is_small(tmp_path):
    path = photos.bomb(tmp_path / "bomb.png")
    assert struct.unpack(">LL", path.read_bytes()[16:24]) == (20_000, 15_000)
    assert path.stat().st_size < 100_000


def test_a_bomb_below_the_limit_is_a_valid_file(tmp_path):
    with Image.open(photos.bomb(tmp_path / "bomb.png", (3000, 2000), bits=24)) as image:
        assert image.convert("RGB").getextrema() == ((0, 0), (0, 0), (0, 0))
