"""The tables of what models found in media: stages, embeddings, faces and people, clusters.

Vectors are little-endian float32 bytes. What is said about a picture is keyed by its content (sha256), so that a
renamed or moved file keeps everything; ``source_sha256`` is the original that the picture was made from.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Index,
    Integer,
    LargeBinary,
    String,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from .models import Row, belongs_to, key, one_of
from .types import Json, Words

STAGE_STATUSES = ("pending", "done", "empty", "failed")
"""``empty``: it was done, and nothing was found. That is an answer, not a reason to look again."""
SPACE_STATUSES = ("building", "active", "retired")
ASSIGNERS = ("auto", "person")

LIVING = text("deleted_at IS NULL")
ACTIVE = text("status = 'active'")

_counter = BigInteger().with_variant(Integer(), "sqlite")


def digest(**options: Any) -> Mapped[str]:
    """A column of sha256 digests."""
    return mapped_column(String(64), **options)


class MediaStageRow(Row):
    """What became of one stage of one content, by one model with one set of parameters."""

    __tablename__ = "media_stages"

    sha256: Mapped[str] = digest(primary_key=True)
    stage: Mapped[str] = mapped_column(Words(50), primary_key=True)
    model: Mapped[str] = mapped_column(Words(255), primary_key=True)
    parameters_hash: Mapped[str] = digest(primary_key=True)
    status: Mapped[str] = mapped_column(Words(20))
    attempts: Mapped[int]
    not_before: Mapped[datetime | None]
    result: Mapped[dict[str, Any] | None] = mapped_column(Json)
    error: Mapped[dict[str, Any] | None] = mapped_column(Json)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    __table_args__ = (one_of("status", STAGE_STATUSES), Index(None, "stage", "status", "not_before"))


class MediaSpaceRow(Row):
    """The embeddings of one model in one project. ``generation`` counts its changes; at most one is active."""

    __tablename__ = "media_spaces"

    id: Mapped[str] = key()
    project_id: Mapped[str] = belongs_to("projects.id")
    model: Mapped[str] = mapped_column(Words(255))
    dimension: Mapped[int]
    status: Mapped[str] = mapped_column(Words(20))
    generation: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    __table_args__ = (
        UniqueConstraint("project_id", "model"),
        one_of("status", SPACE_STATUSES),
        CheckConstraint("dimension > 0", name="dimension"),
        Index(
            "ux_media_spaces_active", "project_id", unique=True, sqlite_where=ACTIVE, postgresql_where=ACTIVE
        ),
    )


class MediaEmbeddingRow(Row):
    """One picture as a vector. A deleted one stays as a row without a vector, so that every index learns of it."""

    __tablename__ = "media_embeddings"

    id: Mapped[int] = mapped_column(_counter, primary_key=True, autoincrement=True)
    space_id: Mapped[str] = belongs_to("media_spaces.id")
    sha256: Mapped[str] = digest()
    source_sha256: Mapped[str] = digest()
    name: Mapped[str] = mapped_column(Words(255))
    uri: Mapped[str] = mapped_column(Words())
    generation: Mapped[int] = mapped_column(BigInteger)
    vector: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]

    __table_args__ = (
        Index(
            "ux_media_embeddings_living",
            "space_id",
            "sha256",
            unique=True,
            sqlite_where=LIVING,
            postgresql_where=LIVING,
        ),
        Index(None, "space_id", "generation"),
        Index(None, "source_sha256"),
        {"sqlite_autoincrement": True},  # an id is never given twice
    )


class MediaPersonRow(Row):
    """A person, by a stable id; ``merged_into`` says who it turned out to be."""

    __tablename__ = "media_people"

    id: Mapped[str] = key()
    project_id: Mapped[str] = belongs_to("projects.id", index=True)
    name: Mapped[str | None] = mapped_column(Words(255))
    merged_into: Mapped[str | None] = belongs_to("media_people.id", "SET NULL", index=True)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class MediaPersonVectorRow(Row):
    """The mean of a person's faces as one model sees them, and of how many."""

    __tablename__ = "media_person_vectors"

    person_id: Mapped[str] = belongs_to("media_people.id", primary_key=True)
    model: Mapped[str] = mapped_column(Words(255), primary_key=True)
    mean: Mapped[bytes] = mapped_column(LargeBinary)
    faces: Mapped[int]


class MediaFaceRow(Row):
    """A face in a picture: where (shares of width and height), and whose."""

    __tablename__ = "media_faces"

    id: Mapped[str] = key()
    project_id: Mapped[str] = belongs_to("projects.id")
    sha256: Mapped[str] = digest()
    source_sha256: Mapped[str] = digest()
    detector: Mapped[str] = mapped_column(Words(50))
    ordinal: Mapped[int]
    x: Mapped[float]
    y: Mapped[float]
    width: Mapped[float]
    height: Mapped[float]
    confidence: Mapped[float]
    person_id: Mapped[str | None] = belongs_to("media_people.id", "SET NULL", index=True)
    distance: Mapped[float | None]
    assigned_by: Mapped[str] = mapped_column(Words(20))
    name: Mapped[str] = mapped_column(Words(255))
    uri: Mapped[str] = mapped_column(Words())
    created_at: Mapped[datetime]

    __table_args__ = (
        UniqueConstraint("project_id", "sha256", "detector", "ordinal"),
        one_of("assigned_by", ASSIGNERS),
        Index(None, "source_sha256"),
    )


class MediaFaceVectorRow(Row):
    """A face as one model sees it."""

    __tablename__ = "media_face_vectors"

    face_id: Mapped[str] = belongs_to("media_faces.id", primary_key=True)
    model: Mapped[str] = mapped_column(Words(255), primary_key=True)
    vector: Mapped[bytes] = mapped_column(LargeBinary)


class MediaClusteringRow(Row):
    """One division of a space into clusters. ``state`` is what tells a new picture's cluster."""

    __tablename__ = "media_clusterings"

    id: Mapped[str] = key()
    space_id: Mapped[str] = belongs_to("media_spaces.id")
    version: Mapped[int]
    parameters: Mapped[dict[str, Any]] = mapped_column(Json)
    state: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime]

    __table_args__ = (UniqueConstraint("space_id", "version"),)


class MediaClusterRow(Row):
    """One cluster, with a label that its pictures share."""

    __tablename__ = "media_clusters"

    clustering_id: Mapped[str] = belongs_to("media_clusterings.id", primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    label: Mapped[str] = mapped_column(Words(255))
    size: Mapped[int]


class MediaClusterMemberRow(Row):
    """In which cluster a picture is, and how far from its middle."""

    __tablename__ = "media_cluster_members"

    clustering_id: Mapped[str] = belongs_to("media_clusterings.id", primary_key=True)
    sha256: Mapped[str] = digest(primary_key=True)
    number: Mapped[int]
    distance: Mapped[float]

    __table_args__ = (Index(None, "clustering_id", "number", "distance"),)
