"""A library divided into clusters: standardise, keep 95 % of the variance (PCA), k-means (001 §3.2.3).

What comes out also says where a new picture belongs, without training again.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np

from .vectors import require_faiss

VARIANCE = 0.95
LEAST_MEMBERS = 5
"""A cluster of fewer pictures than this on average says nothing: fewer clusters are made then."""

SEED = 42
ITERATIONS = 25
TRIES = 3
POINTS_PER_CENTRE = 256
"""More pictures than this for each cluster do not move its middle; a sample of them trains it."""


@dataclass(frozen=True, slots=True)
class Clusters:
    """A trained division of vectors of one model. All arrays are float32."""

    mean: np.ndarray
    """(d,)."""
    deviation: np.ndarray
    """(d,); 1 where the vectors do not differ."""
    components: np.ndarray
    """(d, r): the directions kept."""
    centres: np.ndarray
    """(k, r), the largest cluster's first."""

    def __len__(self) -> int:
        return len(self.centres)

    def reduce(self, vectors: np.ndarray) -> np.ndarray:
        """Vectors (n, d) in the space in which they are compared: (n, r)."""
        return ((np.atleast_2d(vectors) - self.mean) / self.deviation @ self.components).astype(np.float32)

    def place(self, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The cluster of each vector (n, d), and how far from its middle it is."""
        reduced = self.reduce(vectors)
        squares = (
            (reduced**2).sum(axis=1)[:, None]
            - 2 * reduced @ self.centres.T
            + (self.centres**2).sum(axis=1)[None]
        )
        numbers = squares.argmin(axis=1)
        nearest = np.take_along_axis(squares, numbers[:, None], axis=1)[:, 0]
        return numbers, np.sqrt(np.maximum(nearest, 0))

    def to_bytes(self) -> bytes:
        """For :meth:`from_bytes`."""
        file = io.BytesIO()
        np.savez(
            file,
            mean=self.mean,
            deviation=self.deviation,
            components=self.components,
            centres=self.centres,
        )
        return file.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Clusters:
        """What :meth:`to_bytes` gave."""
        with np.load(io.BytesIO(data), allow_pickle=False) as parts:
            return cls(*(parts[name] for name in ("mean", "deviation", "components", "centres")))


def cluster_count(pictures: int, wanted: int) -> int:
    """How many clusters so many pictures can fill.

    >>> cluster_count(1000, 50), cluster_count(60, 50), cluster_count(3, 50)
    (50, 12, 1)
    """
    return max(1, min(wanted, pictures // LEAST_MEMBERS))


def train_clusters(vectors: np.ndarray, wanted: int = 50) -> Clusters:
    """Divide vectors (n, d), n ≥ 1, into ``wanted`` clusters or as many as they can fill. The same vectors give the
    same clusters."""
    mean = vectors.mean(axis=0, dtype=np.float64)
    deviation = vectors.std(axis=0, dtype=np.float64)
    deviation[deviation < 1e-9] = 1.0
    standard = (vectors - mean) / deviation
    components = _components(standard)
    reduced = np.ascontiguousarray(standard @ components, np.float32)
    centres = _centres(reduced, cluster_count(len(vectors), wanted))
    trained = Clusters(
        mean.astype(np.float32), deviation.astype(np.float32), components.astype(np.float32), centres
    )
    sizes = np.bincount(trained.place(vectors)[0], minlength=len(centres))
    order = np.argsort(-sizes, kind="stable")
    return Clusters(trained.mean, trained.deviation, trained.components, centres[order])


def _components(standard: np.ndarray) -> np.ndarray:
    """The fewest directions that keep :data:`VARIANCE` of the variance, as columns."""
    covariance = standard.T @ standard / max(1, len(standard) - 1)
    values, directions = np.linalg.eigh(covariance)
    values, directions = np.maximum(values[::-1], 0), directions[:, ::-1]
    total = values.sum()
    shares = np.cumsum(values) / total if total > 0 else np.ones(len(values))
    kept = int(np.searchsorted(shares, VARIANCE)) + 1
    return directions[:, :kept]


def _centres(reduced: np.ndarray, count: int) -> np.ndarray:
    if count == 1:
        return reduced.mean(axis=0, keepdims=True)
    means = require_faiss().Kmeans(
        reduced.shape[1],
        count,
        niter=ITERATIONS,
        nredo=TRIES,
        seed=SEED,
        min_points_per_centroid=1,
        max_points_per_centroid=POINTS_PER_CENTRE,
    )
    means.train(reduced)
    return np.asarray(means.centroids, np.float32)
