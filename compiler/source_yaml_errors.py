"""libyaml's complaints in plain words, at the place where the author can mend them."""

from __future__ import annotations

import re
from typing import Any

from .source_faults import Fault

_WORDS: tuple[tuple[str, str, str], ...] = (
    (
        "mapping values are not allowed",
        "a `:` that YAML does not expect here",
        "indent this key like its neighbours; put a text that contains `: ` in quotes",
    ),
    (
        "could not find expected ':'",
        "a key without `:`",
        "write `key: value`, with a blank after the colon",
    ),
    (
        "did not find expected key",
        "this line does not fit the mapping around it",
        "align it with its neighbours; a text that begins with a quote, {, [ or & must be in quotes as a whole",
    ),
    (
        "did not find expected '-' indicator",
        "this line does not fit the list around it",
        "begin the item with `- `, aligned with the other items, or indent the line to belong to the item above",
    ),
    (
        "did not find expected ',' or ']'",
        "a list in brackets that is not finished",
        "separate its items by `,` and close it with `]`",
    ),
    (
        "did not find expected ',' or '}'",
        "a mapping in braces that is not finished",
        'separate its pairs by `,` and close it with `}`; an expression {{ … }} must be in quotes: "{{ … }}"',
    ),
    (
        "block sequence entries are not allowed",
        "a list item where YAML expects none",
        "begin the list on a line of its own, below its key",
    ),
    (
        "block mapping",
        "a mapping where YAML expects none",
        "put it on lines of its own, indented below its key",
    ),
    (
        "found unknown escape character",
        "an unknown escape after a backslash",
        "write \\\\, or use single quotes",
    ),
    (
        "did not find expected hexdecimal number",
        "an incomplete escape",
        "write \\xHH, \\uHHHH or \\UHHHHHHHH",
    ),
    (
        "found undefined tag handle",
        "an unknown tag",
        "remove the tag; put a text that begins with ! in quotes",
    ),
    (
        "found character that cannot start any token",
        "a character that no value can begin with",
        "put the text in quotes",
    ),
    (
        "did not find expected alphabetic or numeric",
        "a text that begins with & or *",
        "put the text in quotes",
    ),
    (
        "did not find expected <document start>",
        "text that belongs to nothing",
        "indent it, or put it in quotes",
    ),
    ("found duplicate anchor", "the same anchor twice", "give each anchor a name of its own"),
)

_NO_COLON = re.compile(r"\s*(?:- +)*[\w./-]+(：|:(?=[{\[\"']))")
"""The beginning of a line with a key, up to the colon that YAML does not take for one."""


def explain(error: Any, text: str, open_flow: int | None) -> Fault:
    """What is wrong, from a YAMLError; ``open_flow`` is where the outermost unclosed bracket stands."""
    problem = str(getattr(error, "problem", None) or error)
    context = str(getattr(error, "context", None) or "")
    mark = getattr(error, "problem_mark", None)
    context_mark = getattr(error, "context_mark", None)
    at = min(mark.index if mark else 0, len(text))
    begun = min(context_mark.index, len(text)) if context_mark else None
    if (
        "quoted scalar" in context
        and begun is not None
        and "escape" not in problem
        and "hexdecimal" not in problem
    ):
        return _at(text, begun, "a quote that is opened here is never closed", "close it on the same line")
    if open_flow is not None and (unclosed := _unclosed(text, open_flow, at)) is not None:
        if (comment := _comment(text, unclosed)) is not None:
            hint = "a text with # in it must be in quotes"
            return _at(text, comment, "a comment begins here, and the rest of the line belongs to it", hint)
        bracket = text[unclosed]
        return _at(
            text,
            unclosed,
            f"this {bracket} is never closed",
            f"close it with {'}' if bracket == '{' else ']'}",
        )
    if (opened := _runaway_quote(text, at)) is not None:
        return _at(text, opened, "a quote that is opened here is not closed on its line", "close the quote")
    line = _line_around(text, at)
    if "\t" in line[: len(line) - len(line.lstrip())] or (at < len(text) and text[at] == "\t"):
        return _at(text, at, "a tab in the indentation", "indent with blanks; YAML does not take tabs")
    if begun is not None and "could not find expected ':'" in problem:
        at = begun
    if (colon := _colon(text, at)) is not None:
        return colon
    quote = text[at - 1 : at]
    if quote in ("'", '"') and text[at : at + 1].isalnum() and "{{" not in text[max(at - 3, 0) : at]:
        doubled = "write '' inside the text, or put it in double quotes"
        hint = doubled if quote == "'" else "write ' inside the text, or \\\""
        return _at(text, at - 1, "the text ends at this quote", hint)
    at = _last_content(text, at)
    if "mapping values are not allowed" in problem and (earlier := _line_without_colon(text, at)) is not None:
        return _at(text, earlier, "a key without `: `", "write `key: value`, with a blank after the colon")
    if "{{" in line and not re.search(r"""["'].*\{\{""", line):
        hint = 'put the whole value in quotes: "{{ … }}"'
        return _at(text, at, "an expression in {{ }} must be in quotes", hint)
    if "did not find expected ',' or" in problem and text[at : at + 2] in (": ", ":\n"):
        return _at(text, at, "a `:` in the middle of a text", "put a text that contains `: ` in quotes")
    for needle, message, hint in _WORDS:
        if needle in problem:
            return _at(text, at, message, hint)
    return _at(text, at, problem, "mend the line, or put its text in quotes")


