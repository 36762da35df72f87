"""A model of your own, as docs/model-authors.md says: the page's files are run as they stand there."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mirror_realm.core.errors import Code, RealmError
from mirror_realm.core.references import local_path
from mirror_realm.core.settings import settings
from mirror_realm.tasks.ai import image_enhance
from mirror_realm.tasks.inference.catalogue import known_model
from mirror_realm.tasks.inference.models import model_named, model_of
from mirror_realm.tasks.inference.networks import networks
from mirror_realm.tasks.inference.own import own_specs
from tests.photo_context import context_in, run

GUIDE = (Path(__file__).parents[2] / "docs" / "model-authors.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"```\w+\n# (\S+)\n(.*?)```", GUIDE, re.DOTALL))
DARKER = 51


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Gives a function that writes modules, names them in the setting, and gives a context."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def use(**modules: str):
        for name, text in modules.items():
            (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
        monkeypatch.setenv("MIRROR_REALM_NODES", ",".join(modules))
        monkeypatch.setenv("MIRROR_REALM_MODELS", str(tmp_path))
        settings.cache_clear()
        own_specs.cache_clear()
        return context_in(tmp_path, roots=(tmp_path,))

    yield use
    own_specs.cache_clear()
    settings.cache_clear()
    networks.clear()
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def weights(folder: Path, darker: float = DARKER / 255) -> None:
    torch.save(
        {"noise.weight": torch.zeros(3, 3, 5, 5), "noise.bias": torch.full((3,), darker)},
        folder / "softener.pth",
    )


def photo(folder: Path) -> Path:
    path = folder / "a.png"
    array = np.random.default_rng(3).integers(60, 250, (93, 137, 3), np.uint8)
    Image.fromarray(array).save(path)
    return path


def test_the_page_s_model_is_run_as_it_stands(own, tmp_path):
    context = own(softener=FILES["softener.py"])
    weights(tmp_path)
    source = photo(tmp_path)
    made = run(image_enhance, context, source, model="softener", scale_factor=1, tile=64, format="png")
    with Image.open(source) as before, Image.open(local_path(made.image.uri)) as after:
        difference = np.asarray(before).astype(int) - np.asarray(after)
    assert np.abs(difference - DARKER).max() <= 1
    assert made.made_by.startswith("softener@")
    assert not made.degraded
    assert made.tiles > 1


def test_it_is_listed_with_what_it_can_do(own):
    own(softener=FILES["softener.py"])
    model = known_model("softener")
    assert (model.task, model.licence, model.capabilities["scale"]) == ("denoising", "MIT", 1)
    assert model.capabilities["dtypes"] == ["fp32", "bf16"]
    assert model_of(model_named("softener").weights) == "softener"


def test_the_page_s_workflow_is_accepted(own):
    from mirror_realm.compiler import analyze

    own(softener=FILES["softener.py"])
    assert not analyze("w.yaml", text=FILES["workflow.yaml"]).errors
    (found,) = analyze("w.yaml", text=FILES["workflow.yaml"].replace("softener,", "softner,")).errors
    assert "softener" in str(found)


def test_weights_that_are_not_there_are_said_with_their_place(own, tmp_path):
    context = own(softener=FILES["softener.py"])
    with pytest.raises(RealmError, match=r"softener\.pth") as caught:
        run(image_enhance, context, photo(tmp_path), model="softener", scale_factor=1)
    assert caught.value.code is Code.DEPENDENCY_FAILURE


WRONG = {
    "an exception": ("    network = Softener()\n", "    raise KeyError('noise')\n", "KeyError: 'noise'"),
    "no module": ("    return network\n", "    return 7\n", "gave a int"),
    "another shape": ("pictures - self.noise(pictures)", "pictures[..., ::2]", "correct `scale`"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_with_a_model_is_said_in_a_sentence(name, own, tmp_path):
    old, new, said = WRONG[name]
    assert old in FILES["softener.py"]
    context = own(softener=FILES["softener.py"].replace(old, new))
    weights(tmp_path)
    with pytest.raises(RealmError) as caught:
        run(image_enhance, context, photo(tmp_path), model="softener", scale_factor=1)
    assert caught.value.code is Code.FAILED_PRECONDITION
    assert said in f"{caught.value} {caught.value.hint}"


def test_two_models_of_one_name(own):
    own(softener=FILES["softener.py"], again=FILES["softener.py"])
    with pytest.raises(RealmError, match="two models are named 'softener'") as caught:
        model_named("softener")
    assert caught.value.code is Code.ALREADY_EXISTS


def test_a_module_that_is_not_there(own, monkeypatch):
    own()
    monkeypatch.setenv("MIRROR_REALM_NODES", "no_such_module")
    settings.cache_clear()
    with pytest.raises(RealmError, match="no_such_module"):
        model_named("mine")


def test_ours_are_found_whatever_is_wrong_with_others(own, monkeypatch):
    own()
    monkeypatch.setenv("MIRROR_REALM_NODES", "no_such_module")
    settings.cache_clear()
    assert model_named("realesrgan-x2plus").scale == 2


def test_the_page_s_onnx_model(own, tmp_path):
    context = own(onnx_denoiser=FILES["onnx_denoiser.py"])
    (tmp_path / "denoiser.onnx").write_bytes(averaging())
    source = photo(tmp_path)
    made = run(image_enhance, context, source, model="onnx-denoiser", scale_factor=1, format="png")
    with Image.open(source) as before, Image.open(local_path(made.image.uri)) as after:
        assert after.size == before.size
        mean = np.asarray(before)[:3, :3].astype(float).mean(axis=(0, 1))
        assert np.abs(np.asarray(after)[1, 1] - mean).max() <= 1


def averaging() -> bytes:
    """An ONNX graph that averages 3×3 neighbours of pictures of any size, as protocol buffers."""

    def field(number: int, content: bytes | int) -> bytes:
        if isinstance(content, int):
            return bytes([number << 3]) + varint(content)
        return bytes([number << 3 | 2]) + varint(len(content)) + content

    def varint(value: int) -> bytes:
        return (
            bytes([value | 0x80 if value > 0x7F else value])
            if value < 0x80
            else bytes([value & 0x7F | 0x80]) + varint(value >> 7)
        )

    def attribute(name: str, values: list[int]) -> bytes:
        return (
            field(1, name.encode()) + b"".join(field(8, value) for value in values) + bytes([0xA0, 0x01, 7])
        )

    def pictures(name: str) -> bytes:
        sides = [field(2, b"n"), field(1, 3), field(2, b"h"), field(2, b"w")]
        shape = b"".join(field(1, side) for side in sides)
        return field(1, name.encode()) + field(2, field(1, field(1, 1) + field(2, shape)))

    node = field(1, b"x") + field(2, b"y") + field(4, b"AveragePool")
    for name, values in (("kernel_shape", [3, 3]), ("pads", [1] * 4), ("strides", [1, 1])):
        node += field(5, attribute(name, values))
    graph = field(1, node) + field(2, b"g") + field(11, pictures("x")) + field(12, pictures("y"))
    return field(1, 8) + field(7, graph) + field(8, field(1, b"") + field(2, 13))
