"""What of a decided instance runs again: what failed, what a person names, what changed, and all that follows.

A node that is to run again is treated as one that changed, so that the compiler's difference of two definitions says
what follows: after it, reading it, around it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..core.errors import Code, RealmError
from ..core.status import NodeStatus
from ..core.termination import Termination

if TYPE_CHECKING:
    from ..compiler import Analysis, Definition
    from ..store import NodeExecution

Row = tuple[str, str]
"""A node execution: the node's id in the journal and its iteration."""

SEQUENTIAL = "control/loop"
ROUNDS = frozenset({SEQUENTIAL, "control/foreach"})
"""The constructs whose parts run in rounds, each with an index in the iteration."""
_AGAIN = "run again"


@dataclass(frozen=True, slots=True)
class Rerun:
    """``rows`` are the results to drop; the instance goes on with ``definition``."""

    definition: Definition
    rows: frozenset[Row] = field(default_factory=frozenset)
    source_name: str | None = None


def plan_rerun(
    rows: Iterable[NodeExecution],
    ran: Analysis,
    *,
    newer: Analysis | None = None,
    changed: Analysis | None = None,
    start: str | None = None,
    source_name: str | None = None,
) -> Rerun:
    """What runs again of an instance of ``ran`` with these node executions. Sub-workflows count with what is in them.

    ``start`` is a node, as ``each/resize`` or, of one round, ``each/resize[7]``; ``changed`` is the definition with
    other parameters, whose nodes run again; ``newer`` another version, whose every completed node must be as it was
    (FAILED_PRECONDITION with the difference), unless ``start`` runs it again. NOT_FOUND for an unknown node.
    """
    from ..compiler.difference import difference
    from ..compiler.inlined import inlined

    analysis = newer or ran
    base = inlined(analysis)
    decided = [row for row in rows if row.status.terminal]
    dropped = {(row.node_id, row.iteration) for row in decided if _ended_it(row)}
    if start is not None:
        key, iteration = _parsed(start)
        again = frozenset(difference(base, _marked(base, key)).again)
        dropped |= {(r.node_id, r.iteration) for r in decided if _follows(r, key, iteration, again, base)}
    if newer is not None:
        _check_prefix(decided, dropped, inlined(ran), base)
    if changed is not None:
        again = frozenset(difference(base, inlined(changed)).again)
        dropped |= {(row.node_id, row.iteration) for row in decided if row.node_id in again}
    definition = (changed or analysis).definition
    assert definition is not None
    return Rerun(definition, frozenset(dropped), source_name)


def _ended_it(row: NodeExecution) -> bool:
    """Whether the node completed by ending the instance as failed or canceled: that was the failure."""
    completed = row.status is NodeStatus.COMPLETED and row.attempts
    ending = Termination.noted(row.attempts[-1].notes) if completed else None
    return ending is not None and ending.status != "completed"


def _check_prefix(
    decided: list[NodeExecution], dropped: set[Row], ran: Definition, newer: Definition
) -> None:
    from ..compiler.difference import difference, render_text

    found = difference(ran, newer)
    lost = {
        row.node_id: found.again.get(row.node_id, "it is gone")
        for row in decided
        if row.status is NodeStatus.COMPLETED
        and (row.node_id, row.iteration) not in dropped
        and not found.carries_over(row.node_id)
    }
    if lost:
        of = f"version {newer.version}" if newer.version else "this definition"
        why = "; ".join(f"{node}: {reason}" for node, reason in list(lost.items())[:5])
        raise RealmError(
            Code.FAILED_PRECONDITION,
            f"{of} changes what has completed: {why}\n{render_text(found, color=False)}".rstrip(),
            hint="run it again from the first of these nodes with --from, or start a new instance",
        )


def _parsed(start: str) -> tuple[str, str | None]:
    key, bracket, rest = start.partition("[")
    if bracket and not (rest.endswith("]") and rest[:-1].replace(".", "").isdigit()):
        raise RealmError(
            Code.INVALID_ARGUMENT,
            f"{start} names no node",
            hint="write NODE or, of one round, each/resize[7]",
        )
    return key, rest[:-1] if bracket else None


def _marked(definition: Definition, key: str) -> Definition:
    """The definition with one node changed, in a way that changes nothing else."""
    from ..compiler import Definition

    document = definition.document()
    nodes = dict(_nodes(document))
    if key not in nodes:
        close = difflib.get_close_matches(key, nodes, n=3)
        hint = f"did you mean {' or '.join(close)}?" if close else f"its nodes are {', '.join(nodes)}"
        raise RealmError(Code.NOT_FOUND, f"{definition.name} has no node {key}", hint=hint)
    node = nodes[key]
    node["parameters"] = {**node.get("parameters", {}), _AGAIN: True}
    return Definition.model_validate(document)


def _nodes(part: dict[str, Any], prefix: str = "") -> Iterable[tuple[str, dict[str, Any]]]:
    """The nodes of a part by their ids in the journal, those inside them included."""
    from ..compiler.scopes import branch_name

    for node in part.get("nodes", ()):
        key = prefix + node["node_id"]
        yield key, node
        if isinstance(node.get("body"), dict):
            yield from _nodes(node["body"], f"{key}/")
        for index, branch in enumerate(node.get("branches") or ()):
            yield from _nodes(branch, f"{key}/{branch_name(branch, index)}/")


def _follows(
    row: NodeExecution, key: str, iteration: str | None, again: frozenset[str], definition: Definition
) -> bool:
    """Whether a row runs again when the node ``key`` does, in one ``iteration`` or (``None``) in all of them.

    Rounds side by side do not follow each other; those of a loop follow the ones before, with all that is in them.
    """
    if iteration is None:
        return row.node_id in again
    types = {one: str(node.get("type")) for one, node in _nodes(definition.document())}
    around = [one for one in types if key.startswith(f"{one}/") and types[one] in ROUNDS]
    shared = [one for one in around if row.node_id.startswith(f"{one}/")]
    for construct, index, wanted in zip(shared, row.iteration.split("."), iteration.split("."), strict=False):
        if index == wanted:
            continue
        return types[construct] == SEQUENTIAL and int(index) > int(wanted)
    return row.node_id in again
