"""The processes that run instances, and their signs of life."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TABLE = "workflow_instances"
ID = sa.String(40)
NAME = sa.String(255)
MOMENT = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    """Make the table, and note on each instance which process runs it."""
    op.create_table(
        "runners",
        sa.Column("id", ID, nullable=False),
        sa.Column("owner", NAME, nullable=False),
        sa.Column("host", NAME, nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("process", NAME, nullable=False),
        sa.Column("roots", JSON, nullable=False),
        sa.Column("beat", sa.Integer(), nullable=False),
        sa.Column("began_at", MOMENT, nullable=False),
        sa.Column("alive_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runners")),
    )
    op.create_index("ix_runners_owner", "runners", ["owner"])
    op.add_column(TABLE, sa.Column("runner_id", ID))
    # Reconciling asks for the run of an instance by what Prefect knows of it.
    op.create_index("ix_workflow_instances_flow_run_id", TABLE, ["flow_run_id"])


def downgrade() -> None:
    """Forget it."""
    op.drop_index("ix_workflow_instances_flow_run_id", TABLE)
    op.drop_column(TABLE, "runner_id")
    op.drop_table("runners")
