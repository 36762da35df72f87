"""What carries instances over failures: undone steps, cached results, circuit breakers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

ID = sa.String(40)
DIGEST = sa.String(64)
NAME = sa.String(255)
WORD = sa.String(20)
MOMENT = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(JSONB(), "postgresql")

TABLES = ("sagas", "saga_steps", "cached_results", "circuit_breakers")


def references(table: str, column: str, other: str, on_delete: str = "CASCADE") -> sa.ForeignKeyConstraint:
    """A foreign key to the id of another table."""
    name = op.f(f"fk_{table}_{column}")
    return sa.ForeignKeyConstraint([column], [f"{other}.id"], name=name, ondelete=on_delete)


def one_of(table: str, column: str, *values: str) -> sa.CheckConstraint:
    """A check that a column holds one of the values."""
    words = ", ".join(f"'{value}'" for value in values)
    return sa.CheckConstraint(f"{column} IN ({words})", name=op.f(f"ck_{table}_{column}"))


def upgrade() -> None:
    """Make the tables."""
    _sagas()
    _saga_steps()
    _cached_results()
    _circuit_breakers()


def _sagas() -> None:
    op.create_table(
        "sagas",
        sa.Column("id", ID, nullable=False),
        sa.Column("instance_id", ID, nullable=False),
        sa.Column("node_id", NAME, nullable=False),
        sa.Column("iteration", NAME, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("status", WORD, nullable=False),
        sa.Column("error", JSON, nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("completed_at", MOMENT, nullable=True),
        one_of("sagas", "status", "compensating", "compensated", "compensation_failed"),
        references("sagas", "instance_id", "workflow_instances"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sagas")),
        sa.UniqueConstraint(
            "instance_id",
            "node_id",
            "iteration",
            "attempt",
            name=op.f("uq_sagas_instance_id_node_id_iteration_attempt"),
        ),
    )


def _saga_steps() -> None:
    op.create_table(
        "saga_steps",
        sa.Column("instance_id", ID, nullable=False),
        sa.Column("node_id", NAME, nullable=False),
        sa.Column("iteration", NAME, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("status", WORD, nullable=False),
        sa.Column("node_type", NAME, nullable=False),
        sa.Column("parameters", JSON, nullable=False),
        sa.Column("input", JSON, nullable=False),
        sa.Column("retry", JSON, nullable=True),
        sa.Column("error", JSON, nullable=True),
        sa.Column("saga_id", ID, nullable=True),
        sa.Column("registered_at", MOMENT, nullable=False),
        sa.Column("decided_at", MOMENT, nullable=True),
        one_of("saga_steps", "status", "registered", "undoing", "undone", "failed"),
        references("saga_steps", "instance_id", "workflow_instances"),
        references("saga_steps", "saga_id", "sagas", "SET NULL"),
        sa.PrimaryKeyConstraint("instance_id", "node_id", "iteration", name=op.f("pk_saga_steps")),
        sa.UniqueConstraint("instance_id", "position", name=op.f("uq_saga_steps_instance_id_position")),
    )
    op.create_index("ix_saga_steps_saga_id", "saga_steps", ["saga_id"])


def _cached_results() -> None:
    op.create_table(
        "cached_results",
        sa.Column("key", DIGEST, nullable=False),
        sa.Column("state", WORD, nullable=False),
        sa.Column("node_type", NAME, nullable=False),
        sa.Column("workflow", NAME, nullable=False),
        sa.Column("node_id", NAME, nullable=False),
        sa.Column("instance_id", ID, nullable=False),
        sa.Column("owner", DIGEST, nullable=False),
        sa.Column("alive_at", MOMENT, nullable=False),
        sa.Column("output", JSON, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=True),
        one_of("cached_results", "state", "computing", "ready"),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_cached_results")),
    )
    for column in ("workflow", "node_type", "expires_at"):
        op.create_index(f"ix_cached_results_{column}", "cached_results", [column])


def _circuit_breakers() -> None:
    op.create_table(
        "circuit_breakers",
        sa.Column("service", NAME, nullable=False),
        sa.Column("operation", NAME, nullable=False),
        sa.Column("state", WORD, nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("retry_at", MOMENT, nullable=True),
        sa.Column("error", sa.String(), nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        one_of("circuit_breakers", "state", "closed", "open", "half_open"),
        sa.PrimaryKeyConstraint("service", "operation", name=op.f("pk_circuit_breakers")),
    )


def downgrade() -> None:
    """Drop the tables, the newest first; their indexes go with them."""
    for table in reversed(TABLES):
        op.drop_table(table)
