"""image/preprocess: what goes in sideways comes out upright, whole and with its metadata, or not at all."""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone
from pathlib import Path
from threading import Event

import numpy as np
import pillow_heif
import pytest
from PIL import Image
from pydantic import ValidationError

from mirror_realm.core.errors import Code, RealmError
from mirror_realm.core.references import local_path
from mirror_realm.tasks.image import image_preprocess
from tests import photo_metadata, photos
from tests.photo_context import context_in, run

pillow_heif.register_heif_opener()

SOURCES = [".jpg", ".png", ".webp", ".tif", ".heic"]
TARGETS = ["jpeg", "png", "webp", "tiff", "heic"]
FLOOR = {"jpeg": 45, "png": 50, "webp": 30, "tiff": 50, "heic": 45}
"""Least PSNR (dB) against the scene. WebP always halves colour resolution, which the patches' edges show."""


@pytest.fixture
def context(tmp_path):
    return context_in(tmp_path)


def result(output) -> Image.Image:
    image = Image.open(local_path(output.image.uri))
    image.load()
    return image


def pixels(output) -> np.ndarray:
    return np.asarray(result(output).convert("RGB"))


def listing(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", SOURCES)
def test_every_orientation_of_every_format_comes_out_upright(tmp_path, context, suffix, orientation):
    path = photos.photo(tmp_path / f"a{suffix}", orientation=orientation)
    output = run(image_preprocess, context, path, format="png")
    assert (output.width, output.height) == photos.SIZE
    assert photos.psnr(pixels(output), photos.scene()) > 45
    image = result(output)
    assert image.getexif().get(0x0112, 1) == 1
    assert b'Orientation="%d"' % orientation not in image.info.get("xmp", b"") or orientation == 1
    assert output.rotated is (orientation != 1)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("suffix", SOURCES)
def test_every_format_becomes_every_format_with_its_metadata(tmp_path, context, suffix, target):
    path = photos.photo(tmp_path / f"照片 1{suffix}", orientation=6)
    output = run(image_preprocess, context, path, format=target)
    assert output.format == target
    assert output.original.format == (
        "jpeg" if suffix == ".jpg" else "tiff" if suffix == ".tif" else suffix[1:]
    )
    assert photos.psnr(pixels(output), photos.scene()) > FLOOR[target]
    assert {c: photos.corners(pixels(output))[c] for c in photos.CORNERS} == {
        c: pytest.approx(rgb, abs=6) for c, rgb in photos.CORNERS.items()
    }
    image = result(output)
    exif = image.getexif()
    detail = exif.get_ifd(0x8769)
    assert exif[0x0110] == photo_metadata.MODEL
    assert (detail[0xA002], detail[0xA003]) == photos.SIZE
    assert detail[0x927C] == photo_metadata.MAKER_NOTE
    assert exif.get_ifd(0x8825)[2] == pytest.approx((31, 13, 49.4976))
    assert image.info["icc_profile"] == photo_metadata.srgb_icc()
    if suffix != ".tif":  # the TIFF that we start from has no XMP
        assert "镜界".encode() in (image.info.get("xmp") or exif[700])


def test_the_output_says_everything(tmp_path, context):
    path = photos.photo(tmp_path / "IMG_1.jpg", orientation=6, size=(300, 200))
    output = run(image_preprocess, context, path, format="jpeg", max_size="150x150")
    assert (output.width, output.height) == (150, 100) == (output.image.width, output.image.height)
    assert (output.original.width, output.original.height) == (300, 200)
    assert output.original.file_path == str(path)
    assert output.original.size == path.stat().st_size
    assert output.image.source_sha256 == output.original.sha256 != output.image.sha256
    assert output.image.media_type == "image/jpeg"
    assert output.image.name == "IMG_1.jpg"
    assert output.size == output.image.size == Path(output.processed_path).stat().st_size
    assert output.captured_at == datetime(2023, 6, 15, 10, 30, 45, 123000, timezone(timedelta(hours=8)))
    assert output.captured_at_source == "exif"
    assert output.exif.gps == {"latitude": 31.230416, "longitude": 121.473701, "altitude": 12.5}
    assert output.exif.camera["make"] == "Mirror"
    assert output.exif.exposure == {
        "time": "1/250", "seconds": 0.004, "f_number": 1.8, "iso": 200, "focal_length_mm": 35.0,
    }  # fmt: skip
    assert output.resized
    assert output.rotated
    assert (
        photos.psnr(pixels(output), np.asarray(Image.fromarray(photos.scene(300, 200)).resize((150, 100), 1)))
        > 33
    )


def test_never_enlarged(tmp_path, context):
    output = run(image_preprocess, context, photos.photo(tmp_path / "a.png"), max_size=4096)
    assert (output.width, output.height, output.resized) == (*photos.SIZE, False)


@pytest.mark.parametrize("suffix", SOURCES)
def test_a_picture_that_needs_nothing_is_kept_byte_for_byte(tmp_path, context, suffix):
    path = photos.photo(tmp_path / f"a{suffix}")
    output = run(image_preprocess, context, path, max_size="4096x4096")
    assert local_path(output.image.uri).read_bytes() == path.read_bytes()
    assert not output.reencoded


def test_another_quality_encodes_again_and_means_something(tmp_path, context):
    path = photos.photo(tmp_path / "a.jpg", picture=photos.detailed(300, 200))
    sizes = [run(image_preprocess, context, path, quality=q).size for q in (20, 60, 95)]
    assert sizes == sorted(sizes)
    assert sizes[0] * 3 < sizes[2]


def test_webp_of_quality_100_loses_nothing(tmp_path, context):
    path = photos.photo(tmp_path / "a.png", orientation=6)
    assert np.array_equal(
        pixels(run(image_preprocess, context, path, format="webp", quality=100)), photos.scene()
    )


def test_without_auto_rotate_pixels_and_tag_stay(tmp_path, context):
    path = photos.photo(tmp_path / "a.jpg", orientation=6)
    output = run(image_preprocess, context, path, format="png", auto_rotate=False)
    assert result(output).getexif()[0x0112] == 6
    assert (output.width, output.height) == photos.SIZE[::-1]
    assert photos.psnr(pixels(output), photos.stored_as(photos.scene(), 6)) > 45
    kept = run(image_preprocess, context, path, auto_rotate=False)
    assert local_path(kept.image.uri).read_bytes() == path.read_bytes()
    bare = run(image_preprocess, context, path, format="png", auto_rotate=False, strip_metadata=True)
    assert dict(result(bare).getexif()) == {0x0112: 6}


@pytest.mark.parametrize("target", TARGETS)
def test_stripped_of_all_but_colour(tmp_path, context, target):
    path = photos.photo(tmp_path / "a.jpg", orientation=6, icc=photo_metadata.display_p3_icc())
    output = run(image_preprocess, context, path, format=target, strip_metadata=True)
    content = local_path(output.image.uri).read_bytes()
    assert photo_metadata.MODEL.encode() not in content
    assert "镜界".encode() not in content
    image = result(output)
    assert not dict(image.getexif().get_ifd(0x8825))
    assert image.info["icc_profile"] == photo_metadata.display_p3_icc()
    assert photos.psnr(pixels(output), photos.scene()) > FLOOR[target]
    assert output.exif.gps is None
    assert output.captured_at.year == 2023


def test_the_same_input_gives_the_same_bytes(tmp_path, context):
    path = photos.photo(tmp_path / "a.jpg", orientation=8)
    first, second = (run(image_preprocess, context, path, max_size=64) for _ in range(2))
    assert first == second


# -- which picture ------------------------------------------------------------------------------------------


def test_reference_before_path_before_event(tmp_path, context):
    one, two, three = (photos.photo(tmp_path / f"{n}.jpg", size=(60 + n, 40)) for n in (1, 2, 3))
    reference = run(image_preprocess, context, one).image
    event = {"payload": {"file_path": str(three)}, "type": "filesystem"}
    everything = {"image": reference, "file_path": str(two), "trigger": event, "quality_score": 1}
    assert run(image_preprocess, context, everything).width == 61
    assert run(image_preprocess, context, {**everything, "image": None}).width == 62
    assert run(image_preprocess, context, {"trigger": event, "other": []}).width == 63


def test_a_chain_keeps_the_first_source_and_the_time(tmp_path, context):
    path = photos.photo(tmp_path / "a.jpg", orientation=3)
    first = run(image_preprocess, context, path, strip_metadata=True)
    second = run(image_preprocess, context, {"image": first.image}, format="webp")
    assert second.image.source_sha256 == first.original.sha256
    assert second.captured_at == first.captured_at
    assert second.captured_at_source == "reference"
    assert second.original.file_path is None


@pytest.mark.parametrize(
    "input", [{}, {"trigger": {}}, {"trigger": {"payload": {"x": 1}}}, {"file_path": ""}]
)
def test_no_picture_named(context, input):
    with pytest.raises(RealmError, match="names no picture") as caught:
        run(image_preprocess, context, input)
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert "file_path" in (caught.value.hint or "")


def test_outside_the_roots_and_missing(tmp_path, context):
    for path, code in (("/etc/passwd", Code.PERMISSION_DENIED), (tmp_path / "no.jpg", Code.NOT_FOUND)):
        with pytest.raises(RealmError) as caught:
            run(image_preprocess, context, path)
        assert caught.value.code is code


def test_the_time_of_the_file_where_there_is_none_inside(tmp_path, context):
    path = photos.photo(tmp_path / "a.png", metadata=False)
    os.utime(path, (1_700_000_000, 1_700_000_000))
    output = run(image_preprocess, context, path)
    assert output.captured_at.timestamp() == 1_700_000_000
    assert output.captured_at.utcoffset() == timedelta(0)
    assert output.captured_at_source == "file"


@pytest.mark.parametrize(
    ("name", "make", "expected"),
    [
        ("photo.png", ".jpg", "photo.jpg"),
        ("照片 1.JPG", ".jpg", "照片 1.JPG"),
        ("no suffix", ".png", "no suffix.png"),
        ("v1.2 final", ".webp", "v1.2 final.webp"),
        ("scan.TIFF", ".tif", "scan.TIFF"),
    ],
)
def test_content_decides_and_the_name_follows(tmp_path, context, name, make, expected):
    photos.photo(tmp_path / f"x{make}").rename(tmp_path / name)
    output = run(image_preprocess, context, tmp_path / name)
    assert output.image.name == expected


# -- faults -------------------------------------------------------------------------------------------------


def refused(context, path, code: Code, *words: str, **parameters) -> RealmError:
    before = listing(context.settings.home), listing(context.workdir)
    with pytest.raises(RealmError) as caught:
        run(image_preprocess, context, path, **parameters)
    assert caught.value.code is code, caught.value
    for word in words:
        assert word in caught.value.record.message
    assert path.name in caught.value.record.message or code is Code.OUT_OF_RANGE
    assert (listing(context.settings.home), listing(context.workdir)) == before
    return caught.value


@pytest.mark.parametrize("keep", [0.02, 0.3, 0.7, 0.95])
@pytest.mark.parametrize("suffix", [*SOURCES, "16.png", "16.tif", "16.heic"])
def test_cut_short(tmp_path, context, suffix, keep):
    path = tmp_path / f"a{suffix}"
    noise = np.random.default_rng(1).integers(0, 65535, (90, 130, 3)).astype(np.uint16)
    if suffix.startswith("16"):
        photos.deep(path, picture=noise)
    else:
        photos.photo(path, picture=(noise >> 8).astype(np.uint8))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    refused(context, path, Code.DATA_CORRUPTED, "damaged or cut short", format="png", max_size=32)


def test_a_deep_tiff_cut_behind_its_directory(tmp_path, context):
    picture = np.random.default_rng(1).integers(0, 65535, (90, 130, 3)).astype(np.uint16)
    output = run(image_preprocess, context, photos.deep(tmp_path / "a.png", picture=picture), format="tiff")
    content = local_path(output.image.uri).read_bytes()
    path = tmp_path / "b.tif"
    path.write_bytes(content[:3000] + bytes(len(content) - 6000) + content[-3000:])
    refused(context, path, Code.DATA_CORRUPTED, format="png")


def test_empty(tmp_path, context):
    refused(context, photos.empty(tmp_path / "a.jpg"), Code.DATA_CORRUPTED, "is empty")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("Not a photograph, 不是照片.\n".encode() * 300, "text"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"\0\0\0\x18ftypmp42" + bytes(20), "an MP4 or QuickTime video"),
        (b"\0\0\0\x18ftypcrx " + bytes(20), "a Canon camera raw file"),
        (b"II*\0\x10\0\0\0CR\2\0" + bytes(20), "a Canon camera raw file"),
        (b"PK\3\4" + bytes(30), "a ZIP archive"),
        (b"<!DOCTYPE html><html>", "an HTML page"),
        (b"<?xml version='1.0'?><svg/>", "an SVG"),
        (b"\0" * 500, "zeros only"),
        (b"\x07\x80\xff\0" * 50, "unknown binary data"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "a PostScript document"),
    ],
)
def test_no_picture_at_all(tmp_path, context, content, what):
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    error = refused(context, path, Code.UNSUPPORTED_FILE_TYPE, what)
    assert "JPEG" in (error.hint or "")


