"""Nearest neighbours among unit vectors: exact for a small set, HNSW (Malkov and Yashunin 2018) for a large one.

An index is a cache of what is recorded elsewhere. It knows of which space, and up to which generation; what does not
fit is thrown away and built anew. HNSW cannot delete, so the dead are marked and never returned, and the index is
built anew without them when they are many.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import threading
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

import numpy as np

from ...core.errors import FINAL, Code, RealmError
from .compat import INSTALL

FLAT_BELOW = 10_000
"""Fewer vectors than this are searched exactly: it takes a millisecond."""

NEIGHBOURS = 32
EF_CONSTRUCTION = 128
EF_SEARCH = 64
"""The specification's parameters of HNSW (001 §3.2.3)."""

DEAD_SHARE = 0.2
"""The share of dead vectors from which on an index is built anew."""

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Hit:
    """A neighbour: its id, and the cosine."""

    id: int
    similarity: float


class Unusable(Exception):
    """A file that is no index of the space asked for; the message says why."""


def require_faiss() -> ModuleType:
    """The ``faiss`` module; DEPENDENCY_FAILURE with the install command where it is missing."""
    if importlib.util.find_spec("faiss") is None:
        raise RealmError(
            Code.DEPENDENCY_FAILURE,
            "search needs faiss-cpu, which is not installed",
            hint=f"install it with: {INSTALL}",
            details={"package": "faiss-cpu", "install": INSTALL, FINAL: True},
        )
    return importlib.import_module("faiss")


