"""``api-orchestration``: flat ``nodes`` of a few types, and ``connections`` that also say what is a loop's body.

Source: seed 002 («节点类型», «连接类型», «参数和变量»). What the seed leaves open is read so:

- ``from_node_id`` and ``to_node_id`` are a node's ``id``, its name, or (where no node has an ``id``) its number from 1.
- Times are in seconds. ``retry_count`` counts tries after the first.
- An ``api_id`` is looked up in ``apis`` (``{"1": {url, method, headers}}``); else its URL is ``env.API_1_URL``.
- ``parameters`` go into the query of GET, HEAD and DELETE, else into a JSON body. The default method is GET.
- ``response`` is the body of the answer, but ``response.status`` is the HTTP status and ``response.headers`` are the
  headers. It is that of the call before, and in ``output_mapping`` of the call itself.
- An ERROR connection is taken when its node has failed, the others then are not.
- After a loop, ``{{node.field}}`` of a node in its body is that of the last round.
"""

from __future__ import annotations

from typing import Any

from ..diagnostics import Diagnostic
from ..document import Document
from ..model import Definition
from .api_connections import read_links
from .api_flow import Flow
from .api_nodes import CallBook, canonical_node, read_steps
from .fields import Entry, Fields, Made, stand_in, whole
from .naming import version, workflow_name
from .regions import Place
from .rewriting import Draft

ID = "api-orchestration"
VOCABULARY = None

_TYPES = frozenset({"START", "END", "API_CALL", "CONDITION", "DELAY", "PARALLEL", "LOOP"})
_IGNORED = ("id", "status", "is_active", "created_at", "updated_at")
_KEPT = (
    "description",
    "tags",
    "labels",
    "metadata",
    "input",
    "variables",
    "triggers",
    "output",
    "concurrency",
    "execution",
)
_KNOWN = (
    "name",
    "display_name",
    "version",
    "config",
    "nodes",
    "connections",
    "apis",
    "timeout",
    *_KEPT,
    *_IGNORED,
    "dialect",
)
_SYNONYMS = {"edges": "connections", "links": "connections", "steps": "nodes", "input_schema": "input"}


def recognises(tree: Any) -> bool:
    """Nodes of this dialect's types, or connections from one node id to another."""
    if not isinstance(tree, dict):
        return False
    return any(
        isinstance(node, dict) and str(node.get("node_type", "")).upper() in _TYPES
        for node in _items(tree.get("nodes"))
    ) or any(
        isinstance(link, dict) and ("from_node_id" in link or "to_node_id" in link)
        for link in _items(tree.get("connections"))
    )


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def rewrite(document: Document) -> tuple[Document, tuple[Diagnostic, ...]]:
    """Nodes by their types, connections as edges, bodies and branches as parts."""
    draft = Draft(document)
    top = Fields(draft, whole(draft), "a workflow", _KNOWN, _SYNONYMS)
    made = Made(top.entry)
    _head(top, made)
    steps = read_steps(draft, top)
    links = read_links(draft, top, steps)
    flow = Flow(draft, steps, links)
    calls = CallBook.read(draft, top)
    _part(flow, calls, (), made, top.entry)
    draft.tree, draft.marks = made.tree, made.mark
    return draft.done()


def _head(top: Fields, made: Made) -> None:
    """The definition's own keys."""
    name = top.take("name", str, needed=True, example="my-workflow")
    if name is not None:
        made.add("name", workflow_name(name.value), name)
        if made.tree["name"] != name.value:
            made.add("display_name", name.value, name)
    else:
        made.add("name", "unnamed", top.entry)
    made.put("display_name", top.get("display_name"))
    if (written := top.get("version")) is not None:
        made.add(
            "version", version(written.value) if isinstance(written.value, str) else written.value, written
        )
    for key in (*_KEPT, "timeout"):
        if key in Definition.model_fields:
            made.put(key, top.get(key))
    config = top.take("config", dict)
    if config is None:
        return
    fields = Fields(top.draft, config, "the workflow's config", ("timeout", "retry_count", "retry_delay"))
    made.put("timeout", fields.get("timeout"))
    handling = Made(config)
    handling.put("max_retries", fields.get("retry_count"))
    handling.put("retry_delay", fields.get("retry_delay"))
    if handling.tree:
        made.add_map("error_handling", handling)


def _part(flow: Flow, calls: CallBook, place: Place, made: Made, at: Entry) -> None:
    """The nodes and edges at ``place``, and the parts inside those nodes."""
    nodes: list[Made] = []
    for step in flow.steps_at(place):
        node = canonical_node(flow, calls, step)
        nodes.append(node)
        if not flow.is_construct(step):
            continue
        if step.type == "LOOP":
            body = Made(step.entry)
            _part(flow, calls, (*place, (step.index, 0)), body, step.entry)
            node.add_map("body", body)
        else:
            branches: list[Made] = []
            for number, start in enumerate(flow.starts(step)):
                branch = Made(start.entry)
                branch.add("name", start.id, start.name)
                _part(flow, calls, (*place, (step.index, number)), branch, start.entry)
                branches.append(branch)
            node.add_list("branches", branches, step.entry)
    if not nodes and flow.draft.diagnostics:
        nodes.append(stand_in(at))
    edges, waits = flow.edges_at(place)
    made.add_list("nodes", [*nodes, *waits], at)
    if edges:
        made.add_list("edges", edges, at)
