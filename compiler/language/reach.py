"""What an expression at some place reads: the names, the nodes, and what lies under each of them.

The checker of :mod:`..expressions.check` judges; this only shows what there is, down into the outputs of constructs
(``nodes.each[0].resize.width``), so it says nothing where it does not know.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ...core.settings import settings
from ...tasks.catalogue import type_in_words
from ...tasks.registry import Registry
from ...tasks.sdk import NodeType
from ..document import Document
from ..expressions.references import node_key
from ..expressions.shapes import ANYTHING, Shape, Unknown, shape_of_model, shape_of_schema, shape_of_value
from ..graph import GraphNode
from ..scopes import Scope
from ..validate import UNNAMED
from .fragments import parts_of

_TRIGGER = {
    "type": "object",
    "properties": {
        "type": {"type": "string", "description": "The type of the trigger that started the instance"},
        "payload": {
            "type": "object",
            "description": "What the trigger brought",
            "additionalProperties": True,
            "properties": {
                "file_path": {"type": "string", "description": "Of a filesystem trigger: the file"},
                "event_type": {"type": "string", "description": "Of a filesystem trigger: create, modify, …"},
                "timestamp": {"type": "string", "description": "When it was seen"},
                "size": {"type": "integer", "description": "Bytes"},
                "sha256": {"type": "string", "description": "The digest of the file's content"},
            },
        },
    },
}
_EXECUTION = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "description": "The instance"},
        "workflow": {"type": "string", "description": "The workflow's name"},
        "version": {"type": "string", "description": "The workflow's version"},
        "started_at": {"type": "string", "description": "When the instance began"},
    },
}
_LOOP = {
    "index": {"type": "integer", "description": "The round's number, from 0"},
    "length": {"type": "integer", "description": "How many items there are"},
}

ROOTS: Mapping[str, str] = {
    "input": "The instance's input",
    "trigger": "What started the instance: `trigger.type`, `trigger.payload`",
    "nodes": "The outputs of the nodes before this one, by id",
    "vars": "The definition's variables",
    "execution": "The instance: `id`, `workflow`, `version`, `started_at`",
    "env": "Environment variables, those that `MIRROR_REALM_ENV_ALLOW` names",
    "loop": "The loop around: `loop.index`, `loop.length`, `loop.last`, `loop.parent`",
}


@dataclass(frozen=True)
class Value:
    """A value of a known shape."""

    shape: Shape


@dataclass(frozen=True)
class AllNodes:
    """``nodes``."""


@dataclass(frozen=True)
class LoopName:
    """``loop`` of the part ``scope``."""

    scope: Scope


@dataclass(frozen=True)
class NodeOutput:
    """The output of a node."""

    scope: Scope
    node: GraphNode


@dataclass(frozen=True)
class PartOutput:
    """The output of one run of a part: ``{node: output}``, or the part's own ``output``."""

    scope: Scope


Target = Value | AllNodes | LoopName | NodeOutput | PartOutput


@dataclass(frozen=True)
class Member:
    """A name under a target."""

    name: str
    target: Target | None
    description: str = ""


