"""The canonical model of a definition: one form for every spelling, in seconds and MiB.

Values are typed as JSON types them (``"5"`` is not a number, ``yes`` is not a boolean), so that a definition
means the same in YAML and JSON. Dialects rewrite other spellings into this form before it is validated.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, WithJsonSchema
from pydantic_core import PydanticCustomError

from ..core.durations import parse_duration
from ..core.errors import Code
from ..core.resources import Resources
from .diagnostics import Path

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
SEMVER = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(?:-(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)(?:\.(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*))*)?"
    r"(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?",
    re.ASCII,
)
MAX_NODE_ID = 128
MAX_VERSION = 256
"""Characters; matching a longer one takes memory for each of them."""
DEFAULT_TIMEOUT = 86400.0
"""Seconds an instance may take when the definition does not say."""
DEFAULT_PRIORITY = 5
LENIENT = "lenient"
"""A validation context in which names, versions and ids pass unchecked: for what comes after they were
reported."""


def _name(value: object, info: ValidationInfo) -> object:
    if isinstance(value, str) and info.context != LENIENT and not NAME.fullmatch(value):
        raise PydanticCustomError("name", "{value} is not a name", {"value": repr(value)})
    return value


def _version(value: object, info: ValidationInfo) -> object:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return value
    if info.context == LENIENT:
        return str(value)
    if not isinstance(value, str) or len(value) > MAX_VERSION or not SEMVER.fullmatch(value):
        raise PydanticCustomError("version", "{value} is not a version", {"value": repr(value)})
    return value


def _node_id(value: object, info: ValidationInfo) -> object:
    if not isinstance(value, str) or info.context == LENIENT:
        return value
    if not value or len(value) > MAX_NODE_ID or not value.isprintable() or re.search(r"[\s/\\.{}]", value):
        raise PydanticCustomError("node_id", "{value} is not a node id", {"value": repr(value[:MAX_NODE_ID])})
    return value


def _node_type(value: object, info: ValidationInfo) -> object:
    if value == "" and info.context != LENIENT:
        raise PydanticCustomError("too_short", "a node type must not be empty")
    return value


def _duration(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise PydanticCustomError("duration", "{value} is not a duration", {"value": repr(value)})
    try:
        return parse_duration(value)
    except (ValueError, OverflowError):
        raise PydanticCustomError("duration", "{value} is not a duration", {"value": repr(value)}) from None


def _positive_duration(value: object) -> object:
    seconds = _duration(value)
    if seconds == 0:
        raise PydanticCustomError("duration", "{value} is no time at all", {"value": repr(value)})
    return seconds


def _condition(value: object) -> object:
    return ("true" if value else "false") if isinstance(value, bool) else value


def _join(value: object) -> object:
    if value in ("any", "all") or (type(value) is int and value >= 1):
        return value
    raise PydanticCustomError("join", "{value} is not a join", {"value": repr(value)})


def _code(value: object) -> object:
    if not isinstance(value, str) or value not in Code.__members__:
        raise PydanticCustomError("error_code", "{value} is not an error code", {"value": repr(value)})
    return Code(value)


def _listed(value: object) -> object:
    return [value] if isinstance(value, dict | str) else value


_DURATION_SCHEMA = WithJsonSchema(
    {
        "anyOf": [{"type": "number", "minimum": 0}, {"type": "string"}],
        "examples": ["300s", "5m", "1h30m", "250ms", "PT5M"],
    }
)
Name = Annotated[
    str, BeforeValidator(_name), WithJsonSchema({"type": "string", "pattern": f"^{NAME.pattern}$"})
]
Version = Annotated[str, BeforeValidator(_version)]
NodeId = Annotated[str, BeforeValidator(_node_id)]
Duration = Annotated[float, BeforeValidator(_duration), _DURATION_SCHEMA]
PositiveDuration = Annotated[float, BeforeValidator(_positive_duration), _DURATION_SCHEMA]
Condition = Annotated[str, BeforeValidator(_condition)]
Join = Annotated[
    str | int,
    BeforeValidator(_join),
    WithJsonSchema({"anyOf": [{"enum": ["any", "all"]}, {"type": "integer", "minimum": 1}]}),
]
ErrorCode = Annotated[
    Code, BeforeValidator(_code), WithJsonSchema({"type": "string", "enum": [code.value for code in Code]})
]
NodeType = Annotated[str, BeforeValidator(_node_type)]


class Model(BaseModel):
    """The habits of every part of a definition: frozen, JSON types, no unknown keys."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", validate_default=False)


