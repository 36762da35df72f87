"""The enhancer against answers that are known: networks that repeat pixels, and the same network run plainly."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mirror_realm.core.errors import Code, RealmError
from mirror_realm.tasks.inference.backends import torch_sr
from mirror_realm.tasks.inference.backends.classical import resample
from mirror_realm.tasks.inference.enhancer import BACKENDS, Request, capabilities, enhance, open_upscaler
from mirror_realm.tasks.inference.ladder import steps
from mirror_realm.tasks.inference.memory import choose_tile
from mirror_realm.tasks.inference.models import model_named
from mirror_realm.tasks.inference.networks import BYTES, Network, NetworkCache, networks
from mirror_realm.tasks.inference.weights import build_network, read_tensors
from tests.networks import compact_x4, nearest_x4, random_x4, repeated, save
from tests.photos import detailed

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    return {
        "nearest": save(nearest_x4(), folder / "nearest.pth"),
        "blur": save(nearest_x4(blur=True), folder / "blur.safetensors"),
        "loud": save(nearest_x4(gain=1e6), folder / "loud.pth"),
        "random": save(random_x4(), folder / "random.pth"),
        "random x2": save(random_x4(scale=2), folder / "random_x2.pth"),
        "compact": save(compact_x4(), folder / "compact.pth"),
    }


@pytest.fixture(autouse=True)
def fresh_cache():
    networks.clear()


def run(
    image, weights=None, model="realesrgan-x4plus", *, backend="auto", fallback=None, check=None, **request
):
    asked = Request(model_named(model), request.pop("folder", Path("/nowhere")), weights=weights, **request)
    events = []
    result = enhance(
        image,
        asked,
        backend=backend,
        fallbacks=(fallback,) if fallback else (),
        progress=lambda done, total: events.append((done, total)),
        check=check or (lambda: None),
    )
    assert events[-1][0] == events[-1][1] == result.work.tiles
    return result


def picture(height=97, width=141, channels=3, dtype=np.uint8, seed=0):
    shape = (height, width, channels) if channels else (height, width)
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def difference(a, b):
    return int(np.abs(a.astype(np.int64) - b.astype(np.int64)).max())


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


# -- memory -----------------------------------------------------------------------------------------------


def starve(monkeypatch, limit):
    """Make passes over more than ``limit`` input pixels run out of memory, as a GPU would; the passes are recorded."""
    passes = []
    real = torch_sr.forward

    def forward(network, pieces, target):
        passes.append(pieces.shape[:3])
        if np.prod(pieces.shape[:3]) > limit:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return real(network, pieces, target)

    monkeypatch.setattr(torch_sr, "forward", forward)
    return passes


def test_out_of_memory_halves_the_batch_then_the_tile_and_keeps_what_is_done(files, monkeypatch):
    image = picture(200, 260)
    passes = starve(monkeypatch, 70 * 70)
    monkeypatch.setattr(torch_sr.TorchUpscaler, "_batch_size", lambda self, plan: 4)
    result = run(image, files["nearest"], tile=128)
    assert difference(result.pixels, repeated(image, 2)) <= 1
    sizes = [int(np.prod(p)) for p in passes]
    tiles = result.work.tiles
    assert [p[0] for p in passes[:3]] == [4, 2, 1], "the batch first"
    assert "memory ran out at tiles of 128: went on with 64" in str(result.work.notes)
    assert sum(size > 70 * 70 for size in sizes) == 3, "what failed once is not tried again"
    assert tiles == 6
    # The network remembers, so that the next picture begins with tiles that fit.
    del passes[:]
    again = run(image, files["nearest"])
    assert difference(again.pixels, repeated(image, 2)) <= 1
    assert max(int(np.prod(p)) for p in passes) < 128 * 128


def test_the_way_down_ends_with_figures(files, monkeypatch):
    passes = starve(monkeypatch, 100)
    with pytest.raises(RealmError) as caught:
        run(picture(256, 256), files["nearest"], tile=256)
    error = caught.value
    assert error.code is Code.RESOURCE_EXHAUSTED
    assert "MiB are free" in str(error)
    assert error.record.details["needed_mb"] > 0
    assert "Tried to allocate" in error.record.details["cause"]
    assert len(passes) == 4, "256, 128, 64, once more in bf16, and then the end"
    monkeypatch.undo()
    networks.clear()
    starve(monkeypatch, 100)
    result = run(picture(256, 256), files["nearest"], tile=256, fallback="classical")
    assert result.degraded
    assert "does not fit on cpu" in str(result.degraded_reason)


def allocator(monkeypatch, bytes_free, devices=("cpu",)):
    """Passes that need more than ``bytes_free`` on one of ``devices`` run out, by the model's own estimate."""
    passes = []
    real = torch_sr.forward

    def forward(network, pieces, target):
        pixels = int(np.prod(pieces.shape[:3]))
        size = pixels * BYTES[network.precision]
        passes.append((network.identity.split("@")[0], network.device, network.precision, pixels))
        if network.device in devices and size > bytes_free:
            raise torch.OutOfMemoryError(f"out of memory. Tried to allocate {size} bytes")
        return real(network, pieces, target)

    monkeypatch.setattr(torch_sr, "forward", forward)
    return passes


