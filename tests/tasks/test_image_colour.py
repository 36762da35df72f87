"""Colour and depth: ink through its profile, wide gamuts kept, 16 bits kept or rounded, transparency laid
down."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms

from mirror_realm.core.errors import Code, RealmError
from mirror_realm.core.references import local_path
from mirror_realm.tasks.image import image_preprocess
from mirror_realm.tasks.imaging.colour import is_srgb, srgb_profile
from mirror_realm.tasks.imaging.palette import _lab
from mirror_realm.tasks.imaging.raster import resized, shallow, turned
from tests import photo_metadata, photos
from tests.photo_context import context_in, run

pillow_heif.register_heif_opener()


@pytest.fixture
def context(tmp_path):
    return context_in(tmp_path)


def image_of(output) -> Image.Image:
    image = Image.open(local_path(output.image.uri))
    image.load()
    return image


def array16(output) -> np.ndarray:
    array = cv2.imdecode(np.fromfile(local_path(output.image.uri), np.uint8), cv2.IMREAD_UNCHANGED)
    assert array is not None
    return array if array.ndim == 2 else array[..., [2, 1, 0, 3][: array.shape[2]]]


def delta_e(first, second) -> float:
    return float(np.linalg.norm(_lab(np.asarray(first, float)) - _lab(np.asarray(second, float))))


def through(icc: bytes, image: Image.Image) -> Image.Image:
    """The direct computation: LittleCMS, relative colorimetric, black point compensated."""
    converted = ImageCms.profileToProfile(
        image,
        ImageCms.ImageCmsProfile(io.BytesIO(icc)),
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    assert converted is not None
    return converted


# -- ink ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("adobe", [True, False])
def test_ink_is_read_right_with_and_without_adobes_inversion(tmp_path, context, adobe):
    icc = photo_metadata.cmyk_icc()
    path = photos.cmyk(tmp_path / "a.jpg", adobe=adobe, icc=icc)
    output = run(image_preprocess, context, path, format="png")
    got, expected = image_of(output), through(icc, Image.fromarray(photos.ink_scene(), "CMYK"))
    for x, y in ((10, 10), (110, 10), (10, 70), (110, 70), (60, 40)):
        assert delta_e(got.getpixel((x, y)), expected.getpixel((x, y))) < 3
    naive = Image.fromarray(photos.ink_scene(), "CMYK").convert("RGB")
    assert delta_e(got.getpixel((10, 10)), naive.getpixel((10, 10))) > 10
    assert got.info["icc_profile"] == srgb_profile()


def test_ink_without_a_profile_is_converted_and_said(tmp_path, context):
    output = run(image_preprocess, context, photos.cmyk(tmp_path / "a.jpg"), format="webp")
    assert any("without colour management" in remark for remark in output.remarks)
    assert image_of(output).convert("RGB").getpixel((10, 10)) == pytest.approx((55, 245, 245), abs=8)


def test_ink_stays_ink_where_the_format_has_it_unless_asked(tmp_path, context):
    path = photos.cmyk(tmp_path / "a.tif", icc=photo_metadata.cmyk_icc())
    kept = run(image_preprocess, context, path, format="jpeg")
    assert image_of(kept).mode == "CMYK"
    assert np.abs(np.asarray(image_of(kept)).astype(int) - photos.ink_scene()).max() <= 12
    asked = run(image_preprocess, context, path, format="jpeg", color="srgb")
    assert image_of(asked).mode == "RGB"
    expected = through(photo_metadata.cmyk_icc(), Image.fromarray(photos.ink_scene(), "CMYK"))
    assert photos.psnr(np.asarray(image_of(asked)), np.asarray(expected)) > 35
    tiff = run(
        image_preprocess, context, photos.cmyk(tmp_path / "b.jpg", icc=b""), format="tiff", max_size=60
    )
    assert image_of(tiff).mode == "CMYK"
    assert image_of(tiff).getpixel((5, 5)) == pytest.approx((200, 10, 10, 0), abs=8)


# -- profiles -----------------------------------------------------------------------------------------------


def test_display_p3_is_kept_or_converted(tmp_path, context):
    path = photos.photo(tmp_path / "a.png", icc=photo_metadata.display_p3_icc(), orientation=6)
    kept = run(image_preprocess, context, path)
    assert image_of(kept).info["icc_profile"] == photo_metadata.display_p3_icc()
    assert np.array_equal(np.asarray(image_of(kept)), photos.scene())
    converted = run(image_preprocess, context, path, color="srgb")
    expected = through(photo_metadata.display_p3_icc(), Image.fromarray(photos.scene()))
    assert np.array_equal(np.asarray(image_of(converted)), np.asarray(expected))
    assert is_srgb(image_of(converted).info["icc_profile"])


def test_srgb_pixels_are_not_touched_by_converting_to_srgb(tmp_path, context):
    output = run(image_preprocess, context, photos.photo(tmp_path / "a.png", orientation=2), color="srgb")
    assert np.array_equal(np.asarray(image_of(output)), photos.scene())


def test_a_profile_of_other_pixels_is_dropped_and_said(tmp_path, context):
    path = photos.photo(tmp_path / "a.png", icc=photo_metadata.cmyk_icc(), orientation=6)
    for color in ("keep", "srgb"):
        output = run(image_preprocess, context, path, color=color)
        assert np.array_equal(np.asarray(image_of(output)), photos.scene())
        assert any("does not fit" in remark for remark in output.remarks)


def test_a_damaged_profile_does_not_stop_the_picture(tmp_path, context):
    broken = photo_metadata.display_p3_icc()[:150] + b"\xff" * 200
    output = run(image_preprocess, context, photos.photo(tmp_path / "a.png", icc=broken), color="srgb")
    assert photos.psnr(np.asarray(image_of(output)), photos.scene()) > 50


def test_our_srgb_profile_is_always_the_same():
    assert srgb_profile()[24:36] == bytes((7, 231, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0))
    assert is_srgb(srgb_profile())
    assert is_srgb(photo_metadata.srgb_icc())
    assert not is_srgb(photo_metadata.display_p3_icc())


# -- grey, palette, transparency ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "mode"), [("jpeg", "L"), ("png", "L"), ("tiff", "L"), ("webp", "RGB"), ("heic", "L")]
)
def test_grey_stays_grey(tmp_path, context, target, mode):
    path = photos.grey(tmp_path / "a.jpg", orientation=6)
    output = run(image_preprocess, context, path, format=target)
    image = image_of(output)
    assert image.mode == mode
    assert photos.psnr(np.asarray(image.convert("L")), photos.scene()[..., 0]) > 38


@pytest.mark.parametrize("transparent", [False, True])
@pytest.mark.parametrize("target", ["jpeg", "png", "webp", "tiff", "heic"])
def test_palettes_become_what_the_format_can_hold(tmp_path, context, target, transparent):
    path = photos.palette(tmp_path / "a.png", transparent=transparent)
    output = run(image_preprocess, context, path, format=target, max_size=60, background="#ff00ff")
    image = image_of(output)
    with Image.open(path) as source:
        whole = source.convert("RGBA")
    canvas = Image.new("RGBA", whole.size, "#ff00ff")
    canvas.alpha_composite(whole)
    expected = np.asarray(canvas.convert("RGB").resize((60, 40), Image.Resampling.LANCZOS))
    shown = Image.new("RGBA", image.size, "#ff00ff")
    shown.alpha_composite(image.convert("RGBA"))
    assert photos.psnr(np.asarray(shown.convert("RGB")), expected) > 23
    assert (image.mode == "RGBA") is (transparent and target != "jpeg")


def test_a_palette_png_that_is_only_turned_keeps_its_palette(tmp_path, context):
    path = photos.palette(tmp_path / "a.png")
    content = photos.png_with(path.read_bytes(), [(b"eXIf", photo_metadata.exif(3))])
    path.write_bytes(content)
    output = run(image_preprocess, context, path)
    assert image_of(output).mode == "P"
    with Image.open(path) as source:
        assert np.array_equal(
            np.asarray(image_of(output).convert("RGB")), np.asarray(source.convert("RGB"))[::-1, ::-1]
        )


def test_transparency_is_laid_on_the_background(tmp_path, context):
    path = photos.alpha(tmp_path / "a.png", orientation=5)
    white, black = (
        run(image_preprocess, context, path, format="jpeg", background=b) for b in ("#ffffff", "#000000")
    )
    assert image_of(white).getpixel((118, 40)) == pytest.approx((255, 255, 255), abs=6)
    assert image_of(black).getpixel((118, 40)) == pytest.approx((0, 0, 0), abs=6)
    assert image_of(white).getpixel((10, 10)) == pytest.approx(photos.CORNERS["top left"], abs=6)


@pytest.mark.parametrize("target", ["png", "webp", "tiff", "heic"])
def test_transparency_is_kept_where_it_can_be(tmp_path, context, target):
    output = run(image_preprocess, context, photos.alpha(tmp_path / "a.png", orientation=7), format=target)
    image = image_of(output)
    assert image.mode == "RGBA"
    assert image.getpixel((5, 5))[3] == 255
    assert image.getpixel((118, 40))[3] <= 8


# -- depth --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("target", ["png", "tiff"])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_stay_sixteen(tmp_path, context, suffix, target, orientation):
    path = photos.deep(tmp_path / f"a{suffix}", orientation=orientation)
    output = run(image_preprocess, context, path, format=target)
    assert np.array_equal(array16(output), photos.scene16())


@pytest.mark.parametrize("target", ["png", "tiff"])
def test_sixteen_bits_of_grey_and_alpha(tmp_path, context, target):
    grey = photos.scene16()[..., 0]
    output = run(
        image_preprocess, context, photos.deep(tmp_path / "g.png", picture=grey, orientation=6), format=target
    )
    assert np.array_equal(array16(output), grey)
    rgba = np.dstack([photos.scene16(), np.full(photos.SIZE[::-1], 40_000, np.uint16)])
    output = run(
        image_preprocess, context, photos.deep(tmp_path / "c.png", picture=rgba, orientation=6), format=target
    )
    assert np.array_equal(array16(output), rgba)


@pytest.mark.parametrize("target", ["jpeg", "webp"])
def test_sixteen_bits_become_eight_by_rounding(tmp_path, context, target):
    ramp = np.broadcast_to(np.linspace(0, 65535, 256).astype(np.uint16)[None, :, None], (64, 256, 3)).copy()
    output = run(
        image_preprocess, context, photos.deep(tmp_path / "a.png", picture=ramp), format=target, quality=100
    )
    got = np.asarray(image_of(output).convert("RGB"))[32, :, 1].astype(int)
    assert np.abs(got - np.arange(256)).max() <= 2
    assert any("rounded" in remark for remark in output.remarks)
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    assert np.array_equal(np.asarray(shallow(values)), np.rint(values / 257).astype(np.uint8))


def test_ten_bit_heic_keeps_its_depth_in_png_and_in_heic(tmp_path, context):
    ramp = np.broadcast_to(np.linspace(0, 65535, 1024).astype(np.uint16)[None, :, None], (64, 1024, 3)).copy()
    path = photos.deep(tmp_path / "a.heic", picture=ramp)
    output = run(image_preprocess, context, path, format="png")
    array = array16(output)
    assert array.dtype == np.uint16
    assert array.max() == 65535
    assert len(np.unique(array[..., 1])) > 600
    assert np.abs(array.astype(int) - ramp).max() < 600
    again = run(image_preprocess, context, path, max_size=512)
    assert Image.open(local_path(again.image.uri)).info["bit_depth"] == 10
    eight = run(image_preprocess, context, path, format="jpeg")
    assert photos.psnr(np.asarray(image_of(eight)), np.rint(ramp / 257).astype(np.uint8)) > 45


def test_deep_pictures_shrink_and_turn_like_shallow_ones():
    picture = photos.scene(90, 60)
    deep = picture.astype(np.uint16) * 257
    for orientation in range(1, 9):
        stored = photos.stored_as(deep, orientation)
        assert np.array_equal(turned(stored, orientation), deep)
    small = shallow(resized(deep, (45, 30)))
    assert photos.psnr(np.asarray(small), np.asarray(resized(Image.fromarray(picture), (45, 30)))) > 50


def test_transparent_pixels_do_not_bleed_their_colour():
    rgba = np.zeros((40, 40, 4), np.uint16)
    rgba[:, :20] = (65535, 0, 0, 65535)
    rgba[:, 20:] = (0, 65535, 0, 0)
    small = resized(rgba, (10, 10))
    assert isinstance(small, np.ndarray)
    assert small[..., 1].max() == 0


def test_samples_of_32_bits_are_refused(tmp_path, context):
    path = tmp_path / "a.tif"
    Image.fromarray(np.zeros((10, 10), np.float32)).save(path)
    with pytest.raises(RealmError) as caught:
        run(image_preprocess, context, path)
    assert caught.value.code is Code.UNSUPPORTED_FILE_TYPE


def test_a_tiff_we_write_is_read_by_pillow_and_opencv_alike(tmp_path, context):
    path = photos.photo(tmp_path / "a.jpg", orientation=6, size=(700, 500))
    output = run(image_preprocess, context, path, format="tiff")
    by_pillow = np.asarray(image_of(output))
    by_opencv = cv2.imdecode(np.fromfile(local_path(output.image.uri), np.uint8), cv2.IMREAD_COLOR)
    assert by_opencv is not None
    assert np.array_equal(by_pillow, by_opencv[..., ::-1])
    assert photos.psnr(by_pillow, photos.scene(700, 500)) > 45
