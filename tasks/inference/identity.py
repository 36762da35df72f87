"""Whose face is it: the decision, on vectors alone.

A wrong merge shows a stranger under a name and is hard to find; a wrong split is one click to mend. So in doubt a face
is somebody new:

- the distance to a person is the root mean square over *all* of the person's faces, not over the nearest or to their
  middle; so a chain of look-alikes does not grow into one person;
- two faces of one picture are two people.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

THRESHOLD = 0.6
"""The distance of unit vectors below which two faces are one person's (001 §3.2.3)."""

FARTHEST = 1.5
"""The distance at which the confidence is 0 (001 §3.2.3)."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whose a face is: an index into the known people, or ``None`` for somebody new; how far off (0 for the new)."""

    person: int | None
    distance: float


NEW = Verdict(None, 0.0)


def distances(faces: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Root mean square distances (faces, people) of unit vectors to all faces of people, of whom ``means`` are the
    means of theirs (not of unit length: how short one is says how much its faces differ)."""
    import numpy as np

    return np.sqrt(np.maximum(2 - 2 * faces @ means.T, 0))


def identify(
    faces: np.ndarray, means: np.ndarray, *, threshold: float = THRESHOLD, taken: Collection[int] = ()
) -> list[Verdict]:
    """Whose the faces (n, d) of one picture are, among the people whose means (p, d) are known.

    Nobody is given two faces, and none of ``taken`` any: they are in the picture already. The surest come first.
    """
    import numpy as np

    verdicts = [NEW] * len(faces)
    if not len(faces) or not len(means):
        return verdicts
    apart = distances(faces, means)
    apart[:, list(taken)] = np.inf
    while True:
        face, person = np.unravel_index(int(apart.argmin()), apart.shape)
        distance = float(apart[face, person])
        if not distance < threshold:
            return verdicts
        verdicts[int(face)] = Verdict(int(person), distance)
        apart[face, :] = np.inf
        apart[:, person] = np.inf


def confidence(distance: float) -> float:
    """How sure a match at this distance is, 0–1: the specification's formula.

    >>> confidence(0.0), confidence(0.6), confidence(2.0)
    (1.0, 0.6, 0.0)
    """
    return round(max(0.0, min(1.0, 1.0 - distance / FARTHEST)), 4)
