"""Weights files: the right ones load, and no others; nothing in them is ever run."""

from __future__ import annotations

import hashlib
import os
import pickle
from pathlib import Path

import pytest
import torch

from mirror_realm.core.errors import Code, RealmError
from mirror_realm.tasks.inference.models import model_named
from mirror_realm.tasks.inference.weights import build_network, check_file, find_weights, mix, read_tensors
from tests.networks import compact_x4, nearest_x4, random_x4, save

X4 = model_named("realesrgan-x4plus")
X2 = model_named("realesrgan-x2plus")
GENERAL = model_named("realesr-general-x4v3")


class Writes:
    """A pickle that writes a file when it is loaded carelessly."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (os.system, (f"touch '{self.path}'",))


# -- finding ----------------------------------------------------------------------------------------------


def test_missing_weights_say_which_file_goes_where_and_where_it_is_published(tmp_path):
    with pytest.raises(RealmError) as caught:
        find_weights(X4.weights, tmp_path / "models")
    error = caught.value
    assert error.code is Code.DEPENDENCY_FAILURE
    assert "RealESRGAN_x4plus.pth" in str(error)
    assert str(tmp_path / "models") in str(error)
    assert X4.weights.url in str(error.hint)
    assert error.record.details["file"] == "RealESRGAN_x4plus.pth"


def test_weights_are_found_by_name_also_as_safetensors_and_a_given_path_comes_first(tmp_path):
    tensors = nearest_x4()
    as_safetensors = save(tensors, tmp_path / "RealESRGAN_x4plus.safetensors")
    assert find_weights(X4.weights, tmp_path) == as_safetensors
    published = save(tensors, tmp_path / "RealESRGAN_x4plus.pth")
    assert find_weights(X4.weights, tmp_path) == published
    mine = save(tensors, tmp_path / "mine.pth")
    assert find_weights(X4.weights, tmp_path, explicit=mine) == mine
    with pytest.raises(RealmError, match="there is no weights file") as caught:
        find_weights(X4.weights, tmp_path, explicit=tmp_path / "gone.pth")
    assert caught.value.code is Code.NOT_FOUND


# -- digests ----------------------------------------------------------------------------------------------


def test_the_digest_is_checked(tmp_path):
    path = save(nearest_x4(), tmp_path / "a.pth")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert check_file(path, digest.upper()).sha256 == digest
    with pytest.raises(RealmError, match=digest) as caught:
        check_file(path, "0" * 64)
    assert caught.value.code is Code.DATA_CORRUPTED


def test_an_empty_file_is_not_weights(tmp_path):
    (tmp_path / "a.pth").touch()
    with pytest.raises(RealmError, match="0 bytes"):
        check_file(tmp_path / "a.pth", None)


# -- reading ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["params_ema", "params", None])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_upstreams_wrappings_are_unwrapped(tmp_path, key, suffix):
    tensors = nearest_x4()
    read = read_tensors(save(tensors, tmp_path / f"a{suffix}", key=key))
    assert read.keys() == tensors.keys()
    assert all(torch.equal(read[name], tensors[name]) for name in tensors)


@pytest.mark.parametrize("writer", [torch.save, lambda thing, path: path.write_bytes(pickle.dumps(thing))])
def test_a_hostile_pickle_is_refused_and_nothing_of_it_runs(tmp_path, writer):
    trace = tmp_path / "it ran"
    writer({"params_ema": nearest_x4(), "more": Writes(trace)}, path := tmp_path / "evil.pth")
    with pytest.raises(RealmError, match="nothing in it was run") as caught:
        read_tensors(path)
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert not trace.exists()
    assert "weights_only" not in str(caught.value)  # no advice on how to switch the protection off
    # The file is what it pretends to be: loaded carelessly, it does write.
    torch.load(path, weights_only=False) if writer is torch.save else pickle.loads(path.read_bytes())
    assert trace.exists()


@pytest.mark.parametrize(
    "content", [b"<!doctype html><html>404</html>", b"hello\n" * 40, b"\x80\x04K\x01.", b"PK\3\4"]
)
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "a.pth"
    path.write_bytes(content)
    with pytest.raises(RealmError) as caught:
        read_tensors(path)
    assert caught.value.code in (Code.INVALID_ARGUMENT, Code.DATA_CORRUPTED)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_cut_short_is_corrupt(tmp_path, suffix):
    path = save(nearest_x4(), tmp_path / f"a{suffix}")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(RealmError) as caught:
        read_tensors(path)
    assert caught.value.code is Code.DATA_CORRUPTED


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused(tmp_path, value):
    tensors = nearest_x4()
    tensors["conv_hr.bias"][1] = value
    with pytest.raises(RealmError, match=r"not finite, in conv_hr\.bias") as caught:
        read_tensors(save(tensors, tmp_path / "a.pth"))
    assert caught.value.code is Code.DATA_CORRUPTED


def test_a_torchscript_program_is_refused(tmp_path):
    torch.jit.script(torch.nn.Conv2d(3, 3, 3)).save(tmp_path / "a.pt")
    with pytest.raises(RealmError, match="nothing in it was run"):
        read_tensors(tmp_path / "a.pt")


# -- recognising ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "tensors", "scale"),
    [(X4, nearest_x4(), 4), (X2, random_x4(scale=2), 2), (GENERAL, compact_x4(), 4)],
    ids=["x4", "x2", "compact"],
)
def test_networks_are_recognised_from_their_tensors(model, tensors, scale):
    network = build_network(model, dict(tensors), Path("a.pth"))
    assert (network.architecture.id, network.scale) == (model.architecture, scale)
    assert not network.model.training
    assert not any(p.requires_grad for p in network.model.parameters())


@pytest.mark.parametrize(
    ("model", "tensors"),
    [(X4, random_x4(scale=2)), (X2, nearest_x4()), (GENERAL, nearest_x4()), (X4, compact_x4())],
)
def test_another_network_than_named_is_refused(model, tensors):
    with pytest.raises(RealmError, match="holds another network") as caught:
        build_network(model, dict(tensors), Path("a.pth"))
    assert caught.value.code is Code.INVALID_ARGUMENT


def test_tensors_of_no_network_or_that_do_not_fit_are_refused():
    with pytest.raises(RealmError, match="no known network"):
        build_network(X4, {"a": torch.ones(3)}, Path("a.pth"))
    tensors = nearest_x4()
    tensors["conv_last.weight"] = torch.ones(3, 9, 3, 3)
    with pytest.raises(RealmError, match="do not fit together") as caught:
        build_network(X4, tensors, Path("a.pth"))
    assert caught.value.code is Code.DATA_CORRUPTED


def test_mixing_needs_two_of_one_network():
    mixed = mix(compact_x4(offset=0.2), compact_x4(offset=0.0), 0.25, Path("b.pth"))
    assert mixed["body.6.bias"].mean().item() == pytest.approx(0.05)
    with pytest.raises(RealmError, match=r"b\.pth is not the companion"):
        mix(compact_x4(), compact_x4(features=4), 0.5, Path("b.pth"))
