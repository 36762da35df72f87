"""Instances that are put aside while they wait."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TABLE = "workflow_instances"
INDEX = "ix_workflow_instances_waiting"
WAITING = sa.text("status = 'waiting'")


def upgrade() -> None:
    """Note when the present life began, and when to go on."""
    for name in ("resumed_at", "wake_at"):
        op.add_column(TABLE, sa.Column(name, sa.DateTime(timezone=True)))
    columns = ["claimed_by", "wake_at"]
    op.create_index(INDEX, TABLE, columns, sqlite_where=WAITING, postgresql_where=WAITING)


def downgrade() -> None:
    """Forget it."""
    op.drop_index(INDEX, TABLE)
    for name in ("wake_at", "resumed_at"):
        op.drop_column(TABLE, name)
