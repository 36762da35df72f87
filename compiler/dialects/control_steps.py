"""The steps of a control tree: read, looked up by name, and each found in exactly one place.

A step is tagged as Rust's serde writes it (``{Sequence: {id: …}}``) or by ``type``; a child is an id of ``nodes`` or a
step right there. A tree has no shared steps: one that is named twice, or within itself, is an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ..close_matches import asked, closest, did_you_mean, listed
from ..document import span_of
from ..explain import kind_of as json_kind
from .fields import Entry, Fields
from .head import NODE_KEYS
from .rewriting import Draft

KEYS: Mapping[str, tuple[str, ...]] = {
    "Task": ("id", "name", "description", "task_type", "config", "timeout_seconds", "retry", *NODE_KEYS),
    "Sequence": ("id", "name", "nodes"),
    "Parallel": ("id", "name", "branches", "join_type", "fail_fast", "max_concurrent"),
    "Branch": ("id", "name", "condition", "if_true", "if_false"),
    "Loop": ("id", "name", "body", "condition", "is_pre_test", "max_iterations", "break_on_error"),
    "Event": ("id", "name", "event_type", "timeout", "filter", "correlation"),
}
"""The kinds of steps and their keys."""
_SYNONYMS = {
    "type": "task_type", "steps": "nodes", "children": "nodes", "join": "join_type", "then": "if_true",
    "else": "if_false", "parameters": "config", "event": "event_type",
}  # fmt: skip
_ARTICLE = {"Event": "an event step"}
_TAGS = ("type", "kind")
Hop = tuple[str, str | None]
"""A way into a construct: its id, and the branch's name in a fork."""


@dataclass(eq=False)
class Step:
    """One step: its kind, id and keys, the steps under each of its keys, and the constructs around it."""

    kind: str
    own: Entry
    fields: Fields
    children: dict[str, list[Step]] = field(default_factory=dict)
    around: tuple[Hop, ...] = ()
    asked: Entry | None = None
    """Where the step is asked for, if it does not stand there itself."""

    def walk(self) -> Iterator[Step]:
        """This step and all below it."""
        yield self
        for child in self.below:
            yield from child.walk()

    @property
    def below(self) -> list[Step]:
        """The steps right below it."""
        return [child for children in self.children.values() for child in children]

    @property
    def place(self) -> Entry:
        """Where the author says that the step belongs."""
        return self.asked or self.fields.entry


