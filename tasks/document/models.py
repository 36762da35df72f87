"""What a node that takes a document is given, and how it finds and opens it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...core.errors import Code, RealmError
from ...core.references import FileRef
from ..files import FileInput, ResolvedFile, resolve_file
from ..kinds import FileKind, kind_of
from ..variables import read_variable

if TYPE_CHECKING:
    from ..context import NodeContext

READERS = ("pdf", "docx", "html", "markdown", "text")


@dataclass(frozen=True, slots=True)
class ResolvedDocument:
    """A document that can be read now, and what it is."""

    file: ResolvedFile
    kind: FileKind

    def passed_on(self, context: NodeContext) -> FileRef:
        """The document, unchanged, for the nodes behind; a plain file becomes an artifact."""
        return self.file.reference or context.artifacts.put(
            self.file.path, name=self.file.name, media_type=self.kind.media_type
        )


def resolve_document(
    input: FileInput, context: NodeContext, *, readers: tuple[str, ...] = READERS
) -> ResolvedDocument:
    """The document that ``input`` means. UNSUPPORTED_FILE_TYPE when it is none that ``readers`` names; else the errors
    of :func:`~mirror_realm.tasks.files.resolve_file`."""
    file = resolve_file(input, context)
    kind = kind_of(file.path, file.name)
    if kind.kind != "document" or kind.reader not in readers:
        raise RealmError(
            Code.UNSUPPORTED_FILE_TYPE,
            f"{file.name} cannot be read here: its content is {kind.what}",
            hint=f"documents are read as {', '.join(readers)}",
        )
    return ResolvedDocument(file, kind)


def password_of(variable: str | None, context: NodeContext) -> str | None:
    """The password that an environment variable of the worker holds, if one is named."""
    return read_variable(variable, context) if variable else None
