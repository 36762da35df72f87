"""Rounds of loops are found by their instance and iteration: some hundreds of them in one query."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

NAME = "ix_node_executions_instance_id_iteration"


def upgrade() -> None:
    """Make the index."""
    op.create_index(NAME, "node_executions", ["instance_id", "iteration"])


def downgrade() -> None:
    """Drop it."""
    op.drop_index(NAME, "node_executions")
