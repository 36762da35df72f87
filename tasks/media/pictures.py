"""The pictures that ``media/deduplicate`` compares: found, fingerprinted side by side, the one to keep first."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.errors import Code, RealmError
from ...core.names import is_ignored
from ...core.references import FileRef
from ..exceptions import to_record
from ..imaging.duplicates import Candidate
from ..imaging.formats import FORMATS

if TYPE_CHECKING:
    import numpy as np

    from ..context import NodeContext
    from .deduplicate import DeduplicateInput, DeduplicateParameters, FailureReport, Item

THREADS = 4
"""Decoders release the interpreter; more than this starve each other of memory."""
AHEAD = 64
"""Pictures that are worked on at once, so that a cancelled attempt ends soon."""
LARGEST_VECTOR = 1 << 20

_SUFFIXES = {suffix for format in FORMATS.values() for suffix in format.suffixes}


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture with everything that decides about it."""

    name: str
    file_path: str | None
    reference: FileRef | None
    candidate: Candidate
    phash: str | None
    width: int | None
    height: int | None
    size: int
    taken: float | None
    """Seconds since 1970 when it was taken, else the file's own time, where there is one."""
    quality: float | None

    def report(self) -> dict[str, Any]:
        """The fields of a :class:`.deduplicate.PictureReport`."""
        return {
            "name": self.name,
            "file_path": self.file_path,
            "file": self.reference,
            "sha256": self.candidate.sha256,
            "phash": self.phash,
            "width": self.width,
            "height": self.height,
            "size": self.size,
        }


def gathered(
    parameters: DeduplicateParameters, input: DeduplicateInput, context: NodeContext
) -> tuple[list[Picture], list[FailureReport], int]:
    """The pictures in the order of preference, those that cannot be compared, and the number of links that were not
    followed.

    Raises INVALID_ARGUMENT for no picture at all, OUT_OF_RANGE for more than ``max_files``, and what ends the whole
    attempt (cancelled, out of time).
    """
    from .deduplicate import FailureReport, Item

    links: list[Path] = []
    items = [*input.items, *(Item(file=file) for file in input.files)]
    if parameters.folder is not None:
        paths = files_in(context.folder(parameters.folder), links, recursive=parameters.recursive)
        items += [Item(file_path=str(path)) for path in _bounded(paths, parameters.max_files)]
        if links:
            context.logger.info("%d links are not followed, the first is %s", len(links), links[0])
    if not items:
        raise RealmError(
            Code.INVALID_ARGUMENT,
            "there is nothing to compare: no picture in items, files or the folder",
            hint="give folder, or map a list of pictures to items",
        )
    if len(items) > parameters.max_files:
        raise _too_many(parameters.max_files)
    looks = "same-picture" in parameters.compare
    pictures: list[Picture] = []
    failures: list[FailureReport] = []
    for index, outcome in enumerate(_side_by_side(items, lambda item: _picture(item, context, looks))):
        context.check_canceled()
        context.progress(0.78 * index / len(items), f"looked at {index} of {len(items)}")
        if isinstance(outcome, Picture):
            pictures.append(outcome)
            continue
        record = to_record(outcome)
        item = items[index]
        named = item.file_path or next((r.name for r in (item.image, item.file) if r), "?")
        failures.append(FailureReport(name=named, code=record.code, message=record.message))
    return sorted(pictures, key=_preference(parameters.keep)), failures, len(links)


def files_in(folder: Path, links: list[Path], *, recursive: bool) -> Iterator[Path]:
    """The picture files below ``folder`` by name, in a stable order; not hidden ones and a NAS's own.

    Links, to pictures or folders, are not followed but added to ``links``: a copy may be deleted, and must not be what
    a link stands for.
    """
    for base, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if recursive and not is_ignored(name))
        links += [path for name in folders if (path := Path(base, name)).is_symlink()]
        for name in sorted(names):
            path = Path(base, name)
            if is_ignored(name) or path.suffix.lower() not in _SUFFIXES:
                continue
            if path.is_symlink():
                links.append(path)
            else:
                yield path


def _bounded(paths: Iterator[Path], most: int) -> Iterator[Path]:
    for index, path in enumerate(paths):
        if index >= most:
            raise _too_many(most)
        yield path


def _too_many(most: int) -> RealmError:
    return RealmError(
        Code.OUT_OF_RANGE,
        f"there are more than {most} pictures",
        hint="compare one folder at a time, or raise max_files",
    )


