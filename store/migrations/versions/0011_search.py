"""Pictures by kind, media files by words, tags by parts of words: the specification's indexes of PostgreSQL.

Trigrams are an extension of PostgreSQL that comes with it. Where it may not be installed, tags are searched without.
"""

from __future__ import annotations

import logging

from alembic import op
from sqlalchemy.exc import DBAPIError

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

log = logging.getLogger(__name__)

WORDS = """to_tsvector('simple'::regconfig, coalesce(filename, '') || ' ' || coalesce(metadata->>'title', '')
 || ' ' || coalesce(metadata->>'description', ''))"""
NAMES = ("ix_media_files_pictures", "ix_media_files_words", "ix_media_tags_parts")


def upgrade() -> None:
    """Make the indexes."""
    if op.get_bind().dialect.name != "postgresql":
        return
    op.execute(
        f"CREATE INDEX {NAMES[0]} ON media_files (project_id, mime_type) WHERE mime_type LIKE 'image/%'"
    )
    op.execute(f"CREATE INDEX {NAMES[1]} ON media_files USING gin (({WORDS}))")
    if _has_trigrams():
        op.execute(f"CREATE INDEX {NAMES[2]} ON media_tags USING gin (tag_value gin_trgm_ops)")


def downgrade() -> None:
    """Drop them; the extension stays, others may use it."""
    if op.get_bind().dialect.name == "postgresql":
        for name in NAMES:
            op.execute(f"DROP INDEX IF EXISTS {name}")


def _has_trigrams() -> bool:
    try:
        with op.get_bind().begin_nested():
            op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    except DBAPIError as error:
        log.warning("tags are searched without an index of their parts: %s", error.orig)
        return False
    return True
