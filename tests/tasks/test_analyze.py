"""ai/image-analyze: what it measures is what is there, and what it cannot do it says."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageFilter

from mirror_realm.core.errors import Code, RealmError
from mirror_realm.core.references import local_path
from mirror_realm.tasks.ai.analyze import image_analyze
from mirror_realm.tasks.image import image_preprocess
from mirror_realm.tasks.imaging.attributes import attributes
from mirror_realm.tasks.imaging.hashing import similarity
from mirror_realm.tasks.imaging.measures import colourfulness, exposure_score, measure, noise_sigma
from mirror_realm.tasks.imaging.palette import colour_name, dominant_colours
from tests import photo_metadata, photos
from tests.photo_context import context_in, run
from tests.photo_faces import portrait

EVERYTHING = [
    "classification",
    "face-detection",
    "quality-assessment",
    "tagging",
    "similarity",
    "clustering",
    "color",
]


@pytest.fixture
def context(tmp_path):
    return context_in(tmp_path)


def tags(output) -> set[str]:
    return {tag.tag for tag in output.tags}


def test_the_image_passes_through_unchanged(tmp_path, context):
    prepared = run(image_preprocess, context, photos.photo(tmp_path / "a.jpg", orientation=6))
    output = run(image_analyze, context, {"image": prepared.image, "format": "whatever"})
    assert output.image == prepared.image
    assert (output.width, output.height, output.format) == (*photos.SIZE, "jpeg")


def test_a_plain_file_becomes_an_artifact(tmp_path, context):
    path = photos.photo(tmp_path / "照片.heic")
    output = run(image_analyze, context, path)
    assert local_path(output.image.uri).read_bytes() == path.read_bytes()
    assert output.image.media_type == "image/heic"


def test_defaults(tmp_path, context):
    output = run(image_analyze, context, photos.photo(tmp_path / "a.jpg", picture=photos.detailed(600, 400)))
    assert 0 < output.quality_score <= 1
    assert output.colors
    assert output.faces == []
    assert output.unavailable == {}
    assert len(output.phash) == 16


def test_what_needs_a_model_is_named_and_not_pretended(tmp_path, context):
    output = run(image_analyze, context, photos.photo(tmp_path / "a.jpg"), tasks=EVERYTHING)
    assert set(output.unavailable) == {"classification", "tagging", "similarity", "clustering"}
    assert all("CLIP" in reason for reason in output.unavailable.values())
    assert {tag.source for tag in output.tags} == {"measurement"}


def test_the_seeds_tasks(tmp_path, context):
    seeds = ["classification", "face-detection", "quality-assessment"]
    output = run(image_analyze, context, photos.photo(tmp_path / "a.jpg", picture=portrait()), tasks=seeds)
    assert output.quality_score is not None
    assert len(output.faces) == 1
    assert {"landscape", "has-faces"} <= tags(output)


def test_what_was_not_asked_for_is_not_there(tmp_path, context):
    output = run(image_analyze, context, photos.photo(tmp_path / "a.jpg"), tasks=["colour"])
    assert output.quality_score is None
    assert output.quality is None
    assert output.faces == []
    assert output.colors


@pytest.mark.parametrize("orientation", [1, 6, 8])
def test_faces_are_found_upright_where_they_are(tmp_path, context, orientation):
    side, at = 200, (60, 120)
    path = photos.photo(tmp_path / "a.jpg", picture=portrait(at=at, side=side), orientation=orientation)
    (face,) = run(image_analyze, context, path, tasks=["face-detection"]).faces
    box = face.bounding_box
    # The face proper, without hair: its middle is that of the drawn head, its width about its half to all.
    assert box.x + box.width / 2 == pytest.approx(at[0] + side / 2, abs=side * 0.1)
    assert box.y + box.height / 2 == pytest.approx(at[1] + side / 2, abs=side * 0.15)
    assert 0.5 * side < box.width < side
    relative = face.bounding_box_relative
    assert relative.x == pytest.approx(box.x / 600, abs=0.002)
    assert relative.height == pytest.approx(box.height / 400, abs=0.003)
    assert 0.5 <= face.confidence <= 1


def test_a_lying_face_is_not_found_by_an_upright_detector(tmp_path, context):
    path = photos.photo(tmp_path / "a.jpg", picture=np.rot90(portrait()).copy(), metadata=False)
    assert run(image_analyze, context, path, tasks=["face-detection"]).faces == []


def test_the_face_threshold_counts(tmp_path, context):
    path = photos.photo(tmp_path / "a.jpg", picture=portrait())
    strict = run(image_analyze, context, path, tasks=["face-detection"], thresholds={"face": 1.0})
    assert strict.faces == []


def test_boxes_of_large_pictures_are_in_their_own_pixels(tmp_path, context):
    picture = portrait(4200, 3000, at=(2400, 900), side=1200)
    (face,) = run(image_analyze, context, photos.photo(tmp_path / "a.jpg", picture=picture)).faces
    assert face.bounding_box.x + face.bounding_box.width / 2 == pytest.approx(3000, abs=150)


def test_copies_hash_alike_and_others_do_not(tmp_path, context):
    picture = photos.detailed(640, 400)
    made = [
        photos.photo(tmp_path / "a.jpg", picture=picture, quality=95),
        photos.photo(tmp_path / "b.png", picture=picture, orientation=6),
        photos.photo(tmp_path / "c.webp", picture=np.asarray(Image.fromarray(picture).resize((320, 200)))),
        photos.photo(tmp_path / "d.heic", picture=picture, quality=50, orientation=3),
        photos.photo(tmp_path / "e.jpg", picture=photos.detailed(640, 400, seed=99)),
    ]
    hashes = [run(image_analyze, context, path, tasks=["similarity"]).phash for path in made]
    assert all(similarity(hashes[0], other) > 0.93 for other in hashes[1:4])
    assert similarity(hashes[0], hashes[4]) < 0.8


def test_a_wide_gamut_is_judged_as_it_looks(tmp_path, context):
    flat = np.full((60, 90, 3), (200, 30, 100), np.uint8)
    path = photos.photo(tmp_path / "a.png", picture=flat, icc=photo_metadata.display_p3_icc())
    (colour,) = run(image_analyze, context, path).colors
    assert colour.hex == "#da0064"  # what LittleCMS makes of it in sRGB


@pytest.mark.parametrize("make", [photos.empty, photos.text, photos.truncated, photos.bomb])
def test_what_cannot_be_read_is_refused_as_in_preprocess(tmp_path, context, make):
    path = make(tmp_path / "a.jpg")
    errors = []
    for node_type in (image_analyze, image_preprocess):
        with pytest.raises(RealmError) as caught:
            run(node_type, context, path)
        errors.append((caught.value.code, caught.value.record.message))
    assert errors[0] == errors[1]
    assert errors[0][0] in (Code.DATA_CORRUPTED, Code.UNSUPPORTED_FILE_TYPE, Code.OUT_OF_RANGE)


@pytest.mark.parametrize("make", [photos.cmyk, photos.grey, photos.multi_picture, photos.pixel])
def test_every_kind_of_picture_can_be_measured(tmp_path, context, make):
    output = run(image_analyze, context, make(tmp_path / "a.jpg"), tasks=EVERYTHING)
    assert 0 <= output.quality_score <= 1
    output.model_dump_json()


@pytest.mark.parametrize("make", [photos.palette, photos.alpha, photos.deep, photos.animated])
def test_every_kind_of_png_can_be_measured(tmp_path, context, make):
    assert run(image_analyze, context, make(tmp_path / "a.png")).quality_score is not None


# -- measures -----------------------------------------------------------------------------------------------


def test_sharpness_is_the_seeds_formula():
    import cv2

    image = Image.fromarray(photos.scene(300, 200))
    grey = cv2.cvtColor(np.asarray(image), cv2.COLOR_RGB2GRAY)
    quality = measure(image)
    assert quality.laplacian_variance == pytest.approx(cv2.Laplacian(grey, cv2.CV_64F).var(), rel=1e-3)
    assert quality.sharpness == pytest.approx(min(1, quality.laplacian_variance / 100), abs=1e-4)


def test_blur_noise_and_darkness_each_lower_their_own_measure():
    picture = Image.fromarray(photos.scene(400, 300)).filter(ImageFilter.GaussianBlur(1))
    plain = measure(picture)
    blurred = measure(picture.filter(ImageFilter.GaussianBlur(6)))
    noise = np.random.default_rng(3).normal(0, 12, (300, 400, 3))
    noisy = measure(Image.fromarray(np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8)))
    dark = measure(Image.fromarray(np.asarray(picture) // 12))
    assert blurred.sharpness < plain.sharpness
    assert noisy.noise < plain.noise - 0.2
    assert dark.exposure < 0.4 < plain.exposure
    assert max(blurred.score, dark.score) < plain.score


@pytest.mark.parametrize("sigma", [2, 5, 10, 20])
def test_noise_is_estimated_as_it_was_added(sigma):
    grey = 120 + np.random.default_rng(1).normal(0, sigma, (400, 600))
    assert noise_sigma(np.clip(grey, 0, 255).astype(np.uint8)) == pytest.approx(sigma, rel=0.2)


def test_exposure_and_colourfulness_at_their_ends():
    assert exposure_score(1.0, 0, 1.0) == 0
    assert exposure_score(0.45, 0.0, 0.01) == 1
    assert colourfulness(np.full((9, 9, 3), 77, np.uint8)) == 0
    assert colourfulness(photos.detailed(200, 200)) > 30


def test_dominant_colours_are_those_of_the_picture():
    picture = np.full((100, 200, 3), (30, 60, 200), np.uint8)
    picture[:, :50] = (240, 240, 240)
    first, second = dominant_colours(Image.fromarray(picture))
    assert (first.hex, first.name, first.share) == ("#1e3cc8", "blue", pytest.approx(0.75, abs=0.02))
    assert (second.name, second.share) == ("white", pytest.approx(0.25, abs=0.02))


@pytest.mark.parametrize(
    ("rgb", "name"),
    [
        ((0, 0, 0), "black"), ((255, 255, 255), "white"), ((128, 128, 128), "grey"), ((220, 20, 20), "red"),
        ((255, 140, 0), "orange"), ((250, 220, 40), "yellow"), ((30, 140, 60), "green"), ((40, 90, 200), "blue"),
        ((120, 40, 160), "purple"), ((250, 150, 190), "pink"), ((100, 60, 30), "brown"),
    ],
)  # fmt: skip
def test_colour_names(rgb, name):
    assert colour_name(rgb) == name


@pytest.mark.parametrize(
    ("size", "expected"),
    [((4000, 3000), {"landscape", "high-resolution"}), ((3000, 4000), {"portrait", "high-resolution"}),
     ((800, 800), {"square", "low-resolution"}), ((6000, 1000), {"panorama"})],
)  # fmt: skip
def test_shape_tags(size, expected):
    assert {a.tag for a in attributes(width=size[0], height=size[1])} == expected


def test_part_of_day_only_by_the_cameras_clock(tmp_path, context):
    with_time = photos.photo(tmp_path / "a.jpg")
    without = photos.photo(tmp_path / "b.jpg", metadata=False)
    prepared = run(image_preprocess, context, without)  # carries the file's time, in UTC
    assert "morning" in tags(run(image_analyze, context, with_time))
    day = {"morning", "afternoon", "evening", "night"}
    assert not day & tags(run(image_analyze, context, {"image": prepared.image}))


def test_bright_dark_and_monochrome(tmp_path, context):
    for level, expected in ((245, "bright"), (12, "dark")):
        picture = np.full((60, 90, 3), level, np.uint8)
        output = run(image_analyze, context, photos.photo(tmp_path / f"{level}.png", picture=picture))
        assert {expected, "monochrome", "blurry"} <= tags(output)