def test_a_camera_raw_in_tiff_is_not_taken_by_its_thumbnail(tmp_path, context):
    path = tmp_path / "a.dng"
    Image.fromarray(photos.scene()).save(path, "TIFF", tiffinfo={50706: b"\1\4\0\0"})
    refused(context, path, Code.UNSUPPORTED_FILE_TYPE, "camera raw")


def test_bombs(tmp_path, context):
    error = refused(
        context, photos.bomb(tmp_path / "a.png"), Code.OUT_OF_RANGE, "20000×15000", "300 megapixels"
    )
    assert "MIRROR_REALM_MAX_PIXELS" in (error.hint or "")
    below = photos.bomb(tmp_path / "b.png", (13_000, 13_000), bits=24)
    refused(context, below, Code.OUT_OF_RANGE, "when decoded")
    strict = context_in(tmp_path, limits={"max_pixels": 9000})
    refused(strict, photos.photo(tmp_path / "c.jpg"), Code.OUT_OF_RANGE, "120×80")


def test_a_large_flat_picture_below_the_floor_is_no_bomb(tmp_path, context):
    output = run(
        image_preprocess, context, photos.bomb(tmp_path / "a.png", (3000, 2000), bits=24), max_size=100
    )
    assert (output.width, output.height) == (100, 67)


