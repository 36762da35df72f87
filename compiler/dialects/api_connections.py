"""The connections of an API orchestration, and the paths of its conditions, as links between steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..close_matches import asked, closest, did_you_mean, listed
from .api_nodes import Step
from .fields import Entry, Fields
from .rewriting import Draft

KINDS: Mapping[str, str] = {
    "SEQUENCE": "SEQUENCE",
    "NORMAL": "SEQUENCE",
    "CONDITIONAL": "CONDITIONAL",
    "CONDITIONAL_TRUE": "TRUE",
    "TRUE": "TRUE",
    "CONDITIONAL_FALSE": "FALSE",
    "FALSE": "FALSE",
    "PARALLEL": "PARALLEL",
    "LOOP": "LOOP",
    "ERROR": "ERROR",
}
"""Every connection type, and the one it is the same as."""

_KNOWN = (
    "from_node_id",
    "to_node_id",
    "connection_type",
    "condition",
    "config",
    "id",
    "workflow_id",
    "created_at",
)
_SYNONYMS = {
    "from": "from_node_id",
    "to": "to_node_id",
    "source": "from_node_id",
    "target": "to_node_id",
    "type": "connection_type",
}


@dataclass(frozen=True, eq=False)
class Link:
    """A connection, or one target of a condition's path; ``kind`` is a value of :data:`KINDS`."""

    source: Step
    target: Step
    kind: str
    entry: Entry
    origin: Entry
    end: Entry
    condition: Entry | None = None
    delay: Entry | None = None


def read_links(draft: Draft, top: Fields, steps: list[Step]) -> list[Link]:
    """Every link whose ends exist; what is wrong with the others is reported."""
    reader = _Reader(draft, steps)
    links = [link for step in steps if step.type == "CONDITION" for link in reader.paths(step)]
    connections = top.take("connections", list)
    found = (reader.connection(entry) for entry in (connections.items() if connections else ()))
    return [*links, *(link for link in found if link is not None)]


class _Reader:
    def __init__(self, draft: Draft, steps: list[Step]) -> None:
        self.draft = draft
        self.by_name = {step.label: step for step in reversed(steps)}
        self.by_id: dict[str, Step] = {}
        for step in steps:
            if (identity := step.fields.get("id")) is not None:
                if str(identity.value) in self.by_id:
                    message = f"two nodes have the id {identity.value!r}"
                    draft.report("MR202", message, identity.path, hint="give each node an id of its own")
                self.by_id.setdefault(str(identity.value), step)
        if not self.by_id:
            self.by_id = {str(number): step for number, step in enumerate(steps, 1)}

    def paths(self, step: Step) -> Iterable[Link]:
        """The links that ``true_path`` and ``false_path`` mean."""
        for key, kind in (("true_path", "TRUE"), ("false_path", "FALSE")):
            path = step.config.get(key)
            if path is None:
                continue
            for entry in path.items() if isinstance(path.value, list) else (path,):
                if (target := self._step(entry, f"{key} of {step.label!r} leads to")) is not None:
                    yield Link(step, target, kind, entry, step.name, entry)

    def connection(self, entry: Entry) -> Link | None:
        """One connection."""
        fields = Fields(self.draft, entry, "a connection", _KNOWN, _SYNONYMS)
        if not isinstance(entry.value, dict):
            return None
        ends = [self._end(fields, "from_node_id", "from"), self._end(fields, "to_node_id", "to")]
        kind = self._kind(fields)
        condition, delay = fields.get("condition"), None
        config = fields.take("config", dict)
        if config is not None:
            delay = Fields(self.draft, config, "the config of a connection", ("delay",)).get("delay")
        if kind == "CONDITIONAL" and condition is None:
            hint = 'add condition: "{{input.score}} >= 60", or "else"'
            self.draft.report(
                "MR110", "a CONDITIONAL connection needs 'condition'", entry.path, hint=hint, key=True
            )
            return None
        if None in ends or kind is None:
            return None
        (source, origin), (target, end) = ends  # type: ignore[misc]
        if not self._fits(kind, source, target, fields):
            return None
        if kind in ("TRUE", "FALSE") and condition is not None:
            hint = "remove it, or write connection_type: CONDITIONAL"
            self.draft.report(
                "MR119", f"a {kind} connection goes by its node's condition", condition.path, hint=hint
            )
            condition = None
        return Link(source, target, kind, entry, origin, end, condition, delay)

    def _end(self, fields: Fields, key: str, word: str) -> tuple[Step, Entry] | None:
        entry = fields.get(key)
        if entry is None:
            fields.take(key, str, needed=True, example="登录")
            return None
        step = self._step(entry, f"a connection leads {word}")
        return None if step is None else (step, entry)

    def _step(self, entry: Entry, what: str) -> Step | None:
        """The step of an id or a name."""
        value = entry.value
        if isinstance(value, bool) or not isinstance(value, str | int):
            hint = "write a node's id or its name"
            self.draft.report("MR112", f"{entry.path[-1]!r} takes a node's id or name", entry.path, hint=hint)
            return None
        found = self.by_id.get(str(value)) or self.by_name.get(str(value))
        if found is None:
            names = list(self.by_name)
            hint = did_you_mean(str(value), names) or f"the nodes are {listed(names, 8)}"
            message = f"{what} node {value!r}, which does not exist"
            self.draft.report("MR201", message, entry.path, hint=hint)
        return found

    def _kind(self, fields: Fields) -> str | None:
        entry = fields.take("connection_type", str)
        if entry is None:
            return "SEQUENCE" if fields.get("connection_type") is None else None
        kind = KINDS.get(entry.value.strip().upper())
        if kind is None:
            meant = closest(entry.value, [name.lower() for name in KINDS])
            hint = asked(meant.upper()) if meant else f"write {listed(KINDS)}"
            self.draft.report("MR113", f"unknown connection type {entry.value!r}", entry.path, hint=hint)
        return kind

    def _fits(self, kind: str, source: Step, target: Step, fields: Fields) -> bool:
        """Whether a connection of this kind may lead from one step to the other; if not, it is reported."""
        at = fields.get("connection_type") or fields.entry
        if kind in ("TRUE", "FALSE") and source.type != "CONDITION":
            hint = "let it begin at a CONDITION node, or write connection_type: CONDITIONAL and a condition"
            message = f"a {kind} connection begins at {source.label!r}, which is no CONDITION"
        elif kind == "LOOP" and "LOOP" not in (source.type, target.type):
            hint = "let it begin at a LOOP node, or lead back to one"
            message = (
                f"a LOOP connection leads from {source.label!r} to {target.label!r}, and neither is a LOOP"
            )
        elif kind == "ERROR" and source.type in ("START", "END", "CONDITION"):
            hint = "let it begin at the node that may fail, such as an API_CALL"
            message = f"an ERROR connection begins at {source.label!r}, a node of type {source.type}"
        else:
            return True
        self.draft.report("MR211", message, at.path, hint=hint)
        return False
