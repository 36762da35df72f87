"""Faces through the networks several at a time: each comes out as it would alone, and fails alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mirror_realm.core.errors import Code, RealmError
from mirror_realm.tasks.inference import face_parser, face_restorer
from mirror_realm.tasks.inference.catalogue import known_model
from mirror_realm.tasks.inference.face_alignment import TEMPLATE, FaceMarks
from mirror_realm.tasks.inference.face_parser import Parsing, open_parser
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
    """The sizes of the batches that go through the network; ``before`` is asked about each."""

    def __init__(self, monkeypatch, before=lambda size: None, after=lambda made: made):
        self.sizes: list[int] = []
        real = FaceRestorer.restore

        def restore(restorer, faces):
            self.sizes.append(len(faces))
            before(len(faces))
            return after(real(restorer, faces))

        monkeypatch.setattr(FaceRestorer, "restore", restore)


# -- the same as alone ------------------------------------------------------------------------------------


@pytest.mark.parametrize("weights", ["tint.pth", "random.pth"])
@pytest.mark.parametrize("maker", ["spandrel", "gfpgan"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_faces_of_a_batch_are_what_each_is_alone(folder, monkeypatch, weights, maker, precision):
    image, marks = group(3)
    request = asked(folder / weights, marks, parsing(folder))
    alone, told_alone = restored(request, image, maker=maker, precision=precision)
    at_once(monkeypatch, 8)
    passes = Passes(monkeypatch)
    together, told = restored(request, image, maker=maker, precision=precision)
    assert passes.sizes == [3]
    assert told == told_alone
    assert {face.status for face in told.faces} == {"restored"}
    assert (alone != image).any()
    assert np.abs(together.astype(int) - alone).max() <= 1


def test_masks_of_a_batch_are_what_each_is_alone(folder):
    image, _ = group(3)
    faces = [cv2.resize(part, (512, 512)).astype(np.float32) / 255 for part in np.split(image, 3, axis=1)]
    faces.insert(1, np.zeros((512, 512, 3), np.float32))
    opened = open_parser(parsing(folder))
    together = opened.masks(faces)
    assert together[1] is None, "no face is seen in the black one"
    for face, mask in zip(faces, together, strict=True):
        (alone,) = opened.masks([face])
        assert (mask is None) == (alone is None)
        if mask is not None:
            assert 0 < mask.mean() < 1
            assert np.abs(mask - alone).max() <= 1 / 255


# -- in batches -------------------------------------------------------------------------------------------


def test_faces_are_cut_when_it_is_their_turn_and_asked_and_told_between(folder, monkeypatch):
    at_once(monkeypatch, 2)
    events: list[str] = []
    real = face_restorer.cut
    monkeypatch.setattr(face_restorer, "cut", lambda *args: events.append("cut") or real(*args))
    Passes(monkeypatch, before=lambda size: events.append(f"pass of {size}"))
    image, marks = group(5)
    request = asked(
        folder / "tint.pth", marks, progress=lambda done, total: events.append(f"{done} of {total}")
    )
    _, told = restored(request, image, check=lambda: events.append("check"))
    assert events == [
        "check",  # before the network is loaded
        *("check", "cut", "cut", "pass of 2", "1 of 5", "2 of 5"),
        *("check", "cut", "cut", "pass of 2", "3 of 5", "4 of 5"),
        *("check", "cut", "pass of 1", "5 of 5"),
    ]
    assert [face.confidence for face in told.faces] == [mark.confidence for mark in marks], "surest first"


def test_faces_that_are_left_are_in_no_batch_and_keep_their_place(folder, monkeypatch):
    at_once(monkeypatch, 8)
    passes = Passes(monkeypatch)
    image, marks = group(3)
    tiny = FaceMarks((0, 0, 9, 9), tuple((x / 60, y / 60) for x, y in TEMPLATE), 0.95)
    _, told = restored(asked(folder / "tint.pth", [marks[0], tiny, *marks[1:]]), image)
    assert passes.sizes == [3]
    assert [face.status for face in told.faces] == ["restored", "left", "restored", "restored"]


def test_cancelling_ends_it_between_two_batches(folder, monkeypatch):
    at_once(monkeypatch, 2)
    passes = Passes(monkeypatch)

    def check():
        if passes.sizes:
            raise RealmError(Code.CANCELLED, "no more")

    image, marks = group(3)
    with pytest.raises(RealmError, match="no more"):
        restored(asked(folder / "tint.pth", marks), image, check=check)
    assert passes.sizes == [2]


@pytest.mark.parametrize(("device", "most"), [("cpu", 1), ("cuda:0", 8)])
def test_a_gpu_takes_several_and_a_cpu_one(monkeypatch, device, most):
    sizes = []

    class Fake(FaceRestorer):
        def restore(self, faces):
            sizes.append(len(faces))
            return list(faces)

    monkeypatch.setattr(face_restorer, "open_restorer", lambda *_: Fake("fake@1", device, "fp32", None))
    image, marks = group(11)
    restored(asked(Path("/nowhere/at-all.pth"), marks), image, device=device)
    assert max(sizes) == most
    assert sum(sizes) == 11


# -- failing ----------------------------------------------------------------------------------------------


def test_where_memory_runs_out_batches_are_halved_and_every_face_is_restored(folder, monkeypatch):
    def refuse(size):
        if size > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")

    image, marks = group(9)
    request = asked(folder / "tint.pth", marks)
    alone, _ = restored(request, image)
    at_once(monkeypatch, 8)
    passes = Passes(monkeypatch, before=refuse)
    made, told = restored(request, image)
    assert passes.sizes == [8, 4, 2, 2, 2, 2, 1], "what did not fit is not tried again"
    assert {face.status for face in told.faces} == {"restored"}
    assert np.abs(made.astype(int) - alone).max() <= 1


def test_memory_that_not_even_one_face_fits_into_fails_each(folder, monkeypatch):
    def refuse(size):
        raise torch.OutOfMemoryError("CUDA out of memory")

    at_once(monkeypatch, 4)
    passes = Passes(monkeypatch, before=refuse)
    image, marks = group(3)
    made, told = restored(asked(folder / "tint.pth", marks), image)
    assert passes.sizes == [3, 1, 1, 1]
    assert [(face.status, face.reason) for face in told.faces] == [("failed", "memory ran out on cpu")] * 3
    assert (made == image).all()


def test_memory_that_runs_out_in_the_parser_halves_too(folder, monkeypatch):
    at_once(monkeypatch, 2)
    request = asked(folder / "tint.pth", group(2)[1], parsing(folder))
    opened = open_parser(request.parsing)
    real = opened.network.forward

    def forward(batch):
        if len(batch) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(batch)

    monkeypatch.setattr(opened.network, "forward", forward)
    passes = Passes(monkeypatch)
    _, told = restored(request, group(2)[0])
    assert passes.sizes == [2, 1, 1]
    assert {face.status for face in told.faces} == {"restored"}


def test_other_faults_are_not_taken_for_a_face_that_failed(folder, monkeypatch):
    def broken(size):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    at_once(monkeypatch, 2)
    Passes(monkeypatch, before=broken)
    image, marks = group(2)
    with pytest.raises(RuntimeError, match="illegal"):
        restored(asked(folder / "tint.pth", marks), image)


@pytest.mark.parametrize("parsed", [False, True])
def test_numbers_that_are_not_finite_in_one_face_fail_that_one(folder, monkeypatch, parsed):
    at_once(monkeypatch, 4)
    image, marks = group(4)
    request = asked(folder / "tint.pth", marks, parsing(folder) if parsed else None)
    whole, told_whole = restored(request, image)
    network = face_restorer.open_restorer(request, "spandrel", "cpu", "fp32").network

    def spoil(module, arguments, made):
        made[0][1, 0, 7, 7] = float("nan")

    handle = network.register_forward_hook(spoil)
    try:
        made, told = restored(request, image)
    finally:
        handle.remove()
    assert [face.status for face in told.faces] == ["restored", "failed", "restored", "restored"]
    assert told.faces[1].reason == f"{told.identity} gives numbers that are not finite"
    assert [face.mask for face in told.faces if face.status == "restored"] == [
        face.mask for place, face in enumerate(told_whole.faces) if place != 1
    ]
    spoiled = slice(SIDE, 2 * SIDE)
    assert (made[:, spoiled] == image[:, spoiled]).mean() > 0.9, "only its neighbours' edges lie there"
    for place in (0, 2, 3):
        inside = slice(place * SIDE + 12, (place + 1) * SIDE - 12)
        assert (made[:, inside] == whole[:, inside]).all()


def test_a_mask_that_is_not_finite_fails_that_face_alone(folder, monkeypatch):
    at_once(monkeypatch, 3)
    image, marks = group(3)
    request = asked(folder / "tint.pth", marks, parsing(folder))
    opened = open_parser(request.parsing)
    real = opened.network.forward

    def forward(batch):
        sure, picture = real(batch)
        sure[2, 3] = float("inf")
        return sure, picture

    monkeypatch.setattr(opened.network, "forward", forward)
    _, told = restored(request, image)
    assert [face.status for face in told.faces] == ["restored", "restored", "failed"]
    assert told.faces[2].reason == f"{opened.identity} gives numbers that are not finite"
