"""A node context whose home and only root are the test's own folder."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from mirror_realm.core.settings import settings
from mirror_realm.tasks.artifacts import ArtifactStore
from mirror_realm.tasks.context import NodeContext
from mirror_realm.tasks.sdk import NodeType


def context_in(folder: Path, **changes: Any) -> NodeContext:
    """A context; the work folder is ``folder/work``. ``changes`` replace its fields; ``limits`` its settings."""
    configured = settings().model_copy(update=changes.pop("limits", {}))
    work = folder / "work"
    work.mkdir(exist_ok=True)
    fields: dict[str, Any] = {
        "execution_key": "key",
        "instance_id": "inst-1",
        "node_id": "node-1",
        "attempt": 1,
        "private": SimpleNamespace(folder=work),
        "artifacts": ArtifactStore.open(configured),
        "settings": configured,
        "roots": configured.roots,
    }
    return NodeContext(**(fields | changes))


def run(node_type: NodeType, context: NodeContext, input: Any, **parameters: Any) -> Any:
    """Run a node on an input (a path, or a dictionary) as the executor does, minus the process around it."""
    given = input if isinstance(input, dict) else {"file_path": str(input)}
    return node_type(node_type.parameters(**parameters), node_type.input(**given), context)
