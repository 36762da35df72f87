"""Faces restored: by a GFPGAN whose answer is known, so that finding the place and putting back is proven by pixels."""

from __future__ import annotations

import math
from pathlib import Path
from shutil import copy

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from mirror_realm.core.errors import Code, RealmError
from mirror_realm.tasks.ai import image_enhance
from mirror_realm.tasks.imaging.faces import find_eyes, find_faces
from mirror_realm.tasks.inference import face_restorer
from mirror_realm.tasks.inference.catalogue import known_model
from mirror_realm.tasks.inference.enhancer import Request, enhance
from mirror_realm.tasks.inference.face_alignment import (
    TEMPLATE,
    FaceMarks,
    alignment,
    cut,
    enlargement,
    paste,
)
from mirror_realm.tasks.inference.face_restorer import FaceRequest, open_restorer, restore_faces
from mirror_realm.tasks.inference.models import model_named
from mirror_realm.tasks.inference.retinaface import Found
from tests.known_faces import halved, restorer, save_small, shapes
from tests.networks import nearest_x4, save
from tests.photo_context import context_in
from tests.photo_faces import face, portrait

GFPGAN = known_model("GFPGANv1.4")
TINT = (0.2, -0.1, 0.0)
EYES = ((0.38, 0.475), (0.62, 0.475))
"""Of :func:`tests.photo_faces.face`, in shares of its side."""


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("restorers")
    return {
        "plain": save_small(restorer(), folder / "plain.pth"),
        "tint": save_small(restorer(TINT), folder / "tint.pth"),
    }


@pytest.fixture(autouse=True)
def fresh_cache():
    face_restorer._restorers.clear()


def asked(weights: Path | None, *marks: FaceMarks, strength: float = 1.0, folder: Path = Path("/nowhere")):
    return FaceRequest(GFPGAN, folder, lambda rgb: marks, strength, weights)


def at(x: float, y: float, side: float, degrees: float = 0.0) -> FaceMarks:
    """Marks of a straight face whose template's middle is at (x, y), ``side`` pixels wide, turned clockwise."""
    turn = complex(math.cos(math.radians(degrees)), math.sin(math.radians(degrees))) * side / 512
    middle = complex(255.5, 255.5)
    places = [complex(x, y) + turn * (complex(*point) - middle) for point in TEMPLATE]
    return FaceMarks((x, y, side, side), tuple((p.real, p.imag) for p in places), 0.9)


def waves(height: int, width: int, period: float = 24) -> np.ndarray:
    """A pattern in which half a pixel of shift shows, and that halving the resolution leaves."""
    y, x = np.mgrid[:height, :width] * (2 * np.pi / period)
    planes = [np.sin(x) * np.cos(y), np.sin(x + y), np.cos(x - y)]
    return np.stack([128 + 80 * plane for plane in planes], axis=2).round().astype(np.uint8)


# -- laying straight and putting back -----------------------------------------------------------------


@pytest.mark.parametrize("degrees", [0, 17, -40, 90, 180, 233])
@pytest.mark.parametrize("scale", [1, 2, 4])
def test_what_is_cut_and_put_back_lies_where_it_was(degrees, scale):
    image = waves(260, 300)
    large = cv2.resize(image, (300 * scale, 260 * scale), interpolation=cv2.INTER_CUBIC)
    before = large.copy()
    matrix = alignment(at(150, 130, 160, degrees).points)
    assert enlargement(matrix) == pytest.approx(512 / 160)
    paste(large, cut(image, matrix), matrix, scale, 1.0)
    changed = (large != before).any(axis=2)
    assert 0.7 < changed.sum() / (160 * scale) ** 2 < 1.01
    error = np.abs(large.astype(int) - before)
    assert error.max() <= 6
    # The same, put back half a pixel of the source aside, is plainly worse.
    aside = before.copy()
    paste(aside, cut(image, matrix), matrix + np.array([[0, 0, 1.6], [0, 0, 0]]), scale, 1.0)
    assert np.abs(aside.astype(int) - before).mean() > 3 * error.mean()


