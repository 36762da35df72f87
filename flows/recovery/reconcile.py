"""One pass over everything that may have been lost: the journal first, then Prefect's view, then Dask's.

Two passes at once, in one process or in several, are harmless: what is taken is taken by compare-and-set, and a process
that was wrongly taken for dead can write nothing once another life of the instance has begun (:mod:`...store.history`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from typing import TYPE_CHECKING

from ...core.errors import RealmError
from .. import journal as journals
from ..presence import BEAT
from ..runners import DaskRunner
from . import findings
from .findings import Finding, Report
from .liveness import Liveness, Verdicts, gone, silence
from .lost import settle
from .workers import Workers

if TYPE_CHECKING:
    from ...core.settings import Settings
    from ...store.runners import Held, Runner
    from ..journal import Journal
    from ..runners import Runner as NodeRunner

log = logging.getLogger(__name__)

CLEAN_AFTER = timedelta(days=1)
"""How long runners are kept that left nothing."""

MOST_UNTOLD = 50

_RUN_HERE = "the run of it in this process ended without a verdict"


class Reconciler:
    """Compares and puts right, for one store. ``owner`` looks after what is adopted; ``busy`` are the instances that a
    dispatcher of this process has taken; ``prefect`` says whether there is a Prefect server to compare with."""

    def __init__(
        self,
        journal: Journal,
        settings: Settings,
        *,
        owner: str,
        prefect: bool = False,
        dask: NodeRunner | None = None,
        busy: Callable[[], set[str]] = set,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self._journal, self._settings, self._owner = journal, settings, owner
        self._prefect, self._busy, self._wake = prefect, busy, wake
        self._liveness = Liveness(settings.lease)
        self._workers = Workers(dask) if isinstance(dask, DaskRunner) else None
        self._unrun: set[tuple[str, int]] = set()
        self._lock = asyncio.Lock()
        self.last_pass: float | None = None
        """When the last pass ended, by the monotonic clock."""
        self.last_report: Report | None = None
        self.untold: list[Finding] = []
        """What the passes found since Prefect last showed it; the last :data:`MOST_UNTOLD`."""

    @property
    def fresh(self) -> bool:
        """Whether the last pass was made so recently that another one, which was late, would tell nothing new."""
        return (
            self.last_pass is not None
            and time.monotonic() - self.last_pass < self._settings.reconcile_interval / 3
        )

    async def once(self, *, dry_run: bool = False, patient: bool = False) -> Report:
        """One pass. ``patient`` looks twice where only time can tell, as a series of passes does by itself."""
        async with self._lock:
            began = time.monotonic()
            report = Report(dry_run=dry_run)
            held = await self._journal_side(report, patient)
            if self._prefect:
                await self._prefect_side(held, report)
            if self._workers is not None:
                await self._dask_side(report)
            if not dry_run:
                await self._journal.call(self._journal.store.runners.forget, CLEAN_AFTER)
            self.last_pass = time.monotonic()
            report.seconds = self.last_pass - began
            self.last_report = report
        if not dry_run:
            self.untold = [*self.untold, *report.findings][-MOST_UNTOLD:]
        for finding in report.findings:
            log.warning("%s: %s: %s", finding.subject, finding.what, finding.action)
        if report.findings and not dry_run:
            self._wake()
        return report

    async def glance(self) -> bool:
        """A cheap look, every few seconds: whether a pass would find something to carry on."""
        runners, held, claimants = await self._journal.call(self._read)
        verdicts = self._liveness.look(runners, _owners(held, claimants))
        if any(self._why(one, verdicts) for one in held) or any(map(verdicts.owner_dead, claimants)):
            return True
        return self._prefect and bool(await self._asked_in_prefect())

    # -- the journal ------------------------------------------------------------------------------------

    def _read(self) -> tuple[list[Runner], list[Held], set[str]]:
        runners = self._journal.store.runners
        return runners.list(), runners.running(), runners.claimants()

    async def _journal_side(self, report: Report, patient: bool) -> list[Held]:
        runners, held, claimants = await self._journal.call(self._read)
        verdicts = self._liveness.look(runners, _owners(held, claimants))
        if patient:
            runners, held, claimants = await self._look_again(verdicts, runners, held, claimants)
        report.looked_at["instances"] += len(held)
        report.looked_at["processes"] += len(runners)
        lost = {one.id: why for one in held if (why := self._why(one, verdicts)) is not None}
        for one in held:
            if one.id in lost:
                runner = verdicts.runners.get(one.runner_id or "")
                await self._settle(one, lost[one.id], runner, report)
        self._unrun = {(one.id, one.epoch) for one in held if self._not_run_here(one)}
        owners = [owner for owner in claimants if verdicts.owner_dead(owner)]
        await self._journal.call(self._claims, owners, report)
        return [one for one in held if one.id not in lost]

    async def _settle(self, one: Held, why: str, runner: Runner | None, report: Report) -> None:
        recovery = timedelta(days=self._settings.recovery_days)
        store = self._journal.store
        await self._journal.call(
            settle, store, one, why, runner, at=journals.now(), recovery=recovery, report=report
        )

    def _why(self, held: Held, verdicts: Verdicts) -> str | None:
        """Why an instance is lost; ``None`` for one that is run, or that a dispatcher is about to run."""
        if held.claimed_by is None and held.requested == "resume":
            return None
        if held.id in self._journal.presence.live or held.id in self._busy():
            return None
        # One that is to be resumed belongs to who asked for it, whoever ran it before.
        if held.requested != "resume" and held.runner_id is not None and held.runner_id in verdicts.runners:
            if held.runner_id in verdicts.dead:
                return verdicts.dead[held.runner_id]
            unrun = self._not_run_here(held) and (held.id, held.epoch) in self._unrun
            return _RUN_HERE if unrun else None
        if verdicts.owner_dead(held.claimed_by):
            return "no process of its owner is left"
        return None

    def _not_run_here(self, held: Held) -> bool:
        """Whether this very process should run an instance, and does not. Twice in a row it means something: a run that
        begins is in the journal first."""
        mine = held.runner_id is not None and held.runner_id == self._journal.presence.runner_id
        return mine and held.id not in self._journal.presence.live and held.id not in self._busy()

    async def _look_again(
        self, verdicts: Verdicts, runners: Sequence[Runner], held: list[Held], claimants: set[str]
    ) -> tuple[list[Runner], list[Held], set[str]]:
        """Where a process was silent for a lease by the wall clock: whether it still is, two signs later."""
        at = journals.now()
        doubtful = {
            one.id: one.beat
            for one in runners
            if one.id not in verdicts.dead and (at - one.alive_at).total_seconds() > self._settings.lease
        }
        nobodys = {owner for owner in claimants if not any(one.owner == owner for one in runners)}
        nobodys |= {one.claimed_by for one in held if one.claimed_by} - {one.owner for one in runners}
        nobodys = {owner for owner in nobodys if gone(owner) is None}
        if not doubtful and not nobodys:
            return list(runners), held, claimants
        await asyncio.sleep(2 * BEAT + 1)
        again, held, claimants = await self._journal.call(self._read)
        verdicts.runners = {one.id: one for one in again}
        for one in again:
            if doubtful.get(one.id) == one.beat:
                verdicts.dead[one.id] = silence(one, (at - one.alive_at).total_seconds())
        verdicts.silent |= nobodys - {one.owner for one in again}
        return again, held, claimants

    def _claims(self, owners: list[str], report: Report) -> None:
        """What dead owners had claimed and not begun is free again; their waiting instances wait here."""
        runners = self._journal.store.runners
        what = "no process is left of the one that was to run it"
        if not owners:
            return
        free = runners.claims(owners) if report.dry_run else runners.free(owners)
        for id in free:
            report.add(id, what, findings.RELEASED)
        others = [owner for owner in owners if owner != self._owner]
        if others:
            waits = runners.waiting(others) if report.dry_run else runners.adopt(others, self._owner)
            for id in waits:
                report.add(id, "no process is left of the one that was to carry it on", findings.ADOPTED)

    # -- the engines ------------------------------------------------------------------------------------

    async def _prefect_side(self, held: list[Held], report: Report) -> None:
        from prefect.client.orchestration import get_client

        from .flow_runs import FlowRuns

        try:
            async with get_client() as client:
                runs = FlowRuns(client, self._journal, report, at=journals.now())
                await runs.compare(held, self._journal.presence.live)
            report.prefect = "compared"
        except RealmError:
            raise
        except Exception as error:  # noqa: BLE001 - told below; the journal's side must not wait for it
            report.prefect = _missing("Prefect cannot be compared with now", error)

    async def _asked_in_prefect(self) -> list[str]:
        from prefect.client.orchestration import get_client

        from .flow_runs import FlowRuns

        try:
            async with get_client() as client:
                return await FlowRuns(client, self._journal, Report(), at=journals.now()).asked_to_end()
        except RealmError:
            raise
        except Exception as error:  # noqa: BLE001 - as above
            _missing("Prefect cannot be asked which runs are to end", error)
            return []

    async def _dask_side(self, report: Report) -> None:
        assert self._workers is not None
        try:
            await self._workers.compare(report)
        except OSError as error:  # A TimeoutError is one. Who started the cluster sees to it.
            log.info("Dask cannot be compared with now: %s", error)


def _missing(what: str, error: Exception) -> str:
    """Log why Prefect's side is missing: in a line where its server is away, with the traceback where we are at fault.
    The words for the report."""
    import httpx
    from prefect.exceptions import PrefectException

    if isinstance(error, OSError | httpx.HTTPError | PrefectException):
        log.info("%s: %s", what, error or type(error).__name__)
        return f"away ({type(error).__name__})"
    log.error("%s: this is a fault of ours", what, exc_info=error)
    return f"fault ({type(error).__name__})"


def _owners(held: Sequence[Held], claimants: set[str]) -> set[str]:
    return claimants | {one.claimed_by for one in held if one.claimed_by is not None}


_current: ContextVar[Reconciler | None] = ContextVar("mirror_realm_reconciler", default=None)


@contextmanager
def use(reconciler: Reconciler) -> Iterator[Reconciler]:
    """Make it the one that :mod:`.flow` runs inside the block."""
    token = _current.set(reconciler)
    try:
        yield reconciler
    finally:
        _current.reset(token)


def current() -> Reconciler | None:
    """The reconciler of this process, where there is one."""
    return _current.get()
