"""The enhancer on every device that this machine has: the CPU, and a GPU where there is one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from tests.networks import repeated
from tests.tasks import enhancing
from tests.tasks.enhancing import difference, picture, run

files, fresh_cache = enhancing.files, enhancing.fresh_cache

NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device here")


@pytest.fixture(params=["cpu", pytest.param("cuda:0", marks=NO_GPU)])
def device(request):
    return request.param


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiles_join_to_the_known_answer(files, device, dtype):
    image = picture(150, 210, dtype=dtype)
    made = run(image, files["nearest"], scale=4, device=device, precision="fp32", tile=96)
    assert made.work.device == device
    assert made.work.tiles > 1
    assert difference(made.pixels, repeated(image, 4)) <= (1 if dtype == np.uint8 else 8)


def test_half_the_digits_are_the_same_picture(files, device):
    image = picture(120, 160)
    exact = run(image, files["random"], scale=4, precision="fp32", tile=96).pixels
    coarse = run(image, files["random"], scale=4, device=device, precision="bf16", tile=96)
    assert coarse.work.precision == "bf16"
    error = np.mean((coarse.pixels.astype(float) - exact.astype(float)) ** 2)
    assert 10 * np.log10(255**2 / error) > 38


def test_many_pictures_at_once_are_the_same_as_one_by_one(files, device):
    images = [picture(90 + 10 * n, 130, seed=n) for n in range(6)]

    def enhanced(image):
        return run(image, files["blur"], scale=2, device=device, tile=96).pixels

    alone = [enhanced(image) for image in images]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(enhanced, images))
    assert all(difference(a, b) <= 1 for a, b in zip(alone, together, strict=True))


@NO_GPU
def test_a_gpu_that_is_nearly_full_makes_the_picture_in_smaller_pieces(files):
    device = "cuda:0"
    image = picture(700, 900)
    expected = repeated(image, 4)
    total = torch.cuda.get_device_properties(device).total_memory
    try:
        torch.cuda.empty_cache()
        torch.cuda.set_per_process_memory_fraction((400 << 20) / total, device)
        made = run(image, files["nearest"], scale=4, device=device, precision="fp32", tile=896)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)
    assert difference(made.pixels, expected) <= 1
    assert any("memory ran out" in note for note in made.work.notes)
