"""image/convert, image/thumbnail and image/watermark: upright, in the right colours, bounded, nothing lost."""

from __future__ import annotations

from threading import Event

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from mirror_realm.core.errors import Code, RealmError
from mirror_realm.core.references import local_path
from mirror_realm.tasks.image import image_convert, image_preprocess, image_thumbnail, image_watermark
from mirror_realm.tasks.imaging.colour import srgb_profile
from mirror_realm.tasks.imaging.sizing import cover
from tests import photo_metadata, photos
from tests.photo_context import context_in, run

SIDES = st.integers(1, 5000)


@pytest.fixture
def context(tmp_path):
    return context_in(tmp_path)


def opened(reference) -> Image.Image:
    image = Image.open(local_path(reference.uri))
    image.load()
    return image


def near(image: Image.Image, corner: str) -> tuple[int, ...]:
    return photos.corners(np.asarray(image.convert("RGB")))[corner]


# -- convert ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["jpeg", "png", "webp", "tiff", "heic"])
def test_every_format_can_be_had(tmp_path, context, target):
    output = run(image_convert, context, photos.photo(tmp_path / "照片.jpg", orientation=8), format=target)
    assert (output.format, output.width, output.height) == (target, *photos.SIZE)
    assert output.source_format == "jpeg"
    assert output.image.media_type == f"image/{target}"
    assert output.image.captured_at.isoformat() == "2023-06-15T10:30:45.123000+08:00"
    assert (output.quality is None) is (target in ("png", "tiff"))


def test_a_picture_that_is_already_as_wanted_is_kept_byte_for_byte(tmp_path, context):
    path = photos.photo(tmp_path / "a.jpg")
    output = run(image_convert, context, path, format="jpg", max_bytes=10**6)
    assert not output.reencoded
    assert local_path(output.image.uri).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("format", ["jpeg", "webp", "heic"])
def test_the_best_quality_within_a_number_of_bytes(tmp_path, context, format):
    path = photos.photo(tmp_path / "a.png", picture=photos.detailed(400, 300), metadata=False)
    free = run(image_convert, context, path, format=format, strip_metadata=True)
    limit = free.size // 2
    bound = run(image_convert, context, path, format=format, max_bytes=limit, strip_metadata=True)
    assert bound.size <= limit
    assert bound.quality < free.quality == 92
    above = run(image_convert, context, path, format=format, quality=bound.quality + 1, strip_metadata=True)
    assert above.size > limit


@pytest.mark.parametrize("format", ["jpeg", "png"])
def test_a_number_of_bytes_that_cannot_be_kept(tmp_path, context, format):
    path = photos.photo(tmp_path / "a.tif", picture=photos.detailed(400, 300))
    with pytest.raises(RealmError) as caught:
        run(image_convert, context, path, format=format, max_bytes=1000)
    assert caught.value.code is Code.OUT_OF_RANGE
    assert "max_size" in caught.value.hint
    assert not [p for p in (tmp_path / "work").rglob("*") if p.is_file()]


def test_a_damaged_profile_is_ignored_and_remarked_upon(tmp_path, context):
    icc = bytearray(photo_metadata.display_p3_icc())
    icc[8:12] = bytes(4)  # its version
    icc[128:132] = b"\xff\xff\xff\xff"  # how many tags it has
    output = run(
        image_convert, context, photos.photo(tmp_path / "a.jpg", icc=bytes(icc)), format="png", color="srgb"
    )
    assert any("profile" in remark for remark in output.remarks)
    assert run(image_watermark, context, photos.photo(tmp_path / "b.jpg", icc=bytes(icc)), text="MR").size > 0


def test_grey(tmp_path, context):
    p3 = photos.photo(tmp_path / "a.png", icc=photo_metadata.display_p3_icc())
    assert opened(run(image_convert, context, p3, format="jpeg", color="grey").image).mode == "L"
    clear = photos.alpha(tmp_path / "b.png")
    assert opened(run(image_convert, context, clear, format="png", color="grey").image).mode == "LA"


