"""The enhancer against answers that are known: networks that repeat pixels, and the same network run plainly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mirror_realm.core.errors import Code, RealmError
from mirror_realm.tasks.inference.backends.classical import resample
from mirror_realm.tasks.inference.enhancer import BACKENDS, Request, capabilities, open_upscaler
from mirror_realm.tasks.inference.models import model_named
from mirror_realm.tasks.inference.weights import build_network, read_tensors
from tests.networks import compact_x4, nearest_x4, repeated, save
from tests.photos import detailed
from tests.tasks import enhancing
from tests.tasks.enhancing import difference, picture, run

files, fresh_cache = enhancing.files, enhancing.fresh_cache


def psnr(a, b):
    error = np.mean((a.astype(float) - b.astype(float)) ** 2)
    return 10 * np.log10(255**2 / max(error, 1e-12))


# -- the network's path -----------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
@pytest.mark.parametrize("tile", [0, 64])
def test_a_network_that_repeats_pixels_does_so_through_tiles_and_scaling_down(files, scale, tile):
    image = picture()
    result = run(image, files["nearest"], scale=scale, tile=tile)
    assert result.pixels.dtype == np.uint8
    assert result.pixels.shape == (97 * scale, 141 * scale, 3)
    assert difference(result.pixels, repeated(image, scale)) <= 1
    assert (result.backend, result.work.device, result.work.precision) == ("torch", "cpu", "fp32")
    assert not result.degraded
    assert (result.work.tiles, result.work.tile) == ((12, 64) if tile else (1, 0))
    assert result.identity.startswith("realesrgan-x4plus@")
    assert "ESRGAN ×4 4nf 2nb" in result.work.notes


def test_tiles_see_their_neighbours(files):
    image = picture()
    blurred = np.pad(image.astype(float), ((1, 1), (1, 1), (0, 0)))
    blurred = sum(blurred[y : y + 97, x : x + 141] for y in range(3) for x in range(3)) / 9
    result = run(image, files["blur"], scale=4, tile=64)
    assert difference(result.pixels, repeated(np.rint(blurred), 4)) <= 1


@pytest.mark.parametrize(
    ("weights", "model", "scale"),
    [
        ("random", "realesrgan-x4plus", 4),
        ("random", "realesrgan-x4plus", 2),
        ("random x2", "realesrgan-x2plus", 2),
    ],
)
@pytest.mark.parametrize("size", [(97, 141), (130, 70)])
def test_tiles_leave_no_seams(files, weights, model, scale, size):
    image = detailed(size[1], size[0])
    whole = run(image, files[weights], model, scale=scale)
    tiled = run(image, files[weights], model, scale=scale, tile=64)
    assert (whole.work.tiles, tiled.work.tiles > 4) == (1, True)
    assert whole.pixels.std() > 10, "the network answers with something"
    assert psnr(whole.pixels, tiled.pixels) > 45
    assert difference(whole.pixels, tiled.pixels) <= 2


def test_what_a_pass_gives_is_what_the_network_gives(files):
    image = detailed(48, 32)
    descriptor = build_network(
        model_named("realesrgan-x4plus"), read_tensors(files["random"]), files["random"]
    )
    batch = torch.from_numpy(image).permute(2, 0, 1)[None] / 255
    with torch.inference_mode():
        plain = descriptor.model(batch).clamp(0, 1)[0].permute(1, 2, 0).numpy()
    result = run(image, files["random"], scale=4)
    assert difference(result.pixels, np.rint(plain * 255)) <= 1


@pytest.mark.parametrize("channels", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("backend", ["torch", "classical"])
def test_layout_and_depth_are_kept(files, channels, dtype, backend):
    image = picture(20, 33, channels, dtype)
    result = run(image, files["nearest"], scale=2, backend=backend).pixels
    assert result.dtype == dtype
    assert result.shape == (40, 66, *image.shape[2:])
    if backend == "torch":
        colour = slice(0, 1 if channels in (1, 2) else 3)
        expected = repeated(image, 2)
        if channels in (2, 4):  # what hides behind full transparency is free
            visible = expected[..., -1] > 0
            assert difference(result[visible][..., colour], expected[visible][..., colour]) <= 2
            assert difference(result[..., -1], resample(image[..., -1], 2)) == 0
        else:
            assert difference(result, expected) <= 2


def test_a_dark_16_bit_picture_is_not_taken_for_8_bits(files):
    dark = picture(16, 16, 3, np.uint8).astype(np.uint16)  # no value above 255
    assert difference(run(dark, files["nearest"], scale=2).pixels, repeated(dark, 2)) <= 1


@pytest.mark.parametrize("backend", ["torch", "classical"])
def test_colour_behind_transparency_does_not_bleed(files, backend):
    image = np.full((40, 40, 4), (200, 100, 50, 255), np.uint8)
    image[:, 20:] = (0, 0, 0, 0)
    result = run(image, files["blur"], scale=2, backend=backend).pixels
    inner = result[8:-8, 8:40, :3]  # away from the picture's border
    assert difference(inner, np.full_like(inner, (200, 100, 50))) <= 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (3, 2), (17, 1)])
@pytest.mark.parametrize("model", ["realesrgan-x4plus", "realesrgan-x2plus"])
def test_tiny_pictures(files, shape, model):
    weights = files["nearest" if model == "realesrgan-x4plus" else "random x2"]
    assert run(picture(*shape), weights, model, scale=2).pixels.shape == (shape[0] * 2, shape[1] * 2, 3)


def test_what_is_no_picture_is_refused(files):
    for image in (np.zeros((4, 4, 3)), np.zeros((4, 4, 5), np.uint8), np.zeros(4, np.uint8)):
        with pytest.raises(RealmError) as caught:
            run(image, files["nearest"])
        assert caught.value.code is Code.INVALID_ARGUMENT


def test_cancelling_ends_it_at_the_next_tile(files):
    calls = []

    def check():
        calls.append(1)
        if len(calls) == 3:
            raise RealmError(Code.CANCELLED, "stop")

    with pytest.raises(RealmError, match="stop"):
        run(picture(), files["nearest"], tile=64, check=check, fallback="classical")
    assert len(calls) == 3


def test_a_model_cannot_enlarge_more_than_it_does(files):
    with pytest.raises(RealmError, match="enlarges 2 times, not 4") as caught:
        run(picture(), files["random x2"], "realesrgan-x2plus", scale=4)
    assert caught.value.code is Code.OUT_OF_RANGE


def test_a_device_that_is_not_there_is_an_error_and_not_a_cpu(files):
    with pytest.raises(RealmError, match="CUDA devices") as caught:
        run(picture(), files["nearest"], device="cuda:99", fallback="classical")
    assert caught.value.code is Code.FAILED_PRECONDITION


# -- denoising --------------------------------------------------------------------------------------------


def test_the_general_model_mixes_its_companion_in(tmp_path):
    save(compact_x4(offset=0.2), tmp_path / "mine.pth")
    save(compact_x4(offset=0.0), tmp_path / "realesr-general-wdn-x4v3.pth")
    grey = np.full((8, 8, 3), 100, np.uint8)
    for strength, applied, added in ((None, None, 0.2), (1.0, 1.0, 0.2), (0.5, 0.5, 0.1), (0.0, 0.0, 0.0)):
        result = run(grey, tmp_path / "mine.pth", "realesr-general-x4v3", denoise=strength)
        assert result.work.denoise == applied
        assert result.pixels.mean() == pytest.approx(100 + added * 255, abs=1)


def test_a_missing_companion_is_named(tmp_path):
    path = save(compact_x4(), tmp_path / "mine.pth")
    with pytest.raises(RealmError, match=r"realesr-general-wdn-x4v3\.pth") as caught:
        run(picture(8, 8), path, "realesr-general-x4v3", denoise=0.5)
    assert caught.value.code is Code.DEPENDENCY_FAILURE


def test_classical_denoising_takes_noise_and_leaves_edges():
    clean = np.zeros((64, 64, 3), np.uint8) + 60
    clean[:, 32:] = 190
    noisy = np.clip(clean + np.random.default_rng(1).normal(0, 6, clean.shape), 0, 255).astype(np.uint8)
    results = [run(noisy, backend="classical", scale=1, denoise=d) for d in (None, 1.0)]
    flat = [r.pixels[4:-4, 4:24].std() for r in results]
    assert flat[1] < flat[0] / 2
    step = results[1].pixels.astype(int)[:, 33].mean() - results[1].pixels.astype(int)[:, 30].mean()
    assert step > 120
    assert [r.work.denoise for r in results] == [None, 1.0]


# -- resampling -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_bands_do_not_show(monkeypatch, scale, dtype):
    from mirror_realm.tasks.inference.backends import classical

    image = picture(90, 40, 3, dtype)
    whole = run(image, backend="classical", scale=scale, denoise=0.5)
    monkeypatch.setattr(classical, "BAND_PIXELS", 1)
    banded = run(image, backend="classical", scale=scale, denoise=0.5)
    assert (whole.work.tiles, banded.work.tiles) == (1, 6)
    # OpenCV places a row by a float: in thirds, the last bits of 16 follow where a band begins.
    assert difference(whole.pixels, banded.pixels) <= (1 if dtype == np.uint8 else 4)


def test_classical_is_better_than_repeating_pixels():
    original = np.asarray(resample(detailed(24, 18), 4))
    small = original.reshape(18, 4, 24, 4, 3).mean(axis=(1, 3)).round().astype(np.uint8)
    result = run(small, backend="classical", scale=4).pixels
    assert psnr(result, original) > psnr(repeated(small, 4), original) + 2


# -- fallback ---------------------------------------------------------------------------------------------


def test_without_weights_the_error_shows_both_ways_out(tmp_path):
    with pytest.raises(RealmError) as caught:
        run(picture(), folder=tmp_path)
    assert caught.value.code is Code.DEPENDENCY_FAILURE
    assert "RealESRGAN_x4plus.pth" in str(caught.value.hint)
    assert "fallback: classical" in str(caught.value.hint)


def test_without_weights_the_fallback_stands_in_and_says_why(tmp_path):
    result = run(picture(), folder=tmp_path, fallback="classical")
    assert result.degraded
    assert "RealESRGAN_x4plus.pth" in str(result.degraded_reason)
    assert (result.backend, result.identity) == ("classical", "lanczos4")
    asked_for = run(picture(), folder=tmp_path, backend="classical")
    assert not asked_for.degraded
    assert difference(result.pixels, asked_for.pixels) == 0


def test_bad_weights_never_fall_back(tmp_path):
    path = tmp_path / "a.pth"
    path.write_bytes(b"not weights at all")
    with pytest.raises(RealmError) as caught:
        run(picture(), path, fallback="classical")
    assert caught.value.code is Code.INVALID_ARGUMENT


def test_a_published_name_must_have_the_published_bytes(tmp_path):
    save(nearest_x4(), tmp_path / "RealESRGAN_x4plus.pth")
    with pytest.raises(RealmError, match="sha256") as caught:
        run(picture(), folder=tmp_path, fallback="classical")
    assert caught.value.code is Code.DATA_CORRUPTED


def test_each_backend_says_what_it_can_and_keeps_the_protocol(files):
    for name in BACKENDS:
        assert capabilities(name).devices[0] == "cpu"
        upscaler = open_upscaler(
            name, Request(model_named("realesrgan-x4plus"), Path(), weights=files["nearest"])
        )
        assert upscaler.scale == 2
        assert upscaler.capabilities is capabilities(name)
        assert upscaler.identity
    with pytest.raises(RealmError, match="no backend 'magic'"):
        capabilities("magic")


# -- precision --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("precision", "bound"), [("fp16", 1), ("bf16", 3)])
def test_half_precision(files, precision, bound):
    image = picture(40, 40)
    result = run(image, files["nearest"], precision=precision)
    assert result.work.precision == precision
    assert difference(result.pixels, repeated(image, 2)) <= bound


def test_numbers_that_overflow_half_precision_are_computed_again(files):
    image = picture()
    result = run(image, files["loud"], precision="fp16", tile=64)
    assert difference(result.pixels, repeated(image, 2)) <= 3
    assert result.work.precision == "bf16"
    assert "fp16 gave numbers that are not finite: went on in bf16" in result.work.notes


def test_numbers_that_overflow_everything_are_an_error(tmp_path):
    path = save(nearest_x4(gain=2e38), tmp_path / "a.pth")
    with pytest.raises(RealmError, match="not finite, in fp32 too") as caught:
        run(picture(20, 20), path, precision="bf16", fallback="classical")
    assert caught.value.code is Code.DATA_CORRUPTED
