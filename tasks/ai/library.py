"""What the nodes of this family share: the store, the embedder that a name means, and a picture ready to be seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.errors import Code, RealmError
from ...core.references import ImageRef
from ...core.settings import Settings
from ..inference.catalogue import EMBEDDING, KnownModel, known_model

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from ...store import Store
    from ...store.media_vectors import Space
    from ..context import NodeContext
    from ..image.models import ImageInput
    from ..imaging.decode import Source
    from ..inference.embedder import Embedder

FAULTS_OF_CONTENT = frozenset({Code.DATA_CORRUPTED, Code.UNSUPPORTED_FILE_TYPE, Code.OUT_OF_RANGE})
"""Failures that lie in the picture: worth remembering, since the same bytes fail again."""


@contextmanager
def open_library(settings: Settings) -> Iterator[Store]:
    """The store that holds the media library."""
    from ...store import Store

    with Store.open(settings.database) as store:
        yield store


@dataclass
class EmbeddingModel:
    """An embedder by its name: found at once, loaded when a picture or a text really has to be embedded.

    Raises DEPENDENCY_FAILURE, with the command to run, when its weights or packages are not here.
    """

    settings: Settings
    name: str
    device: str = "cpu"
    check: Callable[[], None] = lambda: None

    @cached_property
    def known(self) -> KnownModel:
        """What is known about the model."""
        return known_model(self.name, self.settings.model_folder.expanduser(), task=EMBEDDING)

    @cached_property
    def weights(self) -> Path:
        """Its weights on this machine."""
        from .provision import provide

        return provide(self.known, self.settings, check=self.check)

    @cached_property
    def identity(self) -> str:
        """Under which name its vectors are kept."""
        from ..inference.embedder import identity_of

        return identity_of(self.known, self.weights)

    @property
    def embedder(self) -> Embedder:
        """The model itself, ready to run."""
        from ..inference.embedder import open_embedder

        return open_embedder(self.known, self.weights, self.device)

    def space(self, store: Store) -> Space:
        """Where its vectors are recorded."""
        return store.vectors.open_space(self.identity, int(self.known.capabilities["dimension"]))


def embedding_model(name: str, context: NodeContext) -> EmbeddingModel:
    """The embedder ``name`` for one node attempt."""
    return EmbeddingModel(context.settings, name, context.device, context.check_canceled)


@dataclass
class Picture:
    """The picture of one node attempt. Decoded only when somebody looks at it."""

    path: Path
    name: str
    content: str
    """sha256 of its bytes."""
    original: str
    """sha256 of the original that it was made from; ``content`` where it is one."""
    image: ImageRef
    """What is passed on to the next nodes."""
    max_pixels: int
    seen: Image.Image | None = None
    """The copy that :meth:`look` gives, where somebody made it already."""

    @property
    def uri(self) -> str:
        """Where its bytes are."""
        return self.image.uri

    def look(self) -> Image.Image:
        """An upright sRGB copy of at most 2048 pixels a side."""
        from ..imaging.measures import WORKING_SIDE
        from ..imaging.viewing import view

        if self.seen is None:
            self.seen = view(self.path, side=WORKING_SIDE, max_pixels=self.max_pixels, name=self.name).image
        return self.seen.convert("RGB")


def picture_of(input: ImageInput, context: NodeContext) -> Picture:
    """The picture that ``input`` means; errors as :func:`resolve_image`, and those of a file that is no picture."""
    from ..image.models import passed_on, resolve_image
    from ..imaging.decode import open_picture
    from ..imaging.facts import read_facts

    resolved = resolve_image(input, context)
    limit = context.settings.max_pixels

    def passed(source: Source) -> ImageRef:
        return passed_on(
            resolved,
            context,
            media_type=source.format.media_type,
            size=source.size,
            captured_at=read_facts(source.metadata.exif).captured_at,
        )

    image = resolved.reference
    if image is None:
        with open_picture(resolved.path, name=resolved.name, max_pixels=limit) as source:
            image = passed(source)
    return Picture(
        path=resolved.path,
        name=resolved.name,
        content=image.sha256,
        original=image.source_sha256 or image.sha256,
        image=image,
        max_pixels=limit,
    )


def pack(vector: np.ndarray) -> bytes:
    """A vector as the store keeps it."""
    return vector.astype("<f4").tobytes()


def unpack(data: bytes) -> np.ndarray:
    """The vector that :func:`pack` made."""
    import numpy as np

    return np.frombuffer(data, "<f4")


def remembered(error: RealmError) -> bool:
    """Whether a failure is the picture's own, so that it will happen again."""
    return error.code in FAULTS_OF_CONTENT