def test_where_the_smallest_tile_does_not_fit_half_the_bytes_may(files, monkeypatch):
    image = picture(100, 130)
    passes = allocator(monkeypatch, 64 * 64 * 2)
    result = run(image, files["nearest"], tile=128)
    assert difference(result.pixels, repeated(image, 2)) <= 3
    assert result.work.precision == "bf16"
    assert "memory ran out at tiles of 64 in fp32 on cpu: went on in bf16" in result.work.notes
    del passes[:]
    again = run(image, files["nearest"], tile=128)
    assert difference(again.pixels, result.pixels) <= 1
    assert {precision for _, _, precision, _ in passes} == {"bf16"}, "fp32 is not tried again"
    assert max(pixels for *_, pixels in passes) == 64 * 64, "nor a tile that did not fit"


def test_a_precision_that_a_person_named_is_kept(files, monkeypatch):
    passes = allocator(monkeypatch, 64 * 64 * 2)
    with pytest.raises(RealmError, match="does not fit on cpu") as caught:
        run(picture(100, 130), files["nearest"], tile=128, precision="fp32")
    assert caught.value.record.details["precision"] == "fp32"
    assert {precision for _, _, precision, _ in passes} == {"fp32"}


def test_tiles_that_are_done_stay_done(files, monkeypatch):
    """The last tiles do not fit any more: the first are not computed again."""
    image = picture(64, 300)
    real, passes = torch_sr.forward, []

    def forward(network, pieces, target):
        passes.append((network.precision, int(pieces[0, 0, 0].sum() * 255)))
        if network.precision == "fp32" and len(passes) > 3:
            raise torch.OutOfMemoryError("out of memory")
        return real(network, pieces, target)

    monkeypatch.setattr(torch_sr, "forward", forward)
    result = run(image, files["nearest"], tile=64)
    assert difference(result.pixels, repeated(image, 2)) <= 3
    assert [precision for precision, _ in passes] == ["fp32"] * 4 + ["bf16"] * (result.work.tiles - 3)


def test_a_smaller_model_stands_in_where_that_is_allowed(files, tmp_path, monkeypatch):
    save(compact_x4(), tmp_path / "realesr-general-x4v3.safetensors")
    image = picture(90, 70)
    real = torch_sr.forward

    def forward(network, pieces, target):
        if network.identity.startswith("realesrgan-x4plus"):
            raise torch.OutOfMemoryError("out of memory")
        return real(network, pieces, target)

    monkeypatch.setattr(torch_sr, "forward", forward)
    result = run(image, files["nearest"], folder=tmp_path, fallback="smaller-model")
    assert result.identity.startswith("realesr-general-x4v3@")
    assert result.degraded
    assert "realesrgan-x4plus" in str(result.degraded_reason)
    assert difference(result.pixels, repeated(image, 2)) <= 1


def test_fallbacks_are_tried_in_turn_and_all_said(files, tmp_path, monkeypatch):
    monkeypatch.setattr(torch_sr, "forward", lambda *_: (_ for _ in ()).throw(MemoryError("none left")))
    asked = Request(model_named("realesrgan-x4plus"), tmp_path, weights=files["nearest"])
    result = enhance(picture(70, 70), asked, fallbacks=("smaller-model", "classical"))
    assert (result.backend, result.degraded) == ("classical", True)
    assert "smaller-model could not stand in: the weights realesr-general-x4v3.pth" in str(
        result.degraded_reason
    )
    with pytest.raises(RealmError) as caught:
        enhance(picture(70, 70), asked, fallbacks=("smaller-model",))
    assert caught.value.code is Code.RESOURCE_EXHAUSTED


