"""A hundred odd photos through the nodes of the photo pipeline: each right (upright, its colours, what it knows) or
clearly refused. What is expected is computed from the arrays that the files were made of, not by reading the files."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from mirror_realm.core.errors import Code, RealmError
from mirror_realm.core.references import local_path
from mirror_realm.tasks.ai import image_enhance
from mirror_realm.tasks.image import image_preprocess, image_thumbnail
from mirror_realm.tasks.imaging.metadata import metadata_of
from tests import photos
from tests.photo_context import context_in, run
from tests.photo_metadata import MAKE, cmyk_icc, display_p3_icc, exif, srgb_icc

MOST = 2.0
"""ΔE (CIE 1976) that nine of ten places of the picture must keep to."""
REFUSED = {Code.DATA_CORRUPTED, Code.INVALID_ARGUMENT, Code.OUT_OF_RANGE, Code.UNSUPPORTED_FILE_TYPE}


@dataclass(frozen=True)
class Odd:
    """A photo: how it is written, what it shows upright (with its profile), and whether it knows its camera."""

    name: str
    write: Callable[[Path], object]
    shows: Callable[[], np.ndarray] = photos.scene
    icc: bytes | None = None
    knows: bool = True
    slack: float = 1.0


def odd_photos() -> list[Odd]:
    found: list[Odd] = []

    def add(name, write, shows=photos.scene, **more):
        found.append(Odd(name, write, shows, **more))

    # Every orientation in every format that photos come in, and with the profile of newer phones.
    for suffix in ("jpg", "png", "webp", "tif", "heic"):
        for turn in range(1, 9):
            add(f"turned-{turn}.{suffix}", lambda p, t=turn: photos.photo(p, orientation=t))
        p3 = display_p3_icc()
        for turn in (1, 6):
            add(
                f"p3-{turn}.{suffix}",
                lambda p, t=turn, icc=p3: photos.photo(p, orientation=t, icc=icc),
                icc=p3,
            )
    # Sizes.
    for width, height in (
        (1, 1),
        (1, 2),
        (2, 1),
        (7, 5),
        (3, 400),
        (400, 3),
        (20_000, 40),
        (40, 20_000),
        (6000, 900),
    ):
        # A JPEG of a few pixels has lost its colours before anybody reads it.
        for suffix in ("jpg", "png") if min(width, height) >= 8 else ("png",):
            add(
                f"size-{width}x{height}.{suffix}",
                lambda p, s=(width, height): photos.photo(p, size=s),
                lambda s=(width, height): photos.scene(*s),
            )
    # Depth.
    for suffix in ("png", "tif", "heic"):
        for turn in (1, 8):
            add(
                f"deep-{turn}.{suffix}",
                lambda p, t=turn: photos.deep(p, orientation=t),
                knows=suffix != "tif",
            )
    add("deep-p3.png", lambda p: photos.deep(p, icc=display_p3_icc()), icc=display_p3_icc())
    add("deep-grey.png", lambda p: photos.deep(p, picture=photos.scene16()[..., 0]), grey_scene)
    # Grey, palettes, transparency, one bit.
    for suffix in ("jpg", "png", "tif", "webp"):
        add(f"grey.{suffix}", lambda p: photos.grey(p, orientation=5), grey_scene)
    add("palette.png", photos.palette, quantized, knows=False)
    add("palette.gif", photos.palette, quantized, knows=False)
    add("bits.png", lambda p: Image.fromarray(bits()).convert("1").save(p), bits, knows=False, slack=2.0)
    add(
        "bits.tif",
        lambda p: Image.fromarray(bits()).convert("1").save(p, compression="group4"),
        bits,
        knows=False,
        slack=2.0,
    )
    # Ink.
    for suffix in ("jpg", "tif"):
        add(f"ink.{suffix}", lambda p: photos.cmyk(p, icc=cmyk_icc()), inked, knows=False, slack=1.5)
    add(
        "ink-no-adobe.jpg",
        lambda p: photos.cmyk(p, adobe=False, icc=cmyk_icc()),
        inked,
        knows=False,
        slack=1.5,
    )
    # Several pictures in a file: the first is the photo.
    for suffix in ("gif", "webp", "png"):
        shows = quantized if suffix == "gif" else photos.scene
        add(f"animated.{suffix}", photos.animated, shows, knows=False, slack=3.0 if suffix == "gif" else 1.0)
    for turn in (1, 6):
        add(f"stereo-{turn}.mpo", lambda p, t=turn: photos.multi_picture(p, orientation=t))
    # JPEG as it comes.
    for name, options in {
        "progressive": {"progressive": True}, "420": {"subsampling": 2}, "422": {"subsampling": 1},
        "restarts": {"restart_marker_blocks": 4}, "optimised": {"optimize": True}, "rough": {"quality": 60},
    }.items():  # fmt: skip
        add(f"{name}.jpg", lambda p, o=options: jpeg(p, **o), slack=2.5 if name == "rough" else 1.5)
    add("wrong-suffix.png", lambda p: jpeg(p))
    add("no-suffix", lambda p: jpeg(p))
    add("照片 ünï (1) #2.JPG", lambda p: jpeg(p))
    # Metadata that lies or is torn: the picture is right, and what cannot be read is let go.
    for turn in (0, 9, 65535):
        add(f"turn-{turn}.jpg", lambda p, t=turn: jpeg(p, exif=b"Exif\0\0" + exif(t)))
    block = exif(1)
    add("big-endian.jpg", lambda p: jpeg(p, exif=b"Exif\0\0" + exif(1, big_endian=True)))
    add("torn-exif.jpg", lambda p: jpeg(p, exif=b"Exif\0\0" + block[: len(block) // 3]))
    add("noise-exif.jpg", lambda p: jpeg(p, exif=b"Exif\0\0" + bytes(range(256)) * 3), knows=False)
    add("far-exif.jpg", lambda p: jpeg(p, exif=b"Exif\0\0II*\0" + struct.pack("<L", 10**6)), knows=False)
    add("loop-exif.jpg", lambda p: jpeg(p, exif=b"Exif\0\0" + looping()), knows=False)
    add("no-exif.jpg", lambda p: photos.photo(p, metadata=False), knows=False)
    add("torn-profile.jpg", lambda p: jpeg(p, icc_profile=srgb_icc()[:100]))
    add("no-gps.jpg", lambda p: photos.photo(p, gps=False))
    add("with-thumbnail.jpg", lambda p: photos.photo(p, orientation=6, thumbnail=photos.thumbnail()))
    return found


def grey_scene() -> np.ndarray:
    return np.repeat(photos.scene()[..., :1], 3, axis=2)


def quantized() -> np.ndarray:
    return np.asarray(Image.fromarray(photos.scene()).quantize(32).convert("RGB"))


def bits() -> np.ndarray:
    """Large squares of black and white."""
    return np.kron(np.indices((6, 8)).sum(axis=0) % 2 * 255, np.ones((20, 20))).astype(np.uint8)


def inked() -> np.ndarray:
    """The inks as light, by their profile."""
    ink = ImageCms.ImageCmsProfile(io.BytesIO(cmyk_icc()))
    image = Image.fromarray(photos.ink_scene(), "CMYK")
    made = ImageCms.profileToProfile(
        image, ink, ImageCms.createProfile("sRGB"), renderingIntent=1, outputMode="RGB"
    )
    return np.asarray(made)


def jpeg(path: Path, **options) -> None:
    block = b"Exif\0\0" + exif(1)
    options = {"quality": 95, "subsampling": 0, "exif": block, "icc_profile": srgb_icc()} | options
    Image.fromarray(photos.scene()).save(path, "JPEG", **options)


def looping() -> bytes:
    """A directory whose successor is itself."""
    entry = struct.pack("<HHLHH", 0x0112, 3, 1, 1, 0)
    return b"II*\0" + struct.pack("<L", 8) + struct.pack("<H", 1) + entry + struct.pack("<L", 8)


ODD = odd_photos()


def lab(pixels: np.ndarray, icc: bytes | None) -> np.ndarray:
    """CIE Lab of 8-bit RGB in its profile."""
    rgb = ImageCms.createProfile("sRGB") if icc is None else ImageCms.ImageCmsProfile(io.BytesIO(icc))
    link = ImageCms.buildTransform(rgb, ImageCms.createProfile("LAB"), "RGB", "LAB", renderingIntent=1)
    raw = np.asarray(ImageCms.applyTransform(Image.fromarray(pixels), link)).astype(float)
    # Pillow's a and b are bytes in two's complement.
    signed = np.where(raw[..., 1:] > 127, raw[..., 1:] - 256, raw[..., 1:])
    return np.concatenate([raw[..., :1] * 100 / 255, signed], axis=-1)


def far_off(made: Path, odd: Odd) -> float:
    """ΔE that nine of ten places keep to, after both were brought to one small size by area."""
    with Image.open(made) as image:
        icc = image.info.get("icc_profile")
        rgba = image.convert("RGBA") if image.mode in ("P", "LA", "PA", "RGBA") else image.convert("RGB")
        pixels = np.asarray(rgba)[..., :3]
        if image.mode in ("I;16", "I;16B"):
            pixels = np.repeat((np.asarray(image) >> 8).astype(np.uint8)[..., None], 3, axis=2)
        grey = image.mode in ("L", "LA", "1", "I;16", "I;16B")
    wanted = odd.shows()
    wanted = np.repeat(wanted[..., None], 3, axis=2) if wanted.ndim == 2 else wanted
    height, width = wanted.shape[:2]
    if pixels.shape[0] < height:
        # The same resize: a filter of its own kind at hard edges is not what is judged.
        wanted = np.asarray(Image.fromarray(wanted).resize(pixels.shape[1::-1], Image.Resampling.LANCZOS))
        height, width = wanted.shape[:2]
    assert (pixels.shape[1] > pixels.shape[0]) == (width > height), "it lies on its side"
    size = (min(width, 48, pixels.shape[1]), min(height, 32, pixels.shape[0]))
    ours, theirs = (cv2.resize(one, size, interpolation=cv2.INTER_AREA) for one in (pixels, wanted))
    difference = lab(ours, None if grey else icc) - lab(theirs, odd.icc)
    return float(np.percentile(np.sqrt((difference**2).sum(axis=-1)), 90))


def test_they_are_a_hundred_and_distinct():
    assert len(ODD) >= 100
    assert len({odd.name for odd in ODD}) == len(ODD)


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: odd.name)
def test_an_odd_photo_comes_out_right(odd, tmp_path):
    context = context_in(tmp_path, roots=(tmp_path,))
    source = tmp_path / odd.name
    odd.write(source)
    height, width = odd.shows().shape[:2]
    # Of a picture a few pixels wide, a JPEG's halved colour resolution would be what is measured.
    format = "png" if min(height, width) < 64 else "jpeg"
    # Ink stays ink unless told otherwise; a wide gamut stays wide, since sRGB has not all of its colours.
    color = "srgb" if odd.name.startswith("ink") else "keep"
    small = run(
        image_preprocess, context, source, format=format, max_size="4096x4096", quality=95, color=color
    )
    fit = min(1.0, 4096 / max(width, height))
    assert abs(small.width - width * fit) <= 1
    assert abs(small.height - max(1, height * fit)) <= 1
    made = local_path(small.image.uri)
    with Image.open(made) as image:
        assert image.getexif().get(0x0112, 1) == 1
        assert image.size == (small.width, small.height)
        metadata = metadata_of(image, made)
    assert (MAKE in str(metadata.exif)) == odd.knows
    assert far_off(made, odd) <= MOST * odd.slack
    if min(height, width) < 8:
        return  # Lossy previews and sharpening spread over the whole of it.
    # The next nodes see the same picture.
    preview = run(image_thumbnail, context, {"image": small.image.model_dump(mode="json")})
    assert far_off(local_path(preview.image.uri), odd) <= MOST * odd.slack * 1.5
    if width * height <= 20_000:
        large = run(image_enhance, context, source, backend="classical", scale_factor=2, format="png")
        assert (large.width, large.height) == (2 * width, 2 * height)
        assert far_off(local_path(large.image.uri), odd) <= MOST * odd.slack


WRONG = {
    "cut-in-half.jpg": lambda p: photos.truncated(p),
    "cut-in-half.png": lambda p: photos.truncated(p),
    "cut-in-half.heic": lambda p: photos.truncated(p),
    "cut-in-half.webp": lambda p: photos.truncated(p),
    "cut-in-half.tif": lambda p: photos.truncated(p),
    "header-only.jpg": lambda p: photos.truncated(p, 0.02),
    "empty.jpg": photos.empty,
    "text.jpg": photos.text,
    "bomb.png": photos.bomb,
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_whole_photo_is_refused_with_a_reason(name, tmp_path):
    source = tmp_path / name
    WRONG[name](source)
    with pytest.raises(RealmError) as caught:
        run(image_preprocess, context_in(tmp_path, roots=(tmp_path,)), source)
    assert caught.value.code in REFUSED
    assert name in str(caught.value)
    assert caught.value.hint
