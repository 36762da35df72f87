"""Prefect block: the database of the journal."""

from __future__ import annotations

from typing import ClassVar

from prefect.blocks.core import Block
from pydantic import Field, SecretStr

from ..core.settings import Settings


class Database(Block):
    """The database that workflows, instances and media are recorded in."""

    _block_type_name: ClassVar[str | None] = "Mirror Realm database"
    _block_type_slug: ClassVar[str | None] = "mirror-realm-database"
    _description: ClassVar[str | None] = "The database of the journal: SQLite or PostgreSQL."
    _code_example: ClassVar[str | None] = (
        "```python\nfrom mirror_realm.blocks.database import Database\n"
        "from mirror_realm.store import Store\n\n"
        'with Store.open(Database.load("journal").url.get_secret_value()) as store:\n'
        "    print(store.instances.count())\n```"
    )

    url: SecretStr = Field(
        description="SQLAlchemy URL, such as postgresql://user:password@host/database",
        examples=["sqlite:////srv/realm/realm.db"],
    )

    def apply(self, base: Settings) -> Settings:
        """``base`` with this database."""
        return base.model_copy(update={"database_url": self.url.get_secret_value()})
