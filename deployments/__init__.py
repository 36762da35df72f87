"""What makes workflows run: Dask cluster, embedded Prefect server, triggers, warm worker, ``serve``, ``deploy``.

Imports ``flows`` and below. Start reading at :mod:`.run` (one instance here and now), then :mod:`.serve`.
"""