def test_a_large_straight_face_is_shrunk_by_area_when_it_goes_back():
    """Sampling every eighth pixel of a checkerboard would give black or white, not grey."""
    board = np.indices((512, 512)).sum(axis=0) % 2
    canvas = np.full((64, 64, 3), 200, np.uint8)
    paste(
        canvas,
        np.repeat(board[:, :, None], 3, axis=2).astype(np.float32),
        alignment(at(31.5, 31.5, 64).points),
        1,
        1,
    )
    assert np.abs(canvas[20:44, 20:44].astype(int) - 128).max() <= 2
    assert (canvas[0] == 200).all()


def test_five_points_are_met_in_the_least_squares_sense():
    points = np.array(TEMPLATE) * 0.3 + [40, 60]
    moved = points + np.random.default_rng(1).normal(0, 2, points.shape)
    matrix = alignment([tuple(p) for p in moved])
    rows = []
    for (x, y), (u, v) in zip(moved, TEMPLATE, strict=True):
        rows += [([x, -y, 1, 0], u), ([y, x, 0, 1], v)]
    solved = np.linalg.lstsq(np.array([r for r, _ in rows]), np.array([t for _, t in rows]), rcond=None)[0]
    assert matrix[0].tolist() == pytest.approx([solved[0], -solved[1], solved[2]])
    assert matrix[1].tolist() == pytest.approx([solved[1], solved[0], solved[3]])


# -- the network ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("maker", ["spandrel", "gfpgan"])
def test_the_network_gives_its_known_answer(files, maker):
    straight = waves(512, 512, 60).astype(np.float32) / 255
    made = open_restorer(asked(files["tint"]), maker, "cpu", "fp32").restore([straight])[0]
    assert np.abs(made - halved(straight, TINT)).max() < 1e-5


def test_both_makers_give_the_same_pixels_for_random_weights(tmp_path):
    generator = torch.Generator().manual_seed(4)
    tensors = {name: torch.randn(shape, generator=generator) * 0.05 for name, shape in shapes().items()}
    path = save(tensors, tmp_path / "random.safetensors")
    straight = waves(512, 512).astype(np.float32) / 255
    made = [
        open_restorer(asked(path), maker, "cpu", "fp32").restore([straight])[0]
        for maker in face_restorer.MAKERS
    ]
    assert made[0].std() > 0.05
    assert np.abs(made[0] - made[1]).max() < 1e-5


def test_the_published_size_loads(tmp_path):
    generator = torch.Generator().manual_seed(7)
    tensors = {name: torch.randn(shape, generator=generator) * 0.02 for name, shape in shapes(1.0).items()}
    assert sum(tensor.numel() for tensor in tensors.values()) == 87_143_276
    path = save(tensors, tmp_path / "GFPGANv1.4.safetensors")
    network = open_restorer(asked(None, folder=tmp_path), "spandrel", "cpu", "fp32")
    assert network.identity.startswith("GFPGANv1.4@")
    assert network.network.conv_body_first.weight.shape == (32, 3, 1, 1)
    assert path.stat().st_size > 340e6


def test_fp16_is_taken_for_bf16(files):
    network = open_restorer(asked(files["plain"]), "spandrel", "cpu", "fp16")
    assert (network.precision, network.network.conv_body_first.weight.dtype) == ("bf16", torch.bfloat16)
    straight = waves(512, 512, 60).astype(np.float32) / 255
    assert np.abs(network.restore([straight])[0] - halved(straight)).mean() < 0.02


@pytest.mark.parametrize("maker", ["spandrel", "gfpgan"])
def test_weights_of_something_else_are_refused(tmp_path, maker):
    other = save(nearest_x4(), tmp_path / "other.pth")
    torn = restorer()
    del torn["final_linear.bias"]
    for path in (other, save_small(torn, tmp_path / "torn.pth")):
        with pytest.raises(RealmError, match="holds no GFPGAN network") as caught:
            open_restorer(asked(path), maker, "cpu", "fp32")
        assert caught.value.code is Code.INVALID_ARGUMENT


