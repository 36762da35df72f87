"""What models found in media: stages, embeddings, faces and people, clusters."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ID = sa.String(40)
DIGEST = sa.String(64)
MOMENT = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(JSONB(), "postgresql")

TABLES = (
    "media_stages",
    "media_people",
    "media_spaces",
    "media_clusterings",
    "media_embeddings",
    "media_faces",
    "media_person_vectors",
    "media_cluster_members",
    "media_clusters",
    "media_face_vectors",
)


def references(table: str, column: str, other: str, on_delete: str = "CASCADE") -> sa.ForeignKeyConstraint:
    """A foreign key to the id of another table."""
    name = op.f(f"fk_{table}_{column}")
    return sa.ForeignKeyConstraint([column], [f"{other}.id"], name=name, ondelete=on_delete)


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "media_stages",
        sa.Column("sha256", DIGEST, nullable=False),
        sa.Column("stage", sa.String(50), nullable=False),
        sa.Column("model", sa.String(255), nullable=False),
        sa.Column("parameters_hash", DIGEST, nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("not_before", MOMENT, nullable=True),
        sa.Column("result", JSON, nullable=True),
        sa.Column("error", JSON, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.CheckConstraint(
            "status IN ('pending', 'done', 'empty', 'failed')", name=op.f("ck_media_stages_status")
        ),
        sa.PrimaryKeyConstraint("sha256", "stage", "model", "parameters_hash", name=op.f("pk_media_stages")),
    )
    op.create_index(
        "ix_media_stages_stage_status_not_before", "media_stages", ["stage", "status", "not_before"]
    )
    op.create_table(
        "media_people",
        sa.Column("id", ID, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("name", sa.String(255), nullable=True),
        sa.Column("merged_into", ID, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        references("media_people", "merged_into", "media_people", "SET NULL"),
        references("media_people", "project_id", "projects"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_media_people")),
    )
    op.create_index("ix_media_people_merged_into", "media_people", ["merged_into"])
    op.create_index("ix_media_people_project_id", "media_people", ["project_id"])
    op.create_table(
        "media_spaces",
        sa.Column("id", ID, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("model", sa.String(255), nullable=False),
        sa.Column("dimension", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.CheckConstraint(
            "status IN ('building', 'active', 'retired')", name=op.f("ck_media_spaces_status")
        ),
        sa.CheckConstraint("dimension > 0", name=op.f("ck_media_spaces_dimension")),
        references("media_spaces", "project_id", "projects"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_media_spaces")),
        sa.UniqueConstraint("project_id", "model", name=op.f("uq_media_spaces_project_id_model")),
    )
    op.create_index(
        "ux_media_spaces_active",
        "media_spaces",
        ["project_id"],
        unique=True,
        sqlite_where=sa.text("status = 'active'"),
        postgresql_where=sa.text("status = 'active'"),
    )
    op.create_table(
        "media_clusterings",
        sa.Column("id", ID, nullable=False),
        sa.Column("space_id", ID, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("parameters", JSON, nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        references("media_clusterings", "space_id", "media_spaces"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_media_clusterings")),
        sa.UniqueConstraint("space_id", "version", name=op.f("uq_media_clusterings_space_id_version")),
    )
    op.create_table(
        "media_embeddings",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("space_id", ID, nullable=False),
        sa.Column("sha256", DIGEST, nullable=False),
        sa.Column("source_sha256", DIGEST, nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("uri", sa.String(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("deleted_at", MOMENT, nullable=True),
        references("media_embeddings", "space_id", "media_spaces"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_media_embeddings")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_media_embeddings_source_sha256", "media_embeddings", ["source_sha256"])
    op.create_index("ix_media_embeddings_space_id_generation", "media_embeddings", ["space_id", "generation"])
    op.create_index(
        "ux_media_embeddings_living",
        "media_embeddings",
        ["space_id", "sha256"],
        unique=True,
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_table(
        "media_faces",
        sa.Column("id", ID, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("sha256", DIGEST, nullable=False),
        sa.Column("source_sha256", DIGEST, nullable=False),
        sa.Column("detector", sa.String(50), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("x", sa.Float(), nullable=False),
        sa.Column("y", sa.Float(), nullable=False),
        sa.Column("width", sa.Float(), nullable=False),
        sa.Column("height", sa.Float(), nullable=False),
        sa.Column("confidence", sa.Float(), nullable=False),
        sa.Column("person_id", ID, nullable=True),
        sa.Column("distance", sa.Float(), nullable=True),
        sa.Column("assigned_by", sa.String(20), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("uri", sa.String(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.CheckConstraint("assigned_by IN ('auto', 'person')", name=op.f("ck_media_faces_assigned_by")),
        references("media_faces", "person_id", "media_people", "SET NULL"),
        references("media_faces", "project_id", "projects"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_media_faces")),
        sa.UniqueConstraint(
            "project_id",
            "sha256",
            "detector",
            "ordinal",
            name=op.f("uq_media_faces_project_id_sha256_detector_ordinal"),
        ),
    )
    op.create_index("ix_media_faces_person_id", "media_faces", ["person_id"])
    op.create_index("ix_media_faces_source_sha256", "media_faces", ["source_sha256"])
    op.create_table(
        "media_person_vectors",
        sa.Column("person_id", ID, nullable=False),
        sa.Column("model", sa.String(255), nullable=False),
        sa.Column("mean", sa.LargeBinary(), nullable=False),
        sa.Column("faces", sa.Integer(), nullable=False),
        references("media_person_vectors", "person_id", "media_people"),
        sa.PrimaryKeyConstraint("person_id", "model", name=op.f("pk_media_person_vectors")),
    )
    op.create_table(
        "media_cluster_members",
        sa.Column("clustering_id", ID, nullable=False),
        sa.Column("sha256", DIGEST, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("distance", sa.Float(), nullable=False),
        references("media_cluster_members", "clustering_id", "media_clusterings"),
        sa.PrimaryKeyConstraint("clustering_id", "sha256", name=op.f("pk_media_cluster_members")),
    )
    op.create_index(
        "ix_media_cluster_members_clustering_id_number_distance",
        "media_cluster_members",
        ["clustering_id", "number", "distance"],
    )
    op.create_table(
        "media_clusters",
        sa.Column("clustering_id", ID, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("label", sa.String(255), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        references("media_clusters", "clustering_id", "media_clusterings"),
        sa.PrimaryKeyConstraint("clustering_id", "number", name=op.f("pk_media_clusters")),
    )
    op.create_table(
        "media_face_vectors",
        sa.Column("face_id", ID, nullable=False),
        sa.Column("model", sa.String(255), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        references("media_face_vectors", "face_id", "media_faces"),
        sa.PrimaryKeyConstraint("face_id", "model", name=op.f("pk_media_face_vectors")),
    )


def downgrade() -> None:
    """Drop them."""
    for table in reversed(TABLES):
        op.drop_table(table)
