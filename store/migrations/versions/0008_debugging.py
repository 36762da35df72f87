"""Where instances are to stop, where they stand, and which of their variables a person changed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

ID = sa.String(40)
NAME = sa.String(255)
WORD = sa.String(20)
MOMENT = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(JSONB(), "postgresql")
RELEASED = sa.text("state = 'released'")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "instance_debug",
        sa.Column("instance_id", ID, nullable=False),
        sa.Column("stepping", sa.Boolean(), nullable=False),
        sa.Column("ignoring", sa.Boolean(), nullable=False),
        sa.Column("breakpoints", JSON, nullable=False),
        sa.Column("variables", JSON, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        _of_instance("instance_debug"),
        sa.PrimaryKeyConstraint("instance_id", name=op.f("pk_instance_debug")),
    )
    op.create_table(
        "breakpoint_stops",
        sa.Column("instance_id", ID, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("node_id", NAME, nullable=False),
        sa.Column("iteration", NAME, nullable=False),
        sa.Column("node_type", NAME, nullable=False),
        sa.Column("because", WORD, nullable=False),
        sa.Column("state", WORD, nullable=False),
        sa.Column("parameters", JSON, nullable=False),
        sa.Column("input", JSON, nullable=False),
        sa.Column("names", JSON, nullable=False),
        sa.Column("scopes", JSON, nullable=False),
        sa.Column("reached_at", MOMENT, nullable=False),
        sa.Column("released_at", MOMENT, nullable=True),
        sa.Column("released_by", NAME, nullable=True),
        sa.CheckConstraint(
            "state IN ('open', 'released', 'passed', 'dropped')", name=op.f("ck_breakpoint_stops_state")
        ),
        _of_instance("breakpoint_stops"),
        sa.PrimaryKeyConstraint("instance_id", "number", name=op.f("pk_breakpoint_stops")),
    )
    op.create_index(
        "ix_breakpoint_stops_released",
        "breakpoint_stops",
        ["instance_id"],
        sqlite_where=RELEASED,
        postgresql_where=RELEASED,
    )


def _of_instance(table: str) -> sa.ForeignKeyConstraint:
    """They go with their instance."""
    name = op.f(f"fk_{table}_instance_id")
    return sa.ForeignKeyConstraint(["instance_id"], ["workflow_instances.id"], name=name, ondelete="CASCADE")


def downgrade() -> None:
    """Drop them."""
    op.drop_table("breakpoint_stops")
    op.drop_table("instance_debug")
