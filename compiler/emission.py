"""From an analysis to the source of its flow: a module that a person might have written, and may own from then on."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from .analysis import Analysis
from .document import Document
from .graph import Edge, Graph
from .literals import Call, Code, columns, docstring, identifier, literal
from .model import DEFAULT_PRIORITY, DEFAULT_TIMEOUT, Definition, ErrorHandling, NodeDefinition, RetryRule

FIRST_VERSION = "1.0.0"
"""The version of a definition that names none."""
_NAMES = ("Retry", "Run", "edge", "flow", "main", "node", "workflow")
RESERVED = frozenset({*_NAMES, "WORKFLOW", "RETRY", "run", "input", "trigger", "instance_id"})
"""Names that no node or workflow gets."""


def emit(analysis: Analysis) -> str:
    """The source of the flow module. Raises INVALID_WORKFLOW_DEFINITION where the analysis has errors."""
    analysis.raise_for_errors()
    assert analysis.definition is not None
    assert analysis.graph is not None
    assert analysis.document is not None
    return _Module(analysis.definition, analysis.graph, analysis.document).source()


@dataclass
class _Module:
    definition: Definition
    graph: Graph
    document: Document
    imports: set[str] = field(default_factory=lambda: {"Run", "flow", "node", "workflow"})
    function: str = ""
    nodes: dict[str, str] = field(default_factory=dict)
    """The name of each node's declaration."""
    handles: dict[str, str] = field(default_factory=dict)
    """The name of each node's handle, for those that others wait for."""

    def source(self) -> str:
        self._name()
        declarations = [self._node(node_id) for node_id in (node.id for node in self.graph.nodes)]
        body = [self._start(node_id) for node_id in self.graph.order]
        default = _default_retry(self.definition.error_handling)
        parts = [self._header(), "", f"from mirror_realm.flows import {', '.join(sorted(self.imports))}", ""]
        parts += [_assigned("WORKFLOW", self._workflow()), ""]
        if default is not None:
            parts += [_assigned("RETRY", _retry(default)), ""]
        parts += [*declarations, "", ""]
        parts += [
            "@flow(WORKFLOW)",
            f"async def {self.function}(input=None, trigger=None, instance_id=None):",
        ]
        parts += [
            "    async with Run(WORKFLOW, input, trigger, instance_id) as run:",
            *body,
            "    return run.output",
        ]
        parts += [
            "",
            "",
            'if __name__ == "__main__":',
            "    from mirror_realm.deployments.run import main",
            "",
        ]
        parts.append(f"    main({self.function})")
        return "\n".join(parts) + "\n"

    def _name(self) -> None:
        """Names for the function, the declarations and the handles, in definition order."""
        self.function = flow_name(self.definition.name)
        taken = {*RESERVED, self.function}
        for node in self.graph.nodes:
            self.nodes[node.id] = identifier(node.id, taken)
            taken.add(self.nodes[node.id])
        stems = Counter(map(_stem, self.nodes.values()))
        for node in self.graph.nodes:
            if not self.graph.outgoing(node.id):
                continue
            name = self.nodes[node.id]
            stem = _stem(name)
            short = stem != name and stems[stem] == 1 and stem == identifier(stem, taken)
            handle = stem if short else identifier(f"{name}_done", taken)
            self.handles[node.id] = handle
            taken.add(handle)

    def _header(self) -> str:
        definition = self.definition
        about = f"{definition.name} {definition.version or FIRST_VERSION}"
        origin = f", compiled from {self._source_name()}" if self.document.file else ""
        provenance = f"{about}{origin}.\nDefinition {definition.hash}"
        return docstring([definition.display_name or "", definition.description or "", provenance])

    def _source_name(self) -> str:
        return os.path.basename(self.document.file or "")

    def _workflow(self) -> Call:
        definition = self.definition
        runner = definition.execution.task_runner
        options: dict[str, Any] = {
            "title": definition.display_name,
            "description": definition.description,
            "definition": definition.hash,
            "source": self._source_name() or None,
            "input_schema": definition.input,
            "output": definition.output,
            "variables": definition.variables,
            "timeout": _number(definition.timeout) if definition.timeout != DEFAULT_TIMEOUT else None,
            "error_handling": _error_handling(definition.error_handling),
            "task_runner": runner if runner != "dask" else None,
            "tags": list(definition.tags),
        }
        return Call("workflow", [definition.name, definition.version or FIRST_VERSION], _given(options))

    def _node(self, node_id: str) -> str:
        node, name = self.definition.node(node_id), self.nodes[node_id]
        options = {
            "parameters": node.parameters,
            "input": node.input,
            "when": None if node.when is None else bare(node.when),
            "join": node.join if node.join != "any" else None,
            "timeout": _number(node.timeout),
            "retry": self._node_retry(node),
            "resources": node.resources,
            "fail_on_error": None if node.fail_on_error else False,
            "on_error": _on_error(node),
            "priority": node.priority if node.priority != DEFAULT_PRIORITY else None,
            "at": self._at(node_id),
        }
        return _assigned(name, Call("node", [node.node_id, node.type], _given(options)))

    def _at(self, node_id: str) -> str:
        span = self.graph.by_id[node_id].span
        return f"{self._source_name() or 'definition'}:{span.line}:{span.column}"

    def _node_retry(self, node: NodeDefinition) -> Call | Code | None:
        default = _default_retry(self.definition.error_handling)
        if node.retry is None and default is None:
            return None
        self.imports.add("Retry")
        return _retry(node.retry) if node.retry is not None else Code("RETRY")

    def _start(self, node_id: str) -> str:
        after = [self._after(edge) for edge in self.graph.incoming(node_id)]
        started = Call("run.start", [Code(self.nodes[node_id])])
        if after:
            started = replace(started, keywords={"after": after[0] if len(after) == 1 else after})
        return _assigned(self.handles.get(node_id), started, "        ")

    def _after(self, edge: Edge) -> Call | Code:
        handle = Code(self.handles[edge.source])
        options = _given(
            {
                "when": None if edge.condition is None else bare(edge.condition),
                "mapping": None if edge.mapping is None else dict(edge.mapping),
            },
            keep_empty=("mapping",),
        )
        if not options:
            return handle
        self.imports.add("edge")
        return Call("edge", [handle], options)