class Steps:
    """The named steps of a tree, and how a tree is made of them."""

    def __init__(self, draft: Draft, nodes: Entry | None) -> None:
        self.draft = draft
        self.named = {str(entry.path[-1]): entry for entry in nodes.items()} if nodes is not None else {}
        self.seen: dict[str, Entry] = {}
        self._open: list[str] = []
        self._numbers: dict[str, int] = {}

    def unused(self) -> Iterator[Entry]:
        """The named steps that the tree has no place for."""
        return (entry for name, entry in self.named.items() if name not in self.seen)

    def read(self, asked: Entry, around: tuple[Hop, ...]) -> Step | None:
        """The step that a value names or is, with everything below it."""
        if isinstance(asked.value, dict):
            return self._step(asked, None, around)
        if not isinstance(asked.value, str):
            message, hint = (
                f"a step is an id or a mapping, not {json_kind(asked.value)}",
                "write the id of a step",
            )
            self.draft.report("MR112", message, asked.path, hint=hint)
            return None
        name = asked.value
        if name not in self.named:
            hint = did_you_mean(name, self.named) or f"the steps are {listed(self.named)}"
            self.draft.report("MR201", f"there is no step {name!r}", asked.path, hint=hint)
        elif name in self._open:
            circle = " → ".join([*self._open[self._open.index(name) :], name])
            hint = "a tree has no way back; use a Loop to repeat steps"
            self.draft.report("MR204", f"cycle: {circle}", asked.path, hint=hint)
        elif name in self.seen:
            self._twice(name, asked)
        else:
            self.seen[name] = asked
            step = self._step(self.named[name], name, around)
            if step is not None:
                step.asked = asked
            return step
        return None

    def _twice(self, name: str, at: Entry) -> None:
        first = self.draft.document.span(self.seen.get(name, self.named.get(name, at)).path).line
        hint = "a step runs in one place; give this place a step of its own"
        self.draft.report(
            "MR202", f"the step {name!r} is in the tree already, at line {first}", at.path, hint=hint
        )

    def _step(self, entry: Entry, name: str | None, around: tuple[Hop, ...]) -> Step | None:
        tagged = self._tagged(entry)
        if tagged is None:
            return None
        kind, inner, tag = tagged
        fields = Fields(
            self.draft, inner, _ARTICLE.get(kind, f"a {kind.lower()} step"), (*tag, *KEYS[kind]), _SYNONYMS
        )
        own = self._own(kind, fields, name)
        step = Step(kind, own, fields, around=around)
        if name is None:
            if own.value in self.seen or own.value in self.named:
                self._twice(own.value, own)
                return None
            self.seen[own.value] = own
        self._open.append(own.value)
        self._read_below(step)
        self._open.pop()
        return step

    def _tagged(self, entry: Entry) -> tuple[str, Entry, tuple[str, ...]] | None:
        """A step's kind, its mapping, and the keys of that which only say the kind."""
        value = entry.value
        if not isinstance(value, dict):
            message = f"a step must be a mapping, not {json_kind(value)}"
            self.draft.report("MR112", message, entry.path, hint="write {Task: {id: …, task_type: …}}")
            return None
        for tag in _TAGS:
            said = value.get(tag)
            kind = _kind(said) if isinstance(said, str) else None
            if kind is not None:
                return kind, entry, (tag,)
        if len(value) == 1:
            (inner,) = entry.items()
            tag = str(inner.path[-1])
            if (kind := _kind(tag)) is not None:
                return kind, inner, ()
            if isinstance(inner.value, dict) and (meant := _kind(closest(tag, map(str.lower, KEYS)) or "")):
                hint = asked(meant)
                self.draft.report(
                    "MR113", f"there is no kind of step {tag!r}", inner.path, hint=hint, key=True
                )
                return meant, inner, ()
        hint = f"write {{Kind: {{id: …}}}} with one of {listed(KEYS)}"
        self.draft.report("MR110", "a step without a kind", entry.path, hint=hint)
        return None

    def _own(self, kind: str, fields: Fields, name: str | None) -> Entry:
        """A step's id: its key, else its ``id``, else one that is made of its kind."""
        own = fields.take("id", str, needed=name is None and kind in ("Task", "Event"), example="step-1")
        if name is None and own is not None:
            return own
        here = fields.entry._replace(mark=span_of(fields.entry.mark))
        if name is None:
            number = self._numbers[kind] = self._numbers.get(kind, 0) + 1
            return here._replace(value=f"{kind.lower()}-{number}", mark=fields.entry.key)
        if own is not None and own.value != name:
            message = f"the step {name!r} calls itself {own.value!r}"
            self.draft.report("MR119", message, own.path, hint=f"write id: {name}, or leave it out")
        return (
            own._replace(value=name) if own is not None else here._replace(value=name, mark=fields.entry.key)
        )

    def _read_below(self, step: Step) -> None:
        inside = (*step.around, (step.own.value, None))
        if step.kind == "Sequence":
            self._children(step, "nodes", step.around)
        elif step.kind == "Parallel":
            self._branches(step)
        elif step.kind == "Branch":
            self._child(step, "if_true", step.around, needed=True)
            self._child(step, "if_false", step.around, needed=False)
        elif step.kind == "Loop":
            self._child(step, "body", inside, needed=True)

    def _children(self, step: Step, key: str, around: tuple[Hop, ...]) -> None:
        items = step.fields.take(key, list, needed=True, example="[step-1, step-2]")
        found = [self.read(entry, around) for entry in items.items()] if items is not None else []
        step.children[key] = [child for child in found if child is not None]

    def _branches(self, step: Step) -> None:
        items = step.fields.take("branches", list, needed=True, example="[step-1, step-2]")
        found = list[Step]()
        for number, entry in enumerate(items.items() if items is not None else (), 1):
            name = entry.value if isinstance(entry.value, str) else self._peek(entry) or f"branch-{number}"
            child = self.read(entry, (*step.around, (step.own.value, name)))
            if child is not None:
                found.append(child)
        step.children["branches"] = found

    @staticmethod
    def _peek(entry: Entry) -> str | None:
        """The id of a step that stands right there."""
        inner = entry.value if isinstance(entry.value, dict) else {}
        if len(inner) == 1 and isinstance(only := next(iter(inner.values())), dict):
            inner = only
        return inner["id"] if isinstance(inner.get("id"), str) else None

    def _child(self, step: Step, key: str, around: tuple[Hop, ...], *, needed: bool) -> None:
        entry = step.fields.get(key)
        if entry is None:
            if needed:
                step.fields.take(key, str, needed=True, example="step-1")
            return
        child = self.read(entry, around)
        step.children[key] = [child] if child is not None else []


def _kind(tag: str) -> str | None:
    return next((kind for kind in KEYS if kind.lower() == tag.lower()), None)
