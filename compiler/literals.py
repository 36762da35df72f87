"""Python literals as a person would lay them out: on one line where they fit, else one item a line.

Everything that comes from a definition enters the emitted source through here, as a literal or as an
identifier that was made for it, so no text of a definition can become code.
"""

from __future__ import annotations

import builtins
import keyword
import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

WIDTH = 88
INDENT = "    "


class Code(str):
    """Source text that is already safe, such as an identifier or a formatted call."""

    __slots__ = ()


def literal(value: Any, indent: str = "", room: int = 0) -> str:
    """``value`` (JSON, tuples, :class:`Code`) as source; ``room`` is what its first line already holds.

    >>> literal({"a": [1, True, None], "b": "x"})
    '{"a": [1, True, None], "b": "x"}'
    """
    flat = _flat(value)
    if len(indent) + room + len(flat) <= WIDTH or not isinstance(value, dict | list | tuple) or not value:
        return flat
    inner = indent + INDENT
    if isinstance(value, dict):
        lines = []
        for key, item in value.items():
            head = f"{quoted(key)}: "
            lines.append(f"{inner}{head}{literal(item, inner, len(head) + 1)},")
        return "\n".join(["{", *lines, indent + "}"])
    opening, closing = ("[", "]") if isinstance(value, list) else ("(", ")")
    return "\n".join([opening, *(f"{inner}{literal(item, inner, 1)}," for item in value), indent + closing])


def call(
    function: str, arguments: Iterable[Any], keywords: Mapping[str, Any], indent: str = "", room: int = 0
) -> Code:
    """A call, its arguments on lines of their own where they do not fit.

    >>> print(call("node", ["a", "image/preprocess"], {"timeout": 5}))
    node("a", "image/preprocess", timeout=5)
    """
    plain = [_flat(argument) for argument in arguments]
    named = [f"{name}={_flat(value)}" for name, value in keywords.items()]
    flat = f"{function}({', '.join([*plain, *named])})"
    if len(indent) + room + len(flat) <= WIDTH or not (plain or named):
        return Code(flat)
    inner = indent + INDENT
    lines = [f"{inner}{argument}," for argument in plain]
    lines += [f"{inner}{name}={literal(value, inner, len(name) + 2)}," for name, value in keywords.items()]
    return Code("\n".join([f"{function}(", *lines, f"{indent})"]))


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
    used = set(taken)
    if name not in used:
        return name
    number = 2
    while f"{name.rstrip('_')}_{number}" in used:
        number += 1
    return f"{name.rstrip('_')}_{number}"


def _flat(value: Any) -> str:
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
