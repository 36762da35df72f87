"""Races: nodes that may run at the same time, of which one changes what the other reads or changes (Bernstein 1966).

Names are compared by their texts, so that only what surely is the same thing is told: the same name, or a file in a
folder that is read as a whole. Names of which a part differs from round to round, or is only known to the run, may be
the same thing; of those nothing is told.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..diagnostics import Severity
from .accesses import Access, Accesses, Blank, Mode, Name, Unknown
from .branches import Judgement
from .parallel import Parallel

if TYPE_CHECKING:
    from ...tasks.registry import Registry
    from ..analysis import Analysis
    from ..diagnostics import Path
    from ..document import Document
    from ..scopes import Scope

CODE = "MR260"
_NEAR = 32
"""Of many accesses to the same thing, each is held against so many before it in topological order."""
_MOST = 200
"""Races told of one definition."""
_VERBS: Mapping[Mode, str] = {"read": "reads", "write": "writes", "add": "adds to"}
_FILE = "file."


def judge(
    document: Document, scope: Scope, registry: Registry, subworkflows: Mapping[Path, Analysis] | None = None
) -> Iterator[Judgement]:
    """Every race of a definition whose outermost scope is ``scope``; with the verdict *unknown* for nodes that run
    beside each other and do not say what they change."""
    accesses = Accesses(document, registry, subworkflows)
    known, unknown = _Index(), list[Unknown]()
    for part in scope.walk():
        for node_id in part.graph.order:
            for access in accesses.of(part, part.graph.by_id[node_id]):
                if isinstance(access, Unknown):
                    unknown.append(access)
                else:
                    known.add(access)
    parallel = Parallel(document, registry)
    yield from _with_themselves(known, parallel)
    told: set[tuple[Path, str]] = set()
    for one, other in known.conflicts():
        first, second = sorted((one, other), key=lambda access: access.node.span)
        if (second.node.path, second.shown) not in told:
            meeting = parallel.meet((first.scope, first.node.id), (second.scope, second.node.id))
            if meeting is not None:
                told.add((second.node.path, second.shown))
                yield _race(first, second, meeting.certain)
                if len(told) >= _MOST:
                    return
    for before, after in itertools.pairwise(unknown):
        if parallel.meet((before.scope, before.node.id), (after.scope, after.node.id)) is not None:
            message = f"whether {before.node.id!r} and {after.node.id!r} touch the same thing is not known"
            yield Judgement(CODE, "unknown", message, after.node.path)


@dataclass
class _Index:
    """Accesses by what they touch, in an order in which every node stands after those it waits for."""

    by_name: dict[Name, list[Access]] = field(default_factory=dict)
    folders: dict[str, list[Access]] = field(default_factory=dict)

    def add(self, access: Access) -> None:
        self.by_name.setdefault(access.name, []).append(access)
        if access.literal and (text := str(access.name[0])).startswith(_FILE) and text.endswith("/"):
            self.folders.setdefault(text, []).append(access)

    def conflicts(self) -> Iterator[tuple[Access, Access]]:
        """Pairs of different nodes of which one changes what the other touches."""
        for group in self.by_name.values():
            for index, access in enumerate(group):
                yield from _conflicting(group[max(0, index - _NEAR) : index], access)
        if self.folders:
            for name, group in self.by_name.items():
                around = [access for folder in _folders(name) for access in self.folders.get(folder, ())]
                for access in group if around else ():
                    yield from _conflicting(around[:_NEAR], access)


def _conflicting(others: Iterable[Access], access: Access) -> Iterator[tuple[Access, Access]]:
    for other in others:
        modes = {other.mode, access.mode}
        if other.node is not access.node and ("write" in modes or modes == {"add", "read"}):
            yield other, access


def _folders(name: Name) -> Iterator[str]:
    """The folders around a file, as far as its name is literal."""
    text = name[0]
    if not isinstance(text, str) or not text.startswith(_FILE):
        return
    end = text.rfind("/", 0, len(text) - 1 if len(name) == 1 else None)
    while end >= 0:
        yield text[: end + 1]
        end = text.rfind("/", 0, end)


def _with_themselves(known: _Index, parallel: Parallel) -> Iterator[Judgement]:
    """Nodes that write the same thing for several items at the same time."""
    for name, group in known.by_name.items():
        for access in group:
            if (
                access.mode != "write"
                or (meeting := parallel.meets_itself(access.scope, access.node.id)) is None
            ):
                continue
            if meeting.round is None or _varies(name, access.scope, meeting.round):
                continue
            owner = meeting.round.owner.id if meeting.round.owner else ""
            message = f"{access.node.id!r} writes {access.shown} for every item of {owner!r}, several at the same time"
            hint = "put the item or loop.index into the name, or write max_concurrent: 1"
            severity: Severity = "error" if meeting.certain and access.literal else "warning"
            yield Judgement(CODE, "refuted", message, (*access.node.path, "node_id"), hint, severity)


def _varies(name: Name, scope: Scope, round: Scope) -> bool:
    """Whether a part of ``name``, read in ``scope``, may differ between rounds of ``round``."""
    inside: list[Scope] = []
    for one in scope.around():
        inside.append(one)
        if one is round:
            break
    binders = (binder for part in name if isinstance(part, Blank) for binder in part.binders)
    return any(binder is one for binder in binders for one in inside)


def _race(first: Access, second: Access, certain: bool) -> Judgement:
    both = f"{first.node.id!r} and {second.node.id!r} may run at the same time"
    if first.mode == second.mode:
        message = f"{both}, and both write {first.shown}"
    else:
        what = f"{_VERBS[first.mode]} {first.shown}"
        where = "" if first.name == second.name else f" {second.shown}"
        message = f"{both}: {first.node.id!r} {what}, which {second.node.id!r} {_VERBS[second.mode]}{where}"
    hint = "give them different names"
    if first.scope is second.scope:
        hint = f"add the edge {{source: {first.node.id}, target: {second.node.id}}}, or {hint}"
    sure = certain and first.literal and first.name == second.name and first.mode == second.mode == "write"
    severity: Severity = "error" if sure else "warning"
    return Judgement(CODE, "refuted", message, (*second.node.path, "node_id"), hint, severity)
