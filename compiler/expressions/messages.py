"""What CEL reports, in plain words and at the place in the source."""

from __future__ import annotations

import re
from typing import Final

from .errors import ExpressionError
from .rewritten import Rewritten
from .tokens import Token

_SYNTAX = re.compile(r"ERROR: <input>:(\d+):(-?\d+): (.*)")
_OVERLOAD = re.compile(r"No matching overloads found : (\S+?)(?:\((.*)\))?$")
_KINDS: Final = {
    "int64": "a number",
    "int": "a number",
    "uint": "a number",
    "uint64": "a number",
    "double": "a number",
    "string": "a string",
    "bool": "true or false",
    "null_type": "null",
    "null": "null",
    "list": "a list",
    "map": "a map",
    "timestamp": "a timestamp",
    "google.protobuf.Timestamp": "a timestamp",
    "google.protobuf.Duration": "a duration",
    "duration": "a duration",
    "bytes": "bytes",
}


def syntax_error(text: str, rewritten: Rewritten) -> ExpressionError:
    """The first syntax error of CEL's report."""
    if "recursion" in text:
        return _whole(
            rewritten,
            "it is nested too deeply, or too long a chain",
            "compute the parts in control/set nodes",
            "limit",
        )
    match = _SYNTAX.search(text)
    if match is None:
        return _whole(rewritten, text.splitlines()[0], None, "syntax")
    offset = source_offset(rewritten, int(match.group(1)), int(match.group(2)))
    token = rewritten.token_at(offset)
    if token.kind == "end":
        problem = "it ends too early"
        last = rewritten.tokens[-2]
        hint = f"something must follow {last.text!r}" if last.kind == "operator" else "complete it"
    elif "Unsupported" in match.group(3) or "unexpected" in match.group(3).casefold():
        problem, hint = match.group(3), "write it in another way, or remove it"
    else:
        problem, hint = f"{token.text!r} does not belong here", _misplaced(rewritten, token)
    start = min(token.start, len(rewritten.source))
    return ExpressionError(
        problem,
        expression=rewritten.source,
        column=start + 1,
        end=max(token.end, start + 1) + 1,
        hint=hint,
    )


def _misplaced(rewritten: Rewritten, token: Token) -> str:
    """What to write instead of a token that CEL does not expect."""
    index = rewritten.tokens.index(token)
    before = rewritten.tokens[index - 1] if index else None
    if token.kind in ("string", "number"):
        if before is not None and before.text in ("f", "F") and before.end == token.start:
            return "write 'text ' + string(x), or put two templates side by side: text {{ x }}"
        return "an operator such as + or == is missing before it"
    if token.text == "}":
        return "a template has two braces, {{ x }}; a map is written {'key': value}"
    if token.text == ":" and _opened_by(rewritten.tokens[:index]) == "[":
        return "there are no slices: write text.substring(0, 3), or take items one by one"
    if before is not None and before.kind == "operator" and before.text not in (")", "]", "}"):
        return f"something must stand between {before.text!r} and {token.text!r}"
    return "remove it, or write what it belongs to"


def _opened_by(tokens: list[Token]) -> str | None:
    """The bracket that is open after ``tokens``."""
    closed = 0
    for token in reversed(tokens):
        if token.kind == "operator" and token.text in (")", "]", "}"):
            closed += 1
        elif token.kind == "operator" and token.text in ("(", "[", "{"):
            if not closed:
                return token.text
            closed -= 1
    return None


def source_offset(rewritten: Rewritten, line: int, column: int) -> int:
    """The source offset of a place that CEL names in the rewritten text (1-based, in characters)."""
    lines = rewritten.text.split("\n")
    offset = sum(len(text) + 1 for text in lines[: line - 1]) + max(column - 1, 0)
    if offset >= len(rewritten.text):
        return len(rewritten.source)
    return rewritten.origin(offset)


