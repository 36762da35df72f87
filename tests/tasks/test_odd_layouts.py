"""Photos whose pixels or colours lie in their file in a rare way: each comes out right, or is refused by what it is."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms

from mirror_realm.core.errors import Code, RealmError
from mirror_realm.core.references import local_path
from mirror_realm.tasks.imaging.codepoints import rgb_profile, stated_profile
from mirror_realm.tasks.imaging.colour import is_srgb, profile_fits
from tests.photo_metadata import display_p3_icc, srgb_icc
from tests.tasks.handmade_photos import HEIGHT, WIDTH, colours, grey, mono, pixels, processed, rgb, tiff

_P3 = ((0.3127, 0.329), (0.68, 0.32), (0.265, 0.69), (0.15, 0.06))


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
