"""``realm instances reconcile``: one pass of the reconciler, now."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Literal

from . import faults
from .terminal import terminal

if TYPE_CHECKING:
    from ..core.settings import Settings
    from ..flows.recovery.findings import Report

ACTIONS = {
    "resumed": "left to `realm serve` to carry on",
    "canceled": "ended as canceled",
    "paused": "put aside as paused",
    "failed": "failed: too old",
    "released": "free for `realm serve` again",
    "adopted": "waits for this home's `realm serve`",
    "told prefect": "corrected in Prefect",
}


def reconcile(
    *,
    dry_run: bool = False,
    json: bool = False,
    format: Literal["text", "json"] = "text",
) -> int:
    """Find instances whose process died, and what Prefect shows wrongly, and put it right: one pass, now.

    `realm serve` does the same every 30 seconds, and carries on what is found. Where a process of another machine seems
    dead, this takes eleven seconds, to see whether it gives a sign of life.

    Parameters
    ----------
    dry_run
        Only say what would be done.
    json
        The same as --format json.
    format
        How the report is written.
    """
    from ..core.settings import settings
    from .logs import engines_quiet

    out = terminal()
    with engines_quiet(out):
        report = asyncio.run(_pass(settings(), dry_run))
    if json or format == "json":
        out.write_json(report.to_dict())
        return faults.OK
    for finding in report.findings:
        action = ACTIONS.get(finding.action, finding.action)
        name = f" ({finding.workflow}, {finding.status})" if finding.workflow else ""
        out.write(f"{finding.subject}{name}: {finding.what}: {'would be ' if dry_run else ''}{action}")
    out.write(report.sentence)
    if report.prefect.startswith("away"):
        out.say("Prefect's server does not answer; only the journal was looked at")
    if not dry_run and any(finding.action == "resumed" for finding in report.findings):
        out.say("without a `realm serve`, `realm instances resume ID` carries one on here")
    return faults.OK


async def _pass(configured: Settings, dry_run: bool) -> Report:
    from ..flows.environment import home_id
    from ..flows.journal import Journal
    from ..flows.recovery.reconcile import Reconciler
    from ..store import Store

    with Store.open(configured.database) as store:
        journal = Journal(store)
        try:
            with _prefect(configured) as found:
                owner = f"home:{home_id(configured.home)}"
                reconciler = Reconciler(journal, configured, owner=owner, prefect=found)
                return await reconciler.once(dry_run=dry_run, patient=True)
        finally:
            journal.close()


@contextmanager
def _prefect(configured: Settings) -> Iterator[bool]:
    """Whether there is a Prefect server to compare with; inside the block Prefect's client asks it."""
    from ..deployments.prefect_process import HOST, Files
    from ..deployments.surroundings import prefect_at

    url = os.environ.get("PREFECT_API_URL")
    running = None if url else Files(configured.home).running()
    if running is not None:
        url = f"http://{HOST}:{running[1]}/api"
    with prefect_at(url) if url else nullcontext():
        yield bool(url)
