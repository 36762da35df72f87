"""Nothing twice: what a node gave for a content is given again, whatever the file is called and wherever it lies.

A node type that declares :class:`~mirror_realm.tasks.sdk.Once` is asked once for each content, set of parameters and
set of weights; the answer is kept in the records of stages. It is asked again when a file that its answer refers to is
gone, and an answer that lacks something for want of weights or memory is not kept.

The run asks through its journal (:func:`once`), a worker that goes through many nodes in a store of its own
(``batches/records.py``); what is the same content, what still holds and what is kept, is one matter for both.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..blocks.objectstore import open_s3
from ..core.references import FileRef, ImageRef, local_path
from ..core.settings import Settings
from ..tasks.artifacts import ArtifactStore, sha256_file
from ..tasks.executor import NodeCall, NodeOutcome
from ..tasks.sdk import NodeType
from .journal import file_references, now
from .results import CACHED

if TYPE_CHECKING:
    from ..store.media_stages import Stage, StageKey
    from .scope import Handle

log = logging.getLogger("mirror_realm.run")

OWN_WEIGHTS = ("weights", "face_weights")
"""Parameters that name a weights file of a person's own."""

MADE_FOR = "$made_for"
"""The key of a record's result that says for which execution of a node it was made. If that one comes again, its
process died before the journal knew of the attempt: then it was made, and not found."""

UNFINISHED = ("degraded", "unavailable")
"""Fields by which an output says that it lacks something that another time may have."""


async def once(
    handle: Handle, node_type: NodeType, call: NodeCall, attempt: Callable[[], Awaitable[NodeOutcome]]
) -> NodeOutcome:
    """The outcome that is recorded for the content of ``call``, else that of ``attempt``, which is then recorded."""
    journal, settings = handle.scope.run.env.journal, handle.scope.run.env.settings
    key = await asyncio.to_thread(key_of, node_type, call, settings)
    if key is None:
        return await attempt()
    known = await journal.call(journal.store.stages.get, key)
    found = await asyncio.to_thread(found_again, known, call, settings)
    if found is not None:
        log.debug("%s: nothing new in %s", handle.label, key.sha256[:12])
        return found
    outcome = await attempt()
    if lasting(outcome):
        await journal.call(journal.store.stages.done, key, kept(outcome, call))
    return outcome


def found_again(known: Stage | None, call: NodeCall, settings: Settings) -> NodeOutcome | None:
    """The outcome that a record stands for; ``None`` where there is none, or it does not hold any more."""
    if known is None or not known.settled or not _whole(known.result, settings):
        return None
    return _outcome(known, call)


def lasting(outcome: NodeOutcome) -> bool:
    """Whether an outcome is one to record: complete, and lacking nothing."""
    output = outcome.output
    return outcome.ok and isinstance(output, dict) and not any(map(output.get, UNFINISHED))


def kept(outcome: NodeOutcome, call: NodeCall) -> dict[str, Any]:
    """What is recorded of a lasting outcome: its output, and whose it is."""
    return {**outcome.output, MADE_FOR: call.execution_key}


def key_of(node_type: NodeType, call: NodeCall, settings: Settings) -> StageKey | None:
    """The record's key; ``None`` for what is asked anew each time, and for an input without one readable picture."""
    from ..store.media_stages import StageKey

    rule = node_type.once
    if rule is None or not rule.when(call.parameters):
        return None
    found = _content(node_type, call)
    if found is None:
        return None
    original, content = found
    model = (
        weights_signature(settings.model_folder, *map(call.parameters.get, OWN_WEIGHTS))
        if rule.weights
        else ""
    )
    parameters = {
        "content": content,
        "parameters": json.dumps(call.parameters, sort_keys=True, ensure_ascii=True, default=str),
        "version": node_type.version,
        "destination": [settings.s3_endpoint, str(settings.object_folder), settings.artifact_location],
    }
    return StageKey.of(original, node_type.name, model, parameters)


def _content(node_type: NodeType, call: NodeCall) -> tuple[str, str] | None:
    """The digests of the original and of the picture that the call is about."""
    image = call.input.get("image")
    if call.input.get("files") and "files" in node_type.input.model_fields:
        return None
    if isinstance(image, Mapping):
        try:
            reference = ImageRef.model_validate(image)
        except ValueError:
            return None
        return reference.source_sha256 or reference.sha256, reference.sha256
    given = call.input.get("file_path") or _payload(call).get("file_path")
    if image is not None or "file_path" not in node_type.input.model_fields or not isinstance(given, str):
        return None
    try:
        path = local_path(given).resolve()
        if not any(path.is_relative_to(Path(root).resolve()) for root in call.roots):
            return None
        digest = sha256_file(path)
    except (OSError, ValueError, RuntimeError):  # The last of a link that leads to itself.
        return None  # the node itself says what is wrong with it
    return digest, digest


def _payload(call: NodeCall) -> Mapping[str, Any]:
    trigger = call.input.get("trigger")
    payload = trigger.get("payload") if isinstance(trigger, Mapping) else None
    return payload if isinstance(payload, Mapping) else {}


def weights_signature(folder: Path, *named: object) -> str:
    """What the weights on this machine are, at a glance: files by name, size and time. ``named`` are some more."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()] if folder.is_dir() else []
    more = [folder / local_path(one) for one in named if isinstance(one, str)]
    files += [path for path in more if path.is_file()]
    facts = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


def _whole(output: Mapping[str, Any] | None, settings: Settings) -> bool:
    """Whether every file that the output refers to is still there, those that it archived too."""
    if output is None:
        return False
    archived = [{**one, "name": one["key"]} for one in _archived(output)]
    references = [FileRef.model_validate(one) for one in [*file_references(output), *archived]]
    artifacts = ArtifactStore.open(settings)
    in_buckets = settings.s3_endpoint is not None and not settings.artifact_location.startswith("s3://")
    buckets = ArtifactStore(open_s3(settings), "") if in_buckets else artifacts
    return all((buckets if one.uri.startswith("s3://") else artifacts).holds(one) for one in references)


def _archived(output: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    objects = output.get("objects")
    return [one for one in objects if isinstance(one, Mapping)] if isinstance(objects, list) else []


def _outcome(known: Stage, call: NodeCall) -> NodeOutcome:
    moment = now().isoformat()
    output = dict(known.result or {})
    cut = output.pop(MADE_FOR, None) == call.execution_key
    return NodeOutcome(
        output=output if cut else _as_found(output, call),
        error=None,
        started_at=moment,
        completed_at=moment,
        worker="",
        pid=0,
        device="cpu",
        resource_usage={},
        notes={} if cut else {CACHED: {"content": known.sha256, "at": known.updated_at.isoformat()}},
    )


def _as_found(output: dict[str, Any], call: NodeCall) -> dict[str, Any]:
    """The output as it is true now: the original has another path perhaps, and nothing was stored this time."""
    original, path = output.get("original"), call.input.get("file_path")
    if isinstance(original, Mapping) and "file_path" in original and isinstance(path, str):
        place = local_path(path)
        output["original"] = {**original, "file_path": str(place), "name": place.name}
    if output.get("created") and (objects := _archived(output)):
        output["objects"] = [{**one, "created": False} for one in objects]
        output["created"] = False
    return output
