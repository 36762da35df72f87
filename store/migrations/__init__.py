"""Alembic's scripts, run by :mod:`mirror_realm.store.migrate` when a database is opened.

To change the tables: change the models, let Alembic write the difference to a database that is up to date (any
``realm`` command makes one), read and mend what it wrote, set ``HEAD`` in ``store/migrate.py``, and run
``tests/store/test_migrations.py``::

    export MIRROR_REALM_HOME=/tmp/realm
    realm instances list
    alembic -c store/migrations/alembic.ini revision --autogenerate --rev-id 0002 -m "what changes"
"""
