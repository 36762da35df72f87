"""Faces restored: found, laid straight, given to a network (GFPGAN, Wang et al. 2021), and put back.

A face is restored, left as it is, or failed, and each says which: what a network could not do is never passed off as
done. The network's noise is the one in its weights, not a new draw, so that the same picture gives the same pixels.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ...core.errors import Code, RealmError
from .catalogue import KnownModel
from .compat import require_spandrel, require_torch, require_upstream
from .face_alignment import SIDE, FaceMarks, alignment, cut, enlargement, paste
from .face_parser import FaceParser, Parsing, not_finite, open_parser, straight_batch
from .kept_models import KeptModels, module_bytes
from .memory import ran_out
from .networks import check_device, torch_dtype
from .turns import turn
from .weights import check_file, find_weights, read_tensors

MOST_PIXELS = 1.5
"""A face whose square has more than this times :data:`SIDE` pixels a side is left: the network would take detail."""
FEWEST_PIXELS = 24
"""A square with fewer pixels a side holds nothing to restore: the network would make a face up."""
MOST_FACES = 8
"""Faces that go through the networks together on a GPU."""
MOST_FACES_ON_A_CPU = 1
"""On a CPU a batch takes as long as its faces one after the other, and more memory."""

Find = Callable[[np.ndarray], Sequence[FaceMarks]]
"""The faces of an upright RGB picture of uint8."""

Status = Literal["restored", "left", "failed"]
Mask = Literal["face", "square"]
"""What a restored face covers: the face itself, or its square, fading in from the border."""


@dataclass(frozen=True, slots=True)
class FaceRequest:
    """What is asked for: the network, its weights (``weights`` over the models folder), how to find faces, the share of
    the restored face in the result, 0–1, and what says where in its square a face is; without that, all of it is.
    ``progress`` is told how many of the faces that are to be restored are done, and how many these are."""

    model: KnownModel
    models_folder: Path
    find: Find
    strength: float = 1.0
    weights: Path | None = None
    parsing: Parsing | None = None
    progress: Callable[[int, int], None] = lambda done, total: None

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

    def restore(self, faces: Sequence[np.ndarray]) -> list[np.ndarray | RealmError]:
        """Straight faces (SIDE, SIDE, 3), float32 within 0–1, restored in one pass; DATA_CORRUPTED, not raised, in
        place of each of which the network gives numbers that are not finite."""
        torch = require_torch()
        with torch.inference_mode():
            batch = straight_batch(faces).to(self.device, torch_dtype(self.precision))
            made = self.network(batch, return_rgb=False, randomize_noise=False)[0].float()
            sound = torch.isfinite(made).flatten(1).all(dim=1).tolist()
            pixels = ((made.clamp(-1, 1) + 1) / 2).permute(0, 2, 3, 1).cpu().numpy()
        return [
            face if finite else not_finite(self.identity) for face, finite in zip(pixels, sound, strict=True)
        ]


_restorers: KeptModels[FaceRestorer] = KeptModels(lambda restorer: module_bytes(restorer.network))


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

    ``maker`` is one of :data:`MAKERS`. Faces go through the networks in batches, of which memory holds one at a time;
    ``check`` is called before each. Raises what :func:`open_restorer` does, and only where a face is to be restored.
    """
    faces = [(marks, alignment(marks.points)) for marks in request.find(_eight_bits(rgb))]
    ends = [_End("left", _left(matrix)) for _, matrix in faces]
    waiting = [place for place, end in enumerate(ends) if end.reason is None]
    networks = None
    if waiting:
        check()
        with turn(device, check):
            networks = _Networks.opened(request, maker, device, precision)
        results = _restored(rgb, [faces[place][1] for place in waiting], networks, check)
        for done, (place, result) in enumerate(zip(waiting, results, strict=True), 1):
            if isinstance(result, str):
                ends[place] = _End("failed", result)
            else:
                face, mask = result
                paste(large, face, faces[place][1], scale, request.strength, mask)
                ends[place] = _End("restored", None, "square" if mask is None else "face")
            request.progress(done, len(waiting))
    outcomes = [
        FaceOutcome(marks.box, marks.confidence, end.status, end.reason, end.mask)
        for (marks, _), end in zip(faces, ends, strict=True)
    ]
    used = networks.identities() if networks else (None, None)
    return FacesDone(tuple(outcomes), *used)


def _left(matrix: np.ndarray) -> str | None:
    """Why a face is better left as it is."""
    side = SIDE / enlargement(matrix)
    if side > MOST_PIXELS * SIDE:
        return f"it has more pixels ({side:.0f} a side) than the network gives ({SIDE})"
    return f"it is too small ({side:.0f} pixels a side)" if side < FEWEST_PIXELS else None


_Result = tuple[np.ndarray, np.ndarray | None] | str
"""A restored face and its mask, or why there is none."""


@dataclass(frozen=True, slots=True)
class _End:
    """How it ends with a face; one that is left for no reason still waits."""

    status: Status
    reason: str | None
    mask: Mask | None = None


@dataclass(frozen=True, slots=True)
class _Networks:
    """What restores faces, and what says where they are in their squares."""

    restorer: FaceRestorer
    parser: FaceParser | None

    @classmethod
    def opened(cls, request: FaceRequest, maker: str, device: str, precision: str) -> _Networks:
        restorer = open_restorer(request, maker, device, precision)
        return cls(restorer, open_parser(request.parsing, device) if request.parsing else None)

    def identities(self) -> tuple[str, str | None]:
        return self.restorer.identity, self.parser.identity if self.parser else None

    def made(self, rgb: np.ndarray, matrices: Sequence[np.ndarray]) -> list[_Result] | None:
        """Each face cut and restored, with its mask, or why it was not; ``None`` when memory ran out."""
        try:
            restored = self.restorer.restore([cut(rgb, matrix) for matrix in matrices])
            faces = [one for one in restored if not isinstance(one, RealmError)]
            masks = iter(self.parser.masks(faces) if self.parser and faces else [None] * len(faces))
        except (RuntimeError, MemoryError) as error:
            if not ran_out(error):
                raise
            return None
        return [_with_mask(one, masks) for one in restored]


def _restored(
    rgb: np.ndarray, matrices: Sequence[np.ndarray], networks: _Networks, check: Callable[[], None]
) -> Iterator[_Result]:
    """What becomes of each face in turn, in batches, which are smaller where memory runs out."""
    device = networks.restorer.device
    at_once = MOST_FACES_ON_A_CPU if device == "cpu" else MOST_FACES
    done = 0
    while done < len(matrices):
        check()
        batch = matrices[done : done + at_once]
        with turn(device, check):
            made = networks.made(rgb, batch)
        if made is None and len(batch) > 1:
            at_once = len(batch) // 2
            continue
        yield from made or [f"memory ran out on {device}"]
        done += len(batch)


def _with_mask(restored: np.ndarray | RealmError, masks: Iterator[np.ndarray | RealmError | None]) -> _Result:
    """A face and the next mask; of what failed, the reason."""
    if isinstance(restored, RealmError):
        return restored.record.message
    mask = next(masks)
    return mask.record.message if isinstance(mask, RealmError) else (restored, mask)


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

    return _restorers.get(key, load, device, path.stat().st_size // (2 if half else 1))


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
