"""What is known of an instance once it has ended: its rows and events, the ledger, what people answered."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mirror_realm.core.status import InstanceStatus, NodeStatus
from mirror_realm.store import NodeExecution, Store
from mirror_realm.store.history import BEGAN, ENDED, HistoryEvent

from .blocks import Block, Part, Work, all_blocks, all_works, batched
from .definitions import followings
from .ledger import EFFECT, Ledger, Line
from .oracle import Place
from .people import Answer

UNDO = "!compensate"
DRAWN = "fails as drawn"


@dataclass
class Findings:
    """How many things were looked at for each invariant, and what was wrong."""

    checks: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def check(self, invariant: str, holds: bool, what: str) -> None:
        """Count a check; note what is wrong where it does not hold."""
        self.checks[invariant] += 1
        if not holds:
            self.wrong.append(f"{invariant}: {what}")


class Evidence:
    """What is known of one instance."""

    def __init__(
        self,
        store: Store,
        instance_id: str,
        part: Part,
        ledger: Ledger,
        *,
        answers: Sequence[Answer] = (),
        canceled: bool | None = None,
    ) -> None:
        self.instance = store.instances.get(instance_id)
        self.rows: dict[Place, NodeExecution] = {
            (row.node_id, row.iteration): row for row in store.executions.for_instance(instance_id)
        }
        self.events = store.history.of(instance_id)
        self.steps = store.sagas.steps(instance_id)
        self.tasks = store.human_tasks.list(instance_id=instance_id, limit=10_000)
        self.answers = answers
        self.canceled = canceled if self.instance.status is InstanceStatus.CANCELED else None
        """``None`` where nobody canceled it; else whether all that it did was to be undone."""
        self.blocks: Mapping[str, Block] = {getattr(one, "id", ""): one for one in all_blocks(part)}
        self.followings = list(followings(part))
        self.batched = frozenset(batched(part))
        self.works: Mapping[str, Work] = {work.id: work for work in all_works(part)}
        self.lines = [line for line in ledger.lines() if line.key.startswith(f"{instance_id}/")]
        self.by_place: dict[Place, list[Line]] = {}
        for line in self.lines:
            self.by_place.setdefault(place_of(line.key), []).append(line)

    def work(self, node_id: str) -> Work | None:
        """What was drawn for a node; ``None`` for a construct."""
        return self.works.get(node_id.rpartition("/")[2].removesuffix(UNDO))

    def ahead(self, place: Place) -> bool:
        """Whether a worker may have gone ahead with a node, before the journal knew."""
        return place[0].rpartition("/")[2] in self.batched

    def keys(self, place: Place, what: str = "") -> list[str]:
        """The execution keys under which a node ran (or had its effect: ``what``), in that order."""
        return list(
            dict.fromkeys(line.key for line in self.by_place.get(place, []) if what in ("", line.what))
        )

    def effects(self, place: Place, key: str) -> int:
        """How many effects a node had under a key."""
        return sum(line.what == EFFECT and line.key == key for line in self.by_place.get(place, []))

    def lives(self, place: Place) -> int:
        """How often a node may have run under a key of its own: once, and once more each time that it was undone, or
        that what it undoes was there again."""
        undoes = place[0].endswith(UNDO)
        other = (place[0].removesuffix(UNDO) if undoes else place[0] + UNDO, place[1])
        found, over = (0 if undoes else 1), False
        for event in self.events:
            if event.type == ENDED and event.after == NodeStatus.COMPLETED and _place(event) == other:
                over = True
            elif over and event.type == BEGAN and _place(event) == place:
                found, over = found + 1, False
        return found

    @property
    def strange(self) -> list[str]:
        """Failures of attempts that were not drawn: what faults did to nodes."""
        found = []
        for (node_id, iteration), row in self.rows.items():
            own = self.work(node_id) is not None
            for attempt in row.attempts:
                error = attempt.error or {}
                # Of a construct, only what it could not write itself: else it tells of a node inside it.
                if not own and (
                    error.get("message", "").startswith("node '") or "errno" not in error.get("details", {})
                ):
                    continue
                if (
                    attempt.status is NodeStatus.FAILED
                    and DRAWN not in error.get("message", "")
                    and "without recording its end" not in error.get("message", "")
                ):
                    found.append(f"{node_id}[{iteration}]: {error.get('code')}: {error.get('message')}")
        return found


def place_of(key: str) -> Place:
    """The node and iteration of an execution key, also of one that goes with undoing (``~3``)."""
    label = key.partition("/")[2]
    match = re.fullmatch(r"(.*?)(?:\[([\d.]+)\])?(?:~\d+)?", label)
    assert match is not None
    return match[1], match[2] or ""


def _place(event: HistoryEvent) -> Place:
    return event.node_id or "", event.iteration or ""
