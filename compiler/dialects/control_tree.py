"""``control-tree``: nested Task, Sequence, Parallel, Branch, Loop and Event steps. Source: seed 004 §4.4.2.

A sequence becomes edges, a branch ``control/condition``, a fork ``control/parallel`` (``join_type`` All, Any or
``{N: 2}``), a loop ``control/loop`` (``is_pre_test``: while, else do-while), an event ``control/wait-event``.
Expressions read any step by its id; the id of one inside a fork or a loop that is over means what it gave there, in the
loop's last round. A condition is ``{expression, language}`` or a text; the languages cel, expr and js are read as one,
and what our expressions do not know is reported.

Units: an event's ``timeout`` is milliseconds. ``timeout_seconds`` of a task says its own.
"""

from __future__ import annotations

from functools import partial
from itertools import takewhile
from typing import Any, NamedTuple

from ..close_matches import listed
from ..diagnostics import Diagnostic
from ..document import Document, span_of
from ..explain import kind_of as json_kind
from .control_steps import Hop, Step, Steps
from .fields import Entry, Fields, Made, whole
from .head import HEAD_KEYS, NODE_KEYS, SYNONYMS, milliseconds, write_head
from .phrases import Phrases, field, node
from .rewriting import Draft
from .task_names import Outputs, TaskNames
from .task_parameters import NO_KIND, Filling, kind_of
from .task_types import outputs_of, write_identity, write_nothing, write_type

ID = "control-tree"
VOCABULARY = None
_TOP = (*HEAD_KEYS, "root_node", "nodes", "timeout_seconds")
_CONDITION = ("expression", "language")
_LANGUAGES = ("cel", "expr", "js", "javascript")
_COUNT = ("N",)


def recognises(tree: Any) -> bool:
    """A mapping with a root node."""
    return isinstance(tree, dict) and "root_node" in tree


class _Exit(NamedTuple):
    """A node after which the tree goes on, and the condition of that, if there is one."""

    node_id: str
    condition: str | None = None


class _Ends(NamedTuple):
    """Where a piece of the tree begins and ends; what is empty begins nowhere."""

    entry: Step | None
    exits: list[_Exit]


class _Place:
    """A part of the canonical document under construction."""

    def __init__(self) -> None:
        self.nodes: list[Made] = []
        self.edges: list[Made] = []

    def link(self, ends: _Ends, target: Step) -> None:
        """Edges from where one piece ends to where the next begins."""
        assert ends.entry is not None
        for one in ends.exits:
            edge = Made(target.place)
            edge.add("source", one.node_id, ends.entry.own)
            edge.add("target", target.own.value, target.place._replace(mark=span_of(target.place.mark)))
            if one.condition is not None:
                edge.add("condition", one.condition, target.place._replace(mark=target.place.key))
            self.edges.append(edge)


def rewrite(document: Document) -> tuple[Document, tuple[Diagnostic, ...]]:
    """The tree becomes a graph, and the bodies of its loops and forks parts."""
    draft = Draft(document)
    fields = Fields(
        draft, whole(draft), "a control tree", _TOP, {**SYNONYMS, "root": "root_node", "start": "root_node"}
    )
    made, place = Made(fields.entry), _Place()
    nodes, asked = fields.take("nodes", dict), fields.get("root_node")
    steps = Steps(draft, nodes)
    if asked is None:
        fields.take("root_node", str, needed=True, example="step-1")
    root = steps.read(asked, ()) if asked is not None else None
    write_head(fields, made, root.own if root is not None else None)
    made.put("timeout", fields.get("timeout_seconds"))
    if root is not None:
        astray = any(found.code == "MR201" for found in draft.diagnostics)  # It may be the one that is meant.
        for unused in () if astray else steps.unused():
            _report_unused(draft, unused, root)
        writer = _Writer(draft, root)
        writer.write(root, place)
        if not place.nodes and not any(found.severity == "error" for found in draft.diagnostics):
            draft.report("MR210", "the tree has no steps", root.place.path, hint="put a step into it")
    if not place.nodes:
        write_nothing(made, asked or fields.entry)
        return document.rewritten(made.tree, made.mark), tuple(draft.diagnostics)
    made.add_list("nodes", place.nodes, nodes or fields.entry)
    made.add_list("edges", place.edges, nodes or fields.entry)
    return document.rewritten(made.tree, made.mark), tuple(draft.diagnostics)


def _report_unused(draft: Draft, unused: Entry, root: Step) -> None:
    message = f"no step of the tree under {root.own.value!r} names the step {str(unused.path[-1])!r}"
    hint = "name it where it is to run, or remove it"
    draft.diagnostics.append(
        draft.document.report("MR206", message, unused.path, hint=hint, severity="warning", key=True)
    )