def runtime_error(text: str, rewritten: Rewritten) -> ExpressionError:
    """An error of evaluation. CEL does not say where, so it belongs to the whole expression."""
    text = re.sub(r"\s*\[[A-Z_]+\]$", "", text.strip())
    code, _, message = text.partition(": ")
    if not re.fullmatch(r"[A-Z_]+", code):
        message = text
    if match := re.search(r'Key not found in map : "?(.*?)"?$', message):
        key = match.group(1)
        hint = f"write default(x[{key!r}], …), or ask {key!r} in x"
        return _whole(rewritten, f"there is no key {key!r}", hint, "field", absent=True)
    if match := re.search(r"index=(-?\d+) size=(\d+)", message):
        problem = f"there is no item {match.group(1)} in a list of {match.group(2)}"
        return _whole(rewritten, problem, "default(list[i], …) forgives it", "field", absent=True)
    if "Applying SELECT" in message:
        return _whole(
            rewritten, "a field is read from something that is not a map", "default(x.field, …) forgives null", "field",
            absent=True,
        )  # fmt: skip
    if match := _OVERLOAD.search(message):
        return _overload(rewritten, match.group(1), match.group(2))
    known = {
        "Iteration budget exceeded": (
            "it goes through too many items",
            "use control/foreach or control/transform",
        ),
        "divide by zero": ("division by zero", None),
        "modulus by zero": ("division by zero", None),
        "integer overflow": ("a whole number grows beyond 64 bits", "write double(x)"),
        "Invalid container type": ("only lists and maps have items", "write text.substring(i, i + 1)"),
    }
    for part, (problem, hint) in known.items():
        if part in message:
            return _whole(rewritten, problem, hint, "limit" if "budget" in part else "value")
    if "out of range for" in message:
        return _whole(rewritten, "a whole number is beyond 64 bits", "pass it as a string", "value")
    message = re.sub(r"^Unable to convert.*", "the result is not a JSON value", message, flags=re.DOTALL)
    return _whole(rewritten, message.splitlines()[0] if message else text, None, "value")


def _overload(rewritten: Rewritten, name: str, types: str | None) -> ExpressionError:
    kinds = [_kind(part) for part in (types or "").split(", ") if part]
    if name == "<jump_condition>":
        hint = "compare: x != null ? …, x > 0 ? …"
        return _whole(rewritten, "what stands before ? is not true or false", hint, "type")
    symbol = {"@in": "in", "_[_]": "[…]", "!_": "!", "-_": "-"}.get(name, name.replace("_", "") or name)
    if name in ("_&&_", "_||_", "!_"):
        return _whole(rewritten, f"{symbol!r} takes only true or false", "compare: x != null, x > 0", "type")
    shown = " and ".join(kinds) if kinds else "these values"
    hint = None
    if name == "_+_" and "a string" in kinds:
        hint = "write string(x) + …, or put two templates side by side"
    elif name == "@in":
        hint = "in asks lists and maps; for text write text.contains(part)"
    elif name == "_%_":
        hint = "% takes whole numbers"
    elif "null" in kinds:
        hint = "write default(x, …) for what may be null"
    elif name in ("_<_", "_<=_", "_>_", "_>=_") and "a string" in kinds:
        hint = "write double(x) or int(x) for a number in quotes"
    if re.fullmatch(r"\w+", name):
        return _whole(rewritten, f"{name} does not take {shown}", hint, "type")
    return _whole(rewritten, f"{symbol!r} does not work on {shown}", hint, "type")


def _kind(name: str) -> str:
    bare = re.sub(r"[<(].*", "", name.strip("() "))
    return _KINDS.get(bare, bare)


def _whole(
    rewritten: Rewritten, problem: str, hint: str | None, kind: str, *, absent: bool = False
) -> ExpressionError:
    return ExpressionError(problem, expression=rewritten.source, hint=hint, kind=kind, absent=absent)
