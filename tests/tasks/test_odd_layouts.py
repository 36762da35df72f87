"""Photos whose pixels, colours or metadata lie in their file in a rare way: each comes out right, or is refused by what
it is. The files are written byte by byte, so that no library's habits are what is tested."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms

from mirror_realm.core.errors import Code, RealmError
from mirror_realm.core.references import local_path
from mirror_realm.tasks.artifacts import sha256_file
from mirror_realm.tasks.image import image_metadata, image_preprocess, image_thumbnail
from mirror_realm.tasks.imaging.codepoints import rgb_profile, stated_profile
from mirror_realm.tasks.imaging.colour import is_srgb, profile_fits
from mirror_realm.tasks.imaging.exif import parse
from mirror_realm.tasks.imaging.facts import read_facts
from tests import photos
from tests.photo_context import context_in, run
from tests.photo_metadata import MODEL, display_p3_icc, exif, srgb_icc, xmp

WIDTH, HEIGHT = 48, 32
_P3 = ((0.3127, 0.329), (0.68, 0.32), (0.265, 0.69), (0.15, 0.06))


def colours() -> np.ndarray:
    return np.asarray(Image.fromarray(photos.scene()).resize((WIDTH, HEIGHT)))


def grey() -> np.ndarray:
    return np.ascontiguousarray(colours()[..., 1]).astype(np.uint16) * 257


def tiff(
    path: Path, size: tuple[int, int], tags: dict, data: bytes, *, big: bool = False, pages: int = 1
) -> Path:
    """An uncompressed TIFF in one strip. ``tags``: {tag: (type, values)}, over the usual ones."""
    entries = {
        256: (3, [size[0]]), 257: (3, [size[1]]), 259: (3, [1]), 273: (4, [16]), 278: (3, [size[1]]),
        279: (4, [len(data)]), **tags,
    }  # fmt: skip
    at = 16 + len(data) + len(data) % 2
    entry, number, inline = ("<HHQ", "Q", 8) if big else ("<HHL", "L", 4)
    directories = b""
    for page in range(pages):
        count = struct.pack("<Q" if big else "<H", len(entries))
        tail_at = at + len(count) + (20 if big else 12) * len(entries) + inline
        body, tail = count, b""
        for tag, (kind, values) in sorted(entries.items()):
            raw = (
                values
                if isinstance(values, bytes)
                else struct.pack(f"<{len(values)}{' BBH'[kind] if kind != 4 else 'L'}", *values)
            )
            body += struct.pack(entry, tag, kind, len(values))
            if len(raw) > inline:
                body += struct.pack("<" + number, tail_at + len(tail))
                tail += raw + b"\0" * (len(raw) % 2)
            else:
                body += raw.ljust(inline, b"\0")
        following = 0 if page == pages - 1 else tail_at + len(tail)
        directories += body + struct.pack("<" + number, following) + tail
        at = tail_at + len(tail)
    start = 16 + len(data) + len(data) % 2
    head = b"II+\0" + struct.pack("<HHQ", 8, 0, start) if big else b"II*\0" + struct.pack("<L", start)
    path.write_bytes(head.ljust(16, b"\0") + data + b"\0" * (len(data) % 2) + directories)
    return path


def rgb(bits: int = 8, **more) -> dict:
    return {258: (3, [bits] * 3), 262: (3, [2]), 277: (3, [3])} | {int(k[1:]): v for k, v in more.items()}


def mono(bits: int = 16, photometric: int = 1) -> dict:
    return {258: (3, [bits]), 262: (3, [photometric]), 277: (3, [1])}


def processed(path: Path, tmp_path: Path, **parameters):
    return run(
        image_preprocess, context_in(tmp_path, roots=(tmp_path,)), path, **({"format": "png"} | parameters)
    )


def pixels(output) -> np.ndarray:
    with Image.open(local_path(output.image.uri)) as image:
        return np.asarray(image.convert("RGBA") if "transparency" in image.info else image)


# -- pixels -----------------------------------------------------------------------------------------------


def test_sixteen_bit_grey_whose_white_is_zero(tmp_path):
    made = tiff(tmp_path / "a.tif", (WIDTH, HEIGHT), mono(photometric=0), (65535 - grey()).tobytes())
    assert np.array_equal(pixels(processed(made, tmp_path)), grey())


def test_twelve_bit_grey_is_as_bright_as_it_should(tmp_path):
    value = (grey() >> 4).reshape(-1, 2).astype(int)
    packed = np.stack(
        [value[:, 0] >> 4, (value[:, 0] & 15) << 4 | value[:, 1] >> 8, value[:, 1] & 255], axis=-1
    )
    made = tiff(tmp_path / "a.tif", (WIDTH, HEIGHT), mono(12), packed.astype(np.uint8).tobytes())
    assert np.abs(pixels(processed(made, tmp_path)).astype(int) - grey()).max() <= 16


def test_colours_multiplied_by_their_alpha_in_sixteen_bits(tmp_path):
    colour, alpha = colours().astype(np.uint16) * 257, np.full((HEIGHT, WIDTH, 1), 32768, np.uint16)
    data = np.dstack([np.rint(colour * (alpha / 65535)).astype(np.uint16), alpha])
    tags = {258: (3, [16] * 4), 262: (3, [2]), 277: (3, [4]), 338: (3, [1])}
    made = processed(
        tiff(tmp_path / "a.tif", (WIDTH, HEIGHT), tags, data.tobytes()), tmp_path, format="webp", quality=100
    )
    assert np.abs(pixels(made)[..., :3].astype(int) - colours()).max() <= 1


def test_a_transparent_value_in_sixteen_bit_grey(tmp_path):
    array = np.maximum(grey(), 9)
    array[:8, :8] = 3
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)
    path = tmp_path / "a.png"
    head = struct.pack(">LLBBBBB", WIDTH, HEIGHT, 16, 0, 0, 0, 0)
    chunks = [
        (b"IHDR", head),
        (b"tRNS", struct.pack(">H", 3)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks))
    laid = pixels(processed(path, tmp_path, format="jpeg", quality=100))
    assert laid[:6, :6].min() >= 250  # on white
    # The master, too, must be one that the next node reads.
    master = processed(path, tmp_path, format="tiff")
    assert processed(local_path(master.image.uri), tmp_path, format="jpeg").width == WIDTH


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))


def test_a_bitmap_whose_reserved_bytes_are_used(tmp_path):
    path = tmp_path / "a.bmp"
    Image.fromarray(colours()).save(path)
    path.write_bytes(path.read_bytes()[:6] + b"scan" + path.read_bytes()[10:])
    assert np.array_equal(pixels(processed(path, tmp_path)), colours())


def _float(path: Path) -> None:
    tiff(path, (WIDTH, HEIGHT), rgb(32, t339=(3, [3] * 3)), (colours() / np.float32(255)).tobytes())


def _inks_with_alpha(path: Path) -> None:
    tags = {258: (3, [8] * 5), 262: (3, [5]), 277: (3, [5]), 338: (3, [2])}
    tiff(path, (WIDTH, HEIGHT), tags, bytes(WIDTH * HEIGHT * 5))


def _apart(path: Path) -> None:
    data = np.ascontiguousarray(np.moveaxis(colours().astype(np.uint16) * 257, -1, 0))
    size = WIDTH * HEIGHT * 2
    strips = {"t273": (4, [16, 16 + size, 16 + 2 * size]), "t279": (4, [size] * 3), "t284": (3, [2])}
    tiff(path, (WIDTH, HEIGHT), rgb(16, **strips), data.tobytes())


def _thumbnail_first(path: Path) -> None:
    tiff(path, (WIDTH, HEIGHT), rgb(t254=(4, [1])), colours().tobytes(), pages=2)


def _frame(path: Path, marker: int, precision: int) -> None:
    content = io.BytesIO()
    Image.fromarray(colours()).save(content, "JPEG")
    data = bytearray(content.getvalue())
    at = data.find(b"\xff\xc0")
    data[at + 1], data[at + 4] = marker, precision
    path.write_bytes(data)


REFUSED = {
    "float.tif": (_float, "floating-point"),
    "inks-and-alpha.tif": (_inks_with_alpha, "inks"),
    "apart.tif": (_apart, "one after the other"),
    "thumbnail-first.tif": (_thumbnail_first, "thumbnail"),
    "webp-inside.tif": (
        lambda p: tiff(p, (WIDTH, HEIGHT), rgb(t259=(3, [50001])), b"RIFF" * 9),
        "compressed with WebP",
    ),
    "jpeg2000-inside.tif": (
        lambda p: tiff(p, (WIDTH, HEIGHT), rgb(t259=(3, [34712])), b"\xff\x4f" * 9),
        "JPEG 2000",
    ),
    "twelve.jpg": (lambda p: _frame(p, 0xC1, 12), "12 bits"),
    "ls.jpg": (lambda p: _frame(p, 0xF7, 8), "JPEG-LS"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_rare_kind_is_refused_by_its_name(name, tmp_path):
    write, what = REFUSED[name]
    write(tmp_path / name)
    with pytest.raises(RealmError, match=what) as caught:
        processed(tmp_path / name, tmp_path)
    assert caught.value.code is Code.UNSUPPORTED_FILE_TYPE
    assert caught.value.hint


def test_a_head_alone_is_damaged_and_said_so_in_words(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff\xd9")
    with pytest.raises(RealmError, match="begins like a JPEG") as caught:
        processed(tmp_path / "a.jpg", tmp_path)
    assert caught.value.code is Code.DATA_CORRUPTED


# -- colours that are stated by numbers -------------------------------------------------------------------


def png(path: Path, *chunks: tuple[bytes, bytes], array: np.ndarray | None = None) -> Path:
    content = io.BytesIO()
    Image.fromarray(colours() if array is None else array).save(content, "PNG")
    data = content.getvalue()
    path.write_bytes(data[:33] + b"".join(_chunk(*chunk) for chunk in chunks) + data[33:])
    return path


def gamma(value: float) -> tuple[bytes, bytes]:
    return b"gAMA", struct.pack(">L", round(value * 100_000))


PNG_COLOURS = {
    "p3": ([(b"cICP", bytes([12, 13, 0, 1]))], "Display P3"),
    "linear": ([gamma(1.0)], "linear"),
    "srgb": ([(b"sRGB", b"\0"), gamma(1.0)], None),
    "nearly-srgb": ([gamma(0.45455)], None),
    "no-gamma": ([gamma(0)], None),
    "primaries-of-nothing": ([gamma(0.45455), (b"cHRM", bytes(32))], None),
}


@pytest.mark.parametrize("name", PNG_COLOURS)
def test_a_png_that_states_its_colours_by_numbers(name, tmp_path):
    chunks, expected = PNG_COLOURS[name]
    made = processed(png(tmp_path / "a.png", *chunks), tmp_path, format="jpeg", quality=100)
    with Image.open(local_path(made.image.uri)) as image:
        icc = image.info.get("icc_profile")
    assert (icc is None) == (expected is None)
    if expected is not None and icc is not None:
        wanted = (
            display_p3_icc()
            if expected == "Display P3"
            else rgb_profile((*_P3[:1], (0.64, 0.33), (0.3, 0.6), (0.15, 0.06)), 1.0)
        )
        assert _difference(icc, wanted) <= 2


def _difference(first: bytes, second: bytes) -> int:
    """The largest difference between what two profiles make of some colours in sRGB."""
    probe = Image.fromarray(np.random.default_rng(1).integers(40, 200, (8, 8, 3), np.uint8))
    shown = [
        np.asarray(
            ImageCms.profileToProfile(
                probe,
                ImageCms.ImageCmsProfile(io.BytesIO(icc)),
                ImageCms.createProfile("sRGB"),
                outputMode="RGB",
            )
        ).astype(int)
        for icc in (first, second)
    ]
    return int(np.abs(shown[0] - shown[1]).max())


def test_the_profile_of_display_p3_is_the_published_one():
    assert _difference(rgb_profile(_P3, None), display_p3_icc()) <= 1


@pytest.mark.parametrize(("primaries", "profile"), [(12, True), (9, True), (1, False), (2, False)])
def test_a_heic_that_states_its_colours_by_numbers(primaries, profile, tmp_path):
    path = heic(tmp_path, primaries, 13)
    assert (stated_profile(path, "heic", grey=False) is not None) == profile


@pytest.mark.parametrize("transfer", [16, 18])
def test_high_dynamic_range_is_refused_rather_than_shown_pale(transfer, tmp_path):
    with pytest.raises(RealmError, match="high dynamic range") as caught:
        processed(heic(tmp_path, 9, transfer), tmp_path)
    assert caught.value.hint
    with pytest.raises(RealmError, match="high dynamic range"):
        processed(png(tmp_path / "a.png", (b"cICP", bytes([9, transfer, 0, 1]))), tmp_path)


def heic(folder: Path, primaries: int, transfer: int) -> Path:
    file = pillow_heif.from_bytes("RGB", (WIDTH, HEIGHT), colours().tobytes())
    path = folder / "a.heic"
    file.save(
        path, color_primaries=primaries, transfer_characteristics=transfer, matrix_coefficients=1, quality=90
    )
    return path


def test_a_profile_is_srgb_by_what_it_does(tmp_path):
    lying = display_p3_icc().replace("Display P3".encode("utf-16-be"), "sRGB IEC61".encode("utf-16-be"))
    assert not is_srgb(lying)
    assert is_srgb(srgb_icc())


def test_half_a_profile_is_left_out_with_a_remark(tmp_path):
    half = srgb_icc()[: len(srgb_icc()) // 2]
    assert not profile_fits(half, "RGB")
    path = tmp_path / "a.jpg"
    Image.fromarray(colours()).save(path, icc_profile=half)
    made = processed(path, tmp_path)
    assert any("colour profile" in remark for remark in made.remarks)
    with Image.open(local_path(made.image.uri)) as image:
        assert "icc_profile" not in image.info
    kept = processed(path, tmp_path, format="keep")
    assert not kept.reencoded
    assert any("damaged" in remark for remark in kept.remarks)


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