@dataclass(frozen=True)
class Reach:
    """What is read from ``scope``, by its node ``node`` if that is known. ``names`` and ``in_parts`` are those of a
    deferred parameter: names beyond the scope's own, and the nodes inside ``node``."""

    document: Document
    registry: Registry
    scope: Scope
    node: str | None = None
    names: tuple[str, ...] = ()
    in_parts: bool = False

    @cached_property
    def nodes(self) -> Mapping[str, NodeOutput]:
        """The nodes that may be named: of this scope, of those around, and inside ``node`` where its parts count."""
        found: dict[str, NodeOutput] = {}
        inside = self.scope.parts_of(self.node) if self.in_parts and self.node else ()
        for scope in (*inside, *self.scope.around()):
            for node in scope.graph.nodes:
                if not node.id.startswith(UNNAMED):
                    found.setdefault(node.id, NodeOutput(scope, node))
        return found

    def before(self, node_id: str) -> bool:
        """Whether ``node_id`` has surely been decided when the reader runs, as far as the graph says."""
        target = self.nodes.get(node_id)
        if target is None or self.node is None or target.scope is not self.scope:
            return target is not None
        return self.node in self.scope.graph and self.scope.graph.reaches(node_id, self.node)

    def roots(self) -> Iterator[Member]:
        """The names that an expression may begin with."""
        for name in dict.fromkeys((*self.scope.readable, *self.names)):
            yield Member(name, self.root(name), ROOTS.get(name, "The present item"))

    def resolve(self, parts: tuple[str | int, ...]) -> Target | None:
        """What a reference leads to; ``None`` where it leads nowhere, or nowhere known."""
        target = self.root(str(parts[0])) if parts else None
        for part in parts[1:]:
            if target is None:
                return None
            target = self.step(target, part)
        return target

    def root(self, name: str) -> Target | None:
        """What a first name stands for."""
        tree = self.document.tree if isinstance(self.document.tree, dict) else {}
        if name not in self.scope.readable and name not in self.names:
            return None
        if name == "nodes":
            return AllNodes()
        if name == "input":
            return Value(shape_of_schema(tree.get("input")))
        if name == "vars":
            variables = tree.get("variables")
            return Value(shape_of_value(variables if isinstance(variables, dict) else {}))
        if name in ("trigger", "execution", "env"):
            allowed = {
                "type": "object",
                "properties": {one: {"type": "string"} for one in settings().env_allow},
            }
            return Value(shape_of_schema({"trigger": _TRIGGER, "execution": _EXECUTION}.get(name, allowed)))
        if name == "loop" and name in self.names and self.node:
            inside = self.scope.parts_of(self.node)
            return LoopName(inside[0]) if inside else None
        binder = next((scope for scope in self.scope.around() if name in scope.names), None)
        if binder is None:
            return None
        return LoopName(binder) if name == "loop" else self._item(binder)

    def step(self, target: Target, part: str | int) -> Target | None:
        """What lies under ``part``."""
        if isinstance(target, AllNodes):
            key = node_key(self.nodes, str(part))
            return self.nodes[key] if key is not None else None
        if isinstance(target, LoopName):
            return next((m.target for m in self._loop(target) if m.name == part), None)
        if isinstance(target, PartOutput):
            return self._in_part(target, str(part))
        if isinstance(target, NodeOutput):
            if (inside := self._inside(target, part)) is not None:
                return inside
            return self._field(self._shape(target), part)
        return self._field(target.shape, part)

    def members(self, target: Target) -> Iterator[Member]:
        """The names that are known to lie under ``target``."""
        if isinstance(target, AllNodes):
            for node_id, output in self.nodes.items():
                if node_id != self.node:
                    yield Member(node_id, output, self.about(output.node))
        elif isinstance(target, LoopName):
            yield from self._loop(target)
        elif isinstance(target, PartOutput):
            names = self._own_output(target.scope) or target.scope.graph.by_id
            yield from (Member(name, self._in_part(target, name)) for name in names)
        elif isinstance(target, NodeOutput) and self._branches(target):
            yield from (Member(s.name or "", PartOutput(s), "A branch") for s in self._branches(target))
        elif isinstance(target, NodeOutput) and self._gives_a_part(target):
            yield from self.members(PartOutput(target.scope.parts_of(target.node.id)[0]))
        else:
            shape = self._shape(target) if isinstance(target, NodeOutput) else target.shape
            for name in shape.fields:
                under = self._field(shape, name)
                about = under.shape.schema.get("description", "") if isinstance(under, Value) else ""
                yield Member(name, under, str(about))

    def about(self, node: GraphNode) -> str:
        """A node in one line."""
        node_type = self._type(node)
        return f"{node.type}: {node_type.summary}" if node_type else node.type or "a node"

    def words(self, target: Target | None) -> str:
        """A target's type in a few words, ``""`` where it is not known."""
        if target is None:
            return ""
        if isinstance(target, NodeOutput):
            if self._repeats(target):
                return "list of the outputs of its rounds"
            return f"the output of {target.node.type or 'a node'}"
        if isinstance(target, PartOutput):
            return "{node: output}"
        if not isinstance(target, Value):
            return "object"
        schema, root = target.shape.schema, target.shape.root
        definitions = root.get("$defs", {}) if isinstance(root, Mapping) else {}
        reference = str(schema.get("$ref", "")).rpartition("/")[2]
        resolved = definitions.get(reference, schema)
        if resolved.get("properties"):
            return str(resolved.get("title", "object"))
        return "any" if not schema else type_in_words(resolved, definitions)

    # --- outputs ------------------------------------------------------------------------------------------------

    def _type(self, node: GraphNode) -> NodeType | None:
        if node.type not in self.registry:
            return None
        return self.registry[node.type]

    def _shape(self, target: NodeOutput) -> Shape:
        node_type = self._type(target.node)
        return shape_of_model(node_type.output) if node_type else ANYTHING

    def _branches(self, target: NodeOutput) -> tuple[Scope, ...]:
        return tuple(part for part in target.scope.parts_of(target.node.id) if part.name is not None)

    def _gives_a_part(self, target: NodeOutput) -> bool:
        """Whether a node's output is that of its body."""
        return bool(target.scope.parts_of(target.node.id)) and not self._repeats(target)

    def _repeats(self, target: NodeOutput) -> bool:
        """Whether a node's output is the list of the outputs of its rounds."""
        return any("loop" in part.names for part in target.scope.parts_of(target.node.id))

    def _inside(self, target: NodeOutput, part: str | int) -> Target | None:
        if branches := self._branches(target):
            return next((PartOutput(scope) for scope in branches if scope.name == part), None)
        if not (parts := target.scope.parts_of(target.node.id)):
            return None
        body = PartOutput(parts[0])
        if isinstance(part, int):
            return body if self._repeats(target) else None
        return self._in_part(body, part) if self._gives_a_part(target) else None

    def _in_part(self, target: PartOutput, name: str) -> Target | None:
        if self._own_output(target.scope):
            return None
        node = target.scope.graph.by_id.get(name)
        return NodeOutput(target.scope, node) if node else None

    def _own_output(self, scope: Scope) -> Mapping[str, Any]:
        part = self.document.value(scope.path)
        output = part.get("output") if isinstance(part, dict) else None
        return output if isinstance(output, dict) else {}

    def _loop(self, target: LoopName) -> Iterator[Member]:
        for name, schema in _LOOP.items():
            yield Member(name, Value(shape_of_schema(schema)), schema["description"])
        yield Member("last", PartOutput(target.scope), "The output of the round before; null in the first")
        outer = target.scope.parent
        binder = next((s for s in outer.around() if "loop" in s.names), None) if outer else None
        if binder is not None:
            yield Member("parent", LoopName(binder), "The loop around this one")

    def _item(self, binder: Scope) -> Target:
        """An item of the list that the owner of ``binder`` goes through, where that is a plain reference."""
        owner, outer = binder.owner, binder.parent
        if owner is None or outer is None:
            return Value(ANYTHING)
        parameters = self.document.value(owner.path).get("parameters")
        items = parameters.get("items") if isinstance(parameters, dict) else None
        text = items.strip() if isinstance(items, str) else ""
        if text.startswith("{{") and text.endswith("}}"):
            chain = text[2:-2].strip()
            parts = parts_of(chain)
            above = Reach(self.document, self.registry, outer, owner.id)
            target = above.resolve(parts) if parts and _is_chain(chain, parts) else None
            if target is not None and (found := above.step(target, 0)) is not None:
                return found
        return Value(ANYTHING)

    def _field(self, shape: Shape, part: str | int) -> Value | None:
        step = shape.step(part)
        return None if isinstance(step, Unknown) else Value(step)


def _is_chain(text: str, parts: tuple[str | int, ...]) -> bool:
    plain = "".join(character for character in text if character not in " .[]'\"")
    return plain == "".join(map(str, parts))
