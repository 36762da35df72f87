"""Recovery: what was running when something died is found, and carried on.

:mod:`.liveness` judges which processes are dead, :mod:`.lost` settles the instances that they left,
:mod:`.flow_runs` compares with what Prefect shows, :mod:`.workers` with what Dask has. :mod:`.reconcile` is the pass
over all of them, :mod:`.flow` the same pass as a Prefect flow. Start reading at :class:`.reconcile.Reconciler`.

Nothing here runs an instance: it is left to a dispatcher, by the requests that a person would use too.
"""
