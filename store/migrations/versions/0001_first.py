"""The first tables: workflows, the journal, triggers, artifacts, media."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ID = sa.String(40)
MOMENT = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(JSONB(), "postgresql")

TABLES = (
    "projects",
    "trigger_state",
    "workflows",
    "workflow_instances",
    "workflow_versions",
    "known_files",
    "media_files",
    "node_executions",
    "artifacts",
    "media_processing_tasks",
    "media_similarity",
    "media_tags",
    "node_attempts",
)


def references(table: str, column: str, other: str, on_delete: str = "CASCADE") -> sa.ForeignKeyConstraint:
    """A foreign key to the id of another table."""
    name = op.f(f"fk_{table}_{column}")
    return sa.ForeignKeyConstraint([column], [f"{other}.id"], name=name, ondelete=on_delete)


def upgrade() -> None:
    """Make the tables, and the default project."""
    projects = op.create_table(
        "projects",
        sa.Column("id", ID, nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_projects")),
        sa.UniqueConstraint("name", name=op.f("uq_projects_name")),
    )
    op.create_table(
        "trigger_state",
        sa.Column("workflow", sa.String(255), nullable=False),
        sa.Column("trigger_key", sa.String(255), nullable=False),
        sa.Column("state", JSON, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("workflow", "trigger_key", name=op.f("pk_trigger_state")),
    )
    op.create_table(
        "workflows",
        sa.Column("id", ID, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("version", sa.String(64), nullable=True),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.Column("created_by", sa.String(255), nullable=False),
        sa.Column("deleted_at", MOMENT, nullable=True),
        sa.CheckConstraint(
            "status IN ('active', 'inactive', 'archived', 'deleted')", name=op.f("ck_workflows_status")
        ),
        references("workflows", "project_id", "projects"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workflows")),
        sa.UniqueConstraint("project_id", "name", name=op.f("uq_workflows_project_id_name")),
    )
    op.create_index("ix_workflows_status_updated_at", "workflows", ["status", "updated_at"])
    op.create_table(
        "workflow_instances",
        sa.Column("id", ID, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("workflow_id", ID, nullable=True),
        sa.Column("workflow", sa.String(255), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("definition_hash", sa.String(80), nullable=True),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("trigger_type", sa.String(50), nullable=False),
        sa.Column("trigger_payload", JSON, nullable=True),
        sa.Column("idempotency_key", sa.String(255), nullable=True),
        sa.Column("input", JSON, nullable=False),
        sa.Column("output", JSON, nullable=True),
        sa.Column("error", JSON, nullable=True),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("timeout", sa.Float(), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("created_by", sa.String(255), nullable=False),
        sa.Column("started_at", MOMENT, nullable=True),
        sa.Column("completed_at", MOMENT, nullable=True),
        sa.Column("duration", sa.Float(), nullable=True),
        sa.Column("retry_count", sa.Integer(), nullable=False),
        sa.Column("flow_run_id", sa.String(64), nullable=True),
        sa.Column("claimed_by", sa.String(255), nullable=True),
        sa.Column("claimed_at", MOMENT, nullable=True),
        sa.Column("parent_instance_id", ID, nullable=True),
        sa.CheckConstraint(
            "status IN ('pending', 'running', 'paused', 'waiting', 'compensating', 'retrying',"
            " 'completed', 'failed', 'canceled')",
            name=op.f("ck_workflow_instances_status"),
        ),
        sa.CheckConstraint("priority BETWEEN 0 AND 9", name=op.f("ck_workflow_instances_priority")),
        references("workflow_instances", "parent_instance_id", "workflow_instances"),
        references("workflow_instances", "project_id", "projects"),
        references("workflow_instances", "workflow_id", "workflows"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workflow_instances")),
        sa.UniqueConstraint(
            "project_id",
            "workflow",
            "idempotency_key",
            name=op.f("uq_workflow_instances_project_id_workflow_idempotency_key"),
        ),
    )
    op.create_index("ix_workflow_instances_created_at", "workflow_instances", ["created_at"])
    op.create_index("ix_workflow_instances_parent_instance_id", "workflow_instances", ["parent_instance_id"])
    op.create_index(
        "ix_workflow_instances_pending",
        "workflow_instances",
        ["priority", "created_at"],
        sqlite_where=sa.text("status = 'pending'"),
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.create_index("ix_workflow_instances_started_at", "workflow_instances", ["started_at"])
    op.create_index("ix_workflow_instances_status_created_at", "workflow_instances", ["status", "created_at"])
    op.create_index(
        "ix_workflow_instances_workflow_created_at", "workflow_instances", ["workflow", "created_at"]
    )
    op.create_index("ix_workflow_instances_workflow_id", "workflow_instances", ["workflow_id"])
    op.create_table(
        "workflow_versions",
        sa.Column("id", ID, nullable=False),
        sa.Column("workflow_id", ID, nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(80), nullable=False),
        sa.Column("definition", JSON, nullable=False),
        sa.Column("display_name", sa.String(255), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("tags", JSON, nullable=False),
        sa.Column("source_text", sa.String(), nullable=True),
        sa.Column("source_name", sa.String(), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("created_by", sa.String(255), nullable=False),
        references("workflow_versions", "workflow_id", "workflows"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workflow_versions")),
        sa.UniqueConstraint("workflow_id", "version", name=op.f("uq_workflow_versions_workflow_id_version")),
    )
    op.create_index("ix_workflow_versions_hash", "workflow_versions", ["hash"])
    op.create_table(
        "known_files",
        sa.Column("workflow", sa.String(255), nullable=False),
        sa.Column("path_key", sa.String(length=64), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("instance_id", ID, nullable=True),
        sa.Column("seen_at", MOMENT, nullable=False),
        references("known_files", "instance_id", "workflow_instances", "SET NULL"),
        sa.PrimaryKeyConstraint("workflow", "path_key", name=op.f("pk_known_files")),
    )
    op.create_index("ix_known_files_instance_id", "known_files", ["instance_id"])
    op.create_index("ix_known_files_workflow_sha256", "known_files", ["workflow", "sha256"])
    op.create_table(
        "media_files",
        sa.Column("id", ID, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("workflow_instance_id", ID, nullable=True),
        sa.Column("path", sa.String(1024), nullable=False),
        sa.Column("filename", sa.String(255), nullable=False),
        sa.Column("mime_type", sa.String(100), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("original_id", ID, nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("metadata", JSON, nullable=False),
        sa.Column("exif", JSON, nullable=False),
        sa.Column("ai_analysis", JSON, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.Column("processed_at", MOMENT, nullable=True),
        sa.CheckConstraint(
            "status IN ('raw', 'processing', 'processed', 'failed', 'archived')",
            name=op.f("ck_media_files_status"),
        ),
        references("media_files", "original_id", "media_files", "SET NULL"),
        references("media_files", "project_id", "projects"),
        references("media_files", "workflow_instance_id", "workflow_instances", "SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_media_files")),
        sa.UniqueConstraint(
            "project_id", "path", "version", name=op.f("uq_media_files_project_id_path_version")
        ),
    )
    op.create_index("ix_media_files_original_id", "media_files", ["original_id"])
    op.create_index(
        "ix_media_files_pending",
        "media_files",
        ["status", "created_at"],
        sqlite_where=sa.text("status IN ('raw', 'failed')"),
        postgresql_where=sa.text("status IN ('raw', 'failed')"),
    )
    op.create_index("ix_media_files_processed_at", "media_files", ["processed_at"])
    op.create_index("ix_media_files_project_id_created_at", "media_files", ["project_id", "created_at"])
    op.create_index("ix_media_files_project_id_sha256", "media_files", ["project_id", "sha256"])
    op.create_index("ix_media_files_workflow_instance_id", "media_files", ["workflow_instance_id"])
    op.create_table(
        "node_executions",
        sa.Column("id", ID, nullable=False),
        sa.Column("instance_id", ID, nullable=False),
        sa.Column("node_id", sa.String(255), nullable=False),
        sa.Column("iteration", sa.String(255), nullable=False),
        sa.Column("node_type", sa.String(255), nullable=False),
        sa.Column("execution_key", sa.String(255), nullable=True),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("completed_at", MOMENT, nullable=True),
        sa.Column("duration", sa.Float(), nullable=True),
        sa.Column("input", JSON, nullable=True),
        sa.Column("output", JSON, nullable=True),
        sa.Column("error", JSON, nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("retry_count", sa.Integer(), nullable=False),
        sa.Column("max_retries", sa.Integer(), nullable=False),
        sa.Column("resource_usage", JSON, nullable=True),
        sa.CheckConstraint(
            "status IN ('pending', 'running', 'retrying', 'completed', 'failed', 'canceled', 'skipped')",
            name=op.f("ck_node_executions_status"),
        ),
        references("node_executions", "instance_id", "workflow_instances"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_node_executions")),
        sa.UniqueConstraint(
            "instance_id",
            "node_id",
            "iteration",
            name=op.f("uq_node_executions_instance_id_node_id_iteration"),
        ),
    )
    op.create_index("ix_node_executions_node_id_started_at", "node_executions", ["node_id", "started_at"])
    op.create_index("ix_node_executions_status_started_at", "node_executions", ["status", "started_at"])
    op.create_table(
        "artifacts",
        sa.Column("id", ID, nullable=False),
        sa.Column("instance_id", ID, nullable=False),
        sa.Column("execution_id", ID, nullable=True),
        sa.Column("uri", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("media_type", sa.String(255), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        references("artifacts", "execution_id", "node_executions"),
        references("artifacts", "instance_id", "workflow_instances"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_artifacts")),
        sa.UniqueConstraint(
            "execution_id", "sha256", "name", name=op.f("uq_artifacts_execution_id_sha256_name")
        ),
    )
    op.create_index("ix_artifacts_instance_id", "artifacts", ["instance_id"])
    op.create_index("ix_artifacts_sha256", "artifacts", ["sha256"])
    op.create_table(
        "media_processing_tasks",
        sa.Column("id", ID, nullable=False),
        sa.Column("file_id", ID, nullable=False),
        sa.Column("task_type", sa.String(50), nullable=False),
        sa.Column("parameters", JSON, nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("queued_at", MOMENT, nullable=False),
        sa.Column("started_at", MOMENT, nullable=True),
        sa.Column("completed_at", MOMENT, nullable=True),
        sa.Column("duration", sa.Float(), nullable=True),
        sa.Column("worker_id", sa.String(255), nullable=True),
        sa.Column("input_path", sa.String(1024), nullable=True),
        sa.Column("output_path", sa.String(1024), nullable=True),
        sa.Column("error", JSON, nullable=True),
        sa.Column("retry_count", sa.Integer(), nullable=False),
        sa.Column("max_retries", sa.Integer(), nullable=False),
        sa.Column("resource_requirements", JSON, nullable=False),
        sa.CheckConstraint(
            "status IN ('pending', 'running', 'completed', 'failed', 'canceled')",
            name=op.f("ck_media_processing_tasks_status"),
        ),
        sa.CheckConstraint("priority BETWEEN 0 AND 9", name=op.f("ck_media_processing_tasks_priority")),
        references("media_processing_tasks", "file_id", "media_files"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_media_processing_tasks")),
    )
    op.create_index("ix_media_processing_tasks_file_id", "media_processing_tasks", ["file_id"])
    op.create_index(
        "ix_media_processing_tasks_status_priority_queued_at",
        "media_processing_tasks",
        ["status", "priority", "queued_at"],
    )
    op.create_index("ix_media_processing_tasks_worker_id", "media_processing_tasks", ["worker_id"])
    op.create_table(
        "media_similarity",
        sa.Column("file_id1", ID, nullable=False),
        sa.Column("file_id2", ID, nullable=False),
        sa.Column("algorithm", sa.String(50), nullable=False),
        sa.Column("similarity_score", sa.Float(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.CheckConstraint("file_id1 < file_id2", name=op.f("ck_media_similarity_order")),
        references("media_similarity", "file_id1", "media_files"),
        references("media_similarity", "file_id2", "media_files"),
        sa.PrimaryKeyConstraint("file_id1", "file_id2", "algorithm", name=op.f("pk_media_similarity")),
    )
    op.create_index("ix_media_similarity_file_id2", "media_similarity", ["file_id2"])
    op.create_index("ix_media_similarity_similarity_score", "media_similarity", ["similarity_score"])
    op.create_table(
        "media_tags",
        sa.Column("file_id", ID, nullable=False),
        sa.Column("tag_type", sa.String(50), nullable=False),
        sa.Column("tag_value", sa.String(255), nullable=False),
        sa.Column("confidence", sa.Float(), nullable=False),
        sa.Column("source", sa.String(50), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.CheckConstraint("confidence BETWEEN 0 AND 1", name=op.f("ck_media_tags_confidence")),
        references("media_tags", "file_id", "media_files"),
        sa.PrimaryKeyConstraint("file_id", "tag_type", "tag_value", name=op.f("pk_media_tags")),
    )
    op.create_index("ix_media_tags_tag_type_tag_value", "media_tags", ["tag_type", "tag_value"])
    op.create_index("ix_media_tags_tag_value", "media_tags", ["tag_value"])
    op.create_table(
        "node_attempts",
        sa.Column("execution_id", ID, nullable=False),
        sa.Column("attempt", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("completed_at", MOMENT, nullable=True),
        sa.Column("duration", sa.Float(), nullable=True),
        sa.Column("worker", sa.String(), nullable=True),
        sa.Column("device", sa.String(), nullable=True),
        sa.Column("error", JSON, nullable=True),
        sa.Column("resource_usage", JSON, nullable=True),
        sa.Column("notes", JSON, nullable=True),
        sa.CheckConstraint(
            "status IN ('running', 'completed', 'failed', 'canceled')", name=op.f("ck_node_attempts_status")
        ),
        sa.CheckConstraint("attempt >= 1", name=op.f("ck_node_attempts_attempt")),
        references("node_attempts", "execution_id", "node_executions"),
        sa.PrimaryKeyConstraint("execution_id", "attempt", name=op.f("pk_node_attempts")),
    )
    op.bulk_insert(projects, [{"id": "default", "name": "default", "created_at": datetime.now(UTC)}])


def downgrade() -> None:
    """Drop the tables, the newest first; their indexes go with them."""
    for table in reversed(TABLES):
        op.drop_table(table)
