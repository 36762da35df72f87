"""The nodes of an API orchestration: what their configurations mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..close_matches import asked, closest, listed
from .fields import Entry, Fields, Made, is_a
from .naming import node_id
from .phrases import Phrases
from .rewriting import Draft

if TYPE_CHECKING:
    from .api_flow import Flow

TYPES: Mapping[str, str] = {
    "START": "control/start",
    "END": "control/end",
    "API_CALL": "http/request",
    "CONDITION": "control/condition",
    "DELAY": "control/delay",
    "PARALLEL": "control/parallel",
    "LOOP": "control/loop",
}
CONFIGS: Mapping[str, tuple[str, ...]] = {
    "START": (),
    "END": ("output", "output_mapping"),
    "API_CALL": (
        "api_id", "url", "method", "headers", "parameters", "body", "auth", "expected_status", "output_mapping",
    ),
    "CONDITION": ("condition", "true_path", "false_path"),
    "DELAY": ("duration", "delay", "seconds", "until"),
    "PARALLEL": ("max_concurrent", "wait_for_all", "wait_for", "fail_fast"),
    "LOOP": ("condition", "mode", "max_iterations", "break_on_error"),
}  # fmt: skip
UNKNOWN = ""
"""The type of a node whose own is none, which was reported."""
_OF_ALL = ("timeout", "retry_count", "retry_delay")
_SYNONYMS = {"params": "parameters", "expression": "condition"}
_NODE = (
    "id",
    "name",
    "node_type",
    "config",
    "position_x",
    "position_y",
    "description",
    "workflow_id",
    "created_at",
)
_NODE_SYNONYMS = {"type": "node_type", "parameters": "config", "node_id": "id", "label": "name"}
_IN_QUERY = ("GET", "HEAD", "DELETE", "OPTIONS")
_ONCE = "{{ loop.index < 1 }}"
"""The stand-in for a loop's condition that is wrong and was reported."""
_ANSWER = ("headers", "url", "body", "status_code")


@dataclass(frozen=True, eq=False)
class Step:
    """A node as written: ``type`` is one of :data:`TYPES` or another node type, ``id`` its canonical id."""

    index: int
    id: str
    type: str
    name: Entry
    entry: Entry
    fields: Fields
    config: Fields

    @property
    def label(self) -> str:
        """What expressions and paths call it."""
        return str(self.name.value)

    def outputs(self) -> tuple[str, ...] | None:
        """The names that an API call's ``output_mapping`` gives; ``None`` where it has none."""
        mapping = self.config.get("output_mapping")
        if self.type != "API_CALL" or mapping is None or not isinstance(mapping.value, dict):
            return None
        return tuple(str(key).partition(".")[0] for key in mapping.value)


def read_steps(draft: Draft, top: Fields) -> list[Step]:
    """The nodes, each with an id of its own."""
    nodes = top.take("nodes", list, needed=True, example="[{name: …, node_type: START}, …]")
    steps: list[Step] = []
    taken: dict[str, str] = {}
    for index, entry in enumerate(nodes.items() if nodes else ()):
        fields = Fields(draft, entry, "a node", _NODE, _NODE_SYNONYMS)
        name = fields.take("name", str, needed=isinstance(entry.value, dict), example="登录")
        name = name or entry._replace(value=f"node-{index + 1}")
        kind = fields.take("node_type", str, needed=isinstance(entry.value, dict), example="API_CALL")
        written = str(kind.value) if kind else ""
        own = _type(draft, kind)
        identity = node_id(name.value)
        if identity in taken:
            if isinstance(entry.value, dict):
                _clash(draft, name, taken[identity], identity)
            identity = f"{identity}-{index + 1}"
        taken[identity] = name.value
        config = fields.take("config", dict) or entry._replace(value={}, path=(*entry.path, "config"))
        known = (*CONFIGS.get(own, ("parameters",)), *_OF_ALL)
        if own == UNKNOWN:
            known = tuple(config.value)
        about = f"the config of a node of type {written or '…'}"
        steps.append(
            Step(index, identity, own, name, entry, fields, Fields(draft, config, about, known, _SYNONYMS))
        )
    return steps


