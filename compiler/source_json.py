"""JSON to a plain tree with marks, strictly by RFC 8259, without recursion."""

from __future__ import annotations

import json
import re
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any

from .document import MapMark, Mark, SeqMark, pack, unpack
from .source_faults import (
    MAX_DEPTH,
    MAX_VALUES,
    Fault,
    Unreadable,
    duplicate_key,
    number_fault,
    too_deep,
    too_many,
)

_SPACE = re.compile(r"[ \t\r\n]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?", re.ASCII)
_WORD = re.compile(r"[A-Za-z_$\w+.-]+")
_FULL_WIDTH = {**dict.fromkeys("“”„«»＂", '"'), "，": ",", "：": ":", "｛": "{", "［": "[", "【": "["}
"""Characters that Chinese keyboards and word processors write for those of JSON."""
_CONSTANTS = {"true": True, "false": False, "null": None}
_SURROGATE = re.compile("[\ud800-\udfff]")


def read_json(text: str) -> tuple[Any, Mark, list[Fault]]:
    """The tree, its marks, and the faults that did not stop the reading.

    Raises :class:`Unreadable` for a fault that did.
    """
    return _Reader(text).read()


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.faults: list[Fault] = []
        self.at = 0
        self.values = 0
        self.stack: list[tuple[Any, MapMark | SeqMark, str, int]] = []
        """Open containers, each with the key and key span that wait for its next value."""

    def read(self) -> tuple[Any, Mark, list[Fault]]:
        self._blank()
        if self.at == len(self.text):
            raise Unreadable(Fault("MR106", "the file holds no definition", 0, 0, 'start with {"name": …}'))
        value, mark = self._value()
        while self.stack:
            value, mark = self._continue(value, mark)
        self._blank()
        if self.at < len(self.text):
            raise self._stop("text after the end of the document", "remove it; a file holds one definition")
        return value, mark, self.faults

    def _continue(self, value: Any, mark: Mark) -> tuple[Any, Mark]:
        """Put a finished value into the innermost container; the next value, or the container if that ends it."""
        container, marks, key, key_span = self.stack.pop()
        if isinstance(marks, MapMark):
            container[key] = value
            marks.keys[key], marks.children[key] = key_span, mark
        else:
            container.append(value)
            marks.items.append(mark)
        closer = "}" if isinstance(marks, MapMark) else "]"
        self._blank()
        if self._next() == closer:
            return self._end(container, marks)
        if self._next() != ",":
            raise self._stop_between(closer, marks)
        comma = self.at
        self.at += 1
        self._blank()
        if self._next() == closer:
            self.at = comma
            raise self._stop(f"a comma before the closing {closer}", "remove this comma")
        return self._member(container, marks)

    def _value(self) -> tuple[Any, Mark]:
        """The value at hand; an empty container is a value, another one begins its first member."""
        start, character = self.at, self._next()
        self.values += 1
        if self.values > MAX_VALUES:
            raise Unreadable(too_many(start))
        if character == '"':
            text = self._string()
            return text, pack(start, self.at)
        if character in ("{", "["):
            if len(self.stack) >= MAX_DEPTH:
                raise Unreadable(too_deep(start))
            self.at += 1
            self._blank()
            container, marks = (
                ({}, MapMark(pack(start, start))) if character == "{" else ([], SeqMark(pack(start, start)))
            )
            if self._next() == ("}" if character == "{" else "]"):
                return self._end(container, marks)
            return self._member(container, marks)
        return self._literal(start)

    def _member(self, container: Any, marks: MapMark | SeqMark) -> tuple[Any, Mark]:
        # Nesting recurses through the stack, not through Python: only `[[[…` descends, bounded by MAX_DEPTH.
        key, key_span = "", 0
        if isinstance(marks, MapMark):
            start = self.at
            if self._next() != '"':
                raise self._stop_key()
            key = self._string()
            key_span = pack(start, self.at)
            if key in container:
                first = self.text.count("\n", 0, unpack(marks.keys[key])[0]) + 1
                self.faults.append(duplicate_key(key, first, start, self.at))
            self._blank()
            if (plain := _FULL_WIDTH.get(self._next())) is not None:
                raise self._stop(f"{self._next()} is not JSON", f"write {plain}")
            if self._next() != ":":
                raise self._stop(f"a `:` is missing after the key {key!r}", f'write "{key}": value')
            self.at += 1
            self._blank()
        self.stack.append((container, marks, key, key_span))
        return self._value()

    def _end(self, container: Any, marks: MapMark | SeqMark) -> tuple[Any, Mark]:
        self.at += 1
        marks.span = pack(unpack(marks.span)[0], self.at)
        return container, marks

    def _literal(self, start: int) -> tuple[Any, Mark]:
        if match := _NUMBER.match(self.text, start):
            end, text = match.end(), match.group()
            if not _WORD.match(self.text, end):
                self.at = end
                if fault := number_fault(text, start, end):
                    self.faults.append(fault)
                    return 0, pack(start, end)
                return (int(text) if text.lstrip("-").isdigit() else float(text)), pack(start, end)
        word = _WORD.match(self.text, start)
        text = word.group() if word else self._next()
        if text in _CONSTANTS:
            self.at += len(text)
            return _CONSTANTS[text], pack(start, self.at)
        raise self._stop_literal(text)

    def _string(self) -> str:
        start = self.at
        try:
            value, self.at = scanstring(self.text, start + 1, True)
        except json.JSONDecodeError as error:
            at = min(error.pos, len(self.text))
            if error.msg.startswith("Unterminated"):
                raise self._stop("a string that is never closed", 'close it with "', start) from None
            if error.msg.startswith("Invalid control"):
                if self.text[at : at + 1] in ("\n", "\r"):
                    hint = 'close it with " on its own line; a line break inside is written \\n'
                    raise self._stop("a string that is not closed on its line", hint, start) from None
                raise self._stop(
                    "a control character in a string", "write it as \\t or \\u00XX", at
                ) from None
            raise self._stop("an unknown escape in a string", "write \\\\ for a backslash", at) from None
        if surrogate := _SURROGATE.search(value):
            code = f"\\u{ord(surrogate.group()):04x}"
            hint = "write both halves of the pair, or the character itself"
            self.faults.append(
                Fault("MR108", f"half a surrogate pair ({code}) in a string", start, self.at, hint)
            )
            value = _SURROGATE.sub("\ufffd", value)
        return value

    def _blank(self) -> None:
        match = _SPACE.match(self.text, self.at)
        assert match is not None
        self.at = match.end()

    def _next(self) -> str:
        return self.text[self.at : self.at + 1]

    def _stop(self, message: str, hint: str, at: int | None = None) -> Unreadable:
        start = self.at if at is None else at
        if not self.text[start:].strip():
            start = max(len(self.text.rstrip()) - 1, 0)
        return Unreadable(Fault("MR101", message, start, min(start + 1, len(self.text)), hint))

    def _stop_comment(self) -> Unreadable | None:
        if self._next() == "#" or self.text.startswith(("//", "/*"), self.at):
            return self._stop("JSON has no comments", "remove it, or write the definition in YAML")
        return None

    def _stop_between(self, closer: str, marks: MapMark | SeqMark) -> Unreadable:
        if comment := self._stop_comment():
            return comment
        if self.at == len(self.text):
            opener = "{" if closer == "}" else "["
            return self._stop(
                f"this {opener} is never closed", f"close it with {closer}", unpack(marks.span)[0]
            )
        if self._next() in "}]":
            return self._stop(f"{self._next()} where {closer} was expected", f"close with {closer} first")
        if (opened := self._opened()) is not None:
            return self._stop("a quote that is opened here is not closed", 'close it with "', opened)
        if (plain := _FULL_WIDTH.get(self._next())) is not None:
            return self._stop(f"{self._next()} is not JSON", f"write {plain}")
        # The comma belongs behind the value before, which may end on an earlier line.
        at = len(self.text[: self.at].rstrip())
        what = "pairs" if closer == "}" else "items"
        return self._stop(f"a comma is missing between two {what}", "write `,` here", at)

    def _opened(self) -> int | None:
        """Where the string before begins, if the quote that closed it was meant to open the text at hand."""
        if self.at < 2 or self.text[self.at - 1] != '"' or not self._next().isalnum():
            return None
        opened = self.text.rfind('"', 0, self.at - 1)
        return opened if self.text[opened + 1 : self.at - 1].rstrip().endswith((",", ":", "[", "{")) else None

    def _stop_key(self) -> Unreadable:
        if comment := self._stop_comment():
            return comment
        word = _WORD.match(self.text, self.at)
        if (plain := _FULL_WIDTH.get(self._next())) is not None:
            return self._stop(f"{self._next()} is not JSON", f"write {plain}")
        if self._next() == "'":
            return self._stop("a key in single quotes", 'JSON takes double quotes: "key"')
        if word:
            return self._stop("a key without quotes", f'write "{word.group()}"')
        return self._stop("a key was expected here", 'write "key": value')

    def _stop_literal(self, text: str) -> Unreadable:
        if comment := self._stop_comment():
            return comment
        if not text:
            return self._stop(
                "the file ends where a value was expected", "write the value and close what is open"
            )
        if text == "'":
            return self._stop("a string in single quotes", 'JSON takes double quotes: "text"')
        if text in ("NaN", "Infinity", "-Infinity"):
            return self._stop(f"{text} is not JSON", "write a finite number, or null")
        if text.lower() in ("true", "false", "none", "null"):
            return self._stop(f"{text} is not JSON", f"write {'null' if text == 'None' else text.lower()}")
        if re.fullmatch(r"[-+.\d]+", text):
            return self._stop(
                f"{text} is not a number in JSON", "write it as 12, -0.5 or 1e3, without + or leading zeros"
            )
        if text[0] in "}],:":
            return self._stop(
                f"{text[0]} where a value was expected", "write the value, or remove what precedes it"
            )
        if (plain := _FULL_WIDTH.get(text[0])) is not None:
            return self._stop(f"{text[0]} is not JSON", f"write {plain}")
        return self._stop(f"{text[:40]!r} is not a JSON value", f'put it in quotes: "{text[:40]}"')
