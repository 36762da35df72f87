"""Events of instances, their lives, what is asked of them, and the definitions that they ran."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

ID = sa.String(40)
MOMENT = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(JSONB(), "postgresql")

INSTANCES = "workflow_instances"
INDEX = "ix_workflow_instances_requested"
REQUESTED = sa.text("requested IS NOT NULL")

ACCEPTED = """
INSERT INTO instance_events (instance_id, sequence, type, after, epoch, at)
SELECT id, 1, 'instance.accepted', 'pending', 0, created_at FROM workflow_instances
"""
NODES = """
INSERT INTO instance_events (instance_id, sequence, type, node_id, iteration, attempt, after, epoch, at)
SELECT e.instance_id, 1 + row_number() OVER (PARTITION BY e.instance_id ORDER BY e.started_at, e.id, a.attempt),
  CASE WHEN a.attempt IS NULL THEN 'node.skipped' ELSE 'node.ended' END, e.node_id, e.iteration, a.attempt,
  CASE WHEN a.attempt < e.retry_count + 1 THEN a.status ELSE e.status END, 0, coalesce(a.started_at, e.started_at)
FROM node_executions e LEFT JOIN node_attempts a ON a.execution_id = e.id
"""
MOVED = """
INSERT INTO instance_events (instance_id, sequence, type, before, after, epoch, at)
SELECT i.id, (SELECT max(v.sequence) + 1 FROM instance_events v WHERE v.instance_id = i.id), 'instance.moved',
  'pending', i.status, 0, coalesce(i.completed_at, i.resumed_at, i.started_at, i.created_at)
FROM workflow_instances i WHERE i.status <> 'pending'
"""


def upgrade() -> None:
    """Make them, and tell of the instances that are there as far as their rows know."""
    op.create_table(
        "instance_events",
        sa.Column("instance_id", ID, nullable=False),
        sa.Column("sequence", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("type", sa.String(40), nullable=False),
        sa.Column("node_id", sa.String(255), nullable=True),
        sa.Column("iteration", sa.String(255), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=True),
        sa.Column("before", sa.String(20), nullable=True),
        sa.Column("after", sa.String(20), nullable=True),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("data", JSON, nullable=True),
        sa.ForeignKeyConstraint(
            ["instance_id"],
            [f"{INSTANCES}.id"],
            name=op.f("fk_instance_events_instance_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("instance_id", "sequence", name=op.f("pk_instance_events")),
    )
    op.create_table(
        "definitions",
        sa.Column("hash", sa.String(80), nullable=False),
        sa.Column("document", JSON, nullable=False),
        sa.Column("source_name", sa.String(), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_definitions")),
    )
    op.add_column(INSTANCES, sa.Column("epoch", sa.Integer(), nullable=False, server_default=sa.text("0")))
    op.add_column(INSTANCES, sa.Column("requested", sa.String(20), nullable=True))
    op.create_index(INDEX, INSTANCES, ["requested"], sqlite_where=REQUESTED, postgresql_where=REQUESTED)
    for statement in (ACCEPTED, NODES, MOVED):
        op.execute(statement)


def downgrade() -> None:
    """Forget them."""
    op.drop_index(INDEX, INSTANCES)
    for name in ("requested", "epoch"):
        op.drop_column(INSTANCES, name)
    op.drop_table("definitions")
    op.drop_table("instance_events")