def _type(draft: Draft, kind: Entry | None) -> str:
    if kind is None:
        return UNKNOWN
    plain = re.sub(r"[\s-]", "_", str(kind.value).strip().upper())
    if plain in TYPES or "/" in kind.value:
        return plain if plain in TYPES else kind.value
    meant = closest(plain, [name.lower() for name in TYPES])
    hint = f"write {listed(TYPES)}, or a node type such as image/preprocess"
    if meant:
        hint = asked(meant.upper())
    draft.report("MR120", f"unknown node type {kind.value!r}", kind.path, hint=hint)
    return meant.upper() if meant else UNKNOWN


def _clash(draft: Draft, name: Entry, other: str, identity: str) -> None:
    if name.value == other:
        message = f"two nodes are called {other!r}"
    else:
        message = f"{name.value!r} and {other!r} are both {identity!r} as node ids"
    draft.report("MR202", message, name.path, hint="give each node a name of its own")


class CallBook:
    """The APIs that ``apis`` describes, by their ids."""

    def __init__(self, apis: dict[str, Fields]) -> None:
        self._apis = apis

    @classmethod
    def read(cls, draft: Draft, top: Fields) -> CallBook:
        """From a mapping of ids, or a list of APIs with an ``id`` each."""
        apis = top.get("apis")
        found: dict[str, Fields] = {}
        for entry in apis.items() if apis else ():
            fields = Fields(draft, entry, "an API", ("id", "name", "url", "method", "headers"))
            key = fields.get("id")
            found[str(key.value if key else entry.path[-1])] = fields
        return cls(found)

    def find(self, api_id: Entry) -> Fields | None:
        """The API of an id."""
        return self._apis.get(str(api_id.value))


def canonical_node(flow: Flow, calls: CallBook, step: Step) -> Made:
    """The canonical node of a step, without its body or branches."""
    made = Made(step.entry)
    made.add("node_id", step.id, step.name)
    kind = step.fields.get("node_type") or step.entry
    if step.type == UNKNOWN or (step.type in ("LOOP", "PARALLEL") and not flow.is_construct(step)):
        made.add("type", TYPES["START"], kind)  # a stand-in for what is wrong and was reported
        return made
    made.add("type", TYPES.get(step.type, step.type), kind)
    if step.id != step.name.value and step.name.path != step.entry.path:
        made.add("display_name", step.name.value, step.name)
    made.put("description", step.fields.get("description"))
    _position(step, made)
    made.put("timeout", step.config.get("timeout"))
    _retry(step, made)
    parameters = Made(step.config.entry)
    _PARAMETERS.get(step.type, _other)(flow, calls, step, parameters)
    if parameters.tree and step.type == "END":
        made.add_map("input", parameters)
    elif parameters.tree:
        made.add_map("parameters", parameters)
    if flow.catches(step):
        made.add("fail_on_error", False, step.name)
    return made


def _position(step: Step, made: Made) -> None:
    x, y = step.fields.take("position_x", float), step.fields.take("position_y", float)
    if x is None and y is None:
        return
    position = Made(step.entry)
    for key, value in (("x", x), ("y", y)):
        position.add(key, float(value.value) if value else 0.0, value or step.entry)
    made.add_map("position", position)


def _retry(step: Step, made: Made) -> None:
    count, delay = step.config.take("retry_count", int), step.config.get("retry_delay")
    if count is None and delay is None:
        return
    retry = Made(step.config.entry)
    if count is not None:
        retry.add("max_attempts", count.value + 1, count)
    retry.put("initial", delay)
    made.add_map("retry", retry)


