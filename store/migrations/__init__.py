"""Alembic's scripts. ``store.migrate`` runs them; make a new one as ``docs/architecture.md`` says."""
