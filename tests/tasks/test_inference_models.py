"""What is known about each network."""

from __future__ import annotations

import re

import pytest

from mirror_realm.core.errors import Code, RealmError
from mirror_realm.tasks.inference.models import MODELS, Memory, model_named


def test_the_specifications_models_are_there():
    assert {m.name for m in MODELS} >= {"realesrgan-x4plus", "realesrgan-x4plus-anime", "realesrnet-x4plus"}
    assert [model_named(n).blocks for n in ("realesrgan-x4plus", "realesrgan-x4plus-anime")] == [23, 6]


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)
def test_each_entry_is_complete(model):
    sources = [model.weights, *filter(None, [model.weak_denoise])]
    for source in sources:
        assert source.url.endswith("/" + source.file)
        assert source.sha256 is None or re.fullmatch("[0-9a-f]{64}", source.sha256)
    assert model.licence
    assert model.memory.needed_mb(256 * 256) < 2048


@pytest.mark.parametrize("name", ["realesrgan-x4-plus", "RealESRGAN_x4plus", "realesrgan"])
def test_an_unknown_name_gets_close_matches(name):
    with pytest.raises(RealmError) as caught:
        model_named(name)
    assert caught.value.code is Code.NOT_FOUND
    assert "'realesrgan-x4plus'" in str(caught.value.hint)


def test_a_name_like_nothing_gets_the_list():
    with pytest.raises(RealmError) as caught:
        model_named("zzz")
    assert "realesr-general-x4v3" in str(caught.value.hint)


def test_memory_estimate_and_its_inverse_agree():
    memory = Memory(values_per_pixel=2000, fixed_mb=100)
    pixels = memory.pixels_within(1100, 4)
    assert memory.needed_mb(pixels, 4) <= 1100 < memory.needed_mb(pixels + 200, 4)
    assert memory.pixels_within(50) == 0
