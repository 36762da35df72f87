"""One expression against the declared types of what it reads, by CEL's own checker.

All numbers are one type here, as JSON has it. What CEL's checker refuses but its runtime accepts (branches or list
items of different types, comparisons across types) is at most a warning.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from .engine import compile_expression, new_environment
from .errors import ExpressionError
from .messages import source_offset
from .references import SCOPE_NAMES, Reference, unknown_root
from .rewrite import rewrite
from .rewritten import Rewritten
from .shapes import Shape

if TYPE_CHECKING:
    from cel_expr_python import cel

    from ..diagnostics import Severity

_ERROR = re.compile(r"ERROR: <input>:(\d+):(-?\d+): (.*)")
_OVERLOAD = re.compile(r"found no matching overload for '(.+?)' applied to '\((.*)\)'")
_SELECT = re.compile(r"expression of type '(.+?)' cannot be the operand of a select operation")
_WRAPPER = re.compile(r"wrapper\((\w+)\)")
_SIZE = re.compile(r"^\s*(?:size\([^()]*\)|[\w.\[\]]+\.size\(\))\s*$")
_SCHEMAS = {
    "INT": {"type": "number"},
    "STRING": {"type": "string"},
    "BOOL": {"type": "boolean"},
    "LIST": {"type": "array"},
    "MAP": {"type": "object"},
}
_CONVERT = "compare and compute with values of one kind: string(x), int(x), double(x)"
_WORDS = {
    "int": "a number",
    "string": "a string",
    "bool": "true or false",
    "null_type": "null",
    "bytes": "bytes",
    "dyn": "a value of any type",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong in one expression; offsets count from the expression's first character, ``None`` is the whole."""

    kind: str
    message: str
    start: int | None
    end: int | None
    hint: str | None = None
    severity: Severity = "error"


def typecheck(
    expression: str,
    shape_of: Callable[[Reference], Shape],
    node_ids: Iterable[str],
    *,
    names: Sequence[str] = SCOPE_NAMES,
    condition: bool = False,
) -> list[Finding]:
    """What is wrong with ``expression``, where ``shape_of`` tells what a reference is known to be and ``names``
    are those that it may begin with."""
    try:
        compile_expression(expression)
    except ExpressionError as error:
        start = None if error.column is None else error.column - 1
        end = None if error.end is None else error.end - 1
        return [Finding(error.kind, error.problem, start, end, error.hint)]
    found: list[Finding] = []
    shapes: dict[Reference, Shape] = {}

    def name(reference: Reference, index: int) -> str:
        if reference.root not in names:
            found.append(_unknown(reference, expression, names, node_ids))
            return "t_dyn"
        shapes[reference] = shape = shape_of(reference)
        if reference.mode == "has":
            return "t_bool"
        return "t_dyn" if reference.mode == "maybe" else f"t_{shape.cel_type}"

    rewritten = rewrite(expression, name, one_number=True)
    found += _whole_divisions(rewritten, shapes)
    for part in rewritten.hoisted:
        inner = typecheck(part.text, shape_of, node_ids, names=names)
        found += [_shifted(finding, part.start) for finding in inner]
    if not any(finding.severity == "error" for finding in found):
        found += _by_cel(rewritten, condition)
    return found


def result_schema(expression: str, shape_of: Callable[[Reference], Shape]) -> dict[str, Any]:
    """The JSON Schema of what ``expression`` gives, as far as its operands tell; empty, where it may be anything."""

    def name(reference: Reference, index: int) -> str:
        if reference.mode == "has":
            return "t_bool"
        return "t_dyn" if reference.mode == "maybe" else f"t_{shape_of(reference).cel_type}"

    try:
        rewritten = rewrite(expression, name, one_number=True)
        environment = _environment(tuple(part.variable for part in rewritten.hoisted))
        result = environment.compile(rewritten.text).return_type().name()
    except (ExpressionError, RuntimeError):
        return {}
    if result == "INT" and is_count(expression):
        return {"type": "integer", "minimum": 0}
    return dict(_SCHEMAS.get(result.partition("<")[0], {}))


def is_count(expression: str) -> bool:
    """Whether ``expression`` does nothing but count.

    >>> is_count("size(input.rows)"), is_count("input.rows.size() - 1")
    (True, False)
    """
    return _SIZE.search(expression) is not None


def _unknown(reference: Reference, expression: str, names: Sequence[str], node_ids: Iterable[str]) -> Finding:
    scope: dict[str, Any] = dict.fromkeys(names) | {"nodes": dict.fromkeys(node_ids)}
    error = unknown_root(reference, scope, expression)
    return Finding("name", error.problem, reference.start, reference.places[0][1], error.hint)


def _by_cel(rewritten: Rewritten, condition: bool) -> list[Finding]:
    environment = _environment(tuple(part.variable for part in rewritten.hoisted))
    try:
        result = environment.compile(rewritten.text).return_type().name()
    except RuntimeError as error:
        return list(_findings(str(error), rewritten))
    if condition and result not in ("BOOL", "bool_wrapper", "DYN", "ERROR", "UNKNOWN"):
        words = {"INT": "a number", "STRING": "a string", "NULL": "null", "TIMESTAMP": "a timestamp"}
        words |= {"int_wrapper": "a number", "string_wrapper": "a string"}
        kind = words.get(result, "a " + re.sub(r"<.*", "", result).lower())
        hint = "compare: x != null, x > 0, x == 'text'"
        return [
            Finding("condition", f"a condition must be true or false, but this is {kind}", None, None, hint)
        ]
    return []