def _call(flow: Flow, calls: CallBook, step: Step, made: Made) -> None:
    """The parameters of ``http/request``."""
    config, phrases = step.config, flow.phrases(step)
    api_id, api = config.get("api_id"), None
    url = config.take("url", str)
    if api_id is not None:
        api = calls.find(api_id)
        if api is not None:
            url = url or api.take("url", str, needed=True, example="https://…")
    if url is not None:
        _rewritten(made, "url", url, phrases)
    elif api_id is None:
        hint = "add url: https://…, or api_id: and describe that API in apis:"
        flow.draft.report("MR123", "an API_CALL needs 'url' or 'api_id'", config.path, hint=hint, key=True)
        made.add("url", "{{ null }}", config.entry)
    elif api is None:
        _from_environment(flow.draft, api_id, made)
    else:
        made.add("url", "{{ null }}", api_id)
    method = config.take("method", str) or (api.take("method", str) if api else None)
    if method is not None:
        made.add("method", method.value.upper(), method)
    headers = config.get("headers") or (api.get("headers") if api else None)
    for key, value in (("headers", headers), ("auth", config.get("auth")), ("body", config.get("body"))):
        if value is not None:
            _rewritten(made, key, value, phrases)
    given = config.take("parameters", dict)
    if given is not None:
        verb = made.tree.get("method", "GET")
        _rewritten(made, "params" if verb in _IN_QUERY else "json", given, phrases)
    made.put("expected_status", config.get("expected_status"))
    timeout = config.get("timeout")
    if timeout is not None and is_a(timeout.value, float):
        made.put("timeout", timeout)
    _output_mapping(flow, step, made)


def _from_environment(draft: Draft, api_id: Entry, made: Made) -> None:
    """The URL of an API that only the platform's registry knows."""
    if not isinstance(api_id.value, str | int) or isinstance(api_id.value, bool):
        draft.report("MR112", "'api_id' must be a number or a string", api_id.path, hint="write the API's id")
        made.add("url", "{{ null }}", api_id)
        return
    variable = "API_" + re.sub(r"\W", "_", str(api_id.value), flags=re.ASCII).upper() + "_URL"
    made.add("url", f"{{{{ env.{variable} }}}}", api_id)
    hint = (
        f"set {variable} and allow it (MIRROR_REALM_ENV_ALLOW), or add apis: {{{api_id.value}: {{url: …}}}}"
    )
    message = f"the URL of API {api_id.value} is read from the environment: {variable}"
    draft.diagnostics.append(draft.document.report("MR132", message, api_id.path, hint=hint, severity="info"))


def _rewritten(made: Made, key: str, entry: Entry, phrases: Phrases) -> None:
    value, mark = phrases.tree(entry.value, entry.mark, entry.path)
    made.add(key, value, entry._replace(mark=mark))


def _output_mapping(flow: Flow, step: Step, made: Made) -> None:
    """``{user_id: response.data.id}`` as JMESPath over the answer."""
    mapping = step.config.take("output_mapping", dict)
    if mapping is None:
        return
    paths = Made(mapping)
    for entry in mapping.items():
        name = str(entry.path[-1])
        text = entry.value.strip() if isinstance(entry.value, str) else ""
        text = text.removeprefix("{{").removesuffix("}}").strip().removeprefix("$.")
        steps = re.findall(r"[^.\[\]]+|\[\d+\]|\[\*\]", text)
        if steps and "".join(steps) == re.sub(r"\.", "", text) and re.fullmatch(r"[\w.\[\]*-]+", text):
            paths.add(name, _jmespath(steps), entry)
            continue
        hint = "write a path such as response.data.id or response.items[0].name"
        flow.draft.report(
            "MR307", f"the output {name!r} is not a path into the response", entry.path, hint=hint
        )
    made.add_map("output_mapping", paths)


def _jmespath(steps: list[str]) -> str:
    if steps[0] == "response":
        inner = steps[1] if len(steps) > 1 else ""
        if inner in ("status", "status_code"):
            steps = ["status_code", *steps[2:]]
        elif inner in _ANSWER:
            steps = steps[1:]
        else:
            steps = ["body", *steps[1:]]
    elif steps[0] not in _ANSWER:
        steps = ["body", *steps]
    text = "$"
    for step in steps:
        plain = re.fullmatch(r"[A-Za-z_]\w*", step, re.ASCII)
        text += step if step.startswith("[") else f".{step}" if plain else f'."{step}"'
    return text


