"""Alembic's entry: runs the migrations on the connection that ``store.migrate`` hands over."""

from typing import Any, Literal

import sqlalchemy as sa
from alembic import context

# Alembic loads this file by its path, so it has no package to be relative to.
from mirror_realm.core.settings import settings  # pyright: ignore[reportMissingImports]
from mirror_realm.store.engine import Database  # pyright: ignore[reportMissingImports]
from mirror_realm.store.media_models import Row  # pyright: ignore[reportMissingImports]
from mirror_realm.store.types import Status, UtcDateTime, Words  # pyright: ignore[reportMissingImports]


def render(kind: str, item: Any, autogen_context: Any) -> str | Literal[False]:
    """Our column types as the plain ones under them, so that a migration stands on its own."""
    if kind != "type":
        return False
    if isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    if isinstance(item, Words | Status):
        length = item.length if isinstance(item, Words) else 20
        return f"sa.String({length})" if length else "sa.String()"
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