class FilesystemTrigger(Model):
    """A watched folder."""

    path: str = Field(min_length=1, description="The folder to watch")
    events: list[Literal["create", "modify", "move", "delete"]] = Field(
        default_factory=lambda: ["create"], min_length=1
    )
    recursive: bool = Field(default=True, description="Whether subfolders are watched too")
    patterns: list[str] = Field(default_factory=list, description="File names to take, as *.jpg; default all")
    ignore: list[str] = Field(default_factory=list, description="File names to leave")
    settle: Duration | None = Field(default=None, description="How long a file must be still first")
    poll_interval: PositiveDuration | None = Field(default=None, description="Time between two scans")
    existing: bool = Field(default=True, description="Take the files that are there at the start")
    max_batch: int | None = Field(default=None, ge=1, description="Files looked at between two scans")


class ScheduleTrigger(Model):
    """A time table: one of ``cron`` and ``interval``."""

    cron: str | None = Field(default=None, min_length=1, description="Five or six fields, as 0 2 * * *")
    interval: PositiveDuration | None = Field(default=None, description="Time between two starts")
    timezone: str | None = Field(default=None, min_length=1, description="As Asia/Shanghai; default UTC")
    input: dict[str, Any] = Field(default_factory=dict, description="The instance input of each run")


class ManualTrigger(Model):
    """Started by a person or the API; nothing to configure."""


class WebhookTrigger(Model):
    """Started by an HTTP request."""

    path: str | None = Field(default=None, min_length=1)
    methods: list[Literal["GET", "POST", "PUT", "PATCH", "DELETE"]] = Field(default_factory=lambda: ["POST"])
    secret: str | None = Field(default=None, min_length=1, description="Name of the signing secret")


class EventTrigger(Model):
    """Started by a platform event."""

    event: str | None = Field(default=None, min_length=1, description="The event's type, as media.ingested")
    type: str | None = Field(default=None, min_length=1)
    filter: Condition | None = Field(default=None, description="A condition on the event")


TRIGGER_CONFIGS: Mapping[str, type[Model]] = {
    "filesystem": FilesystemTrigger,
    "schedule": ScheduleTrigger,
    "manual": ManualTrigger,
    "webhook": WebhookTrigger,
    "event": EventTrigger,
}


class Trigger(Model):
    """What starts an instance. ``config`` is checked against the type's model of :data:`TRIGGER_CONFIGS`."""

    type: str = Field(min_length=1, description=" | ".join(TRIGGER_CONFIGS))
    config: dict[str, Any] = Field(default_factory=dict)
    name: str | None = Field(default=None, min_length=1)
    enabled: bool = True


class RetryRule(Model):
    """How often and how long apart a node is tried again. ``max_attempts`` counts the first one."""

    max_attempts: int = Field(default=4, ge=1, le=100)
    initial: Duration = 1.0
    multiplier: float = Field(default=2.0, ge=1, le=100)
    max: Duration = 60.0
    jitter: float = Field(default=0.1, ge=0, le=1)
    on: list[ErrorCode] = Field(default_factory=list, description="Codes to retry; default the taxonomy's")


class CacheRule(Model):
    """When a node's earlier output is used again."""

    ttl: PositiveDuration | None = None
    key: list[Literal["inputs", "parameters", "node_type_version"]] = Field(
        default_factory=lambda: ["inputs", "parameters", "node_type_version"], min_length=1
    )
    effects: bool = Field(
        default=False, description="Cache it although the node has effects: they happen once"
    )


class OnErrorRule(Model):
    """What happens when a node has failed for good: exactly one of ``goto``, ``fallback`` and ``ignore``."""

    codes: list[ErrorCode] = Field(default_factory=list, description="Only for these codes; default all")
    goto: NodeId | None = None
    fallback: dict[str, Any] | None = Field(default=None, description="Parameters of a second try")
    ignore: bool | None = None


class Compensation(Model):
    """The step that undoes a node."""

    type: NodeType
    parameters: dict[str, Any] = Field(default_factory=dict)
    input: dict[str, Any] | None = None


class NodeDefinition(Model):
    """One node. What is ``None`` follows the node type."""

    node_id: NodeId
    type: NodeType = Field(description="family/name, as in image/preprocess")
    display_name: str | None = None
    description: str | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    input: dict[str, Any] | None = Field(
        default=None, description="Default: the merged predecessors' outputs"
    )
    when: Condition | None = Field(default=None, description="The node's own guard")
    join: Join = "any"
    timeout: PositiveDuration | None = None
    retry: RetryRule | None = None
    resources: dict[str, Any] | None = Field(default=None, description="Overrides of the type's resources")
    cache: CacheRule | None = None
    fail_on_error: bool = True
    on_error: Annotated[list[OnErrorRule], BeforeValidator(_listed)] = Field(default_factory=list)
    compensate: Compensation | None = None
    priority: int = Field(default=DEFAULT_PRIORITY, ge=0, le=9)
    breakpoint: bool = False
    position: dict[str, float] | None = None
    body: Part | None = Field(default=None, description="The nodes of a foreach, a loop or a transaction")
    branches: list[Part] | None = Field(default=None, min_length=1, description="The branches of a fork")

    @property
    def parts(self) -> tuple[Part, ...]:
        """Its body, or its branches."""
        return (self.body,) if self.body is not None else tuple(self.branches or ())


