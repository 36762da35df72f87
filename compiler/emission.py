"""From a plan to the source of its flow: a module that a person might have written, and may own from then on."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from .analysis import Analysis
from .diagnostics import Path
from .graph import Edge, GraphNode
from .handlers import handler_in
from .literals import Call, Code, columns, docstring, identifier, literal
from .model import DEFAULT_PRIORITY, DEFAULT_TIMEOUT, Definition, ErrorHandling, NodeDefinition, RetryRule
from .plan import Block, Plan, plan_of

FIRST_VERSION = "1.0.0"
"""The version of a definition that names none."""
_NAMES = ("Retry", "Run", "edge", "flow", "main", "node", "subworkflow", "workflow")
HANDLER = "on_failure"
"""The function that starts what runs when the instance has failed."""
RESERVED = frozenset({*_NAMES, HANDLER, "WORKFLOW", "RETRY", "run", "input", "trigger", "instance_id"})
"""Names that no node or workflow gets."""


def emit(analysis: Analysis, *, optimised: bool = True) -> str:
    """The source of the flow module. Raises INVALID_WORKFLOW_DEFINITION where the analysis has errors."""
    from .optimise import optimise

    plan = plan_of(analysis.raise_for_errors())
    return source_of(optimise(plan) if optimised else plan)


def source_of(plan: Plan) -> str:
    """The source of the flow module of a plan."""
    return _Module(plan).source()


class _Module:
    """The module of a definition, and of the sub-workflows in it, each once."""

    def __init__(self, plan: Plan) -> None:
        self.imports = {"Run", "flow", "node", "workflow"}
        self.taken = set(RESERVED)
        self.units: dict[str, _Unit] = {}
        self.main = _Unit(self, plan)
        self._add(plan, self.main)

    def _add(self, plan: Plan, unit: _Unit) -> None:
        """``unit`` after the sub-workflows that it runs."""
        for inner in plan.within.values():
            if inner.identity not in self.units:
                self._add(inner, _Unit(self, inner))
        self.units[plan.identity] = unit

    def source(self) -> str:
        main = self.main
        for unit in (main, *(unit for unit in self.units.values() if unit is not main)):
            unit.name()
        body = main.starts(main.plan.root, " " * 8) or [" " * 8 + "pass"]
        rest = [line for unit in self.units.values() for line in unit.declared()]
        functions = [line for unit in self.units.values() for line in unit.functions()]
        handler = f", on_failure={main.on_failure}" if main.handler.nodes else ""
        parts = [main.header(), "", f"from mirror_realm.flows import {', '.join(sorted(self.imports))}", ""]
        parts += [*rest, "", "", *functions]
        parts += [
            "@flow(WORKFLOW)",
            f"async def {main.function}(input=None, trigger=None, instance_id=None):",
        ]
        parts += [f"    async with Run(WORKFLOW, input, trigger, instance_id{handler}) as run:", *body]
        parts += ["    return run.output", "", "", 'if __name__ == "__main__":']
        parts += ["    from mirror_realm.deployments.run import main", "", f"    main({main.function})"]
        return "\n".join(parts) + "\n"

    def identifier(self, text: str, otherwise: str = "node") -> str:
        """A name that nothing else in the module has."""
        name = identifier(text, self.taken, otherwise=otherwise)
        self.taken.add(name)
        return name


class _Unit:
    """One definition in a module: the workflow itself, or a sub-workflow."""

    def __init__(self, module: _Module, plan: Plan) -> None:
        self.module = module
        self.plan = plan
        self.definition: Definition = plan.definition
        self.blocks = list(plan.root.walk())
        handling = self.definition.error_handling
        self.handler = handler_in(plan.root.graph, handling.on_failure if handling else None)
        self.function = self.constant = self.retry = ""
        self.on_failure = HANDLER
        self.nodes: dict[Path, str] = {}
        """The name of each node's declaration, by the node's path."""
        self.handles: dict[Path, str] = {}
        """The name of each node's handle, for those that others wait for."""
        self.parts: dict[Path, str] = {}
        """The name of the function of each block inside a node."""

    def name(self) -> None:
        """Names for the function, the declarations and the handles, in definition order."""
        take, taken = self.module.identifier, self.module.taken
        if self is self.module.main:
            self.function, self.constant, self.retry = flow_name(self.definition.name), "WORKFLOW", "RETRY"
            taken.add(self.function)
        else:
            self.function = take(self.definition.name, "workflow")
            self.constant, self.retry = take(self.function.upper()), take(f"{self.function}_retry".upper())
            self.on_failure = take(f"{self.function}_{HANDLER}")
        mine: list[str] = []
        for block in self.blocks:
            for node in (*block.graph.nodes, *(node for node, _ in block.left_out)):
                self.nodes[node.path] = take(node.id)
                mine.append(self.nodes[node.path])
        for block in self.blocks:
            if block.owner is not None:
                self.parts[block.path] = take(f"{self.nodes[block.owner.path]}_{block.name or 'body'}")
        stems = Counter(map(_stem, mine))
        for block in self.blocks:
            for node in block.graph.nodes:
                if block.graph.outgoing(node.id):
                    name = self.nodes[node.path]
                    stem = _stem(name)
                    short = stem != name and stems[stem] == 1 and stem == identifier(stem, taken)
                    self.handles[node.path] = take(stem if short else f"{name}_done")

    def declared(self) -> list[str]:
        """The workflow, its default retry rule, and its nodes."""
        default = _default_retry(self.definition.error_handling)
        lines = [_assigned(self.constant, self._workflow()), ""]
        if default is not None:
            self.module.imports.add("Retry")
            lines += [_assigned(self.retry, _retry(default)), ""]
        nodes = [line for block in self.blocks for line in self._nodes(block)]
        return [*lines, *nodes] if self is self.module.main else [*lines, *nodes, ""]

    def functions(self) -> list[str]:
        """The functions of its parts, inner ones first, what is done when it has failed, and a sub-workflow's own."""
        made = [self._part(block) for block in reversed(self.blocks) if block.owner is not None]
        made += self._handling()
        if self is not self.module.main:
            self.module.imports.add("subworkflow")
            about = docstring([f"The nodes of {self.definition.name}."])
            handler = f", on_failure={self.on_failure}" if self.handler.nodes else ""
            declared = f"@subworkflow({self.constant}{handler})"
            head = [declared, f"def {self.function}(run):", f"    {about}"]
            made.append("\n".join([*head, *self.starts(self.plan.root, " " * 4)]))
        return [line for function in made for line in (function, "", "")]

    def header(self) -> str:
        definition = self.definition
        about = f"{definition.name} {definition.version or FIRST_VERSION}"
        origin = f", compiled from {self.plan.file}" if self.plan.file else ""
        provenance = f"{about}{origin}.\nDefinition {definition.hash}"
        return docstring([definition.display_name or "", definition.description or "", provenance])

    def _workflow(self) -> Call:
        definition = self.definition
        runner = definition.execution.task_runner
        options: dict[str, Any] = {
            "title": definition.display_name,
            "description": definition.description,
            "definition": definition.hash,
            "source": self.plan.file or None,
            "input_schema": definition.input,
            "output": self.plan.root.output,
            "variables": definition.variables,
            "timeout": _number(definition.timeout) if definition.timeout != DEFAULT_TIMEOUT else None,
            "error_handling": _error_handling(definition.error_handling),
            "task_runner": runner if runner != "dask" else None,
            "profile": "bulk" if definition.execution.profile == "bulk" else None,
            "tags": list(definition.tags),
        }
        return Call("workflow", [definition.name, definition.version or FIRST_VERSION], _given(options))

    def _nodes(self, block: Block) -> list[str]:
        return [
            *(self._node(node) for node in block.graph.nodes),
            *(self._left_out(node) for node, _ in block.left_out),
        ]

    def _left_out(self, graph_node: GraphNode) -> str:
        """What the journal needs of a node that never runs."""
        node = self.plan.nodes[graph_node.path]
        return _assigned(
            self.nodes[graph_node.path], Call("node", [node.node_id, node.type], {"at": self._at(graph_node)})
        )

    def _node(self, graph_node: GraphNode) -> str:
        node, name = self.plan.nodes[graph_node.path], self.nodes[graph_node.path]
        priority = self.plan.priorities.get(graph_node.path, node.priority)
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
            "cache": None if node.cache is None else _plain(node.cache.model_dump(exclude_defaults=True)),
            "compensate": None
            if node.compensate is None
            else node.compensate.model_dump(exclude_defaults=True),
            "priority": priority if priority != DEFAULT_PRIORITY else None,
            "breakpoint": True if node.breakpoint else None,
            "at": self._at(graph_node),
        }
        return _assigned(
            name, Call("node", [node.node_id, node.type], _given(options, keep_empty=("cache",)))
        )

    def _at(self, node: GraphNode) -> str:
        span = node.span
        return f"{self.plan.file or 'definition'}:{span.line}:{span.column}"

    def _node_retry(self, node: NodeDefinition) -> Call | Code | None:
        default = _default_retry(self.definition.error_handling)
        if node.retry is None and default is None:
            return None
        self.module.imports.add("Retry")
        return _retry(node.retry) if node.retry is not None else Code(self.retry)

    def _part(self, block: Block) -> str:
        """The function of a part: it starts the part's nodes and returns what the part gives, where it says so."""
        assert block.owner is not None
        about = f"Branch {block.name} of" if block.name else "The body of"
        lines = [
            f"def {self.parts[block.path]}(run):",
            "    " + docstring([f"{about} {block.owner.id}."]),
            *self.starts(block, " " * 4),
        ]
        if block.output is not None:
            lines.append(f"    return {literal(block.output, ' ' * 4, columns('return '))}")
        return "\n".join(lines)

    def starts(self, block: Block, indent: str) -> list[str]:
        """The starts of a block's nodes, without those that only run when the instance has failed."""
        later = self.handler.only if block is self.plan.root else frozenset[str]()
        return [
            *(self._start(block, id, indent, later) for id in block.order if id not in later),
            *(self._never(node, because, indent) for node, because in block.left_out),
        ]

    def _never(self, node: GraphNode, because: str, indent: str) -> str:
        return _assigned(None, Call("run.leave_out", [Code(self.nodes[node.path]), because]), indent)

    def _handling(self) -> list[str]:
        """The function that starts the nodes which run when the workflow has failed, if there are any."""
        root, nodes = self.plan.root, self.handler.nodes
        if not nodes:
            return []
        others = frozenset(root.graph.by_id) - nodes
        whose = "the instance" if self is self.module.main else self.definition.name
        about = docstring([f"What is done when {whose} has failed."])
        starts = [self._start(root, node_id, " " * 4, others) for node_id in root.order if node_id in nodes]
        return ["\n".join([f"def {self.on_failure}(run):", f"    {about}", *starts])]

    def _start(self, block: Block, node_id: str, indent: str, elsewhere: frozenset[str]) -> str:
        node = block.graph.by_id[node_id]
        after = [
            self._after(block, edge) for edge in block.graph.incoming(node_id) if edge.source not in elsewhere
        ]
        options: dict[str, Any] = {}
        if after:
            options["after"] = after[0] if len(after) == 1 else after
        inside = block.parts_of(node.id)
        if len(inside) == 1 and inside[0].name is None:
            options["body"] = Code(self.parts[inside[0].path])
        elif (inner := self.plan.within.get(node.path)) is not None:
            options["body"] = Code(self.module.units[inner.identity].function)
        elif inside:
            options["branches"] = {part.name: Code(self.parts[part.path]) for part in inside}
        if node.path in self.plan.fused:
            options["fuse"] = True
        started = Call("run.start", [Code(self.nodes[node.path])], options)
        return _assigned(self.handles.get(node.path), started, indent)

    def _after(self, block: Block, edge: Edge) -> Call | Code:
        handle = Code(self.handles[block.graph.by_id[edge.source].path])
        options = _given(
            {
                "when": None if edge.condition is None else bare(edge.condition),
                "mapping": None if edge.mapping is None else dict(edge.mapping),
                "on_error": None if edge.codes is None else True,
            },
            keep_empty=("mapping",),
        )
        if not options:
            return handle
        self.module.imports.add("edge")
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
    return None if handling is None else _plain(dict(_dumped(handling)))


def _plain(options: dict[str, Any]) -> dict[str, Any]:
    """Seconds as whole numbers, where they are."""
    return {name: _number(value) if isinstance(value, float) else value for name, value in options.items()}


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
