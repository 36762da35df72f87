"""Where a restored face is in its square, by a ParseNet whose answer is known; and that it alone is replaced."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from shutil import copy

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from mirror_realm.core.errors import Code, RealmError
from mirror_realm.core.settings import settings
from mirror_realm.tasks.ai import image_enhance
from mirror_realm.tasks.inference import face_parser
from mirror_realm.tasks.inference.catalogue import KnownModel, known_model
from mirror_realm.tasks.inference.face_alignment import TEMPLATE, FaceMarks
from mirror_realm.tasks.inference.face_parser import Parsing, open_parser
from mirror_realm.tasks.inference.face_restorer import FaceRequest, restore_faces
from tests.known_face_networks import BACKGROUND, HALF, parsed, parser, random, shapes
from tests.known_faces import halved, restorer, save_small
from tests.networks import save
from tests.packages import hide
from tests.photo_context import context_in
from tests.photo_faces import astronaut

PUBLISHED = known_model("parsing_parsenet")
TINT = (0.1, -0.1, 0.2)


def unpinned(model: KnownModel) -> KnownModel:
    """The same half as wide and without a digest, for weights that were made here."""
    files = (replace(model.weights, sha256=None),)
    return replace(model, files=files, parameters={**model.parameters, "base_ch": HALF})


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("parsers")
    tensors = parser(HALF)
    torch.save(tensors, folder / "known.pth")
    tensors["out_mask_conv.conv2d.bias"][BACKGROUND] = 9.0
    torch.save(tensors, folder / "blind.pth")
    save_small(restorer(TINT), folder / "tint.pth")
    return folder


@pytest.fixture(autouse=True)
def fresh_cache():
    face_parser._parsers.clear()


def known(folder: Path, name: str = "known.pth") -> Parsing:
    return Parsing(unpinned(PUBLISHED), folder / name)


def halves(bright: float = 0.8, dark: float = 0.1) -> np.ndarray:
    """A straight face of which the left half is bright; green is the same everywhere."""
    face = np.full((512, 512, 3), dark, np.float32)
    face[:, :256] = bright
    face[:, :, 1] = 0.5
    return face


def test_the_mask_is_the_known_parsing_softened_as_facexlib_does(folder):
    rng = np.random.default_rng(5)
    rough = rng.uniform(0, 1, (8, 8, 3)).astype(np.float32)
    face = cv2.resize(rough, (512, 512), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    (mask,) = open_parser(known(folder)).masks([face])
    wanted = parsed(face).astype(np.float32)
    assert 0.1 < wanted.mean() < 0.9
    for _ in range(2):
        wanted = cv2.GaussianBlur(wanted, (101, 101), 11)
    assert np.abs(mask - wanted).max() < 0.01


def test_where_no_face_is_seen_there_is_no_mask(folder):
    assert open_parser(known(folder)).masks([np.full((512, 512, 3), 0.3, np.float32)]) == [None]


def test_hat_neck_and_clothes_are_no_face_and_hair_is():
    listed = "background skin nose glasses eye eye brow brow ear ear mouth lip lip hair hat earring"
    names = [*listed.split(" "), "necklace", "neck", "clothes"]
    assert len(names) == 19
    assert [names[n] for n in face_parser.AROUND] == ["background", "hat", "necklace", "neck", "clothes"]


# -- the file ---------------------------------------------------------------------------------------------


def test_the_published_size_loads_and_names_19_classes(tmp_path):
    tensors = random("parsing_parsenet", 3)
    assert sum(t.numel() * t.element_size() for t in tensors.values()) == pytest.approx(85_331_193, rel=0.003)
    save_file(tensors, tmp_path / "parsing_parsenet.safetensors")
    opened = open_parser(Parsing(PUBLISHED, tmp_path / "parsing_parsenet.safetensors"))
    assert opened.identity.startswith("parsing_parsenet@")
    with torch.inference_mode():
        sure, _ = opened.network(torch.zeros(1, 3, 512, 512))
    assert sure.shape == (1, 19, 512, 512)
    assert bool(torch.isfinite(sure).all())


def test_the_published_name_must_have_the_published_bytes_and_code_is_not_run(tmp_path):
    class Hostile:
        def __reduce__(self):
            return exec, (f"open({str(tmp_path / 'ran')!r}, 'w')",)

    torch.save({"params": Hostile()}, tmp_path / "parsing_parsenet.pth")
    with pytest.raises(RealmError, match="has sha256") as caught:
        open_parser(Parsing(PUBLISHED, tmp_path / "parsing_parsenet.pth"))
    assert caught.value.code is Code.DATA_CORRUPTED
    with pytest.raises(RealmError, match="nothing in it was run"):
        open_parser(Parsing(unpinned(PUBLISHED), tmp_path / "parsing_parsenet.pth"))
    assert not (tmp_path / "ran").exists()


def test_weights_of_something_else_are_refused(tmp_path):
    wrong = save({"weight": torch.zeros(3)}, tmp_path / "x.pth", key=None)
    with pytest.raises(RealmError, match="does not hold parsing_parsenet") as caught:
        open_parser(Parsing(unpinned(PUBLISHED), wrong))
    assert caught.value.code is Code.INVALID_ARGUMENT


def test_without_facexlib_the_extra_is_named(folder, monkeypatch):
    hide(monkeypatch, "facexlib")
    with pytest.raises(RealmError, match="facexlib") as caught:
        open_parser(known(folder))
    assert "mirror-realm[ai]" in (caught.value.hint or "")


# -- pasting ----------------------------------------------------------------------------------------------


def restored(folder: Path, parsing: Parsing | None):
    """A square face that fills the picture, restored; what was done and how much each pixel changed."""
    image = (halves() * 255).round().astype(np.uint8)
    request = FaceRequest(
        known_model("GFPGANv1.4"),
        folder,
        lambda rgb: [FaceMarks((0, 0, 512, 512), TEMPLATE, 1.0)],
        weights=folder / "tint.pth",
        parsing=parsing,
    )
    large = image.copy()
    done = restore_faces(image, large, 1, request)
    made = (halved(image.astype(np.float32) / 255, TINT) * 255).round().astype(int)
    return done, image.astype(int), made, large.astype(int)


def test_only_the_face_is_replaced(folder):
    done, before, made, after = restored(folder, known(folder))
    assert [(face.status, face.mask) for face in done.faces] == [("restored", "face")]
    assert done.parser == open_parser(known(folder)).identity
    inside, outside = (slice(80, 430), slice(80, 190)), (slice(80, 430), slice(320, 510))
    assert np.abs(after[inside] - made[inside]).max() <= 1
    assert (after[outside] == before[outside]).all()
    edge = (before - after)[256, 200:310, 1]
    assert edge[0] == pytest.approx(-TINT[1] * 255, abs=1)
    assert edge[-1] == 0
    assert set(np.diff(edge).tolist()) == {-1, 0}, "it fades, without a step"


def test_without_the_network_the_square_is_replaced(folder):
    done, _, made, after = restored(folder, None)
    assert [(face.mask, done.parser) for face in done.faces] == [("square", None)]
    inside = (slice(80, 430), slice(80, 430))
    assert np.abs(after[inside] - made[inside]).max() <= 1


def test_where_the_network_sees_no_face_the_square_is_replaced_and_it_is_said(folder):
    done, _, made, after = restored(folder, known(folder, "blind.pth"))
    assert [(face.status, face.mask) for face in done.faces] == [("restored", "square")]
    assert done.parser
    inside = (slice(80, 430), slice(80, 430))
    assert np.abs(after[inside] - made[inside]).max() <= 1


def test_numbers_that_are_not_finite_fail_the_face(folder, monkeypatch):
    opened = open_parser(known(folder))
    monkeypatch.setattr(opened.network.out_mask_conv, "forward", lambda x: x * float("nan"))
    done, before, _, after = restored(folder, known(folder))
    assert [face.status for face in done.faces] == ["failed"]
    assert "not finite" in (done.faces[0].reason or "")
    assert (after == before).all()


# -- the node ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("here", [True, False])
def test_the_node_uses_it_where_its_weights_are_and_says_so(tmp_path, folder, here):
    source = tmp_path / "astronaut.png"
    Image.fromarray(astronaut()[:300, 80:400]).save(source)
    if here:
        models = settings().model_folder
        models.mkdir(parents=True)
        tensors = {name: tensor.contiguous() for name, tensor in parser().items()}
        save_file(tensors, models / "parsing_parsenet.safetensors")
    output = image_enhance(
        image_enhance.parameters(
            backend="classical",
            face_enhance=True,
            face_detector="mtcnn",
            face_weights=str(copy(folder / "tint.pth", tmp_path)),
        ),
        image_enhance.input(file_path=str(source)),
        context_in(tmp_path, roots=(tmp_path,)),
    )
    told = output.face_enhance
    assert [(face.status, face.mask) for face in told.faces] == [("restored", "face" if here else "square")]
    assert (told.masked_by or "").startswith("parsing_parsenet@") is here
    assert told.detector == "mtcnn"


def test_every_tensor_that_is_published_is_asked_for():
    assert len(shapes("parsing_parsenet")) == len(parser())