def _side_by_side(
    items: list[Item], work: Callable[[Item], Picture]
) -> Iterator[Picture | RealmError | OSError]:
    """The outcome for each item in order, worked on by a few threads, never far ahead of what is taken."""

    def attempt(item: Item) -> Picture | RealmError | OSError:
        try:
            return work(item)
        except (RealmError, OSError) as error:
            return error

    with ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1), thread_name_prefix="fingerprint") as pool:
        for start in range(0, len(items), AHEAD):
            yield from pool.map(attempt, items[start : start + AHEAD])


@dataclass(frozen=True, slots=True)
class _Located:
    """Where an item's bytes are. A reference is fetched only when somebody must look at it."""

    name: str
    sha256: str
    size: int
    path: Callable[[], Path]
    file_path: str | None = None
    reference: FileRef | None = None
    modified: float | None = None


def _located(item: Item, context: NodeContext) -> _Located:
    from ..artifacts import sha256_file

    if (reference := item.image or item.file) is not None:
        plain = FileRef(**reference.model_dump(include=set(FileRef.model_fields)))
        return _Located(
            reference.name,
            reference.sha256,
            reference.size,
            lambda: context.artifacts.fetch(reference, context.workdir),
            reference=plain,
        )
    if not item.file_path:
        raise RealmError(
            Code.INVALID_ARGUMENT, "an item names no picture", hint="give image, file or file_path"
        )
    path = context.readable(item.file_path)
    facts = path.stat()
    return _Located(
        path.name, sha256_file(path), facts.st_size, lambda: path, str(path), modified=facts.st_mtime
    )


def _picture(item: Item, context: NodeContext, looks: bool) -> Picture:
    from ..imaging.fingerprint import fingerprint

    at = _located(item, context)
    seen = None
    if looks and item.phash is None:
        seen = fingerprint(at.path(), name=at.name, max_pixels=context.settings.max_pixels)
    phash = seen.phash if seen else item.phash
    telling = phash is not None and not (seen and seen.plain)
    known = seen or item.image
    taken = known.captured_at if known else None
    return Picture(
        name=at.name,
        file_path=at.file_path,
        reference=at.reference,
        candidate=Candidate(
            sha256=at.sha256,
            phash=int(phash, 16) if phash and telling else None,
            vector=_vector(item, context),
            space=item.model or "",
        ),
        phash=phash,
        width=known.width if known else None,
        height=known.height if known else None,
        size=at.size,
        taken=taken.timestamp() if taken else at.modified,
        quality=item.quality_score,
    )


def _vector(item: Item, context: NodeContext) -> np.ndarray | None:
    """The item's vector, of length 1."""
    import numpy as np

    if item.vector is None:
        return None
    if isinstance(item.vector, FileRef):
        if item.vector.size > LARGEST_VECTOR:
            raise RealmError(Code.OUT_OF_RANGE, f"{item.vector.name} is too large for one vector")
        path = context.artifacts.fetch(item.vector, context.workdir)
        try:
            vector = np.load(path, allow_pickle=False).astype(np.float32).ravel()
        except (ValueError, EOFError, OSError, AttributeError) as error:
            raise RealmError(Code.DATA_CORRUPTED, f"{item.vector.name} is no vector: {error}") from error
    else:
        vector = np.asarray(item.vector, np.float32)
    length = float(np.linalg.norm(vector))
    if not vector.size or not np.isfinite(length) or length == 0:
        raise RealmError(Code.INVALID_ARGUMENT, "a vector must have finite numbers that are not all zero")
    return vector / length


def _preference(keep: str) -> Callable[[Picture], Any]:
    """The key that sorts the picture to keep first. What decides last never depends on the order of the input."""

    def last(p: Picture) -> tuple[Any, ...]:
        # «IMG_1.jpg» before «IMG_1 (1).jpg», and a folder before the folders in it.
        where = Path(p.file_path or p.name)
        return len(where.parts), len(where.name), str(where), p.candidate.sha256

    far = float("inf")

    def taken(p: Picture) -> float:
        return far if p.taken is None else p.taken

    keys: dict[str, Callable[[Picture], Any]] = {
        "best": lambda p: (-(p.width or 0) * (p.height or 0), -(p.quality or 0), -p.size, taken(p), *last(p)),
        "largest": lambda p: (-p.size, *last(p)),
        "oldest": lambda p: (taken(p), *last(p)),
        "newest": lambda p: (far if p.taken is None else -p.taken, *last(p)),
        "first": lambda p: 0,
    }
    return keys[keep]
