"""Stand-ins for nodes, in a test of a workflow: each attempt gives what the case says, through the real runtime.

What is not mocked runs for real where that harms nobody: constructs, what computes, what only reads files. What changes
something outside, or waits for somebody, is refused: a test that writes to a bucket by accident is worse than none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..core.errors import FINAL, Code, ErrorRecord, RealmError
from ..tasks.executor import NodeOutcome
from ..tasks.registry import registry
from .aftermath import PREFIX
from .journal import now

if TYPE_CHECKING:
    from ..tasks.executor import NodeCall
    from ..tasks.sdk import NodeType
    from .scope import Handle

ASKS = frozenset({"control/wait-event", "control/human-task"})
"""Constructs that wait for somebody, who is not there in a test."""
DELAY = "control/delay"


@dataclass(frozen=True, slots=True)
class Answer:
    """What one attempt comes to: an output, an error, or (``real``) what the node itself does; ``delay`` in seconds."""

    output: Any = None
    error: ErrorRecord | None = None
    delay: float = 0.0
    real: bool = False


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that was made, and what the node was given."""

    node: str
    iteration: str
    attempt: int
    parameters: Mapping[str, Any]
    input: Mapping[str, Any]
    mocked: bool

    @property
    def label(self) -> str:
        """What people call the node."""
        return f"{self.node}[{self.iteration}]" if self.iteration else self.node


@dataclass
class Mocked:
    """The mocks of one case, by node (``each/resize[2]``, ``each/resize``), type (``storage/put``) or family
    (``storage/*``), the most particular first. ``attempts`` are those made so far, in order; ``refused`` the nodes that
    were reached and have no mock, with the reason."""

    answers: Mapping[str, Sequence[Answer]]
    attempts: list[Attempt] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)

    async def outcome(self, handle: Handle, call: NodeCall) -> NodeOutcome | None:
        """See :class:`.environment.Mocks`."""
        node_type = registry()[call.node_type]
        answer = self._answer(call)
        attempt = Attempt(
            as_written(call.node_id),
            call.iteration,
            call.attempt,
            call.parameters,
            call.input,
            answer is not None,
        )
        self.attempts.append(attempt)
        if answer is None:
            return self._unmocked(node_type, attempt, call)
        if answer.real:
            return None
        try:
            return await self._given(handle, call, answer)
        except RealmError as error:
            return _outcome(call, None, error.record)

    def _answer(self, call: NodeCall) -> Answer | None:
        node = as_written(call.node_id)
        label = f"{node}[{call.iteration}]" if call.iteration else node
        family = call.node_type.partition("/")[0]
        for name in (label, node, call.node_type, f"{family}/*"):
            if answers := self.answers.get(name):
                return answers[min(call.attempt, len(answers)) - 1]
        return None

    async def _given(self, handle: Handle, call: NodeCall, answer: Answer) -> NodeOutcome:
        from ..compiler.expressions import render
        from .runners import overdue

        if call.timeout and answer.delay > call.timeout:  # What would come later is not waited for.
            return _outcome(call, None, overdue(call))
        await asyncio.sleep(answer.delay)
        if answer.error is not None:
            return _outcome(call, None, answer.error)
        given = {"input": call.input, "parameters": call.parameters, "attempt": call.attempt}
        output = render(answer.output, handle.scope.expressions(call=given))
        return _outcome(call, {} if output is None else output, None)

    def _unmocked(self, node_type: NodeType, attempt: Attempt, call: NodeCall) -> NodeOutcome | None:
        if node_type.name == DELAY:  # A test does not sit a delay out.
            return _outcome(call, {**call.input, "waited_seconds": 0.0}, None)
        why = _why_not(node_type, call)
        if why is None:
            return None
        self.refused.setdefault(attempt.label, f"{node_type.name} {why}, and the case has no mock for it")
        error = ErrorRecord(
            Code.FAILED_PRECONDITION,
            f"{attempt.label} ({node_type.name}) {why}, and the test has no mock for it",
            hint=f"add it to the case's mocks: {attempt.node}: {{output: …}}, or {attempt.node}: real",
            details={FINAL: True, "unmocked": True},
        )
        return _outcome(call, None, error)


def as_written(key: str) -> str:
    """A node's id in the journal as a definition has it: what runs after a failure is beside the others there."""
    return key.replace(PREFIX, "")


def _why_not(node_type: NodeType, call: NodeCall) -> str | None:
    """Why a node must be mocked; ``None``: it may run for real."""
    if node_type.name in ASKS:
        return "waits for somebody"
    if node_type.where == "run":
        return None
    if node_type.service is not None and node_type.service(call.parameters) is not None:
        return "calls a service"
    return "changes something outside" if node_type.side_effects else None


def _outcome(call: NodeCall, output: Any, error: ErrorRecord | None) -> NodeOutcome:
    moment = now().isoformat()
    return NodeOutcome(
        output=output,
        error=error.to_dict() if error is not None else None,
        started_at=moment,
        completed_at=moment,
        worker="mock",
        pid=0,
        device="cpu",
        resource_usage={},
        notes={},
    )
