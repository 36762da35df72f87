"""The files of a folder, a page at a time: what a foreach goes through."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from ..core.errors import Code, RealmError
from ..core.names import any_of, is_ignored, is_text
from ..core.resources import Resources
from .context import NodeContext
from .sdk import Effects, node_type

LOOKS = 1000
"""Entries between two looks at whether to go on."""
SHARE = 0.4
"""Of what a node may give, for the files of a page: a foreach is given them again."""


class ListParameters(BaseModel):
    """Which files, and how many at once."""

    model_config = ConfigDict(extra="forbid")

    folder: str = Field(min_length=1, description="The folder to look into")
    pattern: list[str] = Field(
        default_factory=lambda: ["*"],
        min_length=1,
        description="File names to list, as shell patterns in any case: *.jpg",
    )
    recursive: bool = Field(default=True, description="The folders in it too")
    after: str | None = Field(
        default=None, description="Go on after this path: the `last` of the page before; empty for the first"
    )
    limit: int = Field(default=1000, ge=1, le=100_000, description="Files of a page, at most")


class ListInput(BaseModel):
    """Nothing is needed."""

    model_config = ConfigDict(extra="ignore")


class ListedFile(BaseModel):
    """A file, as nodes that take `file_path` want it."""

    file_path: str
    name: str
    size: int
    modified: datetime


class ListOutput(BaseModel):
    """A page of files."""

    files: list[ListedFile] = Field(description="By path, folder by folder")
    count: int
    last: str | None = Field(description="The path to go on after; null when there was no file")
    more: bool = Field(description="Whether there are files after these")
    links: int = Field(description="Links met up to there, which are not followed")
    unreadable: int = Field(
        description="Files and folders met up to there that are not listed: no permission, or a name that is not UTF-8"
    )


@dataclass
class _Walk:
    """A way through a tree in the order of the paths' parts, beginning behind one of them."""

    context: NodeContext
    root: Path
    recursive: bool
    links: int = 0
    unreadable: int = 0
    seen: int = field(default=0, repr=False)

    def files(self, folder: Path, after: tuple[str, ...]) -> Iterator[os.DirEntry[str]]:
        """The files below ``folder`` whose parts come after ``after``."""
        try:
            with os.scandir(folder) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            if folder == self.root:  # An empty page would say that there is nothing.
                raise RealmError(
                    Code.PERMISSION_DENIED if isinstance(error, PermissionError) else Code.UNAVAILABLE,
                    f"the folder {folder} cannot be read: {error.strerror}",
                    hint="check its permissions and the mount",
                ) from error
            self.unreadable += 1
            return
        for entry in found:
            self.seen += 1
            if self.seen % LOOKS == 0:
                self.context.check_canceled()
            if is_ignored(entry.name) or (after and entry.name < after[0]):
                continue
            if not is_text(entry.name):
                self.unreadable += 1
            elif entry.is_symlink():
                self.links += 1
            elif entry.is_dir():
                if self.recursive:
                    rest = after[1:] if after and entry.name == after[0] else ()
                    yield from self.files(Path(entry.path), rest)
            elif entry.is_file() and after != (entry.name,):
                yield entry


@node_type(
    "storage/list",
    version="1.0.0",
    resources=Resources(cpu_millis=500, memory_mb=128),
    idempotent=True,
    effects=lambda parameters, input: Effects(reads=[f"file.{parameters.folder.rstrip('/')}/"]),
    timeout=600.0,
)
def list_files(parameters: ListParameters, input: ListInput, context: NodeContext) -> ListOutput:
    """List the files of a folder, a page at a time, for a `control/foreach` to go through.

    In a stable order; hidden files, unfinished downloads and what NAS systems keep aside are left out, as by a watched
    folder. A page ends at `limit`, or before when its paths are long: `more` says whether another follows, and `after:
    "{{ … last }}"` lists it. Files that come meanwhile are listed where they come after what was listed before. A
    whole folder with a `control/loop`: examples/photo-library/backfill.yaml.

    Errors: PERMISSION_DENIED outside the roots, NOT_FOUND when there is no such folder, UNAVAILABLE when it cannot be
    read.
    """
    folder = context.folder(parameters.folder)
    walk = _Walk(context, folder, parameters.recursive)
    wanted = any_of(tuple(parameters.pattern))
    room = int(SHARE * context.settings.max_payload_bytes)
    files: list[ListedFile] = []
    more, links, unreadable = False, 0, 0
    for entry in walk.files(folder, _parts(folder, parameters.after)):
        if not wanted.match(entry.name):
            continue
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:  # It went while we looked.
            continue
        except OSError:
            walk.unreadable += 1
            continue
        modified = datetime.fromtimestamp(status.st_mtime, UTC)
        file = ListedFile(file_path=entry.path, name=entry.name, size=status.st_size, modified=modified)
        room -= len(file.model_dump_json().encode())
        if files and (room < 0 or len(files) == parameters.limit):
            more = True
            break
        files.append(file)
        links, unreadable = walk.links, walk.unreadable
    if not more:
        links, unreadable = walk.links, walk.unreadable
    return ListOutput(
        files=files,
        count=len(files),
        last=files[-1].file_path if files else None,
        more=more,
        links=links,
        unreadable=unreadable,
    )


def _parts(folder: Path, after: str | None) -> tuple[str, ...]:
    """The parts of a path below ``folder``."""
    if not after:
        return ()
    try:
        return Path(after).relative_to(folder).parts
    except ValueError:
        raise RealmError(
            Code.INVALID_ARGUMENT,
            f"after: {after} does not lie in {folder}",
            hint="give the `last` of the page before",
        ) from None
