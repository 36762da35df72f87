"""ArcFace: faces laid straight by five points, by a network whose answer is known; people told apart by `ai/faces`."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from mirror_realm.cli.app import run as realm
from mirror_realm.core.errors import Code, RealmError
from mirror_realm.core.settings import settings
from mirror_realm.store import Store
from mirror_realm.tasks.ai import ai_faces
from mirror_realm.tasks.ai.library import unpack
from mirror_realm.tasks.inference import face_embedder
from mirror_realm.tasks.inference.catalogue import known_model
from mirror_realm.tasks.inference.face_embedder import SIDE, TEMPLATE, open_face_embedder
from tests import clip_models, photos
from tests.known_face_networks import random, recogniser, seen_by_recogniser
from tests.networks import save
from tests.photo_context import context_in, run
from tests.photo_faces import astronaut, portrait, turned

PUBLISHED = known_model("arcface_ir_se50")
UNPINNED = replace(PUBLISHED, files=(replace(PUBLISHED.weights, sha256=None),))
ARCFACE = "arcface_ir_se50"


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("arcface") / "known.pth"
    torch.save(recogniser(), path)
    return path


@pytest.fixture(scope="module")
def converted(tmp_path_factory) -> Path:
    """The same as safetensors, which the published digest is not of."""
    path = tmp_path_factory.mktemp("arcface") / "recognition_arcface_ir_se50.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in recogniser().items()}, path)
    return path


@pytest.fixture(autouse=True)
def fresh_cache():
    face_embedder._embedders.clear()


def colours(height: int = 300, width: int = 340) -> np.ndarray:
    """A smooth picture whose colours differ."""
    y, x = np.mgrid[:height, :width] / 40
    planes = [np.sin(x) * np.cos(y), np.sin(x + y / 2), np.cos(x / 2 - y)]
    return np.stack([128 + 100 * plane for plane in planes], axis=2).round().astype(np.uint8)


def points_at(x: float, y: float, scale: float, degrees: float) -> list[tuple[float, float]]:
    """Points of a face whose straight square has its upper left pixel's middle at (x, y), turned around it."""
    turn = complex(math.cos(math.radians(degrees)), math.sin(math.radians(degrees))) * scale
    places = [complex(x, y) + turn * complex(*point) for point in TEMPLATE]
    return [(place.real, place.imag) for place in places]


# -- the network ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("scale", "degrees"), [(1.0, 0), (1.0, 35), (0.6, -80), (1.9, 10)])
def test_the_vector_is_of_the_face_laid_straight(weights, scale, degrees):
    picture = colours()
    (vector,) = open_face_embedder(UNPINNED, weights).faces(picture, [points_at(160, 60, scale, degrees)])
    # The same by asking the picture for each pixel of the straight face.
    turn = complex(math.cos(math.radians(degrees)), math.sin(math.radians(degrees))) * scale
    v, u = np.mgrid[:SIDE, :SIDE]
    places = complex(160, 60) + turn * (u + 1j * v)
    straight = cv2.remap(
        picture, places.real.astype(np.float32), places.imag.astype(np.float32), cv2.INTER_LINEAR
    )
    assert vector @ seen_by_recogniser(straight) > 0.9999
    assert np.linalg.norm(vector) == pytest.approx(1)
    swapped = seen_by_recogniser(np.ascontiguousarray(straight[..., ::-1]))
    assert vector @ swapped < 0.9, "blue comes first, and that shows"


def test_a_face_that_is_partly_outside_and_none_at_all(weights):
    embedder = open_face_embedder(UNPINNED, weights)
    assert embedder.faces(colours(), []).shape == (0, 512)
    (vector,) = embedder.faces(np.full((200, 200, 3), 255, np.uint8), [points_at(-50, 20, 1, 0)])
    black = np.full((SIDE, SIDE, 3), 255, np.uint8)
    black[:, :50] = 0
    assert vector @ seen_by_recogniser(black) > 0.999


def test_batches_do_not_matter(weights):
    embedder = open_face_embedder(UNPINNED, weights)
    points = [points_at(20 + 10 * n, 40 + 5 * n, 0.5, 7 * n) for n in range(5)]
    together, calls = embedder.faces(colours(), points), []
    apart = embedder.faces(colours(), points, batch=2, check=lambda: calls.append(1))
    assert np.abs(together - apart).max() < 1e-6
    assert len(calls) == 3


def test_the_published_size_loads_and_its_identity_is_its_weights(tmp_path):
    tensors = random(ARCFACE, 1)
    assert sum(t.numel() for t in tensors.values()) > 43e6
    path = tmp_path / "recognition_arcface_ir_se50.safetensors"
    save_file(tensors, path)
    embedder = open_face_embedder(PUBLISHED, path)
    points = [points_at(20, 40, 1, 0), points_at(150, 90, 1, 20)]
    vectors = embedder.faces(colours(), points)
    assert vectors.shape == (2, 512)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1])
    assert embedder.identity.startswith("arcface_ir_se50@")
    assert open_face_embedder(PUBLISHED, path) is embedder


def test_wrong_weights_are_refused(tmp_path, weights):
    named = tmp_path / "recognition_arcface_ir_se50.pth"
    named.write_bytes(weights.read_bytes())
    with pytest.raises(RealmError, match="has sha256") as caught:
        open_face_embedder(PUBLISHED, named)
    assert caught.value.code is Code.DATA_CORRUPTED
    wrong = save({"weight": torch.zeros(3)}, tmp_path / "x.pth", key=None)
    with pytest.raises(RealmError, match="does not hold arcface_ir_se50") as caught:
        open_face_embedder(UNPINNED, wrong)
    assert caught.value.code is Code.INVALID_ARGUMENT

    class Hostile:
        def __reduce__(self):
            return exec, (f"open({str(tmp_path / 'ran')!r}, 'w')",)

    torch.save({"weight": Hostile()}, tmp_path / "hostile.pth")
    with pytest.raises(RealmError, match="nothing in it was run"):
        open_face_embedder(UNPINNED, tmp_path / "hostile.pth")
    assert not (tmp_path / "ran").exists()


