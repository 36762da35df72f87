"""``event-steps``: a ``trigger_event`` starts ``steps`` that share a state. Source: seed 004 §9.3.

A step's ``input_mapping`` reads the state, other steps (``step.output.x``), the event (``trigger_event.x``) or the
workflow's input; its ``output_mapping`` says which outputs become keys of the state, and the state is what the
workflow returns. ``next_steps`` follow a step, each only if its ``condition`` holds. The step types are PUBLISH_EVENT,
CONSUME_EVENT, SERVICE_CALL, TRANSFORM and CONDITION, and every task type of the other languages. Filters give values
that the event's data must have, or are expressions over ``event``.

Units: a ``timeout`` is text such as ``30s`` or a number of seconds; an event is awaited for 30 seconds unless it says
otherwise.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ..diagnostics import Diagnostic
from ..document import Document, span_of
from ..explain import kind_of as json_kind
from . import phrases as spelling
from .canonical_values import expression_of, is_computed, plain_path
from .event_calls import REQUEST, Services, StepConfig, write_call, write_compensation
from .event_state import State, StateNames, Write
from .event_transforms import Transforms
from .fields import Entry, Fields, Made, whole
from .head import HEAD_KEYS, NODE_KEYS, SYNONYMS, write_head
from .phrases import Phrases
from .rewriting import Draft
from .task_names import Outputs, TaskNames
from .task_parameters import NO_KIND, Filling
from .task_types import outputs_of, own_id, write_nothing, write_type

ID = "event-steps"
VOCABULARY = None
_TOP = (*HEAD_KEYS, "trigger_event", "event_filter", "steps", "services", "timeout_seconds")
_CONFIG = (
    "service_name", "operation", "url", "method", "headers", "auth", "timeout", "expected_status", "response",
    "event_type", "filter", "correlation_field", "correlation_id_field", "condition", "transformations",
)  # fmt: skip
_BESIDE = ("service_name", "operation", "event_type", "transformations")
"""Keys of the configuration that may stand at the step."""
_STEP = (
    "id", "type", "name", "description", "config", "input_mapping", "output_mapping", "next_steps", "condition",
    "compensation", "timeout_seconds", "retry", *_BESIDE, *NODE_KEYS,
)  # fmt: skip
_STEP_SYNONYMS = {
    "step_type": "type", "inputs": "input_mapping", "input": "input_mapping", "outputs": "output_mapping",
    "output": "output_mapping", "next": "next_steps", "parameters": "config", "compensate_with": "compensation",
}  # fmt: skip
_READ_OF_EVENT = re.compile(r"\b(?:trigger_event|event|trigger)\.(?:(?:data|payload)\.)?(\w+)")
_EVENT_TIMEOUT = "30s"
_KINDS: dict[str, Outputs] = {
    "PUBLISH_EVENT": Outputs(
        {
            "event_published": "(@.event.id != '')",
            "event_type": "@.event.type",
            "timestamp": "@.event.created_at",
        }
    ),
    "CONSUME_EVENT": Outputs({"event": "@.event", "timed_out": "@.timed_out"}, ".event.payload"),
    "SERVICE_CALL": Outputs({"status_code": "@.status_code", "body": "@.body"}, ".body"),
    "TRANSFORM": Outputs(),
    "CONDITION": Outputs({"condition_result": "@.result", "result": "@.result"}),
}
_SAID = {
    "TRANSFORMATION": "TRANSFORM", "DECISION": "CONDITION", "EMIT_EVENT": "PUBLISH_EVENT",
    "WAIT_EVENT": "CONSUME_EVENT",
}  # fmt: skip


def recognises(tree: Any) -> bool:
    """A mapping with a trigger event, or with steps of which one has a key of this dialect."""
    if not isinstance(tree, dict) or "steps" not in tree or "nodes" in tree:
        return False
    steps = tree["steps"]
    own = {"next_steps", "input_mapping", "output_mapping"}
    return "trigger_event" in tree or (
        isinstance(steps, list) and any(isinstance(step, dict) and step.keys() & own for step in steps)
    )


@dataclass
class _Step:
    """A step as it was read: its inputs by name, as the canonical document has them."""

    own: Entry
    fields: Fields
    kind: str
    following: list[Entry] = field(default_factory=list)


def rewrite(document: Document) -> tuple[Document, tuple[Diagnostic, ...]]:
    """Steps become nodes, ``next_steps`` edges, the trigger event a trigger, the state the output."""
    draft = Draft(document)
    fields = Fields(draft, whole(draft), "an event-driven workflow", _TOP, SYNONYMS)
    made = Made(fields.entry)
    write_head(fields, made)
    made.put("timeout", fields.get("timeout_seconds"))
    _write_trigger(draft, fields, made)
    given = fields.take("steps", list, needed=True, example="[{id: charge, type: SERVICE_CALL}]")
    steps = [_read(draft, entry, number) for number, entry in enumerate(given.items(), 1)] if given else []
    state = State(
        (step.own.value for step in steps),
        {step.own.value: [one.value for one in step.following] for step in steps},
        [write for step in steps for write in _writes(draft, step)],
    )
    tasks = TaskNames({step.own.value: _outputs(step) for step in steps}, what="step")
    writer = _Writer(
        draft,
        StateNames(tasks, state, of_event=_of_event(document)),
        Services(draft, fields.take("services", dict)),
    )
    if not steps:
        if given is not None:
            draft.report("MR210", "a workflow without steps", given.path, hint="add a step", key=True)
        write_nothing(made, given or fields.entry)
    elif given is not None:
        made.add_list("nodes", [writer.node(step) for step in steps], given)
        made.add_list("edges", [edge for step in steps for edge in _edges(step)], given)
        if state.keys and "output" not in made.tree:
            made.add_map("output", _state_output(writer.names, steps, given))
    return document.rewritten(made.tree, made.mark), tuple(draft.diagnostics)


def _read(draft: Draft, entry: Entry, number: int) -> _Step:
    opened = Fields(draft, entry, "a step", _STEP, _STEP_SYNONYMS)
    own = own_id(opened, number)
    kind = opened.take("type", str, needed=isinstance(entry.value, dict), example="SERVICE_CALL")
    step = _Step(own, opened, _kind(kind.value) if kind is not None else "TRANSFORM")
    following = opened.get("next_steps")
    if following is not None:
        items = following.items() if isinstance(following.value, list) else (following,)
        for one in items:
            if isinstance(one.value, str):
                step.following.append(one)
            else:
                message = f"'next_steps' takes step ids, not {json_kind(one.value)}"
                draft.report("MR112", message, one.path, hint="write next_steps: [step-id]")
    return step


def _of_event(document: Document) -> frozenset[str]:
    """The fields that the event has by what the author says of it: in a schema, in a filter, or by reading them as its
    own."""
    tree = document.tree
    schema = next((tree[key] for key in ("input_schema", "input", "inputs") if key in tree), None)
    fields = schema.get("properties") if isinstance(schema, dict) else None
    chosen = tree.get("event_filter")
    listed = [*(fields if isinstance(fields, dict) else ()), *(chosen if isinstance(chosen, dict) else ())]
    return frozenset({*(name.split(".")[0] for name in listed), *_READ_OF_EVENT.findall(document.text)})


def _kind(said: str) -> str:
    """One of :data:`_KINDS`, or the type as written."""
    plain = said.upper().replace("-", "_").replace(" ", "_")
    plain = _SAID.get(plain, plain)
    return plain if plain in _KINDS else said


def _outputs(step: _Step) -> Outputs:
    return _KINDS[step.kind] if step.kind in _KINDS else outputs_of(step.kind, {})


def _writes(draft: Draft, step: _Step) -> Iterator[Write]:
    mapping = step.fields.take("output_mapping", dict)
    for entry in mapping.items() if mapping is not None else ():
        if isinstance(entry.value, str) and entry.value:
            yield Write(entry.value, step.own.value, str(entry.path[-1]))
        else:
            message = f"an output becomes a key of the state, which is a string, not {json_kind(entry.value)}"
            draft.report("MR112", message, entry.path, hint="write output_mapping: {output: key}")


def _edges(step: _Step) -> Iterator[Made]:
    for one in step.following:
        edge = Made(one._replace(mark=span_of(one.mark)))
        edge.put("source", step.own)
        edge.put("target", one)
        yield edge


def _state_output(names: StateNames, steps: list[_Step], at: Entry) -> Made:
    made = Made(at)
    for step in steps:
        mapping = step.fields.get("output_mapping")
        for entry in mapping.items() if mapping is not None else ():
            if not isinstance(entry.value, str):
                continue
            if entry.value in names.state.keys and entry.value not in made.tree:
                text = names.text(entry.value)
                absent = (
                    text
                    if isinstance(text, str) and text.startswith("coalesce(")
                    else f"default({text}, null)"
                )
                made.add(entry.value, f"{{{{ {absent} }}}}", entry)
    return made


def _write_trigger(draft: Draft, fields: Fields, made: Made) -> None:
    event, chosen = fields.take("trigger_event", str), fields.get("event_filter")
    if event is None:
        return
    if "triggers" in made.tree:
        hint = "keep trigger_event, or write a trigger of type event"
        draft.report(
            "MR119", "both 'triggers' and 'trigger_event' are given", event.path, hint=hint, key=True
        )
        return
    config, trigger = Made(event), Made(event)
    config.put("event", event)
    if chosen is not None and (text := _filter(draft, chosen)) is not None:
        config.put("filter", text)
    trigger.add("type", "event", event)
    trigger.add_map("config", config)
    made.add_list("triggers", [trigger], event)


def _filter(draft: Draft, chosen: Entry) -> Entry | None:
    """A condition on ``event``: the values that its data must have, or an expression."""
    if isinstance(chosen.value, str):
        text, mark = Phrases(draft).condition(chosen.value, chosen.mark, chosen.path)
        return chosen._replace(value=text, mark=mark)
    if not isinstance(chosen.value, dict):
        message = f"a filter is a mapping of values, not {json_kind(chosen.value)}"
        draft.report("MR112", message, chosen.path, hint="write {field: value}")
        return None
    terms = list(_terms("event.payload", chosen.value))
    return chosen._replace(value=" && ".join(terms), mark=span_of(chosen.mark)) if terms else None


def _terms(base: str, wanted: dict[str, Any]) -> Iterator[str]:
    for name, value in wanted.items():
        place = base + "".join(spelling.field(part) for part in name.split("."))
        if isinstance(value, dict):
            yield from _terms(place, value)
        elif isinstance(value, list):
            yield f"{place} in {json.dumps(value, ensure_ascii=False)}"
        else:
            yield f"{place} == {json.dumps(value, ensure_ascii=False)}"


class _Writer:
    """Writes the canonical nodes of steps."""

    def __init__(self, draft: Draft, names: StateNames, services: Services) -> None:
        self.draft, self.names, self.services = draft, names, services

    def node(self, step: _Step) -> Made:
        """The node of a step."""
        made, fields = Made(step.fields.entry), step.fields
        made.put("node_id", step.own)
        made.put("display_name", fields.take("name", str))
        made.put("description", fields.get("description"))
        inputs = self._inputs(step)
        names = self.names.reading(step.own.value, _read_by_name(inputs))
        phrases = Phrases(self.draft, names, names.odd)
        if step.kind in _KINDS:
            self._kind(step, made, inputs, names)
        else:
            filling = Filling(
                self.draft,
                phrases,
                fields,
                fields.take("config", dict),
                fields.get("timeout_seconds"),
                step.own,
            )
            write_type(made, filling)
            if inputs is not None:
                made.add_map("input", inputs)
        if (undo := fields.get("compensation")) is not None and step.kind != "SERVICE_CALL":
            message, hint = (
                "only a SERVICE_CALL has a compensation",
                "write compensate: {type: …, parameters: {…}}",
            )
            self.draft.report("MR111", message, undo.path, hint=hint, key=True)
        if (condition := fields.get("condition")) is not None:
            made.put("when", self._condition(condition, self.names.reading(step.own.value)))
        if "timeout" not in made.tree and step.kind in _KINDS:
            made.put("timeout", fields.get("timeout_seconds"))
        for key in ("retry", *NODE_KEYS):
            if key not in made.tree:
                made.put(key, fields.get(key))
        return made

    def _inputs(self, step: _Step) -> Made | None:
        mapping = step.fields.take("input_mapping", dict)
        if mapping is None:
            return None
        names = self.names.reading(step.own.value)
        phrases, made = Phrases(self.draft, names, names.odd), Made(mapping)
        for entry in mapping.items():
            value, mark = entry.value, entry.mark
            if isinstance(value, str) and not is_computed(value):
                value, mark = phrases.expression(plain_path(value), mark, entry.path)
            else:
                value, mark = phrases.tree(value, mark, entry.path)
            made.add(str(entry.path[-1]), value, entry._replace(mark=mark))
        return made

    def _kind(self, step: _Step, made: Made, inputs: Made | None, names: StateNames) -> None:
        kind, config = step.fields.get("type"), self._config(step)
        at = kind or step.fields.entry._replace(mark=step.fields.entry.key)
        parameters = Made(config.entry)
        if kind is None or ("config" in step.fields and config.entry.path == step.fields.path):
            made.add("type", NO_KIND, at)  # that it has no type, or a wrong configuration, is reported
            return
        if step.kind == "SERVICE_CALL":
            made.add("type", REQUEST, at)
            phrases = Phrases(self.draft, names, names.odd)
            write_call(self.services, phrases, config, parameters, inputs)
            if (given := step.fields.get("compensation")) is not None:
                write_compensation(self.services, phrases, step.own, given, config, made)
        elif step.kind == "TRANSFORM":
            made.add("type", "control/set", at)
            parameters.add_map("values", self._values(step, config, inputs, names))
        elif step.kind == "CONDITION":
            made.add("type", "control/condition", at)
            condition = config.get("condition")
            if condition is None:
                config.take("condition", str, needed=True, example="amount > 100")
                parameters.add("condition", True, at)
            else:
                parameters.put("condition", self._condition(condition, names, braced=True))
        else:
            self._event(step, made, parameters, config, inputs, at)
        made.add_map("parameters", parameters)

    def _config(self, step: _Step) -> StepConfig:
        given = step.fields.take("config", dict)
        inner = (
            Fields(self.draft, given, f"the config of a {step.kind} step", _CONFIG)
            if given is not None
            else None
        )
        return StepConfig(inner, step.fields, _BESIDE)

    def _values(self, step: _Step, config: StepConfig, inputs: Made | None, names: StateNames) -> Made:
        values = inputs or Made(config.entry)
        given = config.take(
            "transformations", list, needed=step.fields.get("type") is not None, example="[{operation: copy}]"
        )
        transforms = Transforms(self.draft, names, step.own.value, values)
        for entry in given.items() if given is not None else ():
            transforms.add(entry)
        return values

    def _event(
        self, step: _Step, made: Made, parameters: Made, config: StepConfig, inputs: Made | None, at: Entry
    ) -> None:
        publishes = step.kind == "PUBLISH_EVENT"
        made.add("type", "control/emit-event" if publishes else "control/wait-event", at)
        kind = config.take("event_type", str, needed=True, example="order.paid")
        if kind is None:
            parameters.add("type", NO_KIND, at)
        else:
            names = self.names.reading(step.own.value)
            text, mark = Phrases(self.draft, names, names.odd).template(kind.value, kind.mark, kind.path)
            parameters.add("type", text, kind._replace(mark=mark))
        if inputs is not None:
            made.add_map("input", inputs)
        ties = config.take("correlation_id_field" if publishes else "correlation_field", str)
        if ties is not None:
            self._correlation(step, parameters, ties, inputs)
        if publishes:
            return
        if (chosen := config.get("filter")) is not None and (text := _filter(self.draft, chosen)) is not None:
            parameters.put("filter", text)
        timeout = config.get("timeout")
        if timeout is not None:
            parameters.put("timeout", timeout)
        else:
            parameters.add("timeout", _EVENT_TIMEOUT, at)

    def _correlation(self, step: _Step, parameters: Made, ties: Entry, inputs: Made | None) -> None:
        """What ties an event to its instance: the input of that name, or what the state or the event calls so."""
        if inputs is not None and ties.value in inputs.tree:
            parameters.add("correlation", inputs.tree[ties.value], ties)
            return
        names = self.names.reading(step.own.value)
        text, mark = Phrases(self.draft, names, names.odd).expression(
            plain_path(ties.value), ties.mark, ties.path
        )
        parameters.add("correlation", text, ties._replace(mark=mark))

    def _condition(self, given: Entry, names: StateNames, *, braced: bool = False) -> Entry:
        if not isinstance(given.value, str):
            if not isinstance(given.value, bool):
                message = f"a condition is an expression, not {json_kind(given.value)}"
                self.draft.report("MR112", message, given.path, hint="put it in quotes")
            return given._replace(value=given.value is True, mark=span_of(given.mark))
        phrases = Phrases(self.draft, names, names.odd)
        rewritten = phrases.expression if braced else phrases.condition
        text, mark = rewritten(given.value, given.mark, given.path)
        return given._replace(value=text, mark=mark)


def _read_by_name(inputs: Made | None) -> dict[str, str]:
    """The expression that each input stands for, as the step's other texts read it."""
    return {name: expression_of(value) for name, value in inputs.tree.items()} if inputs is not None else {}
