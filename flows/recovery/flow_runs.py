"""What Prefect shows, compared with the journal.

The journal is the truth but for one thing: a person who cancels a flow run in Prefect means its instance. Everything
else that differs is Prefect's view, and is made right there: flow runs that seem to run although nobody runs them.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from ...core.errors import RealmError
from ...core.status import PREFECT_STATES, InstanceStatus
from .. import control
from . import findings

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun

    from ...store.runners import Held
    from ..journal import Journal
    from .findings import Report

log = logging.getLogger(__name__)

BY = "prefect"
PAGE = 100
MOST_PAGES = 20
AFTERWARDS = 30.0
"""Seconds that a run may take to tell Prefect a verdict which the journal has."""
_S = InstanceStatus
_OPEN = ("RUNNING", "PENDING", "CANCELLING")
_ASIDE = (_S.WAITING, _S.PAUSED)
_TAG = "instance:"


class FlowRuns:
    """Compares Prefect's flow runs with instances. ``live`` says whether an instance is run by this process now."""

    def __init__(self, client: PrefectClient, journal: Journal, report: Report, *, at: datetime) -> None:
        self._client, self._journal, self._report, self._at = client, journal, report, at
        self._runners = journal.store.runners

    async def compare(self, held: Iterable[Held], live: Mapping[str, int]) -> None:
        """The whole comparison; ``held`` are the instances that run, or should."""
        running = {one.flow_run_id: one for one in held if one.flow_run_id is not None}
        async for run in self._by_id(list(running)):
            self._report.looked_at["flow runs"] += 1
            await self._asked(run, running[str(run.id)])
        async for page in self._open():
            known = await self._journal.call(self._runners.of_flow_runs, [str(run.id) for run in page])
            for run in page:
                self._report.looked_at["flow runs"] += str(run.id) not in running
                await self._stale(run, known.get(str(run.id)), live)

    async def asked_to_end(self) -> list[str]:
        """The instances whose flow runs a person cancels in Prefect now; each is asked to end. One request."""
        from prefect.client.schemas.filters import FlowRunFilter

        wanted = FlowRunFilter.model_validate({"state": {"type": {"any_": ["CANCELLING"]}}})
        found = await self._client.read_flow_runs(flow_run_filter=wanted, limit=PAGE)
        known = await self._journal.call(self._runners.of_flow_runs, [str(run.id) for run in found])
        return [held.id for run in found if (held := known.get(str(run.id))) and await self._asked(run, held)]

    async def _asked(self, run: FlowRun, held: Held) -> bool:
        """End the instance whose run a person cancelled in Prefect; whether that is so."""
        state = run.state_type.value if run.state_type else ""
        if state not in ("CANCELLING", "CANCELLED") or held.status is not _S.RUNNING:
            return False
        if held.requested == "cancel":
            return True
        if not self._report.dry_run:
            try:
                await self._journal.call(control.cancel, self._journal.store, held.id, by=BY)
            except RealmError as error:
                log.info("%s is not canceled: %s", held.id, error.record.message)
                return False
        self._add(held, f"its flow run {run.name} was cancelled in Prefect", findings.CANCELED)
        return True

    async def _stale(self, run: FlowRun, held: Held | None, live: Mapping[str, int]) -> None:
        """Correct what Prefect shows of a flow run that nobody runs."""
        if run.state is None or self._at - run.state.timestamp < timedelta(seconds=AFTERWARDS):
            return
        if held is None:
            await self._superseded(run)
            return
        if held.id in live or not (held.status.terminal or held.status in _ASIDE):
            return
        kind, name = PREFECT_STATES[held.status]
        if held.status in _ASIDE:  # As a run that puts its instance aside ends itself.
            kind, name = "COMPLETED", "Waiting"
        what = f"Prefect shows its flow run {run.name} as {run.state.name}, and it is {held.status}"
        await self._tell(run, kind, name, f"the journal has it as {held.status}")
        self._add(held, what, findings.TOLD)

    async def _superseded(self, run: FlowRun) -> None:
        """A flow run that an instance had before another one."""
        tagged = next((tag.removeprefix(_TAG) for tag in run.tags if tag.startswith(_TAG)), None)
        if tagged is None or run.state is None:
            return  # Not one of ours.
        held = await self._journal.call(self._runners.held, tagged)
        if held is None or held.flow_run_id == str(run.id):
            return
        await self._tell(run, "CRASHED", "Crashed", "its process ended before it was reported")
        what = f"Prefect shows its earlier flow run {run.name} as {run.state.name}"
        self._add(held, what, findings.TOLD)

    async def _tell(self, run: FlowRun, kind: str, name: str, message: str) -> None:
        from prefect.client.schemas.objects import State, StateType

        if self._report.dry_run:
            return
        state: State[Any] = State(type=StateType(kind), name=name, message=message)
        await self._client.set_flow_run_state(run.id, state, force=True)

    def _add(self, held: Held, what: str, action: str) -> None:
        self._report.add(held.id, what, action, workflow=held.workflow, status=str(held.status))

    async def _by_id(self, ids: list[str]) -> AsyncIterator[FlowRun]:
        from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

        for start in range(0, len(ids), PAGE):
            some = [UUID(id) for id in ids[start : start + PAGE]]
            wanted = FlowRunFilter(id=FlowRunFilterId(any_=some))
            for run in await self._client.read_flow_runs(flow_run_filter=wanted, limit=PAGE):
                yield run

    async def _open(self) -> AsyncIterator[list[FlowRun]]:
        """The flow runs that Prefect shows as under way, in pages."""
        from prefect.client.schemas.filters import FlowRunFilter
        from prefect.client.schemas.sorting import FlowRunSort

        wanted = FlowRunFilter.model_validate({"state": {"type": {"any_": list(_OPEN)}}})
        for page in range(MOST_PAGES):
            found = await self._client.read_flow_runs(
                flow_run_filter=wanted, sort=FlowRunSort.START_TIME_ASC, limit=PAGE, offset=page * PAGE
            )
            yield found
            if len(found) < PAGE:
                return
