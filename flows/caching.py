"""Results used again: a node's output by what it was given, computed once, whoever asks meanwhile waits.

The key is a digest of the node type and of what the ``cache`` rule lists. Where it leaves out the inputs or the
parameters, only the same node of the same workflow shares it. A result whose files are gone is computed again.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from ..core.termination import NOTE
from ..tasks.artifacts import ArtifactStore
from ..tasks.executor import NodeCall, NodeOutcome
from ..tasks.sdk import NodeType
from .journal import file_references, now
from .results import CACHED

if TYPE_CHECKING:
    from ..store.cache import CachedResult, Computer
    from .scope import Handle

log = logging.getLogger("mirror_realm.run")

FIRST_LOOK, LAST_LOOK = 0.05, 1.0
"""Seconds between looks at a result that somebody else computes."""
BEATS = 3
"""Signs of life within one lease."""

Attempt = Callable[[], Awaitable[NodeOutcome]]


async def cached(handle: Handle, node_type: NodeType, call: NodeCall, attempt: Attempt) -> NodeOutcome:
    """The outcome of a cached result, or of ``attempt``, whose output is then kept for others."""
    rule = handle.node.cache or {}
    run = handle.scope.run
    who = _computer(handle, call)
    key = key_of(node_type, call, rule, f"{run.workflow.name}/{handle.key}")
    found = await _claimed(handle, key, who, rule.get("ttl"))
    if found.state == "ready":
        return _outcome(found)
    return await _compute(handle, key, who, rule.get("ttl"), attempt)


def key_of(node_type: NodeType, call: NodeCall, rule: Mapping[str, Any], node: str) -> str:
    """The key of a call's result. Fields of the input that the node type does not take cannot change it."""
    parts = rule.get("key") or ("inputs", "parameters", "node_type_version")
    taken = {field.alias or name for name, field in node_type.input.model_fields.items()}
    taken |= set(node_type.input.model_fields)
    everything = node_type.input.model_config.get("extra") == "allow"
    given = {name: value for name, value in call.input.items() if everything or name in taken}
    made = {
        "type": node_type.name,
        "version": node_type.version if "node_type_version" in parts else None,
        "parameters": call.parameters if "parameters" in parts else None,
        "input": given if "inputs" in parts else None,
        "node": None if {"inputs", "parameters"} <= set(parts) else node,
    }
    text = json.dumps(made, sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _computer(handle: Handle, call: NodeCall) -> Computer:
    from ..store.cache import Computer

    return Computer(
        owner=uuid4().hex,
        node_type=call.node_type,
        workflow=handle.scope.run.workflow.name,
        node_id=handle.label,
        instance_id=call.instance_id,
    )


async def _claimed(handle: Handle, key: str, who: Computer, ttl: float | None) -> CachedResult:
    """A result that is ready and whole, or the leave to compute it."""
    journal, pause = handle.scope.run.env.journal, FIRST_LOOK
    while True:
        found = await journal.call(journal.store.cache.claim, key, who, max_age=ttl)
        if found.state == "ready":
            if await asyncio.to_thread(_whole, handle, found.output):
                return found
            log.info("%s: the files of its cached result are gone; it is computed again", handle.label)
            await journal.call(journal.store.cache.discard, found)
        elif found.owner == who.owner:
            return found
        else:
            handle.scope.run.emit_node(
                handle, message=f"waits for {found.instance_id}, which computes the same"
            )
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, LAST_LOOK)


def _whole(handle: Handle, output: Any) -> bool:
    """Whether every file that the output refers to is still there."""
    from ..core.references import FileRef

    references = file_references(output)
    if not references:
        return True
    artifacts = ArtifactStore.open(handle.scope.run.env.settings)
    return all(artifacts.holds(FileRef.model_validate(one)) for one in references)


async def _compute(
    handle: Handle, key: str, who: Computer, ttl: float | None, attempt: Attempt
) -> NodeOutcome:
    journal = handle.scope.run.env.journal
    cache = journal.store.cache
    beating = asyncio.create_task(_beat(handle, key, who))
    kept = False
    try:
        outcome = await attempt()
        if outcome.ok and NOTE not in outcome.notes:
            kept = await journal.call(cache.fill, key, who.owner, outcome.output, ttl=ttl)
        return outcome
    finally:
        beating.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await beating
        if not kept:
            await journal.call(cache.give_up, key, who.owner)


async def _beat(handle: Handle, key: str, who: Computer) -> None:
    from ..store.cache import LEASE

    journal = handle.scope.run.env.journal
    while True:
        await asyncio.sleep(LEASE / BEATS)
        try:
            if not await journal.call(journal.store.cache.beat, key, who.owner):
                return
        except Exception:  # A database that is away for a moment: the next beat may reach it.
            log.warning("no sign of life could be given for %s", handle.label, exc_info=True)


def _outcome(found: CachedResult) -> NodeOutcome:
    moment = now().isoformat()
    origin = {"instance_id": found.instance_id, "node_id": found.node_id, "at": found.created_at.isoformat()}
    return NodeOutcome(
        output=found.output,
        error=None,
        started_at=moment,
        completed_at=moment,
        worker="",
        pid=0,
        device="cpu",
        resource_usage={},
        notes={CACHED: origin},
    )
