"""Divisions of a library into clusters. Each retraining is a new version beside the old; the newest one counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select

from ..core.ids import new_id
from .cleaning import plain_json
from .engine import Database
from .media_analysis_models import MediaClusteringRow, MediaClusterMemberRow, MediaClusterRow, MediaSpaceRow
from .records import Shape
from .types import moment
from .upsert import insert

VERSIONS_KEPT = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Clustering:
    """One division of a space. ``state`` is what assigns a new picture; its form is the trainer's affair."""

    id: str
    space_id: str
    version: int
    parameters: Mapping[str, Any]
    state: bytes
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """One cluster and what its pictures share."""

    number: int
    label: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A picture's place in a cluster; ``distance`` is from its middle."""

    sha256: str
    number: int
    distance: float


_clustering = Shape(Clustering, MediaClusteringRow)
_cluster = Shape(Cluster, MediaClusterRow)
_member = Shape(Member, MediaClusterMemberRow)


class MediaClusters:
    """Clusterings, their clusters and members."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(
        self,
        space_id: str,
        parameters: Mapping[str, Any],
        state: bytes,
        clusters: Iterable[Cluster],
        members: Sequence[Member],
    ) -> Clustering:
        """Record a division as the space's next version; versions beyond the newest few are dropped."""
        row, id = MediaClusteringRow, new_id("clustering")
        with self._database.write() as connection:
            connection.execute(select(MediaSpaceRow.id).where(MediaSpaceRow.id == space_id).with_for_update())
            last = connection.execute(select(func.max(row.version)).where(row.space_id == space_id)).scalar()
            version = (last or 0) + 1
            made = insert(connection, row).values(
                id=id,
                space_id=space_id,
                version=version,
                parameters=plain_json(parameters),
                state=state,
                created_at=moment(),
            )
            saved = _clustering(connection.execute(made.returning(*_clustering.columns)).one())
            listed = [
                {"clustering_id": id, "number": c.number, "label": c.label[:255], "size": c.size}
                for c in clusters
            ]
            placed = [
                {"clustering_id": id, "sha256": m.sha256, "number": m.number, "distance": m.distance}
                for m in members
            ]
            for table, rows in ((MediaClusterRow, listed), (MediaClusterMemberRow, placed)):
                if rows:
                    connection.execute(insert(connection, table), rows)
            old = delete(row).where(row.space_id == space_id, row.version <= version - VERSIONS_KEPT)
            connection.execute(old)
            return saved

    def latest(self, space_id: str) -> Clustering | None:
        """The division that counts."""
        row = MediaClusteringRow
        statement = select(*_clustering.columns).where(row.space_id == space_id)
        with self._database.read() as connection:
            found = connection.execute(statement.order_by(row.version.desc()).limit(1)).one_or_none()
        return None if found is None else _clustering(found)

    def clusters(self, clustering_id: str) -> list[Cluster]:
        """The clusters, the largest first."""
        row = MediaClusterRow
        statement = select(*_cluster.columns).where(row.clustering_id == clustering_id)
        with self._database.read() as connection:
            return [
                _cluster(each) for each in connection.execute(statement.order_by(row.size.desc(), row.number))
            ]

    def members(self, clustering_id: str, number: int, *, limit: int = 50) -> list[Member]:
        """The pictures of a cluster, the most typical first."""
        row = MediaClusterMemberRow
        statement = select(*_member.columns).where(row.clustering_id == clustering_id, row.number == number)
        with self._database.read() as connection:
            ordered = statement.order_by(row.distance, row.sha256).limit(limit)
            return [_member(each) for each in connection.execute(ordered)]

    def place_of(self, clustering_id: str, sha256: str) -> Member | None:
        """Where a picture is, if it was placed."""
        row = MediaClusterMemberRow
        statement = select(*_member.columns).where(row.clustering_id == clustering_id, row.sha256 == sha256)
        with self._database.read() as connection:
            found = connection.execute(statement).one_or_none()
        return None if found is None else _member(found)

    def place(self, clustering_id: str, member: Member) -> None:
        """Note where a new picture belongs; the clusters themselves stay as they were trained."""
        with self._database.write() as connection:
            connection.execute(
                insert(connection, MediaClusterMemberRow)
                .values(
                    clustering_id=clustering_id,
                    sha256=member.sha256,
                    number=member.number,
                    distance=member.distance,
                )
                .on_conflict_do_nothing()
            )