def test_sixteen_bits_to_eight_are_remarked_upon(tmp_path, context):
    output = run(image_convert, context, photos.deep(tmp_path / "a.png"), format="jpeg")
    assert any("16 bits" in remark for remark in output.remarks)


# -- thumbnail --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".heic", ".tif"])
def test_thumbnails_of_every_orientation(tmp_path, context, suffix, orientation):
    path = photos.photo(tmp_path / f"照片{suffix}", orientation=orientation)
    sizes = {"small": 60, "card": {"box": "40x40", "mode": "cover"}, "huge": 9000}
    output = run(image_thumbnail, context, path, sizes=sizes)
    assert {name: (t.width, t.height) for name, t in output.thumbnails.items()} == {
        "small": (60, 40),
        "card": (40, 40),
        "huge": photos.SIZE,
    }
    small = opened(output.thumbnails["small"])
    assert small.size == (60, 40)
    for corner, colour in photos.CORNERS.items():
        assert near(small, corner) == pytest.approx(colour, abs=12)
    assert output.thumbnails["card"].name == "照片-card.jpg"
    assert [f.sha256 for f in output.files] == [t.sha256 for t in output.thumbnails.values()]
    assert output.image.sha256 == output.thumbnails["small"].source_sha256


def test_nothing_personal_is_in_them(tmp_path, context):
    output = run(image_thumbnail, context, photos.photo(tmp_path / "a.jpg", thumbnail=photos.thumbnail()))
    for reference in output.files:
        image = opened(reference)
        assert not image.getexif()
        assert "xmp" not in image.info
        assert b"Realm One" not in local_path(reference.uri).read_bytes()
        assert image.info["icc_profile"] == srgb_profile()


def test_colours_go_through_the_profile(tmp_path, context):
    picture = np.full((80, 120, 3), (200, 40, 40), np.uint8)
    path = photos.photo(tmp_path / "a.png", picture=picture, icc=photo_metadata.display_p3_icc())
    red, green, blue = near(opened(run(image_thumbnail, context, path, sizes={"s": 64}).files[0]), "top left")
    assert red > 210, "Display P3's red lies outside sRGB's"
    assert green < 30
    assert blue < 40
    ink = run(image_thumbnail, context, photos.cmyk(tmp_path / "b.jpg"), sizes={"s": 64})
    assert opened(ink.files[0]).mode == "RGB"


@pytest.mark.parametrize(("gravity", "left", "right"), [("left", "red", "grey"), ("right", "grey", "green")])
def test_gravity(tmp_path, context, gravity, left, right):
    path = photos.photo(tmp_path / "a.png")
    box = {"s": {"box": "50x80", "mode": "cover", "gravity": gravity}}
    image = opened(run(image_thumbnail, context, path, sizes=box, format="png").files[0])
    assert image.size == (50, 80)
    found = [near(image, "top left"), near(image, "top right")]
    wanted = {"red": photos.CORNERS["top left"], "green": photos.CORNERS["top right"]}
    for colour, name in zip(found, (left, right), strict=True):
        assert name == "grey" or colour == pytest.approx(wanted[name], abs=8)


def test_transparency_is_kept_or_laid_on_the_background(tmp_path, context):
    path = photos.alpha(tmp_path / "a.png")
    assert opened(run(image_thumbnail, context, path, sizes={"s": 32}, format="webp").files[0]).mode == "RGBA"
    assert opened(run(image_thumbnail, context, path, sizes={"s": 32}).files[0]).mode == "RGB"


@pytest.mark.parametrize("make", [photos.grey, photos.palette, photos.pixel, photos.ribbon, photos.deep])
def test_odd_pictures(tmp_path, context, make):
    sizes = {"fit": 24, "cover": {"box": [24, 12], "mode": "cover"}}
    for reference in run(image_thumbnail, context, make(tmp_path / "a.png"), sizes=sizes).files:
        assert opened(reference).size == (reference.width, reference.height)