def _at(text: str, at: int, message: str, hint: str) -> Fault:
    end = at
    while end < len(text) and end < at + 40 and text[end] not in "\r\n":
        end += 1
    return Fault("MR101", message, at, max(end, at), hint)


def _colon(text: str, at: int) -> Fault | None:
    """A key of the line around ``at`` whose colon is none: a full-width one, or one that no blank follows."""
    start = text.rfind("\n", 0, at) + 1
    match = _NO_COLON.match(_line_around(text, at))
    if match is None:
        return None
    place = start + match.start(1)
    if match[1] == "：":
        return _at(
            text, place, "a full-width colon", "write a colon of ASCII with a blank after it: `key: value`"
        )
    return _at(
        text, place, "a colon without a blank after it", "write `key: value`, with a blank after the colon"
    )


def _comment(text: str, opened: int) -> int | None:
    """The ``#`` that turns the rest of the line with an open bracket into a comment."""
    end = text.find("\n", opened)
    line = text[opened : end if end >= 0 else len(text)]
    plain = re.sub(r"\"(?:[^\"\\]|\\.)*\"|'[^']*'", lambda match: "x" * len(match[0]), line)
    found = re.search(r"\s#(?=.*[}\]])", plain)
    return opened + found.start() + 1 if found else None


def _line_around(text: str, at: int) -> str:
    start = text.rfind("\n", 0, at) + 1
    end = text.find("\n", at)
    return text[start : end if end >= 0 else len(text)]


def _last_content(text: str, at: int) -> int:
    """``at``, or the last character of text before it where it stands at the end of the file."""
    if text[at:].strip():
        return at
    return max(len(text[:at].rstrip()) - 1, 0)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _line_without_colon(text: str, at: int) -> int | None:
    """Where the line before begins, if the `:` at ``at`` ends a key and that line, which should too, has none."""
    start = text.rfind("\n", 0, at) + 1
    before = text[:start].rstrip()
    begin = before.rfind("\n") + 1
    line = before[begin:]
    body = line.lstrip(" -")
    if not body or body[0] in "#|>\"'[{" or re.search(r":(\s|$)", body) or re.search(r":\s", text[start:at]):
        return None
    return begin + len(line) - len(body)


def _unclosed(text: str, opened: int, at: int) -> int | None:
    """Where a bracket was forgotten: the bracket before ``at`` that a line of block YAML follows."""
    start = text.rfind("\n", 0, opened) + 1
    first = text[start : text.find("\n", opened) if "\n" in text[opened:] else len(text)]
    for line in text[opened : at + 1].split("\n")[1:]:
        body = line.strip()
        if body and body[0] not in "]}#" and _indent(line) <= _indent(first):
            return opened
    return opened if not text[at:].strip() else None


def _runaway_quote(text: str, at: int) -> int | None:
    """The quote that a line before ``at`` opens and another line closes by accident."""
    line_start = text.rfind("\n", 0, at) + 1
    for _ in range(2):
        line_end = text.find("\n", line_start)
        line = text[line_start : line_end if line_end >= 0 else len(text)]
        if opened := re.match(r"""[^"'#]*?(?:[:\-\[,{]\s+|^)(["'])""", line):
            quote = opened.group(1)
            rest = line[opened.end() :].replace("\\" + quote, "")
            if rest.count(quote) == 0:
                return line_start + opened.end() - 1
        if line_start == 0:
            return None
        line_start = text.rfind("\n", 0, line_start - 1) + 1
    return None
