"""Enhancement proven: networks whose answer is known, and the plain full-image pass of the same network, against the
whole path (load, tile, blend, depth, grey, alpha, denoising, outscale)."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mirror_realm.tasks.inference.backends.classical import resample
from mirror_realm.tasks.inference.enhancer import Request, enhance
from mirror_realm.tasks.inference.models import model_named
from mirror_realm.tasks.inference.tiles import Plan, plan_tiles
from mirror_realm.tasks.inference.weights import build_network, read_tensors
from tests.known_networks import KNOWN, Known, bicubic_x4, enlarged, repeating_x4
from tests.networks import save
from tests.photos import detailed

# Height, width, tile, overlap. 1,000 × 2 stands for 20,000 × 40.
CASES = [
    (1, 1, 0, 32), (1, 1, 64, 32), (1, 2, 64, 8), (2, 1, 64, 8), (1, 97, 64, 32), (101, 1, 64, 32),
    (3, 5, 64, 16), (17, 13, 0, 32), (31, 29, 64, 32), (63, 63, 64, 32), (64, 64, 64, 32), (65, 65, 64, 8),
    (67, 61, 64, 8), (71, 73, 64, 16), (79, 83, 80, 32), (97, 43, 64, 32), (83, 89, 80, 40), (37, 103, 96, 32),
    (107, 59, 64, 8), (113, 31, 64, 24), (30, 113, 96, 48), (127, 64, 64, 32), (32, 128, 64, 16), (50, 75, 70, 32),
    (131, 11, 64, 32), (7, 131, 112, 32), (48, 96, 95, 32), (90, 60, 90, 12), (2, 1000, 256, 32), (1000, 2, 300, 32),
]  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("known")
    return {
        name: save(known.tensors(), folder / f"{known.model}-{name}.pth") for name, known in KNOWN.items()
    }


def run(image: np.ndarray, known: Known, weights: Path, **request):
    asked = Request(
        model_named(known.model), weights.parent, weights=weights, **({"scale": known.scale} | request)
    )
    return enhance(image, asked)


def picture(height: int, width: int) -> np.ndarray:
    """Texture beside hard edges, so that a step of half a pixel cannot hide."""
    image = detailed(max(width, 2), max(height, 2))[:height, :width].copy()
    image[height // 3 :: 7, width // 5 :: 9] = (250, 5, 120)
    return image


def plain_pass(known: Known, weights: Path, image: np.ndarray) -> np.ndarray:
    """The network over the whole picture at once, and nothing of ours around it."""
    model = model_named(known.model)
    height, width = image.shape[:2]
    down, across = -height % model.size_multiple, -width % model.size_multiple
    padded = np.pad(image, ((0, down), (0, across), (0, 0)), mode="edge")
    network = build_network(model, read_tensors(weights), weights).model
    with torch.inference_mode():
        result = network(torch.from_numpy(padded).permute(2, 0, 1)[None].float() / 255)[0]
    return result.permute(1, 2, 0).numpy()[: height * known.scale, : width * known.scale].clip(0, 1) * 255


def seams(plan: Plan, scale: int) -> np.ndarray:
    """Where more than one tile has a share in a pixel of the result."""
    masks = []
    for axis in (plan.rows, plan.columns):
        most = np.zeros(max(start + axis.span for start in axis.starts) * scale)
        for index, start in enumerate(axis.starts):
            part = most[start * scale : (start + axis.span) * scale]
            np.maximum(part, axis.weights(index, scale), out=part)
        masks.append(most[: axis.length * scale] < 1)
    return masks[0][:, None] | masks[1][None, :]


def psnr(error: np.ndarray) -> float:
    return 10 * np.log10(255**2 / max(float(np.mean(error**2)), 1e-12)) if error.size else float("inf")


@pytest.mark.parametrize("name", KNOWN)
def test_thirty_sizes_and_tilings_equal_the_plain_pass_and_the_known_answer(files, name):
    known = KNOWN[name]
    for height, width, tile, overlap in CASES:
        image = picture(height, width)
        result = run(image, known, files[name], tile=tile, overlap=overlap)
        error = np.abs(result.pixels - plain_pass(known, files[name], image))
        multiple = model_named(known.model).size_multiple
        plan = plan_tiles(height, width, tile, overlap=overlap, multiple=multiple)
        at_seams = seams(plan, known.scale)
        case = f"{name}, {width}×{height}, tiles of {tile}, overlap {overlap}"
        assert result.work.tiles == len(plan)
        assert error[~at_seams].max(initial=0) <= 1, case
        assert psnr(error[at_seams]) >= 45, case
        inner = slice(known.margin * known.scale, -known.margin * known.scale)
        answer = known.answer(image.astype(np.float32) / 255).clip(0, 1) * 255
        off = np.abs(result.pixels - answer)[inner, inner]
        assert off[~at_seams[inner, inner]].max(initial=0) <= 1, case
        assert psnr(off[at_seams[inner, inner]]) >= 45, case


def test_the_cases_are_thirty_and_have_seams():
    assert len(CASES) == len(set(CASES)) == 30
    tiled = [plan_tiles(h, w, t, overlap=o) for h, w, t, o in CASES]
    assert sum(seams(plan, 2).any() for plan in tiled) >= 15


def test_the_known_networks_do_something(files):
    image = picture(61, 47)
    for name, known in KNOWN.items():
        result = run(image, known, files[name]).pixels.astype(int)
        nearest = enlarged(image, known.scale, cv2.INTER_NEAREST).astype(int)
        assert np.abs(result - nearest).mean() > 2, name


def test_published_depth_gives_the_same_answer(tmp_path):
    """realesr-general-x4v3 has 32 body convolutions, x4plus-anime 6 blocks."""
    image = picture(45, 50)
    known = KNOWN["bicubic x4"]
    weights = save(bicubic_x4(32), tmp_path / "deep.safetensors")
    error = np.abs(run(image, known, weights).pixels - known.answer(image / np.float32(255)).clip(0, 1) * 255)
    assert error[12:-12, 12:-12].max() <= 1


# -- depth, grey and alpha --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["bicubic x4", "smooth x4", "folded x2"])
def test_sixteen_bits_are_computed_in_sixteen_bits(files, name):
    known = KNOWN[name]
    low = np.random.default_rng(2).integers(0, 256, (75, 90, 3), np.uint16)
    image = picture(75, 90).astype(np.uint16) * 256 + low
    result = run(image, known, files[name], tile=64)
    assert result.pixels.dtype == np.uint16
    answer = known.answer(image.astype(np.float32) / 65535).clip(0, 1) * 65535
    inner = slice(known.margin * known.scale, -known.margin * known.scale)
    assert np.abs(result.pixels - answer)[inner, inner].max() <= 4


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_is_the_colour_answer_of_one_channel_and_alpha_goes_by_itself(files, dtype):
    known, full = KNOWN["bicubic x4"], np.iinfo(dtype).max
    grey = (picture(70, 90)[:, :, 0].astype(np.float32) / 255 * full).astype(dtype)
    alpha = np.linspace(full // 4, full, grey.size).reshape(grey.shape).astype(dtype)
    answer = enlarged(grey.astype(np.float32) / full, 4, cv2.INTER_CUBIC).clip(0, 1) * full
    for image in (grey, grey[:, :, None], np.stack([grey, alpha], axis=2)):
        result = run(image, known, files["bicubic x4"], tile=64).pixels
        assert result.shape == (280, 360, *image.shape[2:])
        light = result if result.ndim == 2 else result[:, :, 0]
        assert np.abs(light - answer)[12:-12, 12:-12].max() <= full / 255
        if image.shape[2:] == (2,):
            assert (result[:, :, 1] == resample(alpha, 4)).all()
    colour = np.dstack([grey, grey, grey, alpha])
    result = run(colour, known, files["bicubic x4"], tile=64).pixels
    assert np.abs(result[:, :, :3] - answer[:, :, None])[12:-12, 12:-12].max() <= full / 255
    assert (result[:, :, 3] == resample(alpha, 4)).all()


# -- denoising and outscale -------------------------------------------------------------------------------


@pytest.mark.parametrize("strength", [0.0, 0.3, 0.5, 1.0])
def test_denoise_strength_mixes_two_known_answers(files, tmp_path, strength):
    own = save(bicubic_x4(), tmp_path / "own.pth")
    save(repeating_x4(), tmp_path / "realesr-general-wdn-x4v3.pth")
    image = picture(70, 80)
    result = run(image, KNOWN["bicubic x4"], own, tile=64, denoise=strength)
    unit = image.astype(np.float32) / 255
    cubic, nearest = (enlarged(unit, 4, method) for method in (cv2.INTER_CUBIC, cv2.INTER_NEAREST))
    answer = (strength * cubic + (1 - strength) * nearest).clip(0, 1) * 255
    assert result.work.denoise == strength
    assert np.abs(result.pixels - answer)[12:-12, 12:-12].max() <= 1


@pytest.mark.parametrize("outscale", [1.0, 1.25, 1.5, 2.0, 2.37, 3.0, 3.9])
@pytest.mark.parametrize("tile", [0, 64])
def test_an_outscale_that_is_no_whole_number_is_the_area_mean(files, outscale, tile):
    known = KNOWN["bicubic x4"]
    image = picture(71, 83)
    result = run(image, known, files["bicubic x4"], outscale=outscale, tile=tile)
    width, height = round(83 * outscale), round(71 * outscale)
    assert result.pixels.shape == (height, width, 3)
    whole = int(np.ceil(outscale))
    answer = known.answer(image.astype(np.float32) / 255).clip(0, 1)
    for size in ((83 * whole, 71 * whole), (width, height)):
        answer = cv2.resize(answer, size, interpolation=cv2.INTER_AREA)
    inner = slice(4 * 4, -4 * 4)
    assert np.abs(result.pixels - answer * 255)[inner, inner].max() <= 1.5


def test_outscale_keeps_depth_grey_and_alpha(files):
    known = KNOWN["bicubic x4"]
    for dtype in (np.uint8, np.uint16):
        for layout in ((), (1,), (2,), (3,), (4,)):
            flat = np.full((21, 34, *layout), np.iinfo(dtype).max // 3, dtype)
            result = run(flat, known, files["bicubic x4"], outscale=1.7).pixels
            assert (result.dtype, result.shape) == (dtype, (36, 58, *layout))
            middle = result[8:-8, 8:-8].astype(int)
            assert np.abs(middle - flat.flat[0]).max() <= 1