@pytest.mark.parametrize(
    "sizes", [{}, {"../x": 3}, {"a": 0}, {"a": {"box": 5, "mode": "stretch"}}, {"a": "big"}]
)
def test_sizes_that_make_no_sense(tmp_path, context, sizes):
    with pytest.raises(ValidationError):
        run(image_thumbnail, context, tmp_path / "a.jpg", sizes=sizes)


@given(st.tuples(SIDES, SIDES), st.tuples(SIDES, SIDES), st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_a_cut_lies_inside_and_never_enlarges(size, box, gravity):
    (left, top, right, bottom), goal = cover(size, box, gravity)
    assert 0 <= left < right <= size[0]
    assert 0 <= top < bottom <= size[1]
    assert goal[0] <= min(box[0], right - left) or goal == (right - left, bottom - top)
    assert right - left == size[0] or bottom - top == size[1]


# -- watermark --------------------------------------------------------------------------------------------


def logo(path):
    picture = np.zeros((20, 40, 4), np.uint8)
    picture[:, :] = (255, 0, 255, 255)
    Image.fromarray(picture).save(path)
    return path


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".heic"])
def test_a_logo_lands_in_its_corner_of_any_format(tmp_path, context, suffix):
    mark = logo(tmp_path / "logo.png")
    path = photos.photo(tmp_path / f"a{suffix}", orientation=6)
    output = run(image_watermark, context, path, mark=str(mark), opacity=1, size=0.3, margin=0)
    image = opened(output.image) if suffix != ".heic" else None
    assert (output.width, output.height) == photos.SIZE
    if image is not None:
        pixels = np.asarray(image.convert("RGB"))
        assert pixels[-4, -6].tolist() == pytest.approx([255, 0, 255], abs=40)
        assert near(image, "top left") == pytest.approx(photos.CORNERS["top left"], abs=12)
        assert image.getexif()[0x0110] == photo_metadata.MODEL
    assert output.image.source_sha256


def test_text_is_seen_and_the_rest_is_untouched(tmp_path, context):
    path = photos.photo(tmp_path / "a.png", size=(400, 300))
    plain = np.asarray(Image.open(path).convert("RGB")).astype(int)
    output = run(image_watermark, context, path, text="© Mirror", place="bottom", size=0.1)
    difference = np.abs(np.asarray(opened(output.image).convert("RGB")).astype(int) - plain).max(axis=2)
    changed = np.argwhere(difference > 8)
    assert len(changed) > 200
    assert changed[:, 0].min() > 200
    assert 100 < changed[:, 1].min() < changed[:, 1].max() < 300


def test_a_long_text_is_written_smaller(tmp_path, context):
    path = photos.photo(tmp_path / "a.png", size=(400, 300))
    plain = np.asarray(Image.open(path).convert("RGB")).astype(int)
    output = run(image_watermark, context, path, text="word " * 8, place="center", size=0.2)
    difference = np.abs(np.asarray(opened(output.image).convert("RGB")).astype(int) - plain).max(axis=2)
    columns = np.argwhere(difference > 8)[:, 1]
    assert columns.min() > 0
    assert columns.max() < 399


def test_tiles_are_everywhere_at_once(tmp_path, context):
    path = photos.photo(tmp_path / "a.png", size=(400, 300), picture=np.zeros((300, 400, 3), np.uint8))
    output = run(image_watermark, context, path, text="MR", tile=True, angle=30, opacity=1)
    pixels = np.asarray(opened(output.image).convert("L"))
    assert all(
        pixels[r : r + 100, c : c + 100].max() > 200 for r in (0, 100, 200) for c in (0, 100, 200, 300)
    )


