"""Alembic's entry: runs the migrations on the connection that ``store.migrate`` hands over."""

from typing import Any

import sqlalchemy as sa
from alembic import context

import mirror_realm.store.media_models  # noqa: F401 - completes the metadata
from mirror_realm.core.settings import settings
from mirror_realm.store.engine import Database
from mirror_realm.store.models import Row
from mirror_realm.store.types import Status, UtcDateTime, Words


def render(kind: str, item: Any, autogen_context: Any) -> str | bool:
    """Our column types as the plain ones under them, so that a migration stands on its own."""
    if kind != "type":
        return False
    if isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    if isinstance(item, Words | Status):
        length = item.impl_instance.length
        return f"sa.String({length})" if length else "sa.Text()"
    if isinstance(item, sa.JSON):
        autogen_context.imports.add("from sqlalchemy.dialects.postgresql import JSONB")
        return 'sa.JSON().with_variant(JSONB(), "postgresql")'
    return False


def run(connection: sa.Connection) -> None:
    """Migrate in the connection's transaction, DDL included, on both databases."""
    context.configure(
        connection=connection,
        target_metadata=Row.metadata,
        transactional_ddl=True,
        render_item=render,
        render_as_batch=connection.dialect.name == "sqlite",
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:  # the alembic command, for whoever writes a migration
    with Database(settings().database).write() as own:
        run(own)
