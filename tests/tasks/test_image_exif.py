"""EXIF is corrected without being rewritten, and damaged blocks cost nothing but themselves."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mirror_realm.core.references import local_path
from mirror_realm.tasks.image import image_preprocess
from mirror_realm.tasks.imaging import exif
from mirror_realm.tasks.imaging.facts import read_facts
from tests import photo_metadata, photos
from tests.photo_context import context_in, run


@pytest.mark.parametrize("big_endian", [False, True])
def test_only_what_must_change_changes(big_endian):
    block = photo_metadata.exif(6, size=(80, 120), big_endian=big_endian)
    after = exif.corrected(block, (120, 80))
    assert after is not None
    assert len(after) == len(block)
    assert (
        sum(a != b for a, b in zip(block, after, strict=True)) <= 4
    )  # orientation and two dimensions, low bytes
    parsed = exif.parse(after)
    assert parsed is not None
    assert parsed.orientation == 1
    assert parsed.number(parsed.photo[exif.PIXEL_X]) == 120
    assert parsed.photo[0x927C].data == photo_metadata.MAKER_NOTE


def test_the_old_thumbnail_is_gone_to_the_last_byte():
    thumbnail = photos.thumbnail()
    block = photo_metadata.exif(6, thumbnail=thumbnail)
    after = exif.corrected(block, (120, 80))
    assert after is not None
    assert thumbnail[:200] not in after
    assert thumbnail[-200:] not in after
    assert len(after) < len(block)
    read = Image.Exif()
    read.load(b"Exif\0\0" + after)
    assert read.get_ifd(0x014A) == {}
    assert exif.parse(after).thumbnail == {}  # pyright: ignore[reportOptionalMemberAccess]


def test_a_thumbnail_in_the_middle_is_blanked():
    block = photo_metadata.exif(6, thumbnail=photos.thumbnail()) + b"something behind"
    after = exif.corrected(block, (120, 80))
    assert after is not None
    assert len(after) == len(block)
    assert photos.thumbnail()[:100] not in after
    assert after.endswith(b"something behind")


def test_a_short_that_cannot_hold_the_number_becomes_a_long():
    parsed = exif.parse(photo_metadata.exif(1))
    assert parsed is not None
    block = exif.build(parsed, extra=[(exif.IMAGE_WIDTH, exif.SHORT, 1, b"\1\0")])
    after = exif.parse(exif.corrected(block, (70_000, 5)) or b"")
    assert after is not None
    assert after.number(after.main[exif.IMAGE_WIDTH]) == 70_000


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_damaged_blocks_never_raise(data):
    block = bytearray(photo_metadata.exif(6, thumbnail=b"\xff\xd8thumb\xff\xd9"))
    for _ in range(data.draw(st.integers(1, 6))):
        block[data.draw(st.integers(0, len(block) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(block[: data.draw(st.integers(0, len(block)))])
    read_facts(cut)
    after = exif.corrected(cut, (10, 20))
    if after is not None:
        parsed = exif.parse(after)
        assert parsed is None or parsed.orientation in (None, 1)
    exif.shortened(cut, 500)


def test_too_much_exif_for_jpeg_loses_its_largest_value_only():
    parsed = exif.parse(photo_metadata.exif(1))
    assert parsed is not None
    block = exif.build(parsed, extra=[(0x010E, 2, 70_000, b"x" * 70_000)])
    after = exif.shortened(block, 65_000)
    assert after is not None
    kept = exif.parse(after)
    assert kept is not None
    assert 0x010E not in kept.main
    assert kept.photo[0x927C].data == photo_metadata.MAKER_NOTE
    assert read_facts(after).gps == read_facts(block).gps


def test_png_with_metadata_behind_its_pixels(tmp_path):
    path = photos.photo(tmp_path / "a.png", orientation=6, metadata=False)
    content = path.read_bytes()
    chunk = photos.png_with(bytes(33), [(b"eXIf", photo_metadata.exif(6, size=(80, 120)))])[33:]
    path.write_bytes(content[:-12] + chunk + content[-12:])
    output = run(image_preprocess, context_in(tmp_path), path)
    assert output.rotated
    assert output.exif.camera["model"] == photo_metadata.MODEL
    image = Image.open(local_path(output.image.uri))
    assert photos.psnr(photos.np.asarray(image.convert("RGB")), photos.scene()) == float("inf")


def test_a_damaged_block_is_dropped_with_a_remark(tmp_path):
    path = photos.photo(tmp_path / "a.png", metadata=False)
    path.write_bytes(photos.png_with(path.read_bytes(), [(b"eXIf", b"MM\0*\0\0\xff\xff" + bytes(20))]))
    output = run(image_preprocess, context_in(tmp_path), path, format="jpeg")
    assert any("EXIF" in remark for remark in output.remarks)
    assert "exif" not in Image.open(local_path(output.image.uri)).info


def test_an_orientation_that_only_xmp_knows(tmp_path):
    path = tmp_path / "a.jpg"
    pixels = photos.stored_as(photos.scene(), 6)
    Image.fromarray(pixels).save(path, quality=95, subsampling=0, xmp=photo_metadata.xmp(6))
    output = run(image_preprocess, context_in(tmp_path), path)
    image = Image.open(local_path(output.image.uri))
    assert image.size == photos.SIZE
    assert b'tiff:Orientation="1"' in image.info["xmp"]


@pytest.mark.parametrize(
    ("captured", "offset", "expected"),
    [
        ("2023:06:15 10:30:45", None, "2023-06-15T10:30:45.123000"),
        ("2023:06:15 10:30:45", "-05:30", "2023-06-15T10:30:45.123000-05:30"),
        ("2023:06:15 10:30:45", "nonsense", "2023-06-15T10:30:45.123000"),
        ("0000:00:00 00:00:00", "+08:00", None),
        ("    :  :     :  :  ", None, None),
        ("2023:13:41 25:61:61", None, None),
    ],
)
def test_capture_times(captured, offset, expected):
    facts = read_facts(photo_metadata.exif(captured=captured, offset=offset))
    assert (facts.captured_at.isoformat() if facts.captured_at else None) == expected


def test_zulu_is_utc():
    facts = read_facts(photo_metadata.exif(offset="Z"))
    assert facts.captured_at == datetime(2023, 6, 15, 10, 30, 45, 123000, UTC)


def test_no_facts_where_there_is_no_exif():
    assert read_facts(None) == read_facts(b"") == read_facts(b"garbage" * 9)
    assert read_facts(photo_metadata.exif(gps=False)).gps is None


def test_iptc_survives_from_jpeg_to_jpeg(tmp_path):
    path = photos.photo(tmp_path / "a.jpg", orientation=6)
    payload = b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x0c\x1c\x02\x78\0\x07caption"
    segment = b"\xff\xed" + (len(payload) + 2).to_bytes(2, "big") + payload
    content = path.read_bytes()
    path.write_bytes(content[:2] + segment + content[2:])
    output = run(image_preprocess, context_in(tmp_path), path)
    assert payload in local_path(output.image.uri).read_bytes()
    assert Image.open(local_path(output.image.uri)).size == photos.SIZE