def test_pixel_and_ribbon(tmp_path, context):
    assert run(image_preprocess, context, photos.pixel(tmp_path / "a.jpg"), format="webp").width == 1
    ribbon = photos.ribbon(tmp_path / "b.jpg")
    assert run(image_preprocess, context, ribbon, format="png", max_size=1000).height == 2
    error = refused(context_in(tmp_path), ribbon, Code.OUT_OF_RANGE, "16383", format="webp")
    assert "max_size" in (error.hint or "")


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png"])
def test_animations_give_their_first_frame_and_say_so(tmp_path, context, name):
    output = run(image_preprocess, context, photos.animated(tmp_path / name))
    assert output.frames == 3
    assert any("only the first" in remark for remark in output.remarks)
    assert getattr(result(output), "n_frames", 1) == 1
    assert output.format == ("webp" if name == "a.webp" else "png")
    assert photos.psnr(pixels(output), photos.scene()) > 25  # a GIF has 256 colours


def test_multi_picture_jpeg_gives_its_first(tmp_path, context):
    output = run(image_preprocess, context, photos.multi_picture(tmp_path / "a.jpg", orientation=6))
    assert (output.format, output.frames) == ("jpeg", 2)
    assert result(output).format == "JPEG"
    assert photos.psnr(pixels(output), photos.scene()) > 40


