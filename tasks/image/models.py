"""What a node that takes a picture is given, and how the picture is found."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from ...core.errors import Code, RealmError
from ...core.references import ImageRef
from ..files import path_of_event

if TYPE_CHECKING:
    from ..context import NodeContext


class ImageInput(BaseModel):
    """The picture: a reference from a node before, else a path, else the path of the event that started it
    all.

    Other keys are ignored: a first node gets the whole input of the instance, a later one all that its
    predecessors gave.
    """

    model_config = ConfigDict(extra="ignore")

    image: ImageRef | None = Field(default=None, description="The picture, as a node before passed it on")
    file_path: str | None = Field(
        default=None, description="A picture on this machine: a path or a file: URI"
    )
    trigger: dict[str, Any] | None = Field(
        default=None, description="The event; its payload.file_path is used when nothing else names a picture"
    )


@dataclass(frozen=True, slots=True)
class ResolvedImage:
    """A picture that can be read now. ``path`` may be the artifact or the person's own file: never write
    it."""

    path: Path
    name: str
    reference: ImageRef | None = None
    """The reference it was fetched from; ``None`` for a plain file."""


def resolve_image(input: ImageInput, context: NodeContext) -> ResolvedImage:
    """Find the picture that ``input`` means, checked: a reference's bytes by their sha256, a path by the
    roots.

    Raises INVALID_ARGUMENT when the input names none; NOT_FOUND, PERMISSION_DENIED or DATA_CORRUPTED as
    :meth:`NodeContext.readable` and :meth:`ArtifactStore.fetch` do.
    """
    if input.image is not None:
        return ResolvedImage(
            context.artifacts.fetch(input.image, context.workdir), input.image.name, input.image
        )
    named = input.file_path or path_of_event(input.trigger)
    if not named:
        raise RealmError(
            Code.INVALID_ARGUMENT,
            "the input names no picture",
            hint="give image (from a node before), file_path, or start it by a filesystem trigger",
        )
    path = context.readable(named)
    return ResolvedImage(path, path.name)


def passed_on(
    resolved: ResolvedImage,
    context: NodeContext,
    *,
    media_type: str,
    size: tuple[int, int],
    captured_at: datetime | None,
) -> ImageRef:
    """The picture, unchanged, for the nodes behind; a plain file becomes an artifact. ``size`` is upright."""
    if resolved.reference is not None:
        return resolved.reference
    stored = context.artifacts.put(resolved.path, name=resolved.name, media_type=media_type)
    return ImageRef(
        **stored.model_dump(),
        width=size[0],
        height=size[1],
        captured_at=captured_at,
        source_sha256=stored.sha256,
    )


def made_from(
    resolved: ResolvedImage,
    context: NodeContext,
    path: Path,
    *,
    media_type: str,
    size: tuple[int, int],
    captured_at: datetime | None,
) -> ImageRef:
    """The reference of a picture that was made from ``resolved`` and lies at ``path``; it is stored. Where its file
    says no time, the time that is known of the picture holds."""
    stored = context.artifacts.put(path, name=path.name, media_type=media_type)
    known = resolved.reference.captured_at if resolved.reference else None
    return ImageRef(
        **stored.model_dump(),
        width=size[0],
        height=size[1],
        captured_at=captured_at or known,
        source_sha256=source_sha256(resolved),
    )


def source_sha256(resolved: ResolvedImage) -> str:
    """The sha256 of the original file that everything made from this picture goes back to."""
    from ..artifacts import sha256_file

    reference = resolved.reference
    if reference is None:
        return sha256_file(resolved.path)
    return reference.source_sha256 or reference.sha256


def rgb(text: str) -> tuple[int, int, int]:
    """The colour ``#rrggbb`` in three numbers.

    >>> rgb("#ff8000")
    (255, 128, 0)
    """
    value = int(text.removeprefix("#"), 16)
    return value >> 16, value >> 8 & 255, value & 255


def file_effects(input: ImageInput) -> list[str]:
    """The resource names of what reading ``input`` touches, for :class:`~mirror_realm.tasks.sdk.Effects`."""
    return [f"file.{input.file_path}"] if input.file_path and input.image is None else []
