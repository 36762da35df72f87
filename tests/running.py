"""Runs one node as the runtime does, through the executor, with the types of one family."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from mirror_realm.core.errors import ErrorRecord
from mirror_realm.core.settings import settings
from mirror_realm.tasks.artifacts import ArtifactStore
from mirror_realm.tasks.executor import NodeCall, NodeOutcome, execute
from mirror_realm.tasks.registry import Registry, node_types_of


class Node:
    """``Node(module, "family/name")``: call it with parameters and input for the output, ``.error`` for the
    error."""

    def __init__(self, module: ModuleType, name: str) -> None:
        self.registry = Registry(node_types_of(module))
        self.name = name

    def outcome(self, parameters: dict, input: dict | None = None, **call: Any) -> NodeOutcome:
        call.setdefault("roots", tuple(map(str, settings().roots)))
        given = NodeCall(
            node_type=self.name,
            node_id="node-01",
            instance_id="inst-1",
            execution_key="inst-1/node-01",
            parameters=parameters,
            input=input or {},
            max_payload_bytes=settings().max_payload_bytes,
            **call,
        )
        return execute(given, registry=self.registry)

    def __call__(self, parameters: dict, input: dict | None = None, **call: Any) -> dict[str, Any]:
        outcome = self.outcome(parameters, input, **call)
        assert outcome.error is None, outcome.error
        assert outcome.output is not None
        return outcome.output

    def error(self, parameters: dict, input: dict | None = None, **call: Any) -> ErrorRecord:
        outcome = self.outcome(parameters, input, **call)
        assert outcome.error is not None, outcome.output
        return ErrorRecord.from_dict(outcome.error)


def artifact(data: bytes, name: str, folder, media_type: str = "application/octet-stream") -> dict[str, Any]:
    """Put bytes into the artifact store; the reference as JSON."""
    path = folder / "artifact-source"
    path.write_bytes(data)
    stored = ArtifactStore.open(settings()).put(path, name=name, media_type=media_type)
    return stored.model_dump(mode="json")