def test_sixteen_bits_and_a_wide_profile_stay(tmp_path, context):
    deep = run(image_watermark, context, photos.deep(tmp_path / "a.png"), text="MR")
    import cv2

    assert cv2.imread(str(local_path(deep.image.uri)), cv2.IMREAD_UNCHANGED).dtype == np.uint16
    icc = photo_metadata.display_p3_icc()
    wide = run(image_watermark, context, photos.photo(tmp_path / "b.png", icc=icc), text="MR")
    assert opened(wide.image).info["icc_profile"] == icc


@pytest.mark.parametrize("make", [photos.grey, photos.palette, photos.alpha, photos.pixel])
def test_odd_pictures_are_marked(tmp_path, context, make):
    assert run(image_watermark, context, make(tmp_path / "a.png"), text="MR", color="#ff0000").size > 0
    ink = run(image_watermark, context, photos.cmyk(tmp_path / "b.jpg"), text="MR")
    assert opened(ink.image).mode == "RGB"


def test_characters_that_no_font_has_are_refused(tmp_path, context, monkeypatch):
    from mirror_realm.tasks.imaging import fonts

    monkeypatch.setattr(fonts, "_system_fonts", lambda: ())
    path = photos.photo(tmp_path / "a.jpg")
    assert run(image_watermark, context, path, text="Mirror").size > 0
    with pytest.raises(RealmError) as caught:
        run(image_watermark, context, path, text="镜界")
    assert caught.value.code is Code.FAILED_PRECONDITION
    (tmp_path / "font.ttf").write_bytes(b"no font")
    with pytest.raises(RealmError) as caught:
        run(image_watermark, context, path, text="Mirror", font=str(tmp_path / "font.ttf"))
    assert caught.value.code is Code.INVALID_ARGUMENT


def test_one_mark_is_needed_and_one_is_enough(tmp_path, context):
    for parameters in ({}, {"text": "a", "mark": "b"}):
        with pytest.raises(ValidationError, match="either text or mark"):
            run(image_watermark, context, tmp_path / "a.jpg", **parameters)


def test_a_logo_outside_the_roots_is_refused(tmp_path, context, tmp_path_factory):
    mark = logo(tmp_path_factory.mktemp("outside") / "logo.png")
    with pytest.raises(RealmError) as caught:
        run(image_watermark, context, photos.photo(tmp_path / "a.jpg"), mark=str(mark))
    assert caught.value.code is Code.PERMISSION_DENIED


# -- all three --------------------------------------------------------------------------------------------

NODES = [
    (image_convert, {"format": "png"}),
    (image_thumbnail, {}),
    (image_watermark, {"text": "MR"}),
]


@pytest.mark.parametrize(("node", "parameters"), NODES)
def test_hostile_files_are_refused(tmp_path, context, node, parameters):
    for make, code in (
        (photos.bomb, Code.OUT_OF_RANGE),
        (photos.truncated, Code.DATA_CORRUPTED),
        (photos.text, Code.UNSUPPORTED_FILE_TYPE),
    ):
        with pytest.raises(RealmError) as caught:
            run(node, context, make(tmp_path / ("a.png" if make is photos.bomb else "a.jpg")), **parameters)
        assert caught.value.code is code
    assert not [p for p in (tmp_path / "work").rglob("*") if p.is_file()]


@pytest.mark.parametrize(("node", "parameters"), NODES)
def test_a_cancelled_attempt_ends(tmp_path, node, parameters):
    canceled = Event()
    canceled.set()
    with pytest.raises(RealmError) as caught:
        run(node, context_in(tmp_path, canceled=canceled), photos.photo(tmp_path / "a.jpg"), **parameters)
    assert caught.value.code is Code.CANCELLED


@pytest.mark.parametrize(("node", "parameters"), NODES)
def test_they_follow_each_other(tmp_path, context, node, parameters):
    before = run(image_preprocess, context, photos.photo(tmp_path / "a.jpg", orientation=3))
    after = run(node, context, {"image": before.image.model_dump()}, **parameters)
    assert after.image.source_sha256 == before.image.source_sha256 == before.original.sha256
    assert after.image.captured_at == before.captured_at