def _condition(flow: Flow, calls: CallBook, step: Step, made: Made) -> None:
    condition = step.config.get("condition")
    if condition is None:
        hint = 'add condition: "{{input.score}} >= 60"'
        flow.draft.report("MR123", "a CONDITION needs 'condition'", step.config.path, hint=hint, key=True)
        made.add("condition", "{{ true }}", step.config.entry)
    else:
        _expression(flow, step, made, condition)
    for key, kind in (("true_path", "TRUE"), ("false_path", "FALSE")):
        targets = flow.targets(step, kind)
        if targets:
            value: Any = targets[0].value if len(targets) == 1 else [target.value for target in targets]
            made.add(key, value, targets[0])


def _expression(flow: Flow, step: Step, made: Made, condition: Entry) -> None:
    if isinstance(condition.value, str):
        phrases, otherwise = flow.phrases(step), _ONCE if step.type == "LOOP" else "{{ true }}"
        value, mark = phrases.expression(condition.value, condition.mark, condition.path, otherwise)
        made.add("condition", value, condition._replace(mark=mark))
    else:
        made.put("condition", condition)


def _delay(flow: Flow, calls: CallBook, step: Step, made: Made) -> None:
    """One of ``duration``, ``delay``, ``seconds``, which are the same, and ``until``."""
    for key in CONFIGS["DELAY"]:
        if (entry := step.config.get(key)) is not None:
            _rewritten(made, "until" if key == "until" else "duration", entry, flow.phrases(step))


def _parallel(flow: Flow, calls: CallBook, step: Step, made: Made) -> None:
    config = step.config
    made.put("max_concurrent", config.get("max_concurrent"))
    made.put("fail_fast", config.get("fail_fast"))
    every, wait = config.take("wait_for_all", bool), config.get("wait_for")
    if wait is not None:
        made.put("wait_for", wait)
    elif every is not None:
        made.add("wait_for", "all" if every.value else "any", every)


def _loop(flow: Flow, calls: CallBook, step: Step, made: Made) -> None:
    config = step.config
    most = config.get("max_iterations")
    condition = config.get("condition")
    if condition is not None:
        _expression(flow, step, made, condition)
    elif most is not None and is_a(most.value, int):
        made.add("condition", f"{{{{ loop.index < {most.value} }}}}", most)
    else:
        hint = 'add condition: "{{loop.index}} < 10", or max_iterations: 10'
        flow.draft.report(
            "MR123", "a LOOP needs 'condition' or 'max_iterations'", config.path, hint=hint, key=True
        )
        made.add("condition", _ONCE, config.entry)
    for key in ("mode", "max_iterations", "break_on_error"):
        made.put(key, config.get(key))


def _end(flow: Flow, calls: CallBook, step: Step, made: Made) -> None:
    """What the workflow gives: ``output`` has values with holes, ``output_mapping`` references such as ``login.id``."""
    for key in ("output", "output_mapping"):
        given = step.config.take(key, dict)
        for entry in given.items() if given else ():
            name = str(entry.path[-1])
            if key == "output_mapping" and isinstance(entry.value, str):
                value, mark = flow.phrases(step).expression(entry.value, entry.mark, entry.path)
                made.add(name, value, entry._replace(mark=mark))
            else:
                _rewritten(made, name, entry, flow.phrases(step))


def _other(flow: Flow, calls: CallBook, step: Step, made: Made) -> None:
    """The parameters of a node type that is ours."""
    given = step.config.take("parameters", dict)
    for entry in given.items() if given else ():
        _rewritten(made, str(entry.path[-1]), entry, flow.phrases(step))


def _nothing(flow: Flow, calls: CallBook, step: Step, made: Made) -> None:
    """START has no parameters."""


_PARAMETERS = {
    "START": _nothing,
    "END": _end,
    "API_CALL": _call,
    "CONDITION": _condition,
    "DELAY": _delay,
    "PARALLEL": _parallel,
    "LOOP": _loop,
}
