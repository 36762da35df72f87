"""Python literals as a person would lay them out: on one line where they fit, else one item a line.

Everything that comes from a definition enters the emitted source through here, as a literal or as an
identifier that was made for it, so no text of a definition can become code.
"""

from __future__ import annotations

import builtins
import keyword
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .snippets import width

WIDTH = 88
INDENT = "    "


class Code(str):
    """Source text that is already safe: an identifier that was made for it."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Call:
    """A call, as a value that :func:`literal` lays out."""

    function: str
    arguments: Sequence[Any] = ()
    keywords: Mapping[str, Any] = field(default_factory=dict)


def literal(value: Any, indent: str = "", room: int = 0) -> str:
    """``value`` (JSON, tuples, :class:`Code`, :class:`Call`) as source.

    ``indent`` is that of the line it begins on, ``room`` the columns taken before and after it there.

    >>> literal({"a": [1, True, None], "b": "x"})
    '{"a": [1, True, None], "b": "x"}'
    >>> print(literal(Call("node", ["a", "image/preprocess"], {"timeout": 5})))
    node("a", "image/preprocess", timeout=5)
    """
    flat = _flat(value)
    if len(indent) + room + columns(flat) <= WIDTH:
        return flat
    if isinstance(value, Call):
        return _broken_call(value, indent)
    if not isinstance(value, dict | list | tuple) or not value:
        return flat
    inner = indent + INDENT
    if isinstance(value, dict):
        heads = [f"{quoted(key)}: " for key in value]
        lines = [
            f"{inner}{head}{literal(item, inner, columns(head) + 1)},"
            for head, item in zip(heads, value.values(), strict=True)
        ]
        return "\n".join(["{", *lines, indent + "}"])
    opening, closing = ("[", "]") if isinstance(value, list) else ("(", ")")
    return "\n".join([opening, *(f"{inner}{literal(item, inner, 1)}," for item in value), indent + closing])


def columns(text: str) -> int:
    """The width of a line in terminal cells."""
    return len(text) if text.isascii() else sum(map(width, text))


def quoted(text: str) -> str:
    """A string literal in double quotes where that needs no escape.

    >>> print(quoted("it's"), quoted('a "b"'), quoted("照片"))
    "it's" 'a "b"' "照片"
    """
    source = repr(str(text))
    return source if source[0] == '"' or '"' in source else f'"{source[1:-1]}"'


def docstring(paragraphs: Iterable[str]) -> str:
    """A module docstring of one or more paragraphs, whatever they contain.

    >>> print(docstring(['a \"\"\" b']))
    \"\"\"a \\"\\"\\" b\"\"\"
    """
    cleaned = ["".join(map(_in_docstring, paragraph)).strip() for paragraph in paragraphs]
    body = "\n\n".join(paragraph for paragraph in cleaned if paragraph)
    return f'"""{body}\n"""' if "\n" in body else f'"""{body}"""'


def identifier(text: str, taken: Iterable[str] = (), *, otherwise: str = "node") -> str:
    """A Python identifier for ``text`` that is none of ``taken``, no keyword and no builtin's name.

    >>> identifier("preprocess-01"), identifier("照片"), identifier("3d"), identifier("class"), identifier("a", {"a"})
    ('preprocess_01', '照片', 'node_3d', 'class_', 'a_2')
    """
    # Python compares identifiers in this normal form, so two spellings of one name must meet here.
    name = re.sub(r"\W", "_", unicodedata.normalize("NFKC", text)).strip("_")
    name = "".join(c if f"a{c}".isidentifier() else "_" for c in name).strip("_")
    if not name.isidentifier():
        name = f"{otherwise}_{name}".rstrip("_")
    if keyword.iskeyword(name) or hasattr(builtins, name):
        name += "_"
    used = taken if isinstance(taken, set | frozenset) else set(taken)
    if name not in used:
        return name
    number = 2
    while f"{name.rstrip('_')}_{number}" in used:
        number += 1
    return f"{name.rstrip('_')}_{number}"


def _broken_call(value: Call, indent: str) -> str:
    """All arguments on one line of their own if they fit there, else each on its own."""
    inner = indent + INDENT
    together = ", ".join(_flat_arguments(value))
    if len(inner) + columns(together) <= WIDTH:
        return f"{value.function}(\n{inner}{together}\n{indent})"
    lines = [f"{inner}{literal(argument, inner, 1)}," for argument in value.arguments]
    lines += [f"{inner}{name}={literal(v, inner, len(name) + 2)}," for name, v in value.keywords.items()]
    return "\n".join([f"{value.function}(", *lines, f"{indent})"])


def _flat_arguments(value: Call) -> list[str]:
    return [*map(_flat, value.arguments), *(f"{name}={_flat(item)}" for name, item in value.keywords.items())]


def _flat(value: Any) -> str:
    if isinstance(value, Call):
        return f"{value.function}({', '.join(_flat_arguments(value))})"
    if isinstance(value, Code):
        return str(value)
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quoted(key)}: {_flat(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(_flat, value))}]"
    if isinstance(value, tuple):
        return f"({', '.join(map(_flat, value))}{',' if len(value) == 1 else ''})"
    return repr(value)


def _in_docstring(character: str) -> str:
    if character == "\n":
        return character
    if character in '"\\':
        return "\\" + character
    return character if character.isprintable() else " "
