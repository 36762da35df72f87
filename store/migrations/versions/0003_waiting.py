"""What instances wait for: events, who waits for one, and tasks of people."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ID = sa.String(40)
DIGEST = sa.String(64)
MOMENT = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(JSONB(), "postgresql")

TABLES = ("events", "event_waits", "human_tasks")


def references(table: str, column: str, other: str, on_delete: str = "CASCADE") -> sa.ForeignKeyConstraint:
    """A foreign key to the id of another table."""
    name = op.f(f"fk_{table}_{column}")
    return sa.ForeignKeyConstraint([column], [f"{other}.id"], name=name, ondelete=on_delete)


def only(condition: str) -> dict[str, Any]:
    """The options of a partial index."""
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def upgrade() -> None:
    """Make the tables."""
    _events()
    _event_waits()
    _human_tasks()


def _events() -> None:
    op.create_table(
        "events",
        sa.Column("id", ID, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("type", sa.String(255), nullable=False),
        sa.Column("payload", JSON, nullable=True),
        sa.Column("correlation", JSON, nullable=True),
        sa.Column("correlation_key", DIGEST, nullable=True),
        sa.Column("source", sa.String(512), nullable=False),
        sa.Column("idempotency_key", sa.String(512), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        references("events", "project_id", "projects"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        sa.UniqueConstraint(
            "project_id", "idempotency_key", name=op.f("uq_events_project_id_idempotency_key")
        ),
    )
    op.create_index("ix_events_type_created_at", "events", ["type", "created_at"])
    op.create_index("ix_events_type_correlation_key", "events", ["type", "correlation_key"])
    op.create_index("ix_events_created_at", "events", ["created_at"])


def _event_waits() -> None:
    op.create_table(
        "event_waits",
        sa.Column("id", ID, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("instance_id", ID, nullable=False),
        sa.Column("node_id", sa.String(255), nullable=False),
        sa.Column("iteration", sa.String(255), nullable=False),
        sa.Column("type", sa.String(255), nullable=False),
        sa.Column("correlation", JSON, nullable=True),
        sa.Column("correlation_key", DIGEST, nullable=True),
        sa.Column("filter", sa.String(), nullable=True),
        sa.Column("since", MOMENT, nullable=False),
        sa.Column("deadline", MOMENT, nullable=True),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("event_id", ID, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("decided_at", MOMENT, nullable=True),
        sa.CheckConstraint(
            "state IN ('waiting', 'satisfied', 'timed_out', 'canceled')", name=op.f("ck_event_waits_state")
        ),
        references("event_waits", "project_id", "projects"),
        references("event_waits", "instance_id", "workflow_instances"),
        references("event_waits", "event_id", "events", "SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event_waits")),
        sa.UniqueConstraint(
            "instance_id", "node_id", "iteration", name=op.f("uq_event_waits_instance_id_node_id_iteration")
        ),
        sa.UniqueConstraint(
            "instance_id", "node_id", "event_id", name=op.f("uq_event_waits_instance_id_node_id_event_id")
        ),
    )
    op.create_index("ix_event_waits_event_id", "event_waits", ["event_id"])
    waiting = only("state = 'waiting'")
    op.create_index("ix_event_waits_waiting", "event_waits", ["type", "correlation_key"], **waiting)
    op.create_index("ix_event_waits_deadline", "event_waits", ["deadline"], **waiting)


def _human_tasks() -> None:
    op.create_table(
        "human_tasks",
        sa.Column("id", ID, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("instance_id", ID, nullable=False),
        sa.Column("node_id", sa.String(255), nullable=False),
        sa.Column("iteration", sa.String(255), nullable=False),
        sa.Column("title", sa.String(500), nullable=False),
        sa.Column("description", sa.String(), nullable=True),
        sa.Column("assignees", JSON, nullable=True),
        sa.Column("role", sa.String(255), nullable=True),
        sa.Column("approval", sa.String(20), nullable=False),
        sa.Column("quorum", sa.Integer(), nullable=True),
        sa.Column("form", JSON, nullable=True),
        sa.Column("timeout", sa.Float(), nullable=True),
        sa.Column("on_timeout", sa.String(20), nullable=False),
        sa.Column("escalate_to", JSON, nullable=True),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("outcome", sa.String(20), nullable=True),
        sa.Column("timed_out", sa.Boolean(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("decisions", JSON, nullable=False),
        sa.Column("escalations", JSON, nullable=False),
        sa.Column("deadline", MOMENT, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("decided_at", MOMENT, nullable=True),
        sa.CheckConstraint("status IN ('open', 'decided', 'canceled')", name=op.f("ck_human_tasks_status")),
        sa.CheckConstraint("outcome IN ('approved', 'rejected')", name=op.f("ck_human_tasks_outcome")),
        sa.CheckConstraint(
            "approval IN ('any', 'all', 'quorum', 'sequential')", name=op.f("ck_human_tasks_approval")
        ),
        sa.CheckConstraint(
            "on_timeout IN ('notify', 'escalate', 'approve', 'reject', 'retry')",
            name=op.f("ck_human_tasks_on_timeout"),
        ),
        sa.CheckConstraint(
            "(status = 'decided') = (outcome IS NOT NULL)", name=op.f("ck_human_tasks_decided")
        ),
        references("human_tasks", "project_id", "projects"),
        references("human_tasks", "instance_id", "workflow_instances"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_human_tasks")),
        sa.UniqueConstraint(
            "instance_id", "node_id", "iteration", name=op.f("uq_human_tasks_instance_id_node_id_iteration")
        ),
    )
    op.create_index("ix_human_tasks_status_created_at", "human_tasks", ["status", "created_at"])
    op.create_index("ix_human_tasks_deadline", "human_tasks", ["deadline"], **only("status = 'open'"))


def downgrade() -> None:
    """Drop the tables, the newest first; their indexes go with them."""
    for table in reversed(TABLES):
        op.drop_table(table)
