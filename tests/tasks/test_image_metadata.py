"""image/metadata: time with its zone, place, texts in every standard, and nothing that a hostile file can grow."""

from __future__ import annotations

import io
import struct
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from mirror_realm.core.errors import Code, RealmError
from mirror_realm.tasks.image import image_metadata, image_preprocess
from mirror_realm.tasks.imaging.capture import zone_between
from mirror_realm.tasks.imaging.exif import parse
from mirror_realm.tasks.imaging.xmp import read_xmp
from tests import photo_metadata, photos
from tests.photo_context import context_in, run

SHANGHAI = timezone(timedelta(hours=8))
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"


@pytest.fixture
def context(tmp_path):
    return context_in(tmp_path)


def packet(inner: str, attributes: str = "") -> bytes:
    return (
        f'<?xpacket begin="\ufeff"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}">'
        '<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" '
        'xmlns:xap="http://ns.adobe.com/xap/1.0/" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" '
        f'xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:own="urn:own" {attributes}>{inner}'
        "</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end='w'?>"
    ).encode()


def iim(*fields: tuple[int, bytes], charset: bool = True) -> bytes:
    """A JPEG's APP13 segment with the data sets of record 2."""
    data = b"\x1c\x01\x5a\x00\x03\x1b%G" if charset else b""
    for dataset, value in fields:
        data += b"\x1c\x02" + bytes([dataset]) + struct.pack(">H", len(value)) + value
    block = b"8BIM\x04\x04\x00\x00" + struct.pack(">L", len(data)) + data + b"\0" * (len(data) % 2)
    payload = b"Photoshop 3.0\0" + block
    return b"\xff\xed" + struct.pack(">H", len(payload) + 2) + payload


def jpeg(path, *, exif: bytes = b"", xmp: bytes = b"", iptc: bytes = b""):
    options = {"xmp": xmp} if xmp else {}
    Image.fromarray(photos.scene()).save(path, "JPEG", exif=b"Exif\0\0" + exif if exif else b"", **options)
    content = path.read_bytes()
    path.write_bytes(content[:2] + iptc + content[2:])
    return path


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".heic"])
def test_a_photograph_of_any_format_tells_its_story(tmp_path, context, suffix):
    path = photos.photo(tmp_path / f"照片{suffix}", orientation=6)
    output = run(image_metadata, context, path)
    assert (output.width, output.height, output.orientation) == (*photos.SIZE, 6)
    assert output.captured_at == datetime(2023, 6, 15, 10, 30, 45, 123000, SHANGHAI)
    assert (output.zone, output.zone_source, output.captured_at_source) == ("+08:00", "stated", "exif")
    assert output.captured_at_utc == datetime(2023, 6, 15, 2, 30, 45, 123000, UTC)
    gps = output.exif.gps
    assert gps["latitude"] == pytest.approx(photo_metadata.LATITUDE, abs=1e-6)
    assert gps["longitude"] == pytest.approx(photo_metadata.LONGITUDE, abs=1e-6)
    assert output.exif.camera["model"] == photo_metadata.MODEL
    assert output.color_profile == "sRGB test"
    assert output.original.sha256 == output.image.sha256 == output.image.source_sha256
    assert output.everything is None


def test_a_reference_passes_through_and_keeps_its_time(tmp_path, context):
    before = run(
        image_preprocess, context, photos.photo(tmp_path / "a.jpg", orientation=6), strip_metadata=True
    )
    output = run(image_metadata, context, {"image": before.image.model_dump()})
    assert output.image == before.image
    assert output.original is None
    assert output.captured_at_source == "reference"
    assert output.captured_at == before.captured_at
    assert output.exif.gps is None


def test_texts_of_all_three_standards_meet(tmp_path, context):
    path = jpeg(
        tmp_path / "a.jpg",
        exif=photo_metadata.exif(),
        xmp=packet(
            '<dc:title><rdf:Alt><rdf:li xml:lang="x-default">镜湖</rdf:li><rdf:li xml:lang="en">Lake</rdf:li>'
            "</rdf:Alt></dc:title><dc:creator><rdf:Seq><rdf:li>李雷</rdf:li></rdf:Seq></dc:creator>"
            "<dc:subject><rdf:Bag><rdf:li>lake</rdf:li><rdf:li>湖</rdf:li></rdf:Bag></dc:subject>",
            'xap:Rating="4" photoshop:City="上海"',
        ),
        iptc=iim(
            (5, b"IPTC title"), (120, "晚上".encode()), (25, b"lake"), (25, b"evening"), (80, b"Somebody"),
            (116, b"(c) Mirror"), (101, b"China"),
        ),
    )  # fmt: skip
    output = run(image_metadata, context, path, all_tags=True)
    assert (output.title, output.description, output.rating) == ("镜湖", "晚上", 4)
    assert (output.creators, output.copyright) == (["李雷"], "(c) Mirror")
    assert output.keywords == ["lake", "湖", "evening"]
    assert output.place == {"city": "上海", "country": "China"}
    everything = output.everything
    assert everything.iptc["keywords"] == ["lake", "evening"]
    assert everything.xmp["dc:creator"] == ["李雷"]
    assert everything.exif["photo"]["ISOSpeedRatings"] == 200
    assert everything.exif["photo"]["MakerNote"] == f"({len(photo_metadata.MAKER_NOTE)} bytes)"
    assert everything.exif["gps"]["GPSAltitude"] == photo_metadata.ALTITUDE
    output.model_dump_json()


def test_captions_without_a_stated_encoding(tmp_path, context):
    windows = jpeg(tmp_path / "a.jpg", iptc=iim((120, b"caf\xe9"), charset=False))
    unicode = jpeg(tmp_path / "b.jpg", iptc=iim((120, "café".encode()), charset=False))
    for path in (windows, unicode):
        assert run(image_metadata, context, path).description == "café"