def test_the_published_name_must_have_the_published_bytes_and_code_is_not_run(tmp_path):
    save_small(restorer(), tmp_path / "GFPGANv1.4.pth")
    with pytest.raises(RealmError, match="has sha256"):
        open_restorer(asked(None, folder=tmp_path), "spandrel", "cpu", "fp32")

    class Hostile:
        def __reduce__(self):
            return exec, (f"open({str(tmp_path / 'ran')!r}, 'w')",)

    torch.save({"params_ema": Hostile()}, tmp_path / "hostile.pth")
    with pytest.raises(RealmError, match="nothing in it was run"):
        open_restorer(asked(tmp_path / "hostile.pth"), "gfpgan", "cpu", "fp32")
    assert not (tmp_path / "ran").exists()


# -- restoring in a picture -------------------------------------------------------------------------------


@pytest.mark.parametrize(("scale", "degrees"), [(1, 0), (2, 25), (4, -70)])
def test_a_face_is_restored_in_place_and_nothing_else_changes(files, scale, degrees):
    image = waves(220, 240, 40)
    large = cv2.resize(image, (240 * scale, 220 * scale), interpolation=cv2.INTER_CUBIC)
    before = large.copy()
    done = restore_faces(image, large, scale, asked(files["tint"], at(120, 110, 130, degrees)))
    assert [face.status for face in done.faces] == ["restored"]
    assert done.identity.startswith("GFPGANv1.4@")
    middle = slice(80 * scale, 140 * scale), slice(90 * scale, 150 * scale)
    tinted = large[middle].astype(int) - before[middle]
    # As much as the tint; the middle of the pattern hits neither end of the range.
    assert np.abs(tinted - np.array(TINT) * 255).mean() < 2
    y, x = np.mgrid[: 220 * scale, : 240 * scale]
    far = np.hypot(x / scale - 120, y / scale - 110) > 130 * 2**-0.5 + 2
    assert (large[far] == before[far]).all()


@pytest.mark.parametrize("strength", [0.0, 0.5])
def test_strength_is_the_share_of_the_restored_face(files, strength):
    image = np.full((200, 200, 3), 120, np.uint8)
    large = image.copy()
    restore_faces(image, large, 1, asked(files["tint"], at(100, 100, 120), strength=strength))
    assert large[100, 100].tolist() == [round(120 + strength * t * 255) for t in TINT]
    assert (strength > 0) == (large != image).any()


def test_no_face_needs_no_weights_and_changes_nothing():
    image = waves(50, 60)
    large = image.copy()
    done = restore_faces(image, large, 1, asked(Path("/nowhere/at-all.pth")))
    assert (done.faces, done.identity) == ((), None)
    assert (large == image).all()


def test_faces_with_more_pixels_than_the_network_gives_and_specks_are_left(files):
    image = waves(900, 900, 60)
    large = image.copy()
    done = restore_faces(image, large, 1, asked(files["tint"], at(450, 450, 800), at(50, 50, 20)))
    assert [face.status for face in done.faces] == ["left", "left"]
    assert "more pixels (800 a side) than the network gives (512)" in done.faces[0].reason
    assert "too small (20 pixels a side)" in done.faces[1].reason
    assert (large == image).all()


def test_faces_at_the_edge_and_off_the_picture(files):
    image = np.full((120, 140, 3), 120, np.uint8)
    large = image.copy()
    marks = [at(0, 60, 90), at(139, 119, 90, 30), at(70, -400, 90)]
    done = restore_faces(image, large, 1, asked(files["tint"], *marks))
    assert [face.status for face in done.faces] == ["restored"] * 3
    for place in ((60, 0), (119, 139)):
        assert np.abs(large[place] - (120 + np.array(TINT) * 255)).max() <= 1.5
    assert (large[:20, 60:80] == 120).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [0, 1, 2, 3, 4])
