"""``ai/image-enhance`` on real photographs, as a workflow runs it."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
from datetime import datetime
from threading import Event
from time import monotonic
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from mirror_realm.core.errors import Code, RealmError
from mirror_realm.core.references import ImageRef, local_path
from mirror_realm.core.settings import settings
from mirror_realm.tasks.ai import image_enhance
from mirror_realm.tasks.artifacts import ArtifactStore
from mirror_realm.tasks.context import NodeContext
from mirror_realm.tasks.image import image_preprocess
from mirror_realm.tasks.imaging.exif import PIXEL_X, PIXEL_Y, parse
from mirror_realm.tasks.imaging.metadata import metadata_of
from mirror_realm.tasks.registry import Registry
from tests.networks import nearest_x4, random_x4, repeated, save
from tests.photos import deep, photo, psnr, scene, scene16


@pytest.fixture
def weights(tmp_path):
    return save(nearest_x4(), tmp_path / "nearest.pth")


def context_for(tmp_path, **changes):
    config = settings()
    workdir = tmp_path / "work"
    workdir.mkdir(exist_ok=True)
    fields = {
        "execution_key": "k",
        "instance_id": "i",
        "node_id": "enhance-01",
        "attempt": 1,
        "private": SimpleNamespace(folder=workdir),
        "artifacts": ArtifactStore.open(config),
        "settings": config,
        "roots": (tmp_path,),
        "logger": logging.getLogger("test"),
    }
    return NodeContext(**(fields | changes))


def enhance(context, source, **parameters):
    given = {"image": source} if isinstance(source, ImageRef) else {"file_path": str(source)}
    return image_enhance(
        image_enhance.parameters(**parameters), image_enhance.input.model_validate(given), context
    )


def opened(output) -> Image.Image:
    with Image.open(local_path(output.image.uri)) as image:
        image.load()
        return image


def test_a_photograph_is_enlarged_and_keeps_what_it_knows(tmp_path, weights):
    source = photo(tmp_path / "照片 1.jpg", orientation=6, size=(120, 80))
    context = context_for(tmp_path)
    reports = []
    context = context_for(tmp_path, report=lambda fraction, message: reports.append((fraction, message)))
    output = enhance(context, source, weights=str(weights), scale_factor=2, tile=64)
    assert (output.width, output.height) == (output.image.width, output.image.height) == (240, 160)
    assert output.image.name == "照片 1.jpg"
    assert (output.format, output.image.media_type) == ("jpeg", "image/jpeg")
    assert not output.degraded
    assert (output.backend, output.device, output.tiles, output.tile) == ("torch", "cpu", 6, 64)
    assert output.made_by.startswith("realesrgan-x4plus@")
    assert output.seconds > 0
    assert [f for f, _ in reports] == sorted(f for f, _ in reports)
    assert reports[-1][0] == 1.0
    assert any(message == "tile 3 of 6" for _, message in reports)

    image = opened(output)
    with Image.open(source) as before:
        known = metadata_of(before, source)
        assert psnr(np.asarray(image), repeated(scene(120, 80), 2)) > 30
    metadata = metadata_of(image, local_path(output.image.uri))
    exif = parse(metadata.exif)
    assert exif.orientation == 1
    assert [exif.number(exif.photo[tag]) for tag in (PIXEL_X, PIXEL_Y)] == [240, 160]
    assert exif.gps
    assert metadata.icc == known.icc is not None
    assert b"Orientation" not in (metadata.xmp or b"") or metadata.orientation == 1


def test_a_reference_from_the_node_before_carries_its_origin_on(tmp_path, weights):
    source = photo(tmp_path / "a.jpg", orientation=3)
    context = context_for(tmp_path)
    before = image_preprocess(
        image_preprocess.parameters(), image_preprocess.input(file_path=str(source)), context
    )
    output = enhance(context, before.image, weights=str(weights))
    assert output.image.captured_at == before.image.captured_at
    assert output.image.source_sha256 == before.original.sha256
    assert output.image.sha256 != before.image.sha256
    assert enhance(context, before.image, weights=str(weights)).image == output.image, "idempotent"


def test_a_plain_files_capture_time_comes_from_its_exif(tmp_path):
    output = enhance(context_for(tmp_path), photo(tmp_path / "a.jpg"), backend="classical")
    assert isinstance(output.image.captured_at, datetime)
    assert output.image.source_sha256


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_leaves_upright(tmp_path, orientation):
    source = photo(tmp_path / "a.png", orientation=orientation)
    output = enhance(context_for(tmp_path), source, backend="classical")
    expected = np.asarray(
        Image.fromarray(scene()).resize((output.width, output.height), Image.Resampling.LANCZOS)
    )
    assert psnr(np.asarray(opened(output).convert("RGB")), expected) > 30


def test_16_bits_stay_16(tmp_path, weights):
    from mirror_realm.tasks.imaging.decode import open_picture

    source = deep(tmp_path / "a.png", orientation=6)
    output = enhance(context_for(tmp_path), source, weights=str(weights), scale_factor=4)
    path = local_path(output.image.uri)
    with open_picture(path, max_pixels=10**8) as opened_again:
        pixels = opened_again.decode()
    assert pixels.dtype == np.uint16
    assert np.abs(pixels.astype(int) - repeated(scene16(), 4).astype(int)).max() <= 2


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1", "CMYK"])
def test_every_kind_of_pixels(tmp_path, weights, mode):
    suffix = ".jpg" if mode == "CMYK" else ".png"
    path = tmp_path / f"a{suffix}"
    colours = Image.fromarray(scene())
    (colours.convert(mode) if mode == "CMYK" else colours.convert("RGBA").convert(mode)).save(
        path, quality=95
    )
    output = enhance(context_for(tmp_path), path, weights=str(weights))
    image = opened(output)
    assert image.mode in {"P": ("RGB", "RGBA"), "1": ("L",), "CMYK": ("RGB",)}.get(mode, (mode,))
    with Image.open(path) as before:
        expected = repeated(np.asarray(before.convert("RGB")), 2)
    assert psnr(np.asarray(image.convert("RGB")), expected) > (25 if mode == "CMYK" else 48)


def test_another_format_can_be_asked_for(tmp_path):
    output = enhance(context_for(tmp_path), photo(tmp_path / "a.jpg"), backend="classical", format="webp")
    assert (output.format, output.image.name, opened(output).format) == ("webp", "a.webp", "WEBP")


# -- what is said -----------------------------------------------------------------------------------------


def test_an_outscale_that_is_no_whole_number(tmp_path, weights):
    source = photo(tmp_path / "a.jpg", size=(121, 80))
    output = enhance(context_for(tmp_path), source, weights=str(weights), outscale=1.5, tile=64)
    assert (output.width, output.height, output.scale_factor) == (182, 120, 1.5)
    assert opened(output).size == (182, 120)
    expected = Image.fromarray(scene(121, 80)).resize((182, 120), Image.Resampling.BOX)
    assert psnr(np.asarray(opened(output)), np.asarray(expected)) > 25


def test_a_list_of_fallbacks_is_tried_in_turn(tmp_path):
    source = photo(tmp_path / "a.jpg")
    output = enhance(context_for(tmp_path), source, fallback=["cpu", "smaller-model", "classical"])
    assert output.made_by == "lanczos4"
    assert "RealESRGAN_x4plus.pth" in str(output.degraded_reason)
    assert "realesr-general-x4v3.pth" in str(output.degraded_reason)


def test_the_fallback_is_explicit_in_definition_and_output(tmp_path):
    source = photo(tmp_path / "a.jpg")
    with pytest.raises(RealmError) as caught:
        enhance(context_for(tmp_path), source)
    assert caught.value.code is Code.DEPENDENCY_FAILURE
    assert "RealESRGAN_x4plus.pth" in str(caught.value)
    assert "fallback: classical" in str(caught.value.hint)
    output = enhance(
        context_for(tmp_path), source, fallback="classical", denoise_strength=0.3, face_enhance=True
    )
    assert output.degraded
    assert "RealESRGAN_x4plus.pth" in str(output.degraded_reason)
    assert (output.model, output.backend, output.made_by) == ("realesrgan-x4plus", "classical", "lanczos4")
    assert (output.denoise.applied, output.denoise.reason) == (0.3, None)
    assert (output.face_enhance.requested, output.face_enhance.applied) == (True, False)
    assert output.face_enhance.reason


def test_what_was_asked_for_and_not_done_is_said(tmp_path, weights):
    source = photo(tmp_path / "a.jpg")
    context = context_for(tmp_path, gpu_wanted=True)
    output = enhance(context, source, weights=str(weights), denoise_strength=0.3)
    assert output.denoise.applied is None
    assert "no denoise control" in str(output.denoise.reason)
    assert "a GPU is preferred; this ran on a CPU" in output.remarks
    assert output.face_enhance.reason is None


def test_the_output_is_small_json(tmp_path):
    output = enhance(context_for(tmp_path), photo(tmp_path / "a.jpg"), backend="classical")
    assert len(output.model_dump_json()) < 2500


# -- what is refused --------------------------------------------------------------------------------------


def test_a_result_that_nobody_could_open_is_refused_before_anything_is_computed(tmp_path, monkeypatch):
    monkeypatch.setenv("MIRROR_REALM_MAX_PIXELS", "100000")
    settings.cache_clear()
    source = photo(tmp_path / "a.jpg", size=(200, 150))
    with pytest.raises(RealmError, match="600×450") as caught:
        enhance(context_for(tmp_path), source, scale_factor=3, backend="classical")
    assert caught.value.code is Code.OUT_OF_RANGE
    assert not list((tmp_path / "home").rglob("artifacts/*"))


def test_a_side_that_the_format_cannot_hold_is_refused_before_anything_is_computed(tmp_path):
    path = tmp_path / "a.webp"
    Image.new("RGB", (6000, 4)).save(path)
    with pytest.raises(RealmError, match="too large for WEBP") as caught:
        enhance(context_for(tmp_path), path, scale_factor=3, backend="classical")
    assert "format: png" in str(caught.value.hint)
    assert (
        enhance(context_for(tmp_path), path, scale_factor=3, backend="classical", format="png").width == 18000
    )


def test_weights_are_confined_to_the_models_folder_and_the_roots(
    tmp_path, weights, monkeypatch, tmp_path_factory
):
    outside = save(nearest_x4(), tmp_path_factory.mktemp("elsewhere") / "a.pth")
    source = photo(tmp_path / "a.png")
    with pytest.raises(RealmError) as caught:
        enhance(context_for(tmp_path), source, weights=str(outside))
    assert caught.value.code is Code.PERMISSION_DENIED
    with pytest.raises(RealmError) as caught:
        enhance(context_for(tmp_path), source, weights="../../../../etc/passwd")
    assert caught.value.code in (Code.PERMISSION_DENIED, Code.NOT_FOUND)
    monkeypatch.setenv("MIRROR_REALM_MODELS", str(outside.parent))
    settings.cache_clear()
    assert not enhance(context_for(tmp_path), source, weights="a.pth").degraded
    assert not enhance(context_for(tmp_path), source, weights=str(outside)).degraded


def test_a_digest_that_does_not_match_is_refused_even_with_a_fallback(tmp_path, weights):
    with pytest.raises(RealmError) as caught:
        enhance(
            context_for(tmp_path),
            photo(tmp_path / "a.png"),
            weights=str(weights),
            weights_sha256="0" * 64,
            fallback="classical",
        )
    assert caught.value.code is Code.DATA_CORRUPTED


def test_a_truncated_photograph_leaves_nothing(tmp_path, weights):
    from tests.photos import truncated

    with pytest.raises(RealmError) as caught:
        enhance(context_for(tmp_path), truncated(tmp_path / "a.jpg"), weights=str(weights))
    assert caught.value.code is Code.DATA_CORRUPTED
    assert not list((tmp_path / "home").rglob("artifacts/*"))


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"model": "realesrgan-x4-plus"}, "did you mean 'realesrgan-x4plus'"),
        ({"scale_factor": 5}, "scale_factor"),
        ({"denoise_strength": 1.5}, "less than or equal to 1"),
        ({"fallback": "none"}, "'smaller-model' or 'classical'"),
        ({"scale": 2}, "Extra inputs"),
    ],
)
def test_wrong_parameters_are_found_when_they_are_read(parameters, says):
    with pytest.raises(ValidationError, match=says):
        image_enhance.parameters(**parameters)


def test_cancelled_between_tiles(tmp_path, weights):
    canceled = Event()
    context = context_for(tmp_path, canceled=canceled, report=lambda fraction, message: canceled.set())
    with pytest.raises(RealmError) as caught:
        enhance(context, photo(tmp_path / "a.png"), weights=str(weights), tile=64, fallback="classical")
    assert caught.value.code is Code.CANCELLED


def test_what_cannot_end_in_time_is_given_up_early(tmp_path, weights, monkeypatch):
    from mirror_realm.tasks.ai import enhance as module

    monkeypatch.setattr(module, "PACE_AFTER", 0.0)
    monkeypatch.setattr(module, "PACE_MARGIN", 0.0)  # so that any time left is too little
    source = photo(tmp_path / "a.png")
    context = context_for(tmp_path, deadline=monotonic() + 600)
    with pytest.raises(RealmError, match="5 of 6 tiles are left") as caught:
        enhance(context, source, weights=str(weights), tile=64)
    assert caught.value.code is Code.DEADLINE_EXCEEDED
    assert "fallback: classical" in str(caught.value.hint)
    output = enhance(context, source, weights=str(weights), tile=64, fallback="classical")
    assert output.degraded
    assert "tiles are left" in str(output.degraded_reason)


# -- the declaration --------------------------------------------------------------------------------------


def test_the_specifications_definition_is_valid():
    parameters = image_enhance.parameters(
        model="realesrgan-x4plus", scale_factor=2, denoise_strength=0.3, face_enhance=True
    )
    assert parameters.fallback == "fail"
    assert Registry([image_enhance])["ai/image-enhance"].resources.gpu == "preferred"
    assert image_enhance.effects(parameters, image_enhance.input(file_path="/a.jpg")).reads == ["file./a.jpg"]


def test_declaring_it_imports_nothing_heavy():
    code = "import sys, mirror_realm.tasks.ai; print([m for m in ('torch', 'cv2', 'PIL', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_png_written_by_it_is_whole(tmp_path):
    output = enhance(context_for(tmp_path), photo(tmp_path / "a.png"), backend="classical")
    data = local_path(output.image.uri).read_bytes()
    with Image.open(io.BytesIO(data)) as image:
        image.verify()
    assert len(data) == output.size == output.image.size


# -- twice as large ---------------------------------------------------------------------------------------


def test_twice_as_large_is_made_by_the_x2_model_where_its_weights_are(tmp_path, weights):
    folder = settings().model_folder
    save(nearest_x4(), folder / "RealESRGAN_x4plus.safetensors")
    source = photo(tmp_path / "a.jpg", size=(60, 40))

    def made(**parameters):
        output = enhance(context_for(tmp_path), source, **parameters)
        return output.made_by.split("@")[0], (output.width, output.height), output.model

    assert made() == ("realesrgan-x4plus", (120, 80), "realesrgan-x4plus")
    save(random_x4(scale=2), folder / "RealESRGAN_x2plus.safetensors")
    for parameters, size in (({}, (120, 80)), ({"scale_factor": 1}, (60, 40)), ({"outscale": 1.5}, (90, 60))):
        assert made(**parameters) == ("realesrgan-x2plus", size, "realesrgan-x4plus")
    for parameters in ({"scale_factor": 4}, {"outscale": 2.5}, {"use_x2": False}, {"weights": str(weights)}):
        assert made(**parameters)[0] == "realesrgan-x4plus"
    remarks = enhance(context_for(tmp_path), source).remarks
    assert "realesrgan-x2plus in place of realesrgan-x4plus: ×2 needs no more" in remarks
