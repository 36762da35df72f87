"""Transformations of event-driven steps, as values that expressions compute.

``{operation, source, target, parameters}``, one after the other: a later one reads what an earlier one made. The seed
names the operations and leaves open what they do; :data:`OPERATIONS` says it as expressions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from ..close_matches import did_you_mean, listed
from ..expressions.check import CODES
from ..expressions.errors import ExpressionError
from ..expressions.parser import parse
from .canonical_values import bracketed, expression_of, is_computed, plain_path
from .event_state import StateNames
from .fields import Entry, Fields, Made
from .phrases import Phrases, field
from .rewriting import Draft

_KEYS = ("operation", "source", "target", "parameters", "mapping")
_LONGEST = 10_000
"""Characters of an expression: one that reads what earlier ones made holds their text."""

OPERATIONS: Mapping[str, str] = {
    "copy": "@", "rename": "@", "map": "@", "assign": "@", "set": "@",
    "to_upper": "@.upper()", "upper": "@.upper()", "uppercase": "@.upper()",
    "to_lower": "@.lower()", "lower": "@.lower()", "lowercase": "@.lower()",
    "trim": "@.trim()", "to_string": "string(@)", "to_int": "int(@)", "to_number": "double(@)",
    "to_json": "to_json(@)", "from_json": "from_json(@)", "parse_json": "from_json(@)",
    "sum": "sum(@)", "avg": "avg(@)", "average": "avg(@)", "min": "min(@)", "max": "max(@)", "count": "size(@)",
    "first": "@[0]", "flatten": "flatten(@)", "distinct": "distinct(@)",
}  # fmt: skip
"""Operations without parameters, with ``@`` for the source."""
_WITH_PARAMETERS = ("filter", "sort", "join", "split", "default", "concat", "round", "expression")
_ARGUMENTS = {
    "sort": ("by", ""), "default": ("value", "null"), "round": ("digits", "0"), "split": ("separator", "','"),
    "join": ("separator", "','"),
}  # fmt: skip
"""The parameter of an operation that has one, and what it is when not given."""
_MOVES = ("copy", "rename", "map", "assign", "set")


class Transforms:
    """The values that a step's transformations make of its inputs."""

    def __init__(self, draft: Draft, names: StateNames, reader: str, values: Made) -> None:
        self.draft, self.names, self.reader, self.values = draft, names, reader, values

    def add(self, entry: Entry) -> None:
        """One more."""
        fields = Fields(self.draft, entry, "a transformation", _KEYS)
        if not isinstance(entry.value, dict):
            return
        operation = fields.take("operation", str, needed=True, example="copy")
        target = fields.take("target", str, needed=True, example="total")
        source = fields.take("source", str)
        parameters = fields.take("parameters", dict)
        given = {str(one.path[-1]): one for one in parameters.items()} if parameters is not None else {}
        if (mapping := fields.take("mapping", dict)) is not None:
            given["mapping"] = mapping
        if operation is None or target is None:
            return
        value = given.get("value")
        if (
            source is None
            and value is not None
            and operation.value in _MOVES
            and not is_computed(value.value)
        ):
            self.values.add(target.value, value.value, value)
            self._next(target.value, json.dumps(value.value, ensure_ascii=False))
            return
        made = self._made(operation, source, given, fields)
        if made is None:
            return
        if len(made) > _LONGEST:
            message, hint = "this transformation becomes too long an expression", "make two steps of it"
            self.draft.report("MR309", message, entry.path, hint=hint)
            return
        self.values.add(target.value, f"{{{{ {made} }}}}", (source or target)._replace(key=target.key))
        self._next(target.value, bracketed(made))

    def _next(self, target: str, expression: str) -> None:
        """Later transformations read what this one made."""
        self.names = self.names.reading(self.reader, {**self.names.tasks.own, target: expression})

    def _made(
        self, operation: Entry, source: Entry | None, given: dict[str, Entry], fields: Fields
    ) -> str | None:
        """The expression of a transformation."""
        name = operation.value.lower().replace("-", "_")
        if name not in OPERATIONS and name not in _WITH_PARAMETERS:
            known = [*OPERATIONS, *_WITH_PARAMETERS]
            hint = did_you_mean(name, known) or f"the operations are {listed(known, 40)}"
            self.draft.report(
                "MR113", f"there is no operation {operation.value!r}", operation.path, hint=hint
            )
            return None
        if name in _MOVES and (value := given.get("value")) is not None and source is None:
            return self._literal(value)
        if name == "expression" and (text := given.get("expression")) is not None:
            return self._read(text)
        if (
            name == "concat"
            and (sources := given.get("sources")) is not None
            and isinstance(sources.value, list)
        ):
            between = self._literal(given["separator"]) if "separator" in given else "''"
            return f"join([{', '.join(self._read(one) for one in sources.items())}], {between})"
        if source is None:
            fields.take("source", str, needed=True, example="order.items")
            return None
        of = self._read(source)
        if name in _MOVES and (mapping := given.get("mapping")) is not None:
            return self._mapped(of, mapping)
        return OPERATIONS[name].replace("@", of) if name in OPERATIONS else self._with(name, of, given)

    def _with(self, name: str, of: str, given: dict[str, Entry]) -> str:
        """An operation that has parameters."""
        if name == "filter":
            kept = given.get("condition")
            inner = self._read(kept, ("item",)) if kept is not None else "true"
            return f"{of}.filter(item, {inner})"
        if name not in _ARGUMENTS:
            return of
        key, otherwise = _ARGUMENTS[name]
        argument = self._literal(given[key]) if key in given else otherwise
        return f"{name}({of}, {argument})" if argument else f"{name}({of})"

    def _mapped(self, of: str, mapping: Entry) -> str:
        """``{new: path}`` of an object, or of each object in a list."""
        pairs = [
            f"{json.dumps(str(one.path[-1]), ensure_ascii=False)}: each{_below(str(one.value))}"
            for one in mapping.items()
        ]
        made = "{" + ", ".join(pairs) + "}"
        one = f"[{of}].map(each, {made})[0]"
        return f"(type({of}) == list ? dyn({of}.map(each, {made})) : dyn({one}))" if pairs else of

    def _literal(self, entry: Entry) -> str:
        """A parameter as an expression: a template's, or its value."""
        if is_computed(entry.value):
            phrases = Phrases(self.draft, self.names, self.names.odd)
            return expression_of(phrases.template(entry.value, entry.mark, entry.path)[0])
        return json.dumps(entry.value, ensure_ascii=False)

    def _read(self, entry: Entry, bound: tuple[str, ...] = ()) -> str:
        """What an expression is called in canonical spelling, its problems reported."""
        names = self.names.reading(self.reader, {**self.names.tasks.own, **{name: name for name in bound}})
        phrases = Phrases(self.draft, names, names.odd)
        text = phrases.condition(plain_path(str(entry.value)), entry.mark, entry.path)[0]
        try:
            parse(text)
        except ExpressionError as error:
            # It becomes a part of a longer expression, in which its own place would be lost.
            hint = error.hint or "docs/expressions.md says what an expression may hold"
            self.draft.report(CODES[error.kind], error.problem, entry.path, hint=hint)
            return "dyn(null)"
        return text


def _below(path: str) -> str:
    """The steps of a dotted path.

    >>> _below("order.id"), _below("$.a")
    ('.order.id', '.a')
    """
    return "".join(
        field(int(part) if part.isdecimal() else part) for part in path.removeprefix("$.").split(".")
    )
