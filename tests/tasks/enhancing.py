"""What the tests of the enhancer share: weights with known answers, a fresh cache, runs, and pictures to compare. A
module takes the fixtures by name: ``files, fresh_cache = enhancing.files, enhancing.fresh_cache``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mirror_realm.tasks.inference.enhancer import Request, enhance
from mirror_realm.tasks.inference.models import model_named
from mirror_realm.tasks.inference.networks import networks
from tests.networks import compact_x4, nearest_x4, random_x4, save


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
