"""What the events of long instances come to, now and then."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

TABLE = "instance_snapshots"
JSON = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    """Make the table."""
    instance = sa.ForeignKeyConstraint(
        ["instance_id"], ["workflow_instances.id"], name=op.f(f"fk_{TABLE}_instance_id"), ondelete="CASCADE"
    )
    op.create_table(
        TABLE,
        sa.Column("instance_id", sa.String(40), nullable=False),
        sa.Column("sequence", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("state", JSON, nullable=False),
        instance,
        sa.PrimaryKeyConstraint("instance_id", "sequence", name=op.f(f"pk_{TABLE}")),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table(TABLE)
