"""Photos whose metadata or name is odd: turns, dates and zones that do not exist, captions of the press, long names."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mirror_realm.core.references import local_path
from mirror_realm.tasks.artifacts import sha256_file
from mirror_realm.tasks.image import image_metadata, image_preprocess, image_thumbnail
from mirror_realm.tasks.imaging.exif import parse
from mirror_realm.tasks.imaging.facts import read_facts
from tests.photo_context import context_in, run
from tests.photo_metadata import MODEL, exif, xmp
from tests.tasks.handmade_photos import HEIGHT, WIDTH, colours, pixels, processed, rgb, tiff

# -- metadata ---------------------------------------------------------------------------------------------


def with_exif(path: Path, block: bytes, picture: np.ndarray | None = None) -> Path:
    Image.fromarray(colours() if picture is None else picture).save(
        path, exif=b"Exif\0\0" + block, quality=95
    )
    return path


ODD_TURNS = {
    "zero": (3, 1, struct.pack("<HH", 0, 0)),
    "nine": (3, 1, struct.pack("<HH", 9, 0)),
    "text": (2, 2, b"6\0\0\0"),
    "byte": (1, 1, b"\6\0\0\0"),
    "signed": (8, 1, struct.pack("<hh", 6, 0)),
}


@pytest.mark.parametrize("name", ODD_TURNS)
def test_no_reader_finds_another_orientation_in_the_result(name, tmp_path):
    block = exif(1)
    plain = struct.pack("<HHLHH", 0x0112, 3, 1, 1, 0)
    assert plain in block
    kind, count, value = ODD_TURNS[name]
    odd = block.replace(plain, struct.pack("<HHL", 0x0112, kind, count) + value)
    made = processed(with_exif(tmp_path / "a.jpg", odd), tmp_path, format="keep")
    with Image.open(local_path(made.image.uri)) as image:
        assert plain in image.info["exif"]
        assert MODEL.encode() in image.info["exif"]


def test_an_orientation_that_is_stated_twice_is_reset_twice(tmp_path):
    entries = [struct.pack("<HHLHH", 0x0112, 3, 1, turn, 0) for turn in (6, 8)]
    block = b"II*\0" + struct.pack("<LH", 8, 2) + b"".join(entries) + bytes(4)
    lying = np.rot90(colours(), 1)
    made = processed(
        with_exif(tmp_path / "a.jpg", block, np.ascontiguousarray(lying)), tmp_path, format="keep"
    )
    assert (made.width, made.height) == (WIDTH, HEIGHT)
    with Image.open(local_path(made.image.uri)) as image:
        assert image.info["exif"].count(struct.pack("<HHLHH", 0x0112, 3, 1, 1, 0)) == 2


@pytest.mark.parametrize("bits", [8, 16])
def test_a_tiff_that_only_xmp_says_lies_on_its_side(bits, tmp_path):
    lying = np.ascontiguousarray(np.rot90(colours(), 1)).astype(f"u{bits // 8}") * (1 if bits == 8 else 257)
    path = tiff(tmp_path / "a.tif", (HEIGHT, WIDTH), rgb(bits, t700=(1, xmp(6))), lying.tobytes())
    made = processed(path, tmp_path, format="webp", quality=100)
    assert made.rotated
    assert np.array_equal(pixels(made), colours())


def test_a_bigtiff_keeps_what_it_knows(tmp_path):
    tags = rgb(t272=(2, MODEL.encode() + b"\0"), t33432=(2, b"(c) Li Lei\0"), t274=(3, [6]))
    lying = np.ascontiguousarray(np.rot90(colours(), 1))
    path = tiff(tmp_path / "a.tif", (HEIGHT, WIDTH), tags, lying.tobytes(), big=True)
    made = processed(path, tmp_path, format="jpeg", quality=100)
    assert (made.width, made.height) == (WIDTH, HEIGHT)
    assert made.exif.camera["model"] == MODEL
    with Image.open(local_path(made.image.uri)) as image:
        found = parse(image.info["exif"][6:])
    assert found is not None
    assert found.main[33432].data == b"(c) Li Lei\0"


@pytest.mark.parametrize("format", ["tiff", "png", "webp", "heic", "jpeg"])
def test_captions_of_the_press_reach_every_format(format, tmp_path):
    records = b"".join(
        b"\x1c" + bytes([record, number]) + struct.pack(">H", len(text)) + text
        for record, number, text in (
            (1, 90, b"\x1b%G"), (2, 116, "© Zoë".encode()), (2, 25, b"lake"), (2, 25, b"night"), (2, 120, b"a < b"),
        )
    )  # fmt: skip
    payload = (
        b"Photoshop 3.0\0"
        + b"8BIM\x04\x04\0\0"
        + struct.pack(">L", len(records))
        + records
        + b"\0" * (len(records) % 2)
    )
    path = tmp_path / "a.jpg"
    extra = b"\xff\xed" + struct.pack(">H", len(payload) + 2) + payload
    Image.fromarray(colours()).save(path, extra=extra)
    made = processed(path, tmp_path, format=format)
    again = processed(local_path(made.image.uri), tmp_path, format="jpeg", max_size=24)
    found = run(image_metadata, context_in(tmp_path, roots=(tmp_path,)), local_path(again.image.uri))
    assert (found.copyright, found.keywords, found.description) == ("© Zoë", ["lake", "night"], "a < b")


DATES = {
    "2016:12:31 23:59:60": "2016-12-31T23:59:59",
    "0001:01:01 00:00:00": None,
    "9999:12:31 23:59:59": None,
    "2023:02:30 10:00:00": None,
    "    :  :     :  :  ": None,
}


@pytest.mark.parametrize("written", DATES)
def test_dates_that_no_photo_was_taken_on(written):
    found = read_facts(exif(1, captured=written, offset=None)).captured_at
    assert (found and found.replace(microsecond=0).isoformat()) == DATES[written]


@pytest.mark.parametrize("offset", ["+05:99", "+99:00", "CEST", "   :  "])
def test_zones_that_there_are_not(offset):
    found = read_facts(exif(1, offset=offset)).captured_at
    assert found is not None
    assert found.tzinfo is None


# -- names and what is no file ----------------------------------------------------------------------------


@pytest.mark.parametrize("stem", ["x" * 251, "é" * 125])
def test_the_longest_names_there_can_be(stem, tmp_path):
    path = with_exif(tmp_path / f"{stem}.jpg", exif(6))
    context = context_in(tmp_path, roots=(tmp_path,))
    made = run(image_preprocess, context, path, format="tiff")
    assert len(os.fsencode(made.image.name)) <= 255
    small = run(image_thumbnail, context, path, sizes={"list": 16, "web": 24})
    names = [file.name for file in small.files]
    assert len(set(names)) == 2
    assert all(len(os.fsencode(name)) <= 255 for name in names)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(OSError, match="not a plain file"):
        sha256_file(tmp_path / "pipe.jpg")
