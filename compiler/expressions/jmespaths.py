"""What is wrong in the JMESPath of an edge's mapping: unknown functions, and fields that its source does not have."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from .absent import fields_hint
from .composed import item_of
from .errors import close, did_you_mean
from .shapes import ANYTHING, Shape
from .typecheck import Finding

_LITERALS = re.compile(r"'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`")
_SAME = frozenset({"sort", "sort_by", "reverse", "to_array"})
"""Functions that give the list they take."""
_ONE_OF = frozenset({"max_by", "min_by", "max", "min"})
"""Functions that give one item of the list they take."""


def path_findings(text: str, compiled: Any, shape: Shape, source: str) -> list[Finding]:
    """The findings in ``text`` (``$.…``), whose JMESPath is ``compiled``, over an output of ``shape``; ``source`` says
    in words whose output that is."""
    return list(_Path(text, source).run(compiled.parsed, shape))


class _Path:
    """A walk in the order of the text, so that each name is found behind the one before."""

    def __init__(self, text: str, source: str) -> None:
        self.text = _LITERALS.sub(lambda match: " " * len(match[0]), text)
        self.source = source
        self.position = 1
        self.found: list[Finding] = []

    def run(self, tree: Mapping[str, Any], shape: Shape) -> Iterator[Finding]:
        self._visit(tree, shape)
        yield from self.found

    def _visit(self, node: Any, shape: Shape) -> Shape:
        """The shape of what ``node`` finds in a value of ``shape``."""
        children = [child for child in node["children"] if isinstance(child, dict)]
        match node["type"]:
            case "field":
                return self._field(str(node["value"]), shape)
            case "index":
                return item_of(shape)
            case "identity" | "current":
                return shape
            case "subexpression" | "pipe" | "index_expression":
                for child in children:
                    shape = self._visit(child, shape)
                return shape
            case "slice":
                return shape
            case "flatten":
                inner = self._visit(children[0], shape)
                return item_of(inner) if item_of(inner).cel_type == "list" else inner
            case "projection":
                self._visit(children[1], item_of(self._visit(children[0], shape)))
            case "filter_projection":
                item = item_of(self._visit(children[0], shape))
                self._visit(children[2], item)
                self._visit(children[1], item)
            case "function_expression":
                return self._function(str(node["value"]), children, shape)
            case "key_val_pair":
                self._place(str(node["value"]))
                self._visit(children[0], shape)
            case "value_projection":
                self._visit(children[0], shape)
                self._visit(children[1], ANYTHING)
            case _:
                for child in children:
                    self._visit(child, shape)
        return ANYTHING

    def _field(self, name: str, shape: Shape) -> Shape:
        start, end = self._place(name)
        step = shape.step(name)
        if isinstance(step, Shape):
            return step
        if not step.certain and not close(name, step.known):
            return ANYTHING
        hint = did_you_mean(name, step.known) or fields_hint(step.known)
        at_top = self.text[:start].rstrip('"') == "$."
        message = f"the output of {self.source} has no field {name!r}"
        if step.kind == "a list":
            message, hint = (
                f"a list has no field {name!r}",
                f"write [*].{name} for all, [0].{name} for the first",
            )
        elif step.kind != "a map":
            message, hint = f"what stands before is {step.kind} and has no field {name!r}", "leave it out"
        elif not at_top:
            message = f"there is no field {name!r} here in the output of {self.source}"
        severity = "error" if step.certain else "warning"
        self.found.append(Finding("field", message, start, end, hint, severity))
        return ANYTHING

    def _function(self, name: str, children: list[Any], shape: Shape) -> Shape:
        from jmespath.functions import Functions

        start, end = self._place(name)
        known = Functions.FUNCTION_TABLE
        if name not in known:
            hint = did_you_mean(name, known) or f"the functions are {', '.join(sorted(known))}"
            message = f"unknown function {name!r} of JMESPath"
            self.found.append(Finding("function", message, start, end, hint))
        first = ANYTHING
        for number, child in enumerate(children):
            if child["type"] == "expref":
                self._visit(child["children"][0], item_of(first))
                continue
            found = self._visit(child, shape)
            first = found if number == 0 else first
        return first if name in _SAME else item_of(first) if name in _ONE_OF else ANYTHING

    def _place(self, name: str) -> tuple[int, int]:
        pattern = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)")
        match = pattern.search(self.text, self.position)
        if match is None:
            return self.position, self.position + 1
        self.position = match.end()
        return match.span()
