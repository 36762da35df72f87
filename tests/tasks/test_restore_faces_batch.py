"""Faces through the networks several at a time: each comes out as it would alone, and fails alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mirror_realm.core.errors import Code, RealmError
from mirror_realm.core.settings import settings
from mirror_realm.tasks.inference import face_parser, face_restorer
from mirror_realm.tasks.inference.catalogue import known_model
from mirror_realm.tasks.inference.face_alignment import TEMPLATE, FaceMarks
from mirror_realm.tasks.inference.face_parser import FaceParser, Parsing, open_parser
from mirror_realm.tasks.inference.face_restorer import FaceRequest, FaceRestorer, restore_faces
from tests.known_face_networks import HALF, parser
from tests.known_faces import restorer, save_small, shapes
from tests.networks import save

TINT = (0.2, -0.1, 0.05)
SIDE = 96


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("batches")
    save_small(restorer(TINT), folder / "tint.pth")
    torch.save(parser(HALF), folder / "parser.pth")
    generator = torch.Generator().manual_seed(11)
    drawn = {name: torch.randn(shape, generator=generator) * 0.05 for name, shape in shapes().items()}
    save(drawn, folder / "random.pth")
    return folder


@pytest.fixture(autouse=True)
def fresh_caches():
    face_restorer._restorers.clear()
    face_parser._parsers.clear()


def at_once(monkeypatch, most: int) -> None:
    monkeypatch.setattr(face_restorer, "MOST_FACES_ON_A_CPU", most)


def parsing(folder: Path) -> Parsing:
    model = known_model("parsing_parsenet")
    files = (replace(model.weights, sha256=None),)
    narrow = replace(model, files=files, parameters={**model.parameters, "base_ch": HALF})
    return Parsing(narrow, folder / "parser.pth")


def group(count: int) -> tuple[np.ndarray, list[FaceMarks]]:
    """A picture of ``count`` unlike squares beside each other, and their marks, surest first."""
    rng = np.random.default_rng(count)
    squares, marks = [], []
    for place in range(count):
        rough = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        squares.append(cv2.resize(rough, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR))
        points = tuple((place * SIDE + x * SIDE / 512, y * SIDE / 512) for x, y in TEMPLATE)
        marks.append(FaceMarks((place * SIDE, 0, SIDE, SIDE), points, 0.99 - place / 100))
    return np.concatenate(squares, axis=1), marks


def asked(weights: Path, marks: list[FaceMarks], parsing: Parsing | None = None, **more) -> FaceRequest:
    return FaceRequest(
        known_model("GFPGANv1.4"), weights.parent, lambda rgb: marks, weights=weights, parsing=parsing, **more
    )


def restored(request: FaceRequest, image: np.ndarray, **how):
    """The picture with its faces restored in place, and what was done."""
    large = image.copy()
    return large, restore_faces(image, large, 1, request, **how)


class Passes:
    """Networks that cost nothing in place of the real ones: one tints, the other calls what is red a face. Each pass is
    counted by its size, and ``before`` and ``after`` are asked about it."""

    def __init__(self, monkeypatch, device: str = "cpu"):
        self.sizes: list[int] = []
        self.parsed: list[int] = []
        self.before = self.after = self.after_parsing = lambda of: None
        self.restorer = FaceRestorer("restorer@1", device, "fp32", self._restore)
        self.parser = FaceParser("parser@1", device, self._parse)
        monkeypatch.setattr(face_restorer, "open_restorer", lambda *_: self.restorer)
        monkeypatch.setattr(face_restorer, "open_parser", lambda *_: self.parser)
        # The device is one by name only.
        monkeypatch.setattr(torch.Tensor, "to", lambda tensor, *_: tensor)

    def _restore(self, batch, **_):
        self.sizes.append(len(batch))
        self.before(len(batch))
        made = (batch + 0.25).clamp(-1, 1)
        self.after(made)
        return made, []

    def _parse(self, batch):
        self.parsed.append(len(batch))
        red = batch[:, :1]
        sure = torch.cat([torch.zeros_like(red), red], dim=1)
        self.after_parsing(sure)
        return sure, None


# -- the same as alone ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("maker", "precision", "weights"),
    [
        ("spandrel", "fp32", "random.pth"),
        ("gfpgan", "fp32", "random.pth"),
        ("spandrel", "bf16", "tint.pth"),
    ],
)
def test_faces_of_a_batch_are_what_each_is_alone(folder, monkeypatch, maker, precision, weights):
    image, marks = group(3)
    request = asked(folder / weights, marks)
    sizes = []
    real = FaceRestorer.restore
    monkeypatch.setattr(
        FaceRestorer, "restore", lambda self, faces: sizes.append(len(faces)) or real(self, faces)
    )
    alone, told_alone = restored(request, image, maker=maker, precision=precision)
    at_once(monkeypatch, 8)
    together, told = restored(request, image, maker=maker, precision=precision)
    assert sizes == [1, 1, 1, 3]
    assert told == told_alone
    assert {face.status for face in told.faces} == {"restored"}
    assert (alone != image).any()
    assert np.abs(together.astype(int) - alone).max() <= 1


def test_masks_of_a_batch_are_what_each_is_alone(folder):
    image, _ = group(1)
    face = cv2.resize(image, (512, 512)).astype(np.float32) / 255
    opened = open_parser(parsing(folder))
    nothing, mask = opened.masks([np.zeros((512, 512, 3), np.float32), face])
    assert nothing is None
    (alone,) = opened.masks([face])
    assert 0 < mask.mean() < 1
    assert np.abs(mask - alone).max() <= 1 / 255


# -- in batches -------------------------------------------------------------------------------------------

NOWHERE = Path("/nowhere/at-all.pth")


def test_faces_are_cut_when_it_is_their_turn_and_asked_and_told_between(monkeypatch):
    at_once(monkeypatch, 2)
    events: list[str] = []
    real = face_restorer.cut
    monkeypatch.setattr(face_restorer, "cut", lambda *args: events.append("cut") or real(*args))
    passes = Passes(monkeypatch)
    passes.before = lambda size: events.append(f"pass of {size}")
    image, marks = group(5)
    request = asked(NOWHERE, marks, progress=lambda done, total: events.append(f"{done} of {total}"))
    _, told = restored(request, image, check=lambda: events.append("check"))
    assert events == [
        "check",  # before the network is loaded
        *("check", "cut", "cut", "pass of 2", "1 of 5", "2 of 5"),
        *("check", "cut", "cut", "pass of 2", "3 of 5", "4 of 5"),
        *("check", "cut", "pass of 1", "5 of 5"),
    ]
    assert [face.confidence for face in told.faces] == [mark.confidence for mark in marks], "surest first"


def test_faces_that_are_left_are_in_no_batch_and_keep_their_place(monkeypatch):
    at_once(monkeypatch, 8)
    passes = Passes(monkeypatch)
    image, marks = group(3)
    tiny = FaceMarks((0, 0, 9, 9), tuple((x / 60, y / 60) for x, y in TEMPLATE), 0.95)
    _, told = restored(asked(NOWHERE, [marks[0], tiny, *marks[1:]]), image)
    assert passes.sizes == [3]
    assert [face.status for face in told.faces] == ["restored", "left", "restored", "restored"]


def test_cancelling_ends_it_between_two_batches(monkeypatch):
    at_once(monkeypatch, 2)
    passes = Passes(monkeypatch)

    def check():
        if passes.sizes:
            raise RealmError(Code.CANCELLED, "no more")

    image, marks = group(3)
    with pytest.raises(RealmError, match="no more"):
        restored(asked(NOWHERE, marks), image, check=check)
    assert passes.sizes == [2]


@pytest.mark.parametrize(("device", "sizes"), [("cpu", [1] * 11), ("cuda:0", [8, 3])])
def test_a_gpu_takes_several_and_a_cpu_one(monkeypatch, device, sizes):
    passes = Passes(monkeypatch, device=device)
    image, marks = group(11)
    _, told = restored(asked(NOWHERE, marks), image, device=device)
    assert passes.sizes == sizes
    assert {face.status for face in told.faces} == {"restored"}


# -- failing ----------------------------------------------------------------------------------------------


def out_of_memory_above(most: int):
    def refuse(size):
        if size > most:
            raise torch.OutOfMemoryError("CUDA out of memory")

    return refuse


def test_where_memory_runs_out_batches_are_halved_and_every_face_is_restored(monkeypatch):
    image, marks = group(9)
    request = asked(NOWHERE, marks)
    passes = Passes(monkeypatch)
    alone, _ = restored(request, image)
    passes.sizes.clear()
    at_once(monkeypatch, 8)
    passes.before = out_of_memory_above(2)
    made, told = restored(request, image)
    assert passes.sizes == [8, 4, 2, 2, 2, 2, 1], "what did not fit is not tried again"
    assert {face.status for face in told.faces} == {"restored"}
    assert (made == alone).all()


def test_memory_that_not_even_one_face_fits_into_fails_each(monkeypatch):
    at_once(monkeypatch, 4)
    passes = Passes(monkeypatch)
    passes.before = out_of_memory_above(0)
    image, marks = group(3)
    made, told = restored(asked(NOWHERE, marks), image)
    assert passes.sizes == [3, 1, 1, 1]
    assert [(face.status, face.reason) for face in told.faces] == [("failed", "memory ran out on cpu")] * 3
    assert (made == image).all()


def test_memory_that_runs_out_in_the_parser_halves_too(folder, monkeypatch):
    at_once(monkeypatch, 2)
    passes = Passes(monkeypatch)
    passes.after_parsing = lambda sure: out_of_memory_above(1)(len(sure))
    image, marks = group(2)
    _, told = restored(asked(NOWHERE, marks, parsing(folder)), image)
    assert (passes.sizes, passes.parsed) == ([2, 1, 1], [2, 1, 1])
    assert {face.status for face in told.faces} == {"restored"}


def test_other_faults_are_not_taken_for_a_face_that_failed(monkeypatch):
    def broken(size):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    at_once(monkeypatch, 2)
    Passes(monkeypatch).before = broken
    image, marks = group(2)
    with pytest.raises(RuntimeError, match="illegal"):
        restored(asked(NOWHERE, marks), image)


@pytest.mark.parametrize("parsed", [False, True])
def test_numbers_that_are_not_finite_in_one_face_fail_that_one(folder, monkeypatch, parsed):
    at_once(monkeypatch, 4)
    image, marks = group(4)
    request = asked(NOWHERE, marks, parsing(folder) if parsed else None)
    passes = Passes(monkeypatch)
    whole, _ = restored(request, image)

    def spoil(made):
        made[1, 0, 7, 7] = float("nan")

    passes.after = spoil
    made, told = restored(request, image)
    assert [face.status for face in told.faces] == ["restored", "failed", "restored", "restored"]
    assert told.faces[1].reason == "restorer@1 gives numbers that are not finite"
    assert passes.parsed == ([4, 3] if parsed else [])
    inside = [slice(place * SIDE + 2, (place + 1) * SIDE - 2) for place in range(4)]
    assert (made[:, inside[1]] == image[:, inside[1]]).all()
    for place in (0, 2, 3):
        assert (made[:, inside[place]] == whole[:, inside[place]]).all(), "each has its own mask"
        assert (made[:, inside[place]] != image[:, inside[place]]).any()


def test_a_mask_that_is_not_finite_fails_that_face_alone(folder, monkeypatch):
    def spoil(sure):
        sure[2, 1, 5, 5] = float("inf")

    at_once(monkeypatch, 3)
    Passes(monkeypatch).after_parsing = spoil
    image, marks = group(3)
    made, told = restored(asked(NOWHERE, marks, parsing(folder)), image)
    assert [face.status for face in told.faces] == ["restored", "restored", "failed"]
    assert told.faces[2].reason == "parser@1 gives numbers that are not finite"
    third = slice(2 * SIDE + 2, 3 * SIDE)
    assert (made[:, third] == image[:, third]).all()


def test_networks_that_do_not_fit_the_budget_together_restore_all_the_same(folder, monkeypatch):
    """Opening the second puts the first out, which is at work."""
    monkeypatch.setenv("MIRROR_REALM_MODELS_MEMORY_MB", "1")
    settings.cache_clear()
    image, marks = group(1)
    _, told = restored(asked(folder / "tint.pth", marks, parsing(folder)), image)
    assert [face.status for face in told.faces] == ["restored"]
    assert [len(face_restorer._restorers), len(face_parser._parsers)] == [0, 1]