def test_a_gpu_hands_over_to_the_cpu_only_where_that_is_allowed():
    model = model_named("realesrgan-x4plus")
    ways = {
        (device, precision, allowed): list(steps(model, device, precision, cpu_allowed=allowed))
        for device, precision, allowed in [
            ("cuda:0", "auto", True), ("cuda:0", "auto", False), ("cuda:0", "fp32", True), ("cpu", "auto", True),
        ]
    }  # fmt: skip
    assert list(ways.values()) == [
        [("cuda:0", "fp16"), ("cpu", "fp32"), ("cpu", "bf16")],
        [("cuda:0", "fp16")],
        [("cuda:0", "fp32"), ("cpu", "fp32")],
        [("cpu", "fp32"), ("cpu", "bf16")],
    ]


def test_a_network_that_does_not_load_for_want_of_memory_says_so(files, monkeypatch):
    def full(module, device, precision):
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr("mirror_realm.tasks.inference.networks._placed", full)
    with pytest.raises(RealmError, match="itself does not fit into memory") as caught:
        run(picture(8, 8), files["nearest"])
    assert caught.value.code is Code.RESOURCE_EXHAUSTED
    assert run(picture(8, 8), files["nearest"], fallback="classical").degraded


def test_other_faults_are_not_taken_for_lack_of_memory(files, monkeypatch):
    def broken(network, pieces, target):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(torch_sr, "forward", broken)
    with pytest.raises(RuntimeError, match="illegal"):
        run(picture(), files["nearest"], fallback="classical")


def test_a_process_with_little_memory_left_goes_on_with_smaller_tiles(tmp_path):
    """Nothing is simulated: the address space ends 300 MB above what the process has."""
    save(nearest_x4(64, 1), tmp_path / "a.pth")
    code = f"""
import resource, sys
from pathlib import Path
import numpy as np, torch
from mirror_realm.tasks.inference.enhancer import Request, enhance
from mirror_realm.tasks.inference.ladder import steps
from mirror_realm.tasks.inference.memory import choose_tile
from mirror_realm.tasks.inference.models import model_named
torch.set_num_threads(1)
image = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
weights = Path({str(tmp_path / "a.pth")!r})
request = Request(model_named("realesrgan-x4plus"), Path(), scale=4, tile=256, weights=weights)
enhance(image[:64, :64], request)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (300 << 20), resource.RLIM_INFINITY))
result = enhance(image, request)
error = np.abs(result.pixels.astype(int) - image.repeat(4, 0).repeat(4, 1)).max()
print(error, result.work.notes)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(("0 ", "1 "))
    assert "memory ran out at tiles of 256: went on with 128" in done.stdout


@pytest.mark.parametrize(
    ("height", "width", "pixels", "largest", "tile"),
    [
        (3000, 4000, 10**9, None, 400),  # the specification: above 6 megapixels
        (4000, 4000, 10**9, None, 300),  # above 12
        (1080, 1920, 10**9, None, 0),
        (1080, 1920, 250_000, None, 500),
        (1080, 1920, 250_000, 256, 256),
        (200, 200, 250_000, 256, 0),
        (200, 200, 0, None, 64),
    ],
)
def test_the_tile_follows_picture_and_memory(height, width, pixels, largest, tile):
    assert choose_tile(height, width, pixels, largest) == tile


# -- the cache --------------------------------------------------------------------------------------------


def test_networks_are_loaded_once_and_the_least_recently_used_goes(files, tmp_path):
    run(picture(8, 8), files["nearest"])
    kept = next(iter(networks._kept.values()))
    run(picture(8, 8), files["nearest"])
    assert len(networks) == 1
    assert next(iter(networks._kept.values())) is kept
    cache = NetworkCache(limit=2)
    loads = []

    def get(key):
        return cache.get((key,), lambda: loads.append(key) or Network(key, "", None, 4, "cpu", "fp32"))

    for key in "aabacab":
        assert get(key).identity == key
    assert loads == ["a", "b", "c", "b"]


def test_a_file_that_changed_is_another_network(tmp_path):
    image = picture(8, 8)
    path = save(compact_x4(offset=0.0), tmp_path / "a.pth")
    before = run(image, path, "realesr-general-x4v3")
    save(compact_x4(offset=0.1), path)
    after = run(image, path, "realesr-general-x4v3")
    assert before.identity != after.identity
    assert after.pixels.mean() > before.pixels.mean() + 10