class VectorIndex:
    """The vectors of one space up to one ``generation``, by id. Safe to share between threads."""

    def __init__(
        self, space: str, dimension: int, *, generation: int = 0, flat_below: int = FLAT_BELOW
    ) -> None:
        self.space, self.dimension, self.generation = space, dimension, generation
        self._flat_below = flat_below
        self._faiss = require_faiss()
        self._index = self._new_index(0)
        self._ids = np.empty(0, np.int64)
        self._positions: dict[int, int] = {}
        """Of the living."""
        self._dead: set[int] = set()
        """Positions."""
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return len(self._positions)

    def __contains__(self, id: object) -> bool:
        return id in self._positions

    @property
    def ids(self) -> set[int]:
        """The ids of the living."""
        return set(self._positions)

    @property
    def dead(self) -> int:
        """How many are marked as dead."""
        return len(self._dead)

    @property
    def kind(self) -> str:
        """``flat`` or ``hnsw``."""
        return "hnsw" if hasattr(self._index, "hnsw") else "flat"

    def add(self, ids: Sequence[int], vectors: np.ndarray) -> None:
        """Add unit vectors (n, dimension); ids that are there are left as they are."""
        with self._lock:
            new = [row for row, id in enumerate(ids) if id not in self._positions]
            if not new:
                return
            added = np.ascontiguousarray(vectors[new], np.float32)
            if self.kind == "flat" and len(self._ids) + len(new) >= self._flat_below:
                self._replace(len(self) + len(new))
            first = len(self._ids)
            self._index.add(added)
            self._ids = np.concatenate([self._ids, np.array([ids[row] for row in new], np.int64)])
            self._positions.update((ids[row], first + place) for place, row in enumerate(new))

    def remove(self, ids: Sequence[int]) -> None:
        """Mark ids as dead; unknown ones are ignored. Builds anew when too many are."""
        with self._lock:
            for id in ids:
                if (position := self._positions.pop(id, None)) is not None:
                    self._dead.add(position)
            if self._dead and len(self._dead) >= DEAD_SHARE * len(self._ids):
                self._replace(len(self))

    def search(self, queries: np.ndarray, k: int) -> list[list[Hit]]:
        """The ``k`` nearest living neighbours of each unit vector (n, dimension), the nearest first."""
        with self._lock:
            wanted = min(k, len(self))
            if not wanted:
                return [[] for _ in queries]
            selector, options = self._parameters(wanted)
            asked = np.ascontiguousarray(queries, np.float32)
            squares, positions = self._index.search(asked, wanted, params=options)
            del selector  # faiss holds no reference to it; it had to live until here
            return [
                [
                    Hit(int(self._ids[position]), float(1 - square / 2))
                    for square, position in zip(row, places, strict=True)
                    if position >= 0
                ]
                for row, places in zip(squares, positions, strict=True)
            ]

    def save(self, file: BinaryIO) -> None:
        """Write the index; the parts carry checksums."""
        with self._lock:
            meta = {
                "format": FORMAT,
                "space": self.space,
                "dimension": self.dimension,
                "generation": self.generation,
            }
            np.savez(
                file,
                meta=np.frombuffer(json.dumps(meta).encode(), np.uint8),
                ids=self._ids,
                dead=np.array(sorted(self._dead), np.int64),
                index=self._faiss.serialize_index(self._index),
            )

    @classmethod
    def load(cls, path: Path, space: str, dimension: int, *, flat_below: int = FLAT_BELOW) -> VectorIndex:
        """The index in ``path``. :class:`Unusable` when it is torn, or of another space."""
        meta = read_meta(path)
        if (meta.get("format"), meta.get("space"), meta.get("dimension")) != (FORMAT, space, dimension):
            raise Unusable(f"it is of {meta.get('space')} with {meta.get('dimension')} dimensions")
        index = cls(space, dimension, generation=int(meta["generation"]), flat_below=flat_below)
        try:
            with np.load(path, allow_pickle=False) as parts:
                index._ids, dead = parts["ids"], parts["dead"]
                index._index = index._faiss.deserialize_index(parts["index"])
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, RuntimeError) as error:
            raise Unusable(f"it cannot be read: {error}") from None
        if index._index.ntotal != len(index._ids) or index._index.d != dimension:
            raise Unusable("its parts do not fit together")
        index._dead = set(dead.tolist())
        index._positions = {id: n for n, id in enumerate(index._ids.tolist()) if n not in index._dead}
        return index

    def _parameters(self, k: int) -> tuple[Any, Any]:
        """What keeps the dead out of a search, and the search's options, which refer to it."""
        faiss, selector = self._faiss, None
        if self._dead:
            dead = faiss.IDSelectorBatch(np.fromiter(self._dead, np.int64, len(self._dead)))
            selector = (dead, faiss.IDSelectorNot(dead))
        if self.kind == "flat":
            options = faiss.SearchParameters(sel=selector[1]) if selector else None
            return selector, options
        options = faiss.SearchParametersHNSW()
        options.efSearch = max(EF_SEARCH, 2 * k)
        if selector:
            options.sel = selector[1]
        return selector, options

    def _replace(self, expected: int) -> None:
        """Build anew from the living, of the kind that ``expected`` vectors need."""
        kept = np.array(sorted(self._positions.values()), np.int64)
        vectors = self._index.reconstruct_batch(kept) if len(kept) else None
        self._index = self._new_index(expected)
        if vectors is not None:
            self._index.add(vectors)
        self._ids = self._ids[kept]
        self._positions = {int(id): place for place, id in enumerate(self._ids)}
        self._dead = set()

    def _new_index(self, expected: int) -> Any:
        # L2 rather than the inner product: on unit vectors they order alike, and HNSW's choice of neighbours wants
        # a metric.
        if expected < self._flat_below:
            return self._faiss.IndexFlatL2(self.dimension)
        index = self._faiss.IndexHNSWFlat(self.dimension, NEIGHBOURS)
        index.hnsw.efConstruction = EF_CONSTRUCTION
        index.hnsw.efSearch = EF_SEARCH
        return index


def read_meta(path: Path) -> dict[str, Any]:
    """What the index in ``path`` is of. :class:`Unusable` when it is torn or no index."""
    try:
        with np.load(path, allow_pickle=False) as parts:
            meta = json.loads(parts["meta"].tobytes())
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise Unusable(f"it cannot be read: {error}") from None
    if not isinstance(meta, dict):
        raise Unusable("it says nothing about itself")
    return meta
