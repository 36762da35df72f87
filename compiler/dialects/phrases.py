"""Phrases: the seeds' spellings of expressions, rewritten to ours with the author's place of every character.

Their holes are ``{{ x }}`` and ``${x}``, with operators before and behind them (``{{input.score}} >= 60``); their
names are nodes, tasks or ``workflow.input``, as the dialect's :data:`Resolve` says. What our expressions take
anyway (``and``, ``or``, ``not``, ``is null``, ``is not empty``, ``.contains``) stays as it is.

    >>> def resolve(root, path):
    ...     return Rename(node("log-in")) if root == "log in" else None
    >>> condition("{{input.score}} >= 60 and '{{log in.kind}}' == '高级'", resolve, {"log in"}).text
    "input.score >= 60 and string(nodes['log-in'].kind) == '高级'"
    >>> template("Hello ${log in.user} at {{ input.place }}", resolve, {"log in"}).text
    "Hello {{ nodes['log-in'].user }} at {{ input.place }}"
    >>> path("$.items[*].id", node("search")).text
    'nodes.search.items.map(each, each.id)'
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..diagnostics import Path, Severity
from ..document import MapMark, Mark, SeqMark, span_of
from ..expressions.check import CODES
from ..expressions.errors import ExpressionError
from ..expressions.tokens import string_end
from .phrase import Phrase, PhraseWriter, Problem, Rename, Resolve, Unknown, unchanged
from .phrase_references import Brackets, masked_names, write_expression
from .rewriting import Draft

__all__ = [
    "Phrase",
    "Phrases",
    "Rename",
    "Resolve",
    "Unknown",
    "condition",
    "field",
    "node",
    "path",
    "template",
]

_OPENINGS = {"{{": "}}", "${": "}"}
_STEP = re.compile(r"\.?(?P<name>[^\W\d][\w-]*)|\[(?P<index>\d+)\]|\[(['\"])(?P<key>.*?)\3\]|(?P<all>\[\*\])")


@dataclass(frozen=True)
class Phrases:
    """The phrases of one dialect (or of one place in it): rewritten, and their problems reported to the draft.

    Each method takes a value, its mark and the author's path of it, and returns the value and the mark for the
    canonical document. What has problems is replaced by a value that no later check looks at.
    """

    draft: Draft
    resolve: Resolve = unchanged
    names: Collection[str] = ()

    def condition(self, text: str, mark: Mark, origin: Path, *, also: str = "") -> tuple[str, Mark]:
        """A condition, bare; ``also`` is an expression that must hold too."""
        phrase = condition(text, self.resolve, self.names)
        return self._taken(phrase.wrapped(f"{also} && (", ")") if also else phrase, mark, origin, "true")

    def expression(
        self, text: str, mark: Mark, origin: Path, otherwise: str = "{{ null }}"
    ) -> tuple[str, Mark]:
        """A text that is one expression, with or without holes, as a template."""
        return self._taken(condition(text, self.resolve, self.names).braced(), mark, origin, otherwise)

    def template(self, text: str, mark: Mark, origin: Path) -> tuple[str, Mark]:
        """Text with holes."""
        return self._taken(template(text, self.resolve, self.names), mark, origin)

    def path(self, text: str, base: str, mark: Mark, origin: Path) -> tuple[str, Mark]:
        """A path into the value of the expression ``base``, as a template."""
        return self._taken(path(text, base).braced(), mark, origin)

    def tree(self, value: Any, mark: Mark, origin: Path) -> tuple[Any, Mark]:
        """A JSON tree with holes in its texts."""
        if isinstance(value, str):
            return self.template(value, mark, origin)
        if isinstance(value, dict) and isinstance(mark, MapMark):
            tree, marks = dict[str, Any](), mark.copy()
            for key, item in value.items():
                tree[key], marks.children[key] = self.tree(item, mark.children[key], (*origin, key))
            return tree, marks
        if isinstance(value, list) and isinstance(mark, SeqMark):
            pairs = [
                self.tree(item, at, (*origin, index))
                for index, (item, at) in enumerate(zip(value, mark.items, strict=True))
            ]
            return [item for item, _ in pairs], SeqMark(mark.span, [at for _, at in pairs], mark.origin)
        return value, mark

    def _taken(
        self, phrase: Phrase, mark: Mark, origin: Path, otherwise: str = "{{ null }}"
    ) -> tuple[str, Mark]:
        said: tuple[tuple[Severity, tuple[Problem, ...]], ...] = (
            ("error", phrase.problems), ("warning", phrase.doubts),
        )  # fmt: skip
        for severity, found in said:
            for code, message, hint, start, end in found:
                self.draft.diagnostics.append(
                    self.draft.document.report(
                        code, message, origin, hint=hint, severity=severity, within=(start, end)
                    )
                )
        if phrase.problems:
            return otherwise, span_of(mark)
        return phrase.text, phrase.mark(span_of(mark))


def node(node_id: str) -> str:
    """The expression that reads a node's output.

    >>> node("login"), node("步骤-1")
    ('nodes.login', "nodes['步骤-1']")
    """
    return f"nodes{field(node_id)}"


def field(name: str | int) -> str:
    """One step of a reference.

    >>> field("id"), field("user-id"), field(0)
    ('.id', "['user-id']", '[0]')
    """
    if isinstance(name, str) and name.isidentifier():
        return f".{name}"
    if isinstance(name, int):
        return f"[{name}]"
    escaped = name.replace("\\", "\\\\").replace("'", "\\'")
    return f"['{escaped}']"


def condition(text: str, resolve: Resolve = unchanged, names: Collection[str] = ()) -> Phrase:
    """A condition, or any other text that is one expression, with or without holes: as a bare expression.

    A hole in quotes is text. ``names`` are names of the dialect that are no identifiers (``Get User``).
    """
    masked, brackets = list(text), Brackets()
    holes = list(_holes(text))
    for hole in holes:
        if hole.end is None:
            return _failed(text, _unclosed(text, hole))
        opening, closing = hole.start - 2, hole.end + len(hole.closer)
        quote = text[opening - 1 : opening] if opening else ""
        if quote in ("'", '"') and text[closing : closing + 1] == quote:
            opening, closing = opening - 1, closing + 1
            brackets.opening[hole.start], brackets.closing[hole.end] = "string(", ")"
        elif not (opening == 0 and closing == len(text)) and not _is_reference(text, hole, names):
            brackets.opening[hole.start], brackets.closing[hole.end] = "(", ")"
        masked[opening : hole.start] = " " * (hole.start - opening)
        masked[hole.end : closing] = " " * (closing - hole.end)
    blanked, writer = "".join(masked), PhraseWriter(text)
    if within := _in_a_string(blanked, holes):
        return _failed(text, within)
    try:
        write_expression(writer, blanked, 0, resolve, names, brackets)
    except ExpressionError as error:
        return _failed(text, _from_error(error, 0, len(blanked.rstrip())))
    return writer.done()


def template(text: str, resolve: Resolve = unchanged, names: Collection[str] = ()) -> Phrase:
    r"""Text with holes, as a template. ``\${`` is a literal ``${``."""
    writer, position = PhraseWriter(text), 0
    for hole in _holes(text):
        _literal(writer, position, hole.start - 2)
        if hole.end is None:
            return _failed(text, _unclosed(text, hole))
        inner = text[hole.start : hole.end]
        writer.put("{{ ", hole.start - 2, hole.start)
        try:
            write_expression(writer, inner, hole.start, resolve, names)
        except ExpressionError as error:
            return _failed(text, _from_error(error, hole.start, hole.start + len(inner.rstrip())))
        position = hole.end + len(hole.closer)
        writer.put(" }}", hole.start + len(inner.rstrip()), position)
    _literal(writer, position, len(text))
    return writer.done()


def path(text: str, base: str) -> Phrase:
    """A path into the value of the expression ``base``: ``$.a.b[0]``, ``a.b``, ``$.items[*].id``.

    ``[*]`` gives the list of what the rest gives for each item; a second one gives one flat list of all.
    """
    writer, position, depth = PhraseWriter(text), int(text.startswith("$")), 0
    writer.put(base, 0, position)
    closings: list[str] = []
    while position < len(text):
        match = _STEP.match(text, position)
        if match is None or (match["name"] and text[position] != "." and position != 0):
            hint = "write names, [0], ['name'] and [*], as in $.items[0].name"
            return _failed(text, Problem("MR307", "this path is not well formed", hint, position, len(text)))
        if match["all"]:
            each = "each" if depth == 0 else f"each_{depth + 1}"
            depth += 1
            writer.put(f".map({each}, {each}", position, match.end())
            closings.append(")")
        else:
            name: str | int = int(match["index"]) if match["index"] else match["name"] or match["key"] or ""
            if isinstance(name, str) and field(name) == f".{name}" and match["name"]:
                begin = match.end() - len(name)
                writer.put(".", position, begin)
                writer.keep(begin, match.end())
            else:
                writer.put(field(name), position, match.end())
        position = match.end()
    writer.put("".join(closings), len(text), len(text))
    phrase = writer.done()
    for _ in closings[1:]:
        phrase = phrase.wrapped("flatten(", ")")
    return phrase


# --- holes ------------------------------------------------------------------------------------------------------


class _Hole(NamedTuple):
    """``text[start:end]`` is what stands inside; ``end`` is ``None`` where it is never closed."""

    start: int
    end: int | None
    closer: str


def _holes(text: str) -> Iterator[_Hole]:
    position = 0
    while (opening := _opening(text, position)) is not None:
        closer = _OPENINGS[text[opening : opening + 2]]
        end = _closing(text, opening + 2, closer)
        yield _Hole(opening + 2, end, closer)
        if end is None:
            return
        position = end + len(closer)


def _opening(text: str, position: int) -> int | None:
    """The next ``{{`` or ``${`` that no backslash escapes."""
    while True:
        found = [at for opening in _OPENINGS if (at := text.find(opening, position)) >= 0]
        if not found:
            return None
        backslashes = len(text[: min(found)]) - len(text[: min(found)].rstrip("\\"))
        if backslashes % 2 == 0:
            return min(found)
        position = min(found) + 2


def _closing(text: str, position: int, closer: str) -> int | None:
    depth = 0
    while position < len(text):
        end = string_end(text, position)
        if end is None:
            return None
        if end > position:
            position = end
            continue
        if text[position].isidentifier():
            # A letter before a quote, as in `x'`, is no prefix of a string.
            while position < len(text) and f"a{text[position]}".isidentifier():
                position += 1
            continue
        if text[position] == "{":
            depth += 1
        elif text[position] == "}" and depth:
            depth -= 1
        elif text.startswith(closer, position):
            return position
        position += 1
    return None


def _unclosed(text: str, hole: _Hole) -> Problem:
    opening = text[hole.start - 2 : hole.start]
    hint = f"close it with {hole.closer}, or write \\{opening} for the characters themselves"
    return Problem("MR301", f"{opening} is never closed", hint, hole.start - 2, hole.start)


def _in_a_string(text: str, holes: Collection[_Hole]) -> Problem | None:
    """A hole among other characters of a quoted text, as in ``'no. {{ x }}'``: nothing would fill it in."""
    position = 0
    while position < len(text):
        end = string_end(text, position) or position
        for hole in holes:
            if position <= hole.start < end:
                hint = "join texts with +, as in 'no. ' + string(x)"
                message = "a template in the middle of a quoted text"
                return Problem(
                    "MR301", message, hint, hole.start - 2, (hole.end or hole.start) + len(hole.closer)
                )
        position = max(end, position + 1)
    return None


def _is_reference(text: str, hole: _Hole, names: Collection[str]) -> bool:
    """Whether a hole holds nothing but a reference, so that it needs no brackets around it."""
    inner = masked_names(text[hole.start : hole.end], names).strip()
    return re.fullmatch(r"[^\W\d]\w*(?:\.[^\W\d]\w*|\[[^\[\]]*\])*", inner) is not None


def _literal(writer: PhraseWriter, start: int, end: int) -> None:
    """Text outside holes: ``\\${`` is written for ``${``."""
    position = start
    while (escaped := writer.written.find("\\${", position, end)) >= 0:
        writer.keep(position, escaped)
        writer.put("${", escaped, escaped + 3)
        position = escaped + 3
    writer.keep(position, end)


def _failed(text: str, problem: Problem) -> Phrase:
    return Phrase(text, text, (), (problem,))


def _from_error(error: ExpressionError, start: int, end: int) -> Problem:
    """The problem of an expression from ``start`` to ``end``, which is also where one that is cut off is told."""
    hint = error.hint or "docs/expressions.md says what an expression may hold"
    if error.column is None:
        return Problem(CODES[error.kind], error.problem, hint, start, end)
    first = min(start + error.column - 1, end)
    last = first + 1 if error.end is None else start + error.end - 1
    return Problem(CODES[error.kind], error.problem, hint, first, max(last, first + 1))