# -- the node ---------------------------------------------------------------------------------------------


@pytest.fixture
def context(tmp_path):
    return context_in(tmp_path)


def put(converted: Path, *, changed: bool = False) -> None:
    """Put the weights into the models folder; ``changed`` ones are others, which see the same."""
    folder = settings().model_folder
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / converted.name
    if not changed:
        target.write_bytes(converted.read_bytes())
        return
    tensors = {name: tensor.contiguous() for name, tensor in recogniser().items()}
    tensors["output_layer.3.bias"] += 1e-6
    save_file(tensors, target)


def picture(tmp_path: Path, name: str, pixels: np.ndarray) -> Path:
    return photos.photo(tmp_path / f"{name}.png", picture=pixels, metadata=False)


def test_a_person_is_known_again_tilted_and_another_one_is_not(tmp_path, context, converted):
    put(converted)
    first = run(ai_faces, context, picture(tmp_path, "a", astronaut()))
    assert first.model.startswith("arcface_ir_se50@")
    assert (first.detector, first.remarks) == ("mtcnn", [])
    tilted, _ = turned(astronaut(), 30, (223, 117))
    second = run(ai_faces, context, picture(tmp_path, "b", tilted))
    (known,), (again,) = first.face_data, second.face_data
    assert (known.new, again.new) == (True, False)
    assert known.face_id == again.face_id
    stranger = run(ai_faces, context, picture(tmp_path, "c", 255 - portrait()), detector="mtcnn")
    drawn = run(ai_faces, context, picture(tmp_path, "d", portrait()), threshold=0.05)
    ids = {face.face_id for output in (stranger, drawn) for face in output.face_data}
    assert known.face_id not in ids
    assert drawn.face_data


def test_the_threshold_is_the_models_own_and_counts_as_the_specifications(tmp_path, context, converted):
    assert PUBLISHED.capabilities["threshold"] == 1.1
    put(converted)
    run(ai_faces, context, picture(tmp_path, "a", astronaut()))
    shaded = (astronaut() * np.linspace(0.3, 1, 512)[None, :, None]).astype(np.uint8)
    output = run(ai_faces, context, picture(tmp_path, "b", shaded))
    (face,) = output.face_data
    with Store.open(settings().database) as store:
        (person,) = store.people.known(output.model)
    assert person.faces == 2
    # The mean of two unit vectors is as long as the cosine of half the angle between them.
    apart = 2 * math.sqrt(1 - float(np.linalg.norm(unpack(person.mean))) ** 2)
    assert 0.05 < apart < 1.1
    assert face.confidence == pytest.approx(1 - apart * (0.6 / 1.1) / 1.5, abs=1e-3)


def test_other_weights_embed_beside_and_everybody_stays(tmp_path, context, converted):
    put(converted)
    path = picture(tmp_path, "a", astronaut())
    first = run(ai_faces, context, path, model=ARCFACE)
    put(converted, changed=True)
    second = run(ai_faces, context, path, model=ARCFACE)
    assert not second.cached
    assert first.model != second.model
    assert [f.face_id for f in first.face_data] == [f.face_id for f in second.face_data]
    clip_models.make(settings().model_folder)
    third = run(ai_faces, context, path, model="tiny")
    assert [f.face_id for f in first.face_data] == [f.face_id for f in third.face_data]
    with Store.open(settings().database) as store:
        assert len(store.people.people()) == 1
        for output in (first, second, third):
            assert len(store.people.known(output.model)) == 1


def test_auto_is_clip_without_the_weights_or_without_points(tmp_path, context, converted):
    path = picture(tmp_path, "a", astronaut())
    with pytest.raises(RealmError) as caught:
        run(ai_faces, context, path)
    assert "realm models pull ViT-B/32" in (caught.value.hint or "")
    put(converted)
    with pytest.raises(RealmError) as caught:
        run(ai_faces, context, path, detector="opencv")
    assert "realm models pull ViT-B/32" in (caught.value.hint or "")


def test_a_face_network_needs_points(tmp_path, context, converted):
    path = picture(tmp_path, "a", astronaut())
    with pytest.raises(RealmError) as caught:
        run(ai_faces, context, path, model=ARCFACE)
    assert "realm models pull arcface_ir_se50" in (caught.value.hint or "")
    put(converted)
    with pytest.raises(RealmError, match="eyes, nose and mouth") as caught:
        run(ai_faces, context, path, model=ARCFACE, detector="opencv")
    assert caught.value.code is Code.FAILED_PRECONDITION
    assert "mirror-realm[mtcnn]" in (caught.value.hint or "")


def test_a_picture_without_a_face(tmp_path, context, converted, monkeypatch):
    put(converted)
    monkeypatch.setattr(face_embedder, "open_face_embedder", None)
    output = run(ai_faces, context, photos.photo(tmp_path / "empty.png"))
    assert (output.face_data, output.model[:8]) == ([], "arcface_")


def test_verify_tells_a_converted_file_from_the_published_one(converted, capsys):
    put(converted)
    assert realm(["models", "verify", ARCFACE]) == 0
    capsys.readouterr()
    (settings().model_folder / "recognition_arcface_ir_se50.pth").write_bytes(b"something else")
    assert realm(["models", "verify", ARCFACE]) == 1
    assert "a035c768" in capsys.readouterr().err