def _assigned(name: str | None, value: Call, indent: str = "") -> str:
    head = f"{name} = " if name else ""
    return f"{indent}{head}{literal(value, indent, columns(head))}"


def flow_name(name: str) -> str:
    """The name of a workflow's function in its module.

    >>> flow_name("nas-photo-processing"), flow_name("3d"), flow_name("run")
    ('nas_photo_processing', 'workflow_3d', 'run_2')
    """
    return identifier(name, RESERVED, otherwise="workflow")


def bare(condition: str) -> str:
    """A condition without the braces around it, where they enclose all of it.

    >>> bare("{{ input.x > 1 }}"), bare("{{a}} > {{b}}")
    ('input.x > 1', '{{a}} > {{b}}')
    """
    match = re.fullmatch(r"\s*\{\{((?:(?!\{\{|\}\}).)*)\}\}\s*", condition, re.DOTALL)
    return match.group(1).strip() if match else condition


def _stem(name: str) -> str:
    """``preprocess`` of ``preprocess_01``."""
    return re.sub(r"_\d+$", "", name)


def _number(seconds: float | None) -> int | float | None:
    return int(seconds) if seconds is not None and seconds == int(seconds) else seconds


def _given(options: dict[str, Any], keep_empty: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        name: value
        for name, value in options.items()
        if value is not None and (name in keep_empty or not (isinstance(value, dict | list) and not value))
    }


def _on_error(node: NodeDefinition) -> Any:
    rules = [rule.model_dump(mode="json", exclude_defaults=True) for rule in node.on_error]
    return rules[0] if len(rules) == 1 else rules


def _error_handling(handling: ErrorHandling | None) -> dict[str, Any] | None:
    if handling is None:
        return None
    return {name: _number(v) if isinstance(v, float) else v for name, v in _dumped(handling)}


def _dumped(handling: ErrorHandling) -> Iterator[tuple[str, Any]]:
    yield from handling.model_dump(mode="json", exclude_defaults=True).items()


def _default_retry(handling: ErrorHandling | None) -> RetryRule | None:
    """The retry rule of every node that has none: retries are attempts after the first, a fixed time apart."""
    if handling is None or (handling.max_retries is None and handling.retry_delay is None):
        return None
    given: dict[str, Any] = {}
    if handling.max_retries is not None:
        given["max_attempts"] = handling.max_retries + 1
    if handling.retry_delay is not None:
        given |= {"initial": handling.retry_delay, "multiplier": 1.0, "max": max(60.0, handling.retry_delay)}
    return RetryRule.model_validate(given)


def _retry(rule: RetryRule) -> Call:
    options = {
        name: value
        for name, value in rule.model_dump(mode="json").items()
        if name == "max_attempts"
        or value != RetryRule.model_fields[name].get_default(call_default_factory=True)
    }
    options = {name: _number(v) if isinstance(v, float) else v for name, v in options.items()}
    if "on" in options:
        options["on"] = tuple(options["on"])
    return Call("Retry", keywords=options)