def gps_exif(when: str | None, clock: tuple[int, int, int], **exif) -> bytes:
    """EXIF without a zone, with the satellites' date and time."""
    block = Image.Exif()
    block[0x0132] = when or "0000:00:00 00:00:00"
    block.get_ifd(0x8825).update({7: clock, 29: "2023:06:15"})
    return block.tobytes()[6:]


def test_the_zone_is_told_by_the_satellites(tmp_path, context):
    path = jpeg(tmp_path / "a.jpg", exif=gps_exif("2023:06:15 10:30:45", (2, 30, 12)))
    output = run(image_metadata, context, path, assume_zone="UTC")
    assert (output.zone, output.zone_source) == ("+08:00", "gps")
    wrong = jpeg(tmp_path / "b.jpg", exif=gps_exif("2023:06:15 10:38:45", (2, 30, 12)))
    assert run(image_metadata, context, wrong).zone is None


def test_a_zone_may_be_assumed_and_is_said_to_be(tmp_path, context):
    path = photos.photo(tmp_path / "a.jpg", offset=None, gps=False)
    assert run(image_metadata, context, path).captured_at.tzinfo is None
    for zone in ("+08:00", "Asia/Shanghai"):
        output = run(image_metadata, context, path, assume_zone=zone)
        assert (output.zone, output.zone_source) == ("+08:00", "assumed")
    with pytest.raises(ValidationError, match="no time zone"):
        run(image_metadata, context, path, assume_zone="Mars/Olympus")


@given(st.integers(-56, 56), st.integers(-170, 170), st.datetimes(datetime(1990, 1, 2), datetime(2040, 1, 1)))
def test_the_zone_of_any_clock_is_found(quarters, drift, utc):
    wall = utc + timedelta(minutes=15 * quarters, seconds=drift)
    zone = zone_between(wall, utc.replace(tzinfo=UTC))
    assert zone is not None
    assert zone.utcoffset(None) == timedelta(minutes=15 * quarters)


def test_time_and_place_from_xmp_alone(tmp_path, context):
    described = packet(
        "", 'exif:DateTimeOriginal="2021-02-03T04:05:06+01:00" exif:GPSLatitude="31,13.825S" '
        'exif:GPSLongitude="121,28,25.2E"'
    )  # fmt: skip
    output = run(image_metadata, context, jpeg(tmp_path / "a.jpg", xmp=described))
    assert output.captured_at.isoformat() == "2021-02-03T04:05:06+01:00"
    assert output.captured_at_source == "xmp"
    assert output.exif.gps == {
        "latitude": pytest.approx(-31.2304167),
        "longitude": pytest.approx(121.4736667),
    }


def test_structures_and_foreign_namespaces():
    properties, remark = read_xmp(
        packet(
            '<own:place rdf:parseType="Resource"><own:room>3</own:room></own:place>'
            '<own:list><rdf:Bag><rdf:li rdf:parseType="Resource"><own:a>1</own:a></rdf:li></rdf:Bag></own:list>'
        )
    )
    assert remark is None
    assert properties == {"own:place": {"own:room": "3"}, "own:list": [{"own:a": "1"}]}


@pytest.mark.parametrize(
    "packet",
    [
        b'<!DOCTYPE a [<!ENTITY a "aaaa">]><a>&a;</a>',
        b"<x:xmpmeta",
        b"\xff\xfe<\0",
        b"<a>" * 100_000,
        b" " * (5 << 20),
    ],
)
def test_a_hostile_packet_is_remarked_upon_and_harmless(packet):
    properties, remark = read_xmp(packet)
    assert properties == {}
    assert remark


def test_texts_and_lists_are_bounded():
    many = "".join(f"<rdf:li>{'x' * 2000}{n}</rdf:li>" for n in range(1000))
    properties, remark = read_xmp(packet(f"<dc:subject><rdf:Bag>{many}</rdf:Bag></dc:subject>"))
    assert remark is None
    assert len(properties["dc:subject"]) == 100
    assert {len(item) for item in properties["dc:subject"]} == {1000}
    long = "".join(f"<own:p{n}>{'x' * 1000}</own:p{n}>" for n in range(250))
    properties, remark = read_xmp(packet(long))
    assert "long" in remark
    assert 150 < len(properties) <= 200


def test_directories_that_multiply_a_value_are_cut_short():
    head = b"II*\0\x08\0\0\0" + struct.pack("<H", 1000)
    value = 8 + 2 + 12 * 1000 + 4
    entries = b"".join(struct.pack("<HHLL", 0x9000 + n, 7, 4 << 20, value) for n in range(1000))
    parsed = parse(head + entries + bytes(4) + bytes(4 << 20))
    assert parsed is not None
    assert len(parsed.main) == 16


def test_what_is_no_picture_is_refused(tmp_path, context):
    for make, code in ((photos.text, Code.UNSUPPORTED_FILE_TYPE), (photos.empty, Code.DATA_CORRUPTED)):
        with pytest.raises(RealmError) as caught:
            run(image_metadata, context, make(tmp_path / "a.jpg"))
        assert caught.value.code is code


def test_a_picture_without_metadata(tmp_path, context):
    buffer = io.BytesIO()
    Image.new("L", (3, 2)).save(buffer, "PNG")
    (tmp_path / "a.png").write_bytes(buffer.getvalue())
    output = run(image_metadata, context, tmp_path / "a.png", all_tags=True)
    assert output.captured_at_source == "file"
    assert output.captured_at_utc == output.captured_at
    assert (output.mode, output.zone, output.keywords) == ("L", None, [])
    assert output.everything.exif == {}