class EdgeDefinition(Model):
    """One edge. ``condition: else`` fires when no sibling edge of the same source fired."""

    source: NodeId
    target: NodeId
    condition: Condition | None = None
    mapping: dict[str, Any] | None = Field(
        default=None, description="{dotted target: $.jmespath, or a literal}"
    )


class Part(Model):
    """Nodes inside a node: the body of a loop, a branch of a fork."""

    name: str | None = Field(default=None, min_length=1, description="A branch's name, in the fork's output")
    nodes: list[NodeDefinition] = Field(min_length=1)
    edges: list[EdgeDefinition] = Field(default_factory=list)
    output: dict[str, Any] | None = Field(
        default=None, description="What the part gives; default {node: output} of its nodes"
    )


class ErrorHandling(Model):
    """The instance's error handling; ``max_retries`` counts tries after the first."""

    max_retries: int | None = Field(default=None, ge=0, le=99)
    retry_delay: Duration | None = None
    on_failure: str | None = Field(default=None, min_length=1)
    notify: Annotated[list[str | dict[str, Any]], BeforeValidator(_listed)] = Field(default_factory=list)


class Concurrency(Model):
    """How many instances of a workflow run at once."""

    max_instances: int = Field(ge=1)
    on_limit: Literal["queue", "skip", "cancel-running", "fail"] = "queue"


class Execution(Model):
    """How instances are executed."""

    profile: Literal["auto", "interactive", "bulk"] = "auto"
    max_batch: int | None = Field(default=None, ge=1)
    max_wait: Duration | None = None
    task_runner: Literal["dask", "prefect-dask", "threads"] = "dask"


class Definition(Model):
    """A workflow definition in canonical form. ``version`` is ``None`` where registration is to assign it."""

    name: Name
    display_name: str | None = None
    description: str | None = None
    version: Version | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    tags: list[str] = Field(default_factory=list)
    metadata: dict[str, Any] = Field(default_factory=dict)
    input: dict[str, Any] | None = Field(default=None, description="JSON Schema of the instance input")
    output: dict[str, Any] | None = Field(
        default=None, description="What an instance returns; default terminal outputs"
    )
    variables: dict[str, Any] = Field(default_factory=dict, description="Constants, readable as vars.name")
    triggers: list[Trigger] = Field(default_factory=list)
    nodes: list[NodeDefinition] = Field(min_length=1)
    edges: list[EdgeDefinition] = Field(default_factory=list)
    error_handling: ErrorHandling | None = None
    timeout: PositiveDuration = DEFAULT_TIMEOUT
    concurrency: Concurrency | None = None
    execution: Execution = Field(default_factory=Execution)

    def document(self) -> dict[str, Any]:
        """The canonical JSON form: what has its default value is left out."""
        return self.model_dump(mode="json", exclude_defaults=True)

    @cached_property
    def hash(self) -> str:
        """``sha256:`` of the canonical JSON form; independent of spelling, comments and key order."""
        text = json.dumps(self.document(), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

    def walk(self) -> Iterator[tuple[Path, NodeDefinition]]:
        """Every node with its path, also those inside others."""
        yield from _walk(self.nodes, ())

    def node(self, node_id: str) -> NodeDefinition:
        """The node with that id; :class:`KeyError` if there is none."""
        return self._by_id[node_id]

    @cached_property
    def _by_id(self) -> dict[str, NodeDefinition]:
        return {node.node_id: node for node in self.nodes}


def _walk(nodes: list[NodeDefinition], base: Path) -> Iterator[tuple[Path, NodeDefinition]]:
    for index, node in enumerate(nodes):
        path: Path = (*base, "nodes", index)
        yield path, node
        if node.body is not None:
            yield from _walk(node.body.nodes, (*path, "body"))
        for number, branch in enumerate(node.branches or ()):
            yield from _walk(branch.nodes, (*path, "branches", number))


def resources_of(node: NodeDefinition, default: Resources) -> Resources:
    """The node type's resources with the node's overrides; raises Pydantic's ValidationError for bad ones."""
    if not node.resources:
        return default
    return Resources.model_validate({**default.model_dump(), **node.resources})