def test_layout_and_depth_are_kept(files, dtype, channels):
    top = np.iinfo(dtype).max
    shape = (150, 150, channels) if channels else (150, 150)
    image = np.full(shape, top // 2, dtype)
    if channels in (2, 4):
        image[:, :, -1] = top // 3
    request = Request(
        model_named("realesrgan-x4plus"),
        Path("/nowhere"),
        scale=2,
        faces=asked(files["tint"], at(75, 75, 90)),
    )
    made = enhance(image, request, backend="classical")
    plain = enhance(image, Request(request.model, request.models_folder, scale=2), backend="classical")
    assert (made.pixels.dtype, made.pixels.shape) == (dtype, plain.pixels.shape)
    assert [face.status for face in made.faces.faces] == ["restored"]
    tinted = (made.pixels[150, 150].astype(float) - plain.pixels[150, 150]) / top
    wanted = np.array(TINT) if channels >= 3 else np.mean(TINT)
    light = tinted if channels in (0, 1, 3) else tinted[:-1]
    assert np.abs(light - wanted).max() < 0.005
    if channels in (2, 4):
        assert (made.pixels[..., -1] == plain.pixels[..., -1]).all()


@pytest.mark.parametrize("backend", ["torch", "realesrgan"])
def test_both_backends_restore_faces(files, tmp_path, backend):
    weights = save(nearest_x4(), tmp_path / "nearest.pth")
    image = np.full((100, 100, 3), 120, np.uint8)
    request = Request(
        model_named("realesrgan-x4plus"),
        Path("/nowhere"),
        scale=2,
        weights=weights,
        faces=asked(files["tint"], at(50, 50, 80)),
    )
    made = enhance(image, request, backend=backend)
    assert (made.backend, made.faces.faces[0].status) == (backend, "restored")
    assert np.abs(made.pixels[100, 100] - (120 + np.array(TINT) * 255)).max() <= 1.5
    kind = type(face_restorer._restorers.models()[0].network).__module__
    assert kind.startswith("spandrel" if backend == "torch" else "gfpgan")


# -- failing ----------------------------------------------------------------------------------------------


def test_a_face_that_fails_is_said_to_have_failed_and_stays_as_it_was(tmp_path):
    tensors = restorer()
    for name in ("conv_body_down.0.skip.weight", "conv_body_up.6.skip.weight"):
        tensors[name] = tensors[name] * 1e30
    image = waves(120, 120)
    large = image.copy()
    done = restore_faces(image, large, 1, asked(save_small(tensors, tmp_path / "a.pth"), at(60, 60, 80)))
    assert [(face.status, face.reason) for face in done.faces] == [
        ("failed", f"{done.identity} gives numbers that are not finite")
    ]
    assert (large == image).all()


def test_out_of_memory_fails_one_face_and_not_the_picture(files):
    image = np.full((200, 300, 3), 120, np.uint8)
    large, calls = image.copy(), []

    def refuse(module, arguments):
        if type(module).__name__ == "GFPGANv1Clean":
            calls.append(1)
            if len(calls) == 1:
                raise torch.OutOfMemoryError("CUDA out of memory")

    handle = torch.nn.modules.module.register_module_forward_pre_hook(refuse)
    try:
        done = restore_faces(image, large, 1, asked(files["tint"], at(80, 100, 90), at(220, 100, 90)))
    finally:
        handle.remove()
    assert [face.status for face in done.faces] == ["failed", "restored"]
    assert done.faces[0].reason == "memory ran out on cpu"
    assert (large[100, 80] == 120).all()
    assert (large[100, 220] != 120).any()


def test_cancelling_ends_it_before_the_next_face(files):
    def check():
        raise RealmError(Code.CANCELLED, "no more")

    image = waves(120, 120)
    with pytest.raises(RealmError, match="no more"):
        restore_faces(image, image.copy(), 1, asked(files["tint"], at(60, 60, 80)), check=check)


# -- finding ----------------------------------------------------------------------------------------------


def tilted(degrees: float, *, size=(600, 400), middle=(300, 200), side=200):
    """A drawn face tilted clockwise, and where its eyes are."""
    corner = (middle[0] - side // 2, middle[1] - side // 2)
    turn = cv2.getRotationMatrix2D(middle, -degrees, 1)
    picture = cv2.warpAffine(portrait(*size, corner, side), turn, size, borderMode=cv2.BORDER_REPLICATE)
    eyes = [(corner[0] + x * side, corner[1] + y * side) for x, y in EYES]
    return picture, cv2.transform(np.array([eyes]), turn)[0]


@pytest.mark.parametrize("degrees", [-18, -8, 0, 8, 18])
def test_eyes_are_found_in_tilted_faces(degrees):
    picture, eyes = tilted(degrees)
    image = Image.fromarray(picture)
    found = find_faces(image)
    assert len(found) == 1
    assert np.abs(np.array(find_eyes(image, found[0])) - eyes).max() < 0.04 * found[0].width


def test_a_face_whose_eyes_are_not_found_gets_the_usual_ones():
    image = Image.fromarray(np.full((200, 200, 3), 128, np.uint8))
    box = find_faces(Image.fromarray(portrait()))[0]
    left, right = find_eyes(image, box)
    assert left[1] == right[1] == box.y + 0.4 * box.width
    assert left[0] < box.x + box.width / 2 < right[0]


def test_retinaface_gives_the_five_points_of_each_face(monkeypatch):
    from mirror_realm.tasks.inference.retinaface import RetinaFace

    class Network:
        def detect_faces(self, picture, least):
            return np.array([[10, 20, 50, 70, 0.99, *range(10)]], np.float64)

    found = RetinaFace("retinaface", Network()).find(np.zeros((100, 100, 3), np.uint8))
    assert found == [Found(10, 20, 40, 50, 0.99, ((0, 1), (2, 3), (4, 5), (6, 7), (8, 9)))]


# -- the node ---------------------------------------------------------------------------------------------


def enhanced(tmp_path, source: Path, **parameters):
    context = context_in(tmp_path, roots=(tmp_path,))
    return image_enhance(
        image_enhance.parameters(backend="classical", face_enhance=True, **parameters),
        image_enhance.input(file_path=str(source)),
        context,
    )


def pixels_of(output) -> np.ndarray:
    with Image.open(output.processed_path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


@pytest.mark.parametrize("detector", ["opencv", "mtcnn"])
def test_a_group_is_restored_face_by_face_also_in_a_turned_photo(tmp_path, files, detector):
    weights = str(copy(files["tint"], tmp_path))
    ground = np.full((300, 800, 3), (110, 130, 120), np.uint8)
    for x, side in ((40, 190), (300, 170), (560, 200)):
        ground[60 : 60 + side, x : x + side] = face(side)
    source = tmp_path / "group.png"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(ground)).save(source, exif=exif)
    output = enhanced(tmp_path, source, face_weights=weights, face_detector=detector)
    told = output.face_enhance
    assert told.applied
    assert told.strength == 1.0
    assert told.detector == {"opencv": "opencv-haar-frontalface-alt"}.get(detector, detector)
    assert {one.mask for one in told.faces} == {"square"}
    assert told.masked_by is None
    assert told.made_by.startswith("GFPGANv1.4@")
    assert [one.status for one in told.faces] == ["restored"] * 3
    plain = pixels_of(
        enhanced(tmp_path, source, face_weights=weights, face_strength=0.0, face_detector=detector)
    )
    tint = pixels_of(output) - plain
    for one in told.faces:
        x, y, width, height = one.bounding_box
        assert 2 * 60 <= y < 2 * 260
        # On forehead and cheeks, which are smooth. Of skin, red is near its end: there the tint has no room.
        part = tint[y + height // 3 : y + 2 * height // 3, x + width // 3 : x + 2 * width // 3]
        assert np.abs(np.median(part.reshape(-1, 3), axis=0) - np.array(TINT) * 255)[1:].max() < 3
    assert (tint[:40] == 0).all()


def test_a_photo_without_a_face_is_left_and_says_so(tmp_path, files):
    source = tmp_path / "waves.png"
    Image.fromarray(waves(200, 240)).save(source)
    told = enhanced(tmp_path, source, face_weights=str(copy(files["tint"], tmp_path))).face_enhance
    assert (told.requested, told.applied, told.reason, told.faces) == (True, False, "no face was found", [])


def test_without_its_weights_it_fails_or_says_why_where_a_fallback_is_allowed(tmp_path):
    source = tmp_path / "a.png"
    Image.fromarray(portrait()).save(source)
    with pytest.raises(RealmError, match=r"GFPGANv1\.4\.pth") as caught:
        enhanced(tmp_path, source)
    assert caught.value.code is Code.DEPENDENCY_FAILURE
    assert "realm models pull GFPGANv1.4" in caught.value.hint
    told = enhanced(tmp_path, source, fallback="classical").face_enhance
    assert (told.requested, told.applied) == (True, False)
    assert "realm models pull GFPGANv1.4" in told.reason
