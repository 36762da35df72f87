"""What a node that takes a file of any kind is given, and how the file is found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from ..core.errors import Code, RealmError
from ..core.references import FileRef, ImageRef

if TYPE_CHECKING:
    from .context import NodeContext


class FileInput(BaseModel):
    """The file: a reference from a node before, else a path, else the path of the event that started it all.

    Other keys are ignored: a first node gets the whole input of the instance, a later one all that its
    predecessors gave.
    """

    model_config = ConfigDict(extra="ignore")

    file: FileRef | None = Field(default=None, description="The file, as a node before passed it on")
    image: ImageRef | None = Field(default=None, description="A picture, where there is no file")
    file_path: str | None = Field(default=None, description="A file on this machine: a path or a file: URI")
    trigger: dict[str, Any] | None = Field(
        default=None, description="The event; its payload.file_path is used when nothing else names a file"
    )

    @property
    def reference(self) -> FileRef | None:
        """The reference that is meant, if one was given."""
        return self.file or self.image


@dataclass(frozen=True, slots=True)
class ResolvedFile:
    """A file that can be read now. ``path`` may be the artifact or the person's own file: never write it."""

    path: Path
    name: str
    reference: FileRef | None = None
    """The reference it was fetched from; ``None`` for a plain file."""


def resolve_file(input: FileInput, context: NodeContext) -> ResolvedFile:
    """Find the file that ``input`` means, checked: a reference's bytes by their sha256, a path by the roots.

    Raises INVALID_ARGUMENT when the input names none; NOT_FOUND, PERMISSION_DENIED or DATA_CORRUPTED as
    :meth:`NodeContext.readable` and :meth:`ArtifactStore.fetch` do.
    """
    if (reference := input.reference) is not None:
        return ResolvedFile(
            context.artifacts.fetch(reference, context.workdir), Path(reference.name).name, reference
        )
    named = input.file_path or path_of_event(input.trigger)
    if not named:
        raise RealmError(
            Code.INVALID_ARGUMENT,
            "the input names no file",
            hint="give file (from a node before), file_path, or start it by a filesystem trigger",
        )
    path = context.readable(named)
    return ResolvedFile(path, path.name)


def path_of_event(trigger: dict[str, Any] | None) -> str | None:
    """``payload.file_path`` of a filesystem event."""
    payload = (trigger or {}).get("payload")
    path = payload.get("file_path") if isinstance(payload, dict) else None
    return path if isinstance(path, str) else None


def read_effects(input: FileInput) -> list[str]:
    """The resource names of what reading ``input`` touches, for :class:`~mirror_realm.tasks.sdk.Effects`."""
    return [f"file.{input.file_path}"] if input.file_path and input.reference is None else []
