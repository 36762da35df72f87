"""The runner ``task_runner: prefect-dask``: attempts go to Dask through prefect-dask's own ``DaskTaskRunner``.

Kept for those who want Prefect to track each attempt as a task run of its own on the worker. It costs about ten times
the default runner's time per node (``benchmarks/b03_interactive.py`` prints both); the rules of placement, retries,
timeouts and journal are the same.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import Any

import dask
from distributed import Future, KilledWorker
from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.context import TaskRunContext
from prefect_dask.task_runners import DaskTaskRunner

from ..core.errors import Code, RealmError
from ..core.resources import Resources
from ..tasks.executor import NodeCall, NodeOutcome, execute
from .runners import GRACE, DaskRunner, Listener, failed, overdue, worker_died


@task(
    name="attempt",
    task_run_name="{call.node_id} attempt {call.attempt}",
    cache_policy=NO_CACHE,
    persist_result=False,
)
def attempt(call: NodeCall) -> NodeOutcome:
    """One attempt of a node, tracked by Prefect on the worker."""
    return execute(call)


class PrefectDaskRunner:
    """Submits through ``DaskTaskRunner`` on the cluster of ``inner``. Works inside a Prefect flow run only."""

    name = "prefect-dask"

    def __init__(self, inner: DaskRunner) -> None:
        self._inner = inner
        self._stack = ExitStack()
        self._runner: DaskTaskRunner | None = None

    async def run(
        self, call: NodeCall, resources: Resources, priority: float, listen: Listener
    ) -> NodeOutcome:
        """See :class:`.runners.Runner`."""
        try:
            placement = await self._inner.place(resources)
        except RealmError as error:
            return failed(call, error.record)
        listen({"kind": "started"})
        try:
            async with asyncio.timeout(call.timeout + GRACE):
                return await asyncio.to_thread(self._submit, call, dict(placement.request), priority)
        except TimeoutError:
            return failed(call, overdue(call))
        except KilledWorker as error:
            return failed(call, worker_died(error, None))
        except OSError as error:
            return failed(
                call, RealmError(Code.UNAVAILABLE, f"the Dask scheduler lost this node: {error}").record
            )

    def _submit(self, call: NodeCall, request: dict[str, float], priority: float) -> NodeOutcome:
        # prefect-dask pickles the context for the worker; the node's own task in it holds this process's sockets.
        # Set in this thread's copy of the context only.
        TaskRunContext.__var__.set(None)  # pyright: ignore[reportArgumentType]
        with dask.annotate(resources=request, priority=priority):  # pyright: ignore[reportPrivateImportUsage]
            future = self._started().submit(attempt, {"call": call})
        wrapped: Future[Any] = future.wrapped_future
        state = wrapped.result()  # Not future.wait(): it swallows the death of the worker and waits for ever.
        return state.result(_sync=True)

    def _started(self) -> DaskTaskRunner:
        if self._runner is None:
            address = self._inner.address
            self._runner = self._stack.enter_context(DaskTaskRunner(address=address))
        return self._runner

    async def close(self) -> None:
        """See :class:`.runners.Runner`."""
        await asyncio.to_thread(self._stack.close)
