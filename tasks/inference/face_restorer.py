"""Faces restored: found, laid straight, given to a network (GFPGAN, Wang et al. 2021), and put back.

A face is restored, left as it is, or failed, and each says which: what a network could not do is never passed off as
done. The network's noise is the one in its weights, not a new draw, so that the same picture gives the same pixels.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ...core.errors import Code, RealmError
from .catalogue import KnownModel
from .compat import require_spandrel, require_torch, require_upstream
from .face_alignment import SIDE, FaceMarks, alignment, cut, enlargement, paste
from .face_parser import FaceParser, Parsing, open_parser
from .kept import Kept
from .memory import ran_out
from .networks import check_device, torch_dtype
from .weights import check_file, find_weights, read_tensors

MOST_PIXELS = 1.5
"""A face whose square has more than this times :data:`SIDE` pixels a side is left: the network would take detail."""
FEWEST_PIXELS = 24
"""A square with fewer pixels a side holds nothing to restore: the network would make a face up."""

Find = Callable[[np.ndarray], Sequence[FaceMarks]]
"""The faces of an upright RGB picture of uint8."""

Status = Literal["restored", "left", "failed"]
Mask = Literal["face", "square"]
"""What a restored face covers: the face itself, or its square, fading in from the border."""


@dataclass(frozen=True, slots=True)
class FaceRequest:
    """What is asked for: the network, its weights (``weights`` over the models folder), how to find faces, the share of
    the restored face in the result, 0–1, and what says where in its square a face is; without that, all of it is."""

    model: KnownModel
    models_folder: Path
    find: Find
    strength: float = 1.0
    weights: Path | None = None
    parsing: Parsing | None = None

    def file(self) -> Path:
        """The weights' file; DEPENDENCY_FAILURE or NOT_FOUND when there is none."""
        return find_weights(
            self.model.weights, self.models_folder, explicit=self.weights, model=self.model.name
        )


@dataclass(frozen=True, slots=True)
class FaceOutcome:
    """What became of one face; ``box`` in pixels of the picture before it was enlarged."""

    box: tuple[float, float, float, float]
    confidence: float
    status: Status
    reason: str | None = None
    mask: Mask | None = None


@dataclass(frozen=True, slots=True)
class FacesDone:
    """The faces, surest first, what restored them, and what said where they are in their squares."""

    faces: tuple[FaceOutcome, ...]
    identity: str | None
    parser: str | None = None


@dataclass(eq=False)
class FaceRestorer:
    """A network on a device, in fp32 or bf16: GFPGAN gives black faces in fp16 (GFPGAN #205)."""

    identity: str
    device: str
    precision: str
    network: Any = field(repr=False)

    def restore(self, face: np.ndarray) -> np.ndarray:
        """A straight face (SIDE, SIDE, 3), float32 within 0–1, restored. DATA_CORRUPTED when the network gives
        numbers that are not finite."""
        torch = require_torch()
        with torch.inference_mode():
            batch = torch.from_numpy(face).permute(2, 0, 1)[None] * 2 - 1
            batch = batch.to(self.device, torch_dtype(self.precision))
            made = self.network(batch, return_rgb=False, randomize_noise=False)[0][0].float()
            if not bool(torch.isfinite(made).all()):
                raise RealmError(Code.DATA_CORRUPTED, f"{self.identity} gives numbers that are not finite")
            return ((made.clamp(-1, 1) + 1) / 2).permute(1, 2, 0).cpu().numpy()


_restorers: Kept[FaceRestorer] = Kept(limit=1)


def restore_faces(
    rgb: np.ndarray,
    large: np.ndarray,
    scale: int,
    request: FaceRequest,
    *,
    maker: str = "spandrel",
    device: str = "cpu",
    precision: str = "fp32",
    check: Callable[[], None] = lambda: None,
) -> FacesDone:
    """Restore the faces of ``rgb`` (H, W, 3) in ``large``, which is the same picture ``scale`` times as large.

    ``maker`` is one of :data:`MAKERS`. Raises what :func:`open_restorer` does, and only where there is a face.
    """
    faces = [(marks, alignment(marks.points)) for marks in request.find(_eight_bits(rgb))]
    reasons = [_left(matrix) for _, matrix in faces]
    restorer = parser = None
    outcomes = []
    for (marks, matrix), reason in zip(faces, reasons, strict=True):
        status: Status = "left"
        mask: Mask | None = None
        if reason is None:
            check()
            restorer = restorer or open_restorer(request, maker, device, precision)
            parser = parser or (open_parser(request.parsing, device) if request.parsing else None)
            reason, mask = _restored(rgb, large, scale, matrix, restorer, parser, request.strength)
            status = "failed" if reason else "restored"
        outcomes.append(FaceOutcome(marks.box, marks.confidence, status, reason, mask))
    return FacesDone(
        tuple(outcomes), restorer.identity if restorer else None, parser.identity if parser else None
    )