def test_cancelled_between_the_steps(tmp_path):
    canceled = Event()
    steps: list[tuple[float, str]] = []

    def report(fraction: float, message: str) -> None:
        steps.append((fraction, message))
        canceled.set()

    context = context_in(tmp_path, canceled=canceled, report=report)
    path = photos.photo(tmp_path / "a.jpg", orientation=6)
    with pytest.raises(RealmError) as caught:
        run(image_preprocess, context, path)
    assert caught.value.code is Code.CANCELLED
    assert len(steps) == 1
    assert listing(context.settings.home) == listing(context.workdir) == []


def test_progress_rises_to_one(tmp_path):
    steps: list[float] = []
    context = context_in(tmp_path, report=lambda fraction, message: steps.append(fraction))
    run(image_preprocess, context, photos.photo(tmp_path / "a.jpg", orientation=6))
    assert steps == sorted(steps)
    assert steps[-1] == 1.0


@pytest.mark.parametrize(
    "wrong",
    [{"format": "bmp"}, {"max_size": "huge"}, {"quality": 0}, {"background": "red"}, {"colour": "srgb"}],
)
def test_wrong_parameters_are_refused(wrong):
    with pytest.raises(ValidationError):
        image_preprocess.parameters(**wrong)


def test_the_seeds_parameters_are_accepted():
    parameters = image_preprocess.parameters(format="JPG", max_size="4096x4096", auto_rotate=True)
    assert parameters.format == "jpeg"
    assert image_preprocess.effects is not None
    effects = image_preprocess.effects(parameters, image_preprocess.input(file_path="/nas/a.jpg"))
    assert effects.reads == ["file./nas/a.jpg"]
