"""Setting files aside so that they can come back: the step before, or in place of, deleting them."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ..blocks.atomic import atomic_file, copy_atomically
from ..core.errors import Code, RealmError
from ..core.references import local_path
from ..core.resources import Resources
from .artifacts import sha256_file
from .context import NodeContext
from .sdk import Effects, node_type

MANIFEST = "manifest.json"
RESOURCES = Resources(cpu_millis=200, memory_mb=128)


class TrashParameters(BaseModel):
    """Where to."""

    model_config = ConfigDict(extra="forbid")

    folder: str = Field(
        min_length=1,
        description="The trash folder; it must lie inside the allowed roots. Each run has its own in it",
    )
    relative_to: str | None = Field(
        default=None,
        min_length=1,
        description="The folder below which files keep their place; default: names alone",
    )


class Unwanted(BaseModel):
    """A file to set aside; what media/deduplicate tells of a copy will do."""

    model_config = ConfigDict(extra="ignore")

    file_path: str
    sha256: str | None = Field(
        default=None, pattern=r"^[0-9a-f]{64}$", description="What its bytes were when it was decided"
    )


class TrashInput(BaseModel):
    """The files."""

    model_config = ConfigDict(extra="ignore")

    files: list[Unwanted] = Field(
        description="Each with its file_path, and the sha256 that it must still have"
    )


class Moved(BaseModel):
    """A file that lies elsewhere now."""

    source: str = Field(description="Where it was")
    target: str = Field(description="Where it is")
    sha256: str
    size: int = Field(description="Bytes")


class Left(BaseModel):
    """A file that was left where it is."""

    file_path: str
    reason: str


class TrashOutput(BaseModel):
    """What lies in the trash now; storage/restore takes it as it is."""

    moved: list[Moved]
    left: list[Left]
    manifest: str = Field(
        description="The list of what was moved, as JSON in the trash: what storage/restore reads"
    )
    count: int
    bytes: int


class RestoreParameters(BaseModel):
    """There is nothing to choose."""

    model_config = ConfigDict(extra="forbid")


class RestoreInput(BaseModel):
    """What storage/trash gave, or only its manifest."""

    model_config = ConfigDict(extra="ignore")

    moved: list[Moved] = Field(default_factory=list, description="What to bring back")
    manifest: str | None = Field(default=None, description="Or the list of it, as a path")


class RestoreOutput(BaseModel):
    """What is back."""

    restored: list[str] = Field(description="Paths of files that are in their place again")
    left: list[Left] = Field(description="Files that stay in the trash")
    count: int


@node_type(
    "storage/trash",
    version="1.0.0",
    resources=RESOURCES,
    idempotent=True,
    side_effects=True,
    effects=lambda parameters, input: Effects(writes=["file.*"]),
    timeout=3600.0,
)
def trash(parameters: TrashParameters, input: TrashInput, context: NodeContext) -> TrashOutput:
    """Move files into a trash folder, with a list by which `storage/restore` brings them back.

    A file whose bytes are not those that were decided about, that is gone, or that is a link, is left, with the
    reason. The list is written before the first file moves, and an attempt that was interrupted is taken up where it
    ended. Nothing is ever overwritten. Within one disk a file is moved in one step; to another it is copied, checked,
    and only then removed.

    Errors: PERMISSION_DENIED for files and folders outside the allowed roots.
    """
    place = hashlib.sha256(context.execution_key.encode()).hexdigest()[:8]
    folder = context.writable(Path(parameters.folder) / f"{context.instance_id}-{place}" / MANIFEST).parent
    manifest = folder / MANIFEST
    base = context.folder(parameters.relative_to) if parameters.relative_to else None
    known = {one.source: one for one in _read(manifest)} if manifest.exists() else {}
    plan, left = _planned(input.files, folder, base, known, context)
    if plan:
        _write(manifest, plan)
    moved = []
    for number, one in enumerate(plan):
        context.check_canceled()
        context.progress(number / len(plan), one.source)
        if (reason := _move(Path(one.source), Path(one.target), one.sha256)) is None:
            moved.append(one)
        else:
            left.append(Left(file_path=one.source, reason=reason))
    return TrashOutput(
        moved=moved, left=left, manifest=str(manifest), count=len(moved), bytes=sum(one.size for one in moved)
    )


@node_type(
    "storage/restore",
    version="1.0.0",
    resources=RESOURCES,
    idempotent=True,
    side_effects=True,
    effects=lambda parameters, input: Effects(writes=["file.*"]),
    timeout=3600.0,
)
def restore(parameters: RestoreParameters, input: RestoreInput, context: NodeContext) -> RestoreOutput:
    """Bring files back from the trash to where they were: the undo, and the `compensate`, of `storage/trash`.

    A place that something else has taken meanwhile is not touched: that file stays in the trash, with the reason.
    Doing it twice changes nothing more.

    Errors: NOT_FOUND for the list, DATA_CORRUPTED when it is none, INVALID_ARGUMENT when nothing is named.
    """
    moved = input.moved
    if input.manifest is not None and not moved:
        moved = _read(context.readable(input.manifest))
    if not moved and input.manifest is None:
        raise RealmError(
            Code.INVALID_ARGUMENT,
            "there is nothing to restore: the input has neither moved nor manifest",
            hint="give it the output of storage/trash, or manifest: the path of its list",
        )
    output = RestoreOutput(restored=[], left=[], count=0)
    for number, one in enumerate(moved):
        context.check_canceled()
        context.progress(number / len(moved), one.source)
        reason = _move(context.writable(one.target), context.writable(one.source), one.sha256)
        if reason is None:
            output.restored.append(one.source)
        else:
            output.left.append(Left(file_path=one.target, reason=reason))
    output.count = len(output.restored)
    return output


def _planned(
    files: list[Unwanted], folder: Path, base: Path | None, known: dict[str, Moved], context: NodeContext
) -> tuple[list[Moved], list[Left]]:
    """What is to move where, each once; and what is not, with the reasons."""
    plan: dict[str, Moved] = {}
    taken = {one.target for one in known.values()}
    left = []
    for file in files:
        context.check_canceled()
        path = local_path(file.file_path).expanduser().absolute()
        if str(path) in plan:
            continue
        if (before := known.get(str(path))) is not None:
            plan[str(path)] = before
        elif (reason := _not_movable(path, file, context)) is not None:
            left.append(Left(file_path=str(path), reason=reason))
        else:
            digest = sha256_file(path)
            target = _target(path, folder, base, digest, taken)
            taken.add(str(target))
            plan[str(path)] = Moved(
                source=str(path), target=str(target), sha256=digest, size=path.stat().st_size
            )
    return list(plan.values()), left


def _not_movable(path: Path, file: Unwanted, context: NodeContext) -> str | None:
    if path.is_symlink():
        return "it is a link"
    context.writable(path)
    if not path.is_file():
        return "it is gone" if not path.exists() else "it is not a file"
    if file.sha256 is not None and sha256_file(path) != file.sha256:
        return "it has changed since this was decided"
    return None


def _target(path: Path, folder: Path, base: Path | None, digest: str, taken: set[str]) -> Path:
    inside = base is not None and path.resolve().is_relative_to(base)
    target = folder / (path.resolve().relative_to(base) if inside and base else Path(path.name))
    if str(target) in taken or target.name == MANIFEST:
        target = target.with_name(f"{target.stem}-{digest[:8]}{target.suffix}")
    number = 2
    while str(target) in taken:
        target = target.with_name(f"{path.stem}-{digest[:8]}-{number}{path.suffix}")
        number += 1
    return target


def _move(source: Path, target: Path, digest: str) -> str | None:
    """Move a file; the reason where that cannot be. A file that is there already, as it should be, is moved."""
    if not source.is_file():
        there = target.is_file() and sha256_file(target) == digest
        return None if there else "it is gone"
    if sha256_file(source) != digest:
        return "it has changed since this was decided"
    if target.exists():
        if not target.is_file() or sha256_file(target) != digest:
            return f"{target} is taken"
        source.unlink()  # An attempt was interrupted between the copy and this.
        return None
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        # Unlike rename, a link does not replace what somebody puts there at this very moment.
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        return f"{target} is taken"
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK):
            raise
        copy_atomically(source, target, sha256=digest, overwrite=False)
        stat = source.stat()
        os.utime(target, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    source.unlink()
    return None


def _write(manifest: Path, plan: list[Moved]) -> None:
    content: dict[str, Any] = {"moved": [one.model_dump() for one in plan]}
    with atomic_file(manifest) as file:
        file.write(json.dumps(content, ensure_ascii=False, indent=1).encode())


def _read(manifest: Path) -> list[Moved]:
    try:
        return [Moved.model_validate(one) for one in json.loads(manifest.read_bytes())["moved"]]
    except (ValueError, KeyError, TypeError) as error:
        raise RealmError(
            Code.DATA_CORRUPTED,
            f"{manifest} is not a list of files in the trash: {str(error).splitlines()[0]}",
            hint="name the manifest.json that storage/trash wrote",
        ) from None