def _left(matrix: np.ndarray) -> str | None:
    """Why a face is better left as it is."""
    side = SIDE / enlargement(matrix)
    if side > MOST_PIXELS * SIDE:
        return f"it has more pixels ({side:.0f} a side) than the network gives ({SIDE})"
    return f"it is too small ({side:.0f} pixels a side)" if side < FEWEST_PIXELS else None


def _restored(
    rgb: np.ndarray,
    large: np.ndarray,
    scale: int,
    matrix: np.ndarray,
    restorer: FaceRestorer,
    parser: FaceParser | None,
    strength: float,
) -> tuple[str | None, Mask | None]:
    """Restore one face in ``large``; the reason where that failed, and then nothing is changed, and what it covers."""
    try:
        made = restorer.restore(cut(rgb, matrix))
        mask = parser.mask(made) if parser else None
    except RealmError as error:
        return error.record.message, None
    except (RuntimeError, MemoryError) as error:
        if not ran_out(error):
            raise
        return f"memory ran out on {restorer.device}", None
    paste(large, made, matrix, scale, strength, mask)
    return None, "square" if mask is None else "face"


def _eight_bits(rgb: np.ndarray) -> np.ndarray:
    return rgb if rgb.dtype == np.uint8 else (rgb >> 8).astype(np.uint8)


# -- the networks -----------------------------------------------------------------------------------------


def open_restorer(request: FaceRequest, maker: str, device: str, precision: str) -> FaceRestorer:
    """The network of ``request`` on ``device``, from the process's cache where it is there; ``precision`` fp16 is
    taken for bf16. DEPENDENCY_FAILURE, DATA_CORRUPTED or INVALID_ARGUMENT for packages and weights that are missing,
    damaged or of something else."""
    check_device(device)
    path = request.file()
    published = request.model.weights
    file = check_file(
        path, published.sha256 if request.weights is None and path.name == published.file else None
    )
    half = precision != "fp32"
    key = (str(path), file.sha256, maker, device, half)

    def load() -> FaceRestorer:
        tensors = read_tensors(path)
        network = _filled(MAKERS[maker](), tensors, path).eval().requires_grad_(False)
        kind = "bf16" if half else "fp32"
        return FaceRestorer(
            f"{request.model.name}@{file.sha256[:12]}",
            device,
            kind,
            network.to(device=device, dtype=torch_dtype(kind)),
        )

    return _restorers.get(key, load)


def _by_spandrel() -> Any:
    require_spandrel()
    return importlib.import_module("spandrel.architectures.GFPGAN").GFPGAN


def _by_gfpgan() -> Any:
    return require_upstream("gfpgan.archs.gfpganv1_clean_arch").GFPGANv1Clean


MAKERS: Mapping[str, Callable[[], Any]] = {"spandrel": _by_spandrel, "gfpgan": _by_gfpgan}
"""Whose class the network is of, by the name that a backend's capabilities give."""


def _filled(form: Any, tensors: dict[str, Any], path: Path) -> Any:
    """The network ``form`` filled with ``tensors``, in the form in which GFPGAN 1.2 to 1.4 were published; its width
    follows from them."""
    try:
        first, style = tensors["conv_body_first.weight"], tensors["stylegan_decoder.style_mlp.1.weight"]
        # Without memory of its own: drawing 87 million random numbers to forget them takes seconds.
        with require_torch().device("meta"):
            network = form(
                out_size=SIDE, num_style_feat=style.shape[0], channel_multiplier=2, fix_decoder=False,
                num_mlp=8, input_is_latent=True, different_w=True, narrow=first.shape[0] / 32, sft_half=True,
            )  # fmt: skip
        network.load_state_dict({name: t.contiguous() for name, t in tensors.items()}, assign=True)
    except (RuntimeError, KeyError, IndexError, ZeroDivisionError) as error:
        raise _no_restorer(path, error) from None
    return network


def _no_restorer(path: Path, why: object) -> RealmError:
    return RealmError(
        Code.INVALID_ARGUMENT,
        f"{path} holds no GFPGAN network: {' '.join(str(why).split())[:200]}",
        hint="`realm models pull GFPGANv1.4` fetches the right weights",
    )
