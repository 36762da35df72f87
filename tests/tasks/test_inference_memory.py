"""The enhancer where memory is short: smaller batches, tiles, fewer bytes, a smaller model; the cache of networks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mirror_realm.core.errors import Code, RealmError
from mirror_realm.core.settings import settings
from mirror_realm.tasks.inference.backends import torch_sr
from mirror_realm.tasks.inference.enhancer import Request, enhance
from mirror_realm.tasks.inference.kept_models import module_bytes
from mirror_realm.tasks.inference.ladder import steps
from mirror_realm.tasks.inference.memory import choose_tile
from mirror_realm.tasks.inference.models import model_named
from mirror_realm.tasks.inference.networks import BYTES, networks
from tests.networks import compact_x4, nearest_x4, repeated, save
from tests.tasks import enhancing
from tests.tasks.enhancing import difference, picture, run

ROOT = Path(__file__).parent.parent.parent

files, fresh_cache = enhancing.files, enhancing.fresh_cache

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
    def full(module, device, precision, compiled):
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
from mirror_realm.tasks.inference.kept_models import module_bytes
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


def test_networks_are_loaded_once_and_the_least_recently_used_goes(files, monkeypatch):
    run(picture(8, 8), files["nearest"])
    kept = networks.models()
    run(picture(8, 8), files["nearest"])
    assert networks.models() == kept
    assert len(kept) == 1
    monkeypatch.setenv("MIRROR_REALM_MODELS_MEMORY_MB", "1")
    settings.cache_clear()
    assert module_bytes(kept[0].module) > 2**19
    run(picture(8, 8), files["random"])
    assert [network.identity for network in networks.models()] != [kept[0].identity]
    assert len(networks) == 1


def test_a_file_that_changed_is_another_network(tmp_path):
    image = picture(8, 8)
    path = save(compact_x4(offset=0.0), tmp_path / "a.pth")
    before = run(image, path, "realesr-general-x4v3")
    save(compact_x4(offset=0.1), path)
    after = run(image, path, "realesr-general-x4v3")
    assert before.identity != after.identity
    assert after.pixels.mean() > before.pixels.mean() + 10
