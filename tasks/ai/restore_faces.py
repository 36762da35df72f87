"""Faces in ``ai/image-enhance``: what to find them with, what to restore them with, and what is said about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.errors import RealmError
from .enhance_models import FaceEnhancement, RestoredFace
from .face_finding import detector_named, finder_named, gives_points

if TYPE_CHECKING:
    import numpy as np

    from ..context import NodeContext
    from ..inference.enhancer import Enhanced
    from ..inference.face_alignment import FaceMarks
    from ..inference.face_parser import Parsing
    from ..inference.face_restorer import FaceRequest
    from .enhance_models import EnhanceParameters

MODEL = "GFPGANv1.4"
PARSER = "parsing_parsenet"


@dataclass(frozen=True, slots=True)
class FacePlan:
    """What the core is asked for; without a request, ``reason`` says why it is not asked."""

    request: FaceRequest | None
    detector: str | None = None
    reason: str | None = None


def plan_faces(parameters: EnhanceParameters, weights: Path | None, context: NodeContext) -> FacePlan:
    """How faces are to be restored. Where something is missing and a fallback is allowed, they are not, with the
    reason; else DEPENDENCY_FAILURE."""
    from ..inference.catalogue import known_model
    from ..inference.enhancer import FALLS_BACK
    from ..inference.face_restorer import FaceRequest
    from .provision import provide

    if not parameters.face_enhance:
        return FacePlan(None)
    model = known_model(MODEL)
    try:
        if weights is None:
            provide(model, context.settings, check=context.check_canceled)
        detector = detector_named(parameters.face_detector, context)
        find = _by_network(detector, context) if gives_points(detector) else _by_cascade
    except RealmError as error:
        if error.code not in FALLS_BACK or not parameters.fallbacks:
            raise
        hint = f"; {error.hint}" if error.hint else ""
        return FacePlan(None, reason=f"{error.record.message}{hint}")
    request = FaceRequest(
        model,
        context.settings.model_folder,
        find,
        parameters.face_strength,
        weights,
        _parsing(context),
        lambda done, total: context.progress(0.9 + 0.02 * done / total, f"face {done} of {total}"),
    )
    return FacePlan(request, detector)


def _parsing(context: NodeContext) -> Parsing | None:
    """What says where in its square a face is, where it is here. It is not fetched for that: its licence allows no
    commercial use."""
    from ..inference.catalogue import known_model
    from ..inference.face_parser import Parsing
    from ..inference.facexlib_networks import is_installed
    from .provision import are_here, provide

    model = known_model(PARSER)
    if not (is_installed() and are_here(model, context.settings)):
        return None
    return Parsing(model, provide(model, context.settings))


def _by_network(name: str, context: NodeContext):
    from ..inference.face_alignment import FaceMarks

    found = finder_named(name, context)

    def find(rgb: np.ndarray) -> Sequence[FaceMarks]:
        return [
            FaceMarks((face.x, face.y, face.width, face.height), face.points, face.confidence)
            for face in found(rgb)
        ]

    return find


def _by_cascade(rgb: np.ndarray) -> Sequence[FaceMarks]:
    from PIL import Image

    from ..imaging.faces import find_eyes, find_faces
    from ..inference.face_alignment import FaceMarks

    image = Image.fromarray(rgb)
    return [
        FaceMarks((face.x, face.y, face.width, face.height), find_eyes(image, face), face.confidence)
        for face in find_faces(image)
    ]


def told_of_faces(parameters: EnhanceParameters, plan: FacePlan, enhanced: Enhanced) -> FaceEnhancement:
    """What the node says about faces; boxes are in pixels of the result."""
    done = enhanced.faces
    if done is None:
        return FaceEnhancement(requested=parameters.face_enhance, applied=False, reason=plan.reason)
    factor = parameters.factor
    faces = [
        RestoredFace(
            bounding_box=tuple(round(side * factor) for side in face.box),  # pyright: ignore[reportArgumentType]
            confidence=round(face.confidence, 4),
            status=face.status,
            reason=face.reason,
            mask=face.mask,
        )
        for face in done.faces
    ]
    applied = any(face.status == "restored" for face in faces)
    reason = None
    if not faces:
        reason = "no face was found"
    elif not applied:
        reason = "no face was restored; each says why"
    return FaceEnhancement(
        requested=True,
        applied=applied,
        reason=reason,
        strength=parameters.face_strength,
        detector=plan.detector,
        made_by=done.identity,
        masked_by=done.parser,
        faces=faces,
    )