@cache
def _environment(hoisted: tuple[str, ...]) -> cel.Env:
    from cel_expr_python import cel

    kinds = cel.Type
    types = {
        "number": kinds.INT,
        "string": kinds.STRING,
        "bool": kinds.BOOL,
        "list": kinds.List(kinds.DYN),
        "map": kinds.Map(kinds.STRING, kinds.DYN),
        "dyn": kinds.DYN,
        # CEL's wrapper types: the value or null.
        "number_or_null": kinds("google.protobuf.Int64Value"),
        "string_or_null": kinds("google.protobuf.StringValue"),
        "bool_or_null": kinds("google.protobuf.BoolValue"),
    }
    variables = {f"t_{name}": kind for name, kind in types.items()}
    return new_environment(variables | dict.fromkeys(hoisted, kinds.DYN), one_number=True)


def _findings(text: str, rewritten: Rewritten) -> Iterator[Finding]:
    text = _WRAPPER.sub(r"\1", text)
    for match in _ERROR.finditer(text):
        offset = source_offset(rewritten, int(match.group(1)), int(match.group(2)))
        token = rewritten.token_at(offset)
        start, end, message = token.start, max(token.end, token.start + 1), match.group(3)
        if overload := _OVERLOAD.search(message):
            kinds = _split(overload.group(2))
            if "*error*" in kinds:
                continue  # an operand's own error says why
            if finding := _overload(overload.group(1), kinds, start, end):
                yield finding
        elif select := _SELECT.search(message):
            hint = "read a field of a map, or size(x) of a list or text"
            yield Finding("type", f"{_word(select.group(1))} has no fields", start, end, hint)


def _overload(name: str, kinds: list[str], start: int, end: int) -> Finding | None:
    shown = " and ".join(_word(kind) for kind in kinds)
    if name == "_?_:_":
        if kinds[0] in ("bool", "dyn"):
            return None
        message, hint = (
            f"what stands before ? is {_word(kinds[0])}, not true or false",
            "compare: x != null, x > 0",
        )
        return Finding("type", message, start, end, hint)
    containers = all(kind.startswith(("list", "map")) for kind in kinds)
    if containers or any(kind.startswith("type") for kind in kinds):
        return None
    if name in ("_==_", "_!=_"):
        verdict = "never equal" if name == "_==_" else "always different"
        message = f"this compares {shown}: they are {verdict}"
        hint = _CONVERT if "null_type" in kinds else "write both as the same type: string(x), int(x)"
        return Finding("type", message, start, end, hint, "warning")
    if name == "@in":
        if kinds[1].startswith("list"):
            return Finding(
                "type", f"the list has no items like {_word(kinds[0])}", start, end, _CONVERT, "warning"
            )
        return Finding("type", "in asks lists and maps", start, end, "for text write text.contains(part)")
    if name in ("_&&_", "_||_", "!_"):
        symbol = name.replace("_", "")
        wrong = next((kind for kind in kinds if kind not in ("bool", "dyn")), kinds[0])
        message = f"{symbol!r} takes true or false, not {_word(wrong)}"
        return Finding("type", message, start, end, "compare: x != null, x > 0, x == 'text'")
    symbol = {"_[_]": "[…]", "-_": "-"}.get(name, name.replace("_", "") if name.startswith("_") else name)
    hint = "write default(x, …) for what may be null" if "null_type" in kinds else _CONVERT
    if name == "_+_" and "string" in kinds:
        hint = "write string(x) + …, or put two templates side by side"
    elif "string" in kinds and name in ("_<_", "_<=_", "_>_", "_>=_", "_-_", "_*_", "_/_"):
        hint = "write double(x) or int(x) for a number in quotes"
    works = (
        f"{symbol} does not take {shown}" if symbol.isidentifier() else f"{symbol!r} does not work on {shown}"
    )
    return Finding("type", works, start, end, hint)


def _whole_divisions(rewritten: Rewritten, shapes: dict[Reference, Shape]) -> Iterator[Finding]:
    """``a / b`` of two fields that are whole numbers: CEL drops the fraction, which surprises."""
    ends = {reference.end: reference for reference in shapes}
    starts = {reference.start: reference for reference in shapes}
    for before, token, after in zip(
        rewritten.tokens, rewritten.tokens[1:], rewritten.tokens[2:], strict=False
    ):
        if token.text != "/" or token.kind != "operator":
            continue
        left, right = ends.get(before.end), starts.get(after.start)
        if left and right and shapes[left].whole and shapes[right].whole:
            message = "both are whole numbers, so / drops the fraction"
            hint = f"write double({left.text()}) / {right.text()}"
            yield Finding("type", message, token.start, token.end, hint, "warning")


def _shifted(finding: Finding, offset: int) -> Finding:
    start = offset if finding.start is None else finding.start + offset
    end = start + 1 if finding.end is None else finding.end + offset
    return replace(finding, start=start, end=end)


def _split(types: str) -> list[str]:
    """The parts of ``int, list(dyn), map(string, dyn)`` at the commas outside brackets."""
    parts, depth, current = [], 0, ""
    for character in types:
        depth += (character in "(<") - (character in ")>")
        if character == "," and depth == 0:
            parts.append(current.strip())
            current = ""
        else:
            current += character
    return [*parts, current.strip()]


def _word(kind: str) -> str:
    bare = re.sub(r"[(<].*", "", kind)
    known = {
        "list": "a list",
        "map": "a map",
        "google.protobuf.Timestamp": "a timestamp",
        "timestamp": "a timestamp",
    }
    known |= {"google.protobuf.Duration": "a duration", "duration": "a duration"}
    return _WORDS.get(kind) or known.get(bare, bare)
