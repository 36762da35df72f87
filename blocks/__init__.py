"""Prefect blocks and the plain clients under them: object storage, databases, notification, Dask clusters.

Imports ``core`` only. The plain modules (:mod:`.objectstore`, :mod:`.s3`) import no Prefect, so that workers
start fast.
"""