class _Writer:
    """Writes the canonical nodes of a tree's steps."""

    def __init__(self, draft: Draft, root: Step) -> None:
        self.draft = draft
        self.around = {step.own.value: step.around for step in root.walk() if step.kind != "Sequence"}
        self.outputs = {step.own.value: _outputs(step) for step in root.walk() if step.kind != "Sequence"}

    def write(self, step: Step, place: _Place) -> _Ends:
        """Put a step into a part."""
        if step.kind == "Sequence":
            return self._sequence(step, place)
        made = Made(step.fields.entry)
        place.nodes.append(made)
        if step.kind == "Branch":
            return self._branch(step, made, place)
        if step.kind == "Task":
            self._task(step, made)
        elif step.kind == "Parallel":
            self._parallel(step, made)
        elif step.kind == "Loop":
            self._loop(step, made)
        else:
            self._event(step, made)
        return _Ends(step, [_Exit(step.own.value)])

    def _sequence(self, step: Step, place: _Place) -> _Ends:
        first: Step | None = None
        before = _Ends(None, [])
        for child in step.children.get("nodes", ()):
            ends = self.write(child, place)
            if ends.entry is None:
                continue
            if before.entry is not None:
                place.link(before, ends.entry)
            first, before = first or ends.entry, ends
        return _Ends(first, before.exits)

    def _branch(self, step: Step, made: Made, place: _Place) -> _Ends:
        self._identity(step, made, "control/condition")
        parameters = Made(step.fields.entry)
        condition = self._condition(step, step.around)
        parameters.put("condition", condition)
        made.add_map("parameters", parameters)
        result, exits = f"{node(step.own.value)}.result", list[_Exit]()
        for key, name, holds in (("if_true", "true_path", result), ("if_false", "false_path", f"!{result}")):
            ends = [self.write(child, place) for child in step.children.get(key, ())]
            entry = ends[0].entry if ends else None
            if entry is None:
                exits.append(_Exit(step.own.value, holds))
                continue
            parameters.add(name, entry.own.value, step.fields.get(key) or entry.place)
            exits += ends[0].exits
        return _Ends(step, exits)

    def _task(self, step: Step, made: Made) -> None:
        fields = step.fields
        write_identity(fields, made, step.own)
        filling = Filling(
            self.draft,
            self._phrases(step.around),
            fields,
            fields.take("config", dict),
            fields.get("timeout_seconds"),
            step.own,
        )
        write_type(made, filling)
        for key in ("retry", *NODE_KEYS):
            made.put(key, fields.get(key))

    def _parallel(self, step: Step, made: Made) -> None:
        parameters, fields = Made(step.fields.entry), step.fields
        parts = (self._part(step, child) for child in step.children["branches"])
        branches, given = [part for part in parts if part is not None], fields.get("branches")
        if not branches or given is None:
            self._without_parts(step, made, "branches")
            return
        self._identity(step, made, "control/parallel")
        if (join := fields.get("join_type")) is not None:
            parameters.put("wait_for", self._wait_for(join))
        parameters.put("fail_fast", fields.get("fail_fast"))
        parameters.put("max_concurrent", fields.get("max_concurrent"))
        if parameters.tree:
            made.add_map("parameters", parameters)
        made.add_list("branches", branches, given)

    def _without_parts(self, step: Step, made: Made, key: str) -> None:
        """A stand-in for a construct with nothing in it, which is reported here or was."""
        given = step.fields.get(key)
        if given is not None and given.value == []:
            self.draft.report("MR210", f"{key!r} is empty", given.path, hint="name a step", key=True)
        self._identity(step, made, NO_KIND)

    def _wait_for(self, join: Entry) -> Entry:
        """``All``, ``Any``, ``{N: 2}`` or ``2``; what is none of these is reported, and All stands in for it."""
        if isinstance(join.value, dict):
            count = Fields(self.draft, join, "a join of N", _COUNT, {"n": "N"}).take(
                "N", int, needed=True, example="2"
            )
            return count or join._replace(value="all")
        if isinstance(join.value, int) and not isinstance(join.value, bool):
            return join
        if isinstance(join.value, str) and join.value.lower() in ("all", "any"):
            return join._replace(value=join.value.lower())
        message = f"a join type is All, Any or {{N: 2}}, not {join.value!r}"
        self.draft.report("MR113", message, join.path, hint="write join_type: All, Any or {N: 2}")
        return join._replace(value="all")

    def _loop(self, step: Step, made: Made) -> None:
        parameters, fields = Made(step.fields.entry), step.fields
        parts = [self._part(step, child, named=False) for child in step.children.get("body", ())]
        condition = self._condition(step, (*step.around, (step.own.value, None)))
        if not parts or (body := parts[0]) is None:
            self._without_parts(step, made, "body")
            return
        self._identity(step, made, "control/loop")
        if (before := fields.take("is_pre_test", bool)) is not None:
            parameters.add("mode", "while" if before.value else "do-while", before)
        parameters.put("condition", condition)
        parameters.put("max_iterations", fields.get("max_iterations"))
        parameters.put("break_on_error", fields.get("break_on_error"))
        made.add_map("parameters", parameters)
        made.add_map("body", body)

    def _event(self, step: Step, made: Made) -> None:
        self._identity(step, made, "control/wait-event")
        parameters, fields = Made(step.fields.entry), step.fields
        kind = fields.take("event_type", str, needed=True, example="order.paid")
        parameters.put("type", kind or fields.entry._replace(value=NO_KIND, mark=fields.entry.key))
        if (timeout := fields.get("timeout")) is not None:
            parameters.add("timeout", milliseconds(timeout.value), timeout)
        for key in ("filter", "correlation"):
            parameters.put(key, fields.get(key))
        made.add_map("parameters", parameters)

    def _identity(self, step: Step, made: Made, node_type: str) -> None:
        made.put("node_id", step.own)
        made.put("display_name", step.fields.take("name", str))
        made.add("type", node_type, step.fields.entry._replace(mark=step.fields.entry.key))

    def _part(self, step: Step, child: Step, *, named: bool = True) -> Made | None:
        """A branch of a fork or the body of a loop."""
        place, part = _Place(), Made(child.fields.entry)
        self.write(child, place)
        if not place.nodes:
            what = "a branch" if named else "a loop's body"
            self.draft.report("MR210", f"{what} without steps", child.place.path, hint="put a step into it")
            return None
        if named:
            part.add("name", child.around[-1][1], child.own)
        part.add_list("nodes", place.nodes, child.fields.entry)
        if place.edges:
            part.add_list("edges", place.edges, child.fields.entry)
        return part

    def _condition(self, step: Step, around: tuple[Hop, ...]) -> Entry:
        """A condition, as a template; what is none is reported, and true stands in for it."""
        given, stands_in = (
            step.fields.get("condition"),
            step.fields.entry._replace(value=True, mark=step.fields.entry.key),
        )
        if given is None:
            step.fields.take("condition", str, needed=True, example="{expression: check.score > 60}")
            return stands_in
        if isinstance(given.value, dict):
            fields = Fields(self.draft, given, "a condition", _CONDITION)
            language = fields.take("language", str)
            if language is not None and language.value.lower() not in _LANGUAGES:
                message, hint = (
                    f"{language.value!r} conditions cannot be read",
                    f"write one of {listed(_LANGUAGES)}",
                )
                self.draft.report("MR113", message, language.path, hint=hint)
                return stands_in
            given = fields.get("expression")
            if given is None:
                fields.take("expression", str, needed=True, example="check.score > 60")
                return stands_in
        if isinstance(given.value, str):
            # What stands in for a condition that is wrong must not be wrong in a loop either.
            otherwise = "{{ loop.index < 1 }}" if step.kind == "Loop" else "{{ null }}"
            phrases = self._phrases(around)
            text, mark = phrases.expression(given.value, given.mark, given.path, otherwise)
            return given._replace(value=text, mark=mark)
        if not isinstance(given.value, bool):
            message = f"a condition is an expression, not {json_kind(given.value)}"
            self.draft.report("MR112", message, given.path, hint="write condition: {expression: …}")
            return stands_in
        return given

    def _phrases(self, around: tuple[Hop, ...]) -> Phrases:
        names = TaskNames(self.outputs, what="step", place=partial(self._place, around))
        return Phrases(self.draft, names, names.odd)

    def _place(self, reader: tuple[Hop, ...], name: str) -> str:
        """The expression that reads a step's output from inside the constructs around a reader."""
        target = self.around[name]
        shared = sum(1 for _ in takewhile(lambda hops: hops[0] == hops[1], zip(target, reader, strict=False)))
        inside = target[shared:]
        if not inside or (shared < len(reader) and reader[shared][0] == inside[0][0]):
            return node(name)
        text = node(inside[0][0])
        for index, (_, branch) in enumerate(inside):
            if index:
                text += field(inside[index][0])
            text = f"{text}{field(branch)}" if branch is not None else f"{text}[size({text}) - 1]"
        return text + field(name)


def _outputs(step: Step) -> Outputs:
    if step.kind == "Task":
        return outputs_of(kind_of(step.fields).value, {})
    return outputs_of("event", {}) if step.kind == "Event" else Outputs()
