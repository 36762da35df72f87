"""Groups of copies among many pictures, with three verdicts: the same bytes, the same picture, a similar one.

Every member of a group is compared with its keeper, never with another member: a chain of small differences must not
bring together pictures that differ.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from .hashing import BITS

if TYPE_CHECKING:
    import numpy as np

Verdict = Literal["exact", "same-picture", "similar"]
ALL: tuple[Verdict, ...] = ("exact", "same-picture", "similar")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A picture to compare. ``phash`` is ``None`` where it says nothing, ``vector`` (of length 1) where there is
    none; vectors of different ``space`` (model) do not compare."""

    sha256: str
    phash: int | None = None
    vector: np.ndarray | None = None
    space: str = ""


@dataclass(frozen=True, slots=True)
class Member:
    """One copy: which candidate, by what verdict, and how alike it is to the keeper, 0–1."""

    index: int
    verdict: Verdict
    similarity: float


@dataclass(frozen=True, slots=True)
class Group:
    """A keeper and its copies, the most alike first."""

    keeper: int
    members: tuple[Member, ...]


def group(
    candidates: Sequence[Candidate],
    *,
    verdicts: Sequence[Verdict] = ALL,
    same_picture: float = 0.9,
    similar: float = 0.95,
    checkpoint: Callable[[int], None] = lambda done: None,
) -> list[Group]:
    """The groups of two or more among ``candidates``, which come in the order of preference: a keeper is always the
    first of its group. ``checkpoint(done)`` is called for each candidate and may raise to stop.

    ``same_picture`` is the least 1 − d/64 of two perceptual hashes, ``similar`` the least cosine of two vectors.
    """
    table = _Table(candidates, set(verdicts), same_picture, similar)
    groups: list[Group] = []
    for index in range(len(candidates)):
        checkpoint(index)
        if table.free[index] and (members := table.copies_of(index)):
            groups.append(Group(index, tuple(members)))
    return groups


class _Table:
    """The candidates as columns, and which of them belong to no group yet."""

    def __init__(
        self, candidates: Sequence[Candidate], verdicts: set[Verdict], same_picture: float, similar: float
    ) -> None:
        import numpy as np

        self._verdicts = verdicts
        self._least_bits = same_picture
        self._least_cosine = similar
        self.free = np.ones(len(candidates), bool)
        codes = {sha256: code for code, sha256 in enumerate(dict.fromkeys(c.sha256 for c in candidates))}
        self._bytes = np.array([codes[c.sha256] for c in candidates], np.int64)
        self._hashes = np.array([c.phash or 0 for c in candidates], np.uint64)
        self._hashed = np.array([c.phash is not None for c in candidates], bool)
        self._spaces: dict[tuple[str, int], tuple[np.ndarray, np.ndarray]] = {}
        self._row: dict[int, tuple[tuple[str, int], int]] = {}
        by_space: dict[tuple[str, int], list[int]] = {}
        for index, candidate in enumerate(candidates):
            if candidate.vector is not None and "similar" in verdicts:
                by_space.setdefault((candidate.space, len(candidate.vector)), []).append(index)
        for space, indices in by_space.items():
            self._spaces[space] = np.array(indices), np.stack([candidates[i].vector for i in indices])  # pyright: ignore
            self._row |= {index: (space, row) for row, index in enumerate(indices)}

    def copies_of(self, keeper: int) -> list[Member]:
        """The free candidates behind ``keeper`` that are copies of it; they are free no longer."""
        found: dict[int, Member] = {}
        # The weakest verdict first, so that a stronger one replaces it.
        for verdict, similarities in (
            ("similar", self._cosines(keeper)),
            ("same-picture", self._likeness(keeper)),
            ("exact", self._identity(keeper)),
        ):
            if verdict in self._verdicts:
                for index, similarity in similarities:
                    if index > keeper and self.free[index]:
                        found[index] = Member(index, verdict, round(similarity, 4))
        self.free[[keeper, *found]] = False
        return sorted(found.values(), key=lambda m: (ALL.index(m.verdict), -m.similarity, m.index))

    def _identity(self, keeper: int) -> list[tuple[int, float]]:
        import numpy as np

        return [(int(i), 1.0) for i in np.flatnonzero(self._bytes == self._bytes[keeper])]

    def _likeness(self, keeper: int) -> list[tuple[int, float]]:
        import numpy as np

        if not self._hashed[keeper]:
            return []
        alike = 1 - np.bitwise_count(self._hashes ^ self._hashes[keeper]) / BITS
        return [(int(i), float(alike[i])) for i in np.flatnonzero(self._hashed & (alike >= self._least_bits))]

    def _cosines(self, keeper: int) -> list[tuple[int, float]]:
        import numpy as np

        if keeper not in self._row:
            return []
        space, row = self._row[keeper]
        indices, matrix = self._spaces[space]
        cosines = np.minimum(matrix @ matrix[row], 1.0)
        return [(int(indices[i]), float(cosines[i])) for i in np.flatnonzero(cosines >= self._least_cosine)]
