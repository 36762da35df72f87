"""``realm deploy`` and ``realm serve``: what Prefect runs later, and all of it here until Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from . import faults
from .terminal import terminal

if TYPE_CHECKING:
    from ..core.settings import Settings
    from ..deployments.deploy import Deployed


PATIENCE = 3.0
"""Seconds in which further signals mean the same as the first: a terminal and a supervisor may both send one."""


def deploy(name: str, /, *, json: bool = False) -> int:
    """Make a Prefect deployment of a registered workflow, with its parameters and schedules. Twice is fine.

    Parameters
    ----------
    name
        A registered workflow, or a definition file to register first.
    json
        As JSON.
    """
    from dataclasses import asdict

    from ..core.settings import settings
    from .logs import engines_quiet

    out = terminal()
    if Path(name).is_file():
        from .records import put

        if (found := put(Path(name))) is None:
            return faults.INPUT_AT_FAULT
        name = found.name
    with engines_quiet(out):
        deployed = _deploy(name, settings())
    if json:
        out.write_json(asdict(deployed))
        return faults.OK
    out.write(f"{deployed.name} {deployed.version}: deployed, entrypoint {deployed.entrypoint}")
    for schedule in deployed.schedules:
        out.write(f"  schedule {schedule}")
    out.say(f"{deployed.url}\n`realm serve` runs it; prefect deployment run '{deployed.name}' starts one")
    return faults.OK


def serve(
    *files: Path,
    root: tuple[Path, ...] = (),
    engine: Literal["prefect", "local"] = "prefect",
) -> int:
    """Run the platform here until Ctrl-C: Prefect, Dask, the triggers of the registered workflows.

    What was running when it stops is carried on by the next start.

    Parameters
    ----------
    files
        Definitions to register first.
    root
        Another folder that nodes may read and write, repeatable. The working directory always may, unless
        settings say otherwise.
    engine
        prefect (the default), or local for the journal and threads alone.
    """
    from ..core.settings import settings
    from .definitions import checked
    from .logs import engines_quiet
    from .progress import ServeLog

    out = terminal()
    for file in files:
        if checked(file) is None:
            return faults.INPUT_AT_FAULT
    with engines_quiet(out):
        from ..deployments.serve import serve as serve_workflows

        def ready(served: Any) -> None:
            out.say(f"ready: {len(served.workflows)} workflows, {served.around.workers}")
            for what, url in (("prefect", served.around.prefect_url), ("dask", served.around.dashboard_url)):
                if url:
                    out.say(f"  {what:<8} {url.removesuffix('/api')}")
            out.say("  Ctrl-C ends everything")

        return asyncio.run(
            _until_signalled(
                serve_workflows(
                    settings(),
                    files=files,
                    roots=root,
                    engine=engine,
                    on_event=ServeLog(out),
                    announce=out.say,
                    ready=ready,
                )
            )
        )


async def _until_signalled(work: Awaitable[None]) -> int:
    """Run ``work``; the first Ctrl-C, SIGTERM or loss of the terminal ends it in order, one that comes
    :data:`PATIENCE` later at once."""
    from ..flows.stopping import endings, forget_terminal, heard_by

    stops = (signal.SIGINT, *endings())
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    stopped = False

    def stop(number: int) -> None:
        nonlocal stopped
        forget_terminal(number)
        if not stopped:
            terminal().say("stopping: what runs is carried on by the next start")
            loop.call_later(PATIENCE, release)
            task.cancel()
        stopped = True

    def release() -> None:
        terminal().say("still stopping; once more stops at once")
        for number in stops:
            loop.remove_signal_handler(number)

    for number in stops:
        loop.add_signal_handler(number, stop, number)
    try:
        # The loop hears of a signal whoever handles it; it only must not be raised in the middle of a run.
        with heard_by(lambda *_: None):
            await task
    except asyncio.CancelledError:
        if not stopped:
            raise
    return faults.OK


def _deploy(name: str, configured: Settings) -> Deployed:
    from ..deployments.deploy import deploy as deploy_workflow
    from ..deployments.prefect_server import ensure_server
    from ..deployments.registration import registered
    from ..deployments.surroundings import prefect_at
    from ..store import Store

    with Store.open(configured.database) as store:
        workflow = registered(name, store, configured)
        with (
            ensure_server(configured, announce=terminal().say) as server,
            prefect_at(server.url, own=server.files),
        ):
            return asyncio.run(deploy_workflow(workflow, api_url=server.url))
