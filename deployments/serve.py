"""``realm serve``: Prefect, Dask, the registered workflows' triggers and the dispatcher, in one process tree."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..compiler import analyze
from ..core.errors import Code, RealmError
from ..core.settings import Settings
from ..flows.environment import Event
from ..flows.recovery.reconcile import Reconciler, use
from .carrying import kept_flow
from .dispatch import Dispatcher
from .files import watch_files
from .library import library_of
from .reconciling import deploy_reconciler, pause_reconciler, reconciler_of, reconciling
from .registration import Registered, all_registered, register, registered
from .surroundings import Announce, Surroundings, surroundings

if TYPE_CHECKING:
    from .watch import FolderWatch

log = logging.getLogger(__name__)

WORKER_PAUSE = 3.0
"""Seconds until a Prefect worker that ended is started again."""


@dataclass
class Served:
    """What ``serve`` runs, for whoever embeds it: tests and the CLI."""

    around: Surroundings
    dispatcher: Dispatcher
    reconciler: Reconciler
    interval: float
    """Seconds between the reconciler's passes."""
    workflows: list[Registered]
    watches: list[FolderWatch] = field(default_factory=list)


async def serve(
    configured: Settings,
    *,
    files: Sequence[Path] = (),
    roots: tuple[Path, ...] = (),
    engine: str = "prefect",
    on_event: Callable[[Event], None] = lambda event: None,
    announce: Announce = lambda line: None,
    ready: Callable[[Served], None] = lambda served: None,
) -> None:
    """Serve until cancelled (Ctrl-C, SIGTERM); then end everything that was started. Instances that were running are
    carried on by the next start. Raises ALREADY_EXISTS when this home is already served."""
    async with serving(
        configured, files=files, roots=roots, engine=engine, on_event=on_event, announce=announce
    ) as served:
        ready(served)
        await _until_stopped(served)


@asynccontextmanager
async def serving(
    configured: Settings,
    *,
    files: Sequence[Path] = (),
    roots: tuple[Path, ...] = (),
    engine: str = "prefect",
    on_event: Callable[[Event], None] = lambda event: None,
    announce: Announce = lambda line: None,
) -> AsyncIterator[Served]:
    """Everything of :func:`serve` but the dispatching itself, which the caller runs."""
    async with AsyncExitStack() as stack:
        stack.enter_context(only_one(configured))
        around = await stack.enter_async_context(
            surroundings(
                configured, engine=engine, roots=roots, on_event=on_event, announce=announce, resumable=True
            )
        )
        workflows = await asyncio.to_thread(_register_all, files, around, configured)
        if not workflows:
            announce("no workflow is registered: `realm register FILE`, or `realm serve FILE`")
        if engine != "local":
            await _deploy_all(workflows, around, announce)
        dispatcher = Dispatcher(
            around,
            lambda name, version: _flow(name, version, around, configured),
            carry=lambda instance: kept_flow(instance, around.store),
        )
        reconciler = stack.enter_context(use(reconciler_of(around, dispatcher, configured)))
        if engine != "local":
            await deploy_reconciler(configured.reconcile_interval)
            stack.push_async_callback(pause_reconciler)
        served = Served(around, dispatcher, reconciler, configured.reconcile_interval, workflows)
        for workflow in workflows:
            for watch in watch_files(workflow, around, dispatcher.wake, announce):
                stack.push_async_callback(asyncio.to_thread, watch.stop)
                watch.start()
                served.watches.append(watch)
        yield served


@contextlib.contextmanager
def only_one(configured: Settings) -> Iterator[None]:
    """Hold this home's serve lock; ALREADY_EXISTS while another process does."""
    from filelock import FileLock, Timeout

    configured.home.mkdir(parents=True, exist_ok=True)
    lock = FileLock(configured.home / "serve.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise RealmError(
            Code.ALREADY_EXISTS,
            f"`realm serve` already runs for {configured.home}",
            hint="stop it first, or serve another home with MIRROR_REALM_HOME",
        ) from None
    try:
        yield
    finally:
        lock.release()


async def _until_stopped(served: Served) -> None:
    async with asyncio.TaskGroup() as group:
        prefect = served.around.engine != "local"
        group.create_task(served.dispatcher.run())
        # Else a first pass could take what the dispatcher is about to carry on, and it would run twice.
        await served.dispatcher.begun.wait()
        group.create_task(reconciling(served.reconciler, served.interval, scheduled=prefect))
        if prefect:
            group.create_task(_warm_worker())


async def _warm_worker() -> None:
    """Flow runs that Prefect schedules or its UI starts, in this process. It ends when its server is away for long, and
    is started again."""
    from .worker import WORK_POOL, WarmWorker

    while True:
        worker = WarmWorker(work_pool_name=WORK_POOL, name="realm-serve", prefetch_seconds=5)
        try:
            await worker.start(printer=log.info)
        except Exception as error:  # Whatever Prefect raises then, an exception group among them.
            log.warning("the Prefect worker ended, and is started again: %s", error, exc_info=True)
        await asyncio.sleep(WORKER_PAUSE)


def _register_all(files: Sequence[Path], around: Surroundings, configured: Settings) -> list[Registered]:
    for file in files:
        register(
            analyze(file, library=library_of(file, around.store)), around.store, configured, source=str(file)
        )
    return all_registered(around.store, configured)


async def _deploy_all(workflows: list[Registered], around: Surroundings, announce: Announce) -> None:
    from .deploy import deploy

    for workflow in workflows:
        deployed = await deploy(workflow, api_url=around.prefect_url or "")
        announce(f"{workflow.name} {workflow.version}: deployed as {deployed.name}")


def _flow(name: str, version: str, around: Surroundings, configured: Settings) -> Any:
    return registered(name, around.store, configured, version).flow
