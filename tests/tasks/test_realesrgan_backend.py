"""Real-ESRGAN's own packages as a backend: the pixels of ours, the same checks, and none of upstream's mistakes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mirror_realm.core.errors import Code, RealmError
from mirror_realm.tasks.inference.enhancer import Request, capabilities, enhance
from mirror_realm.tasks.inference.models import model_named
from mirror_realm.tasks.inference.networks import networks
from tests.known_networks import KNOWN
from tests.networks import compact_x4, nearest_x4, random_x4, repeated, save
from tests.photos import detailed

X4 = "realesrgan-x4plus"


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("upstream")
    known = {name: save(one.tensors(), folder / f"{name}.pth") for name, one in KNOWN.items()}
    return known | {
        "nearest": save(nearest_x4(), folder / "nearest.safetensors"),
        "loud": save(nearest_x4(gain=1e6), folder / "loud.pth"),
        "random": save(random_x4(), folder / "random.pth"),
        "random x2": save(random_x4(scale=2), folder / "random_x2.pth"),
    }


@pytest.fixture(autouse=True)
def fresh_cache():
    networks.clear()


def run(image, weights, model=X4, *, backend="realesrgan", fallbacks=(), check=lambda: None, **request):
    asked = Request(model_named(model), Path("/nowhere"), weights=weights, **request)
    return enhance(image, asked, backend=backend, fallbacks=fallbacks, check=check)


def off(a: np.ndarray, b: np.ndarray) -> int:
    assert (a.shape, a.dtype) == (b.shape, b.dtype)
    return int(np.abs(a.astype(np.int64) - b.astype(np.int64)).max())


CASES = [(1, 1, 0), (3, 5, 0), (67, 61, 64), (64, 64, 64), (81, 103, 96), (50, 131, 64)]


@pytest.mark.parametrize("name", KNOWN)
def test_its_pixels_are_ours_whatever_the_size_and_the_tiles(files, name):
    """These networks see at most 13 pixels far, the tiles 16: cut or blended, the answer is one."""
    known = KNOWN[name]
    for height, width, tile in CASES:
        image = detailed(max(width, 2), max(height, 2))[:height, :width].copy()
        both = [
            run(image, files[name], known.model, backend=backend, scale=known.scale, tile=tile)
            for backend in ("realesrgan", "torch")
        ]
        assert off(both[0].pixels, both[1].pixels) <= 1, (name, height, width, tile)
        assert both[0].backend == "realesrgan"
        assert both[0].identity == both[1].identity
        tiled = tile and max(height, width) > tile
        assert (both[0].work.tiles > 1, both[0].work.tile) == ((True, tile) if tiled else (False, 0))


@pytest.mark.parametrize(
    ("weights", "model", "scale"), [("random", X4, 4), ("random", X4, 3), ("random", X4, 2)]
)
def test_random_networks_and_smaller_scales(files, weights, model, scale):
    image = detailed(90, 70)
    ours = run(image, files[weights], model, backend="torch", scale=scale).pixels
    assert ours.std() > 10
    assert off(run(image, files[weights], model, scale=scale).pixels, ours) <= 1


def test_the_folding_network_takes_odd_sizes_and_outscale(files):
    image = detailed(75, 53)
    for request in ({"scale": 2}, {"outscale": 1.5}):
        made = [
            run(image, files["random x2"], "realesrgan-x2plus", backend=backend, tile=0, **request).pixels
            for backend in ("realesrgan", "torch")
        ]
        assert off(*made) <= 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [0, 1, 2, 3, 4])
def test_layout_and_depth_are_kept(files, dtype, channels):
    """Also in a 16-bit picture so dark that upstream alone takes it for one of 8 bits."""
    rng, top = np.random.default_rng(3), 200 if dtype == np.uint16 else 255
    image = rng.integers(1, top, (40, 70, channels) if channels else (40, 70), dtype)
    made = run(image, files["nearest"], scale=4, tile=64).pixels
    colours = made if channels in (0, 1, 3) else made[:, :, :-1]
    wanted = repeated(image if channels in (0, 1, 3) else image[:, :, :-1], 4)
    assert off(colours, wanted) <= 1


def test_denoising_mixes_the_companion_in(tmp_path):
    own = save(compact_x4(offset=0.3), tmp_path / "own.pth")
    save(compact_x4(offset=0.0), tmp_path / "realesr-general-wdn-x4v3.pth")
    image = np.full((20, 20, 3), 100, np.uint8)
    made = run(image, own, "realesr-general-x4v3", scale=4, denoise=0.5)
    assert made.work.denoise == 0.5
    assert np.abs(made.pixels[40, 40].astype(float) - (100 + 0.15 * 255)).max() <= 1


# -- failing ----------------------------------------------------------------------------------------------


@pytest.fixture
def starve():
    """``starve(limit, dtypes)``: passes over more than ``limit`` input pixels run out of memory from then on."""
    handles = []

    def starving(limit, dtypes=(torch.float32, torch.bfloat16)):
        passes = []

        def refuse(module, arguments):
            if type(module).__name__ != "RRDBNet":
                return
            passes.append(arguments[0].shape[2:].numel())
            if passes[-1] > limit and arguments[0].dtype in dtypes:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

        handles.append(torch.nn.modules.module.register_module_forward_pre_hook(refuse))
        return passes

    yield starving
    for handle in handles:
        handle.remove()


def test_out_of_memory_takes_smaller_tiles_and_never_pastes_another_tile(files, starve):
    image = detailed(180, 150)
    passes = starve(80 * 80)
    made = run(image, files["nearest"], tile=160)
    assert off(made.pixels, repeated(image, 2)) <= 1
    assert made.work.tile == 80
    assert "memory ran out at tiles of 160: began again with 80" in made.work.notes
    refused = max(passes)
    del passes[:]
    again = run(image, files["nearest"])
    assert off(again.pixels, repeated(image, 2)) <= 1
    assert max(passes) < refused, "what did not fit once is not tried again"


def test_where_no_tile_fits_fewer_bytes_may_and_the_end_has_figures(files, starve):
    image = detailed(130, 100)
    starve(10, dtypes=(torch.float32,))
    made = run(image, files["nearest"])
    assert made.work.precision == "bf16"
    assert off(made.pixels, repeated(image, 2)) <= 3
    networks.clear()
    with pytest.raises(RealmError, match="does not fit on cpu") as caught:
        run(image, files["nearest"], precision="fp32")
    assert caught.value.code is Code.RESOURCE_EXHAUSTED
    assert caught.value.record.details["cause"].startswith("CUDA out of memory")


def test_numbers_that_are_not_finite_are_computed_again_or_an_error(files, tmp_path):
    image = detailed(64, 48)
    made = run(image, files["loud"], precision="fp16")
    assert off(made.pixels, repeated(image, 2)) <= 4
    assert made.work.precision == "bf16"
    hopeless = save(nearest_x4(gain=2e38), tmp_path / "hopeless.pth")
    with pytest.raises(RealmError, match="not finite") as caught:
        run(image, hopeless)
    assert caught.value.code is Code.DATA_CORRUPTED


def test_another_fault_of_the_network_is_an_error_and_no_tile(files, monkeypatch):
    from basicsr.archs.rrdbnet_arch import RRDBNet

    def broken(self, batch):
        raise RuntimeError("a kernel that is not there")

    monkeypatch.setattr(RRDBNet, "forward", broken)
    with pytest.raises(RuntimeError, match="a kernel that is not there"):
        run(detailed(200, 150), files["nearest"], tile=64)


def test_cancelling_ends_it_at_the_next_tile_without_a_word(files, capfd):
    calls = []

    def check():
        calls.append(1)
        if len(calls) == 4:
            raise RealmError(Code.CANCELLED, "no more")

    with pytest.raises(RealmError, match="no more"):
        run(detailed(300, 200), files["nearest"], tile=64, check=check)
    run(detailed(100, 80), files["nearest"], tile=64)
    assert capfd.readouterr().out == "", "upstream prints a line for each tile"


def test_weights_are_checked_before_upstream_sees_them(files, tmp_path):
    with pytest.raises(RealmError, match="has sha256") as caught:
        run(detailed(8, 8), files["nearest"], weights_sha256="0" * 64)
    assert caught.value.code is Code.DATA_CORRUPTED

    class Hostile:
        def __reduce__(self):
            return exec, (f"open({str(tmp_path / 'ran')!r}, 'w')",)

    torch.save({"params_ema": Hostile()}, tmp_path / "hostile.pth")
    with pytest.raises(RealmError, match="nothing in it was run"):
        run(detailed(8, 8), tmp_path / "hostile.pth")
    assert not (tmp_path / "ran").exists()
    with pytest.raises(RealmError, match="holds another network"):
        run(detailed(8, 8), files["random x2"])


def test_without_the_packages_the_error_says_what_to_install():
    code = (
        "import sys, numpy as np\n"
        "sys.modules['gfpgan'] = None\n"
        "from pathlib import Path\n"
        "from mirror_realm.core.errors import RealmError\n"
        "from mirror_realm.tasks.inference.enhancer import Request, enhance\n"
        "from mirror_realm.tasks.inference.models import model_named\n"
        "image, request = np.zeros((5, 7, 3), np.uint8), Request(model_named('realesrgan-x4plus'), Path('/nowhere'))\n"
        "try: enhance(image, request, backend='realesrgan')\n"
        "except RealmError as error: print(error.code, '|', error.record.message, '|', error.hint)\n"
        "made = enhance(image, request, backend='realesrgan', fallbacks=('classical',))\n"
        "print(made.backend, made.degraded_reason)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first.startswith("DEPENDENCY_FAILURE | backend realesrgan needs gfpgan, which is not installed")
    assert "pip install 'mirror-realm[restore]'" in first
    assert second.startswith("classical realesrgan could not run: backend realesrgan needs gfpgan")


def test_what_it_can_is_data():
    assert capabilities("realesrgan").learned
    assert capabilities("realesrgan").precisions == capabilities("torch").precisions
