"""How CEL spells things, and how people do."""

from __future__ import annotations

from .tokens import is_name

LITERALS = frozenset({"true", "false", "null"})
TYPE_NAMES = frozenset({"int", "uint", "double", "bool", "string", "bytes", "list", "map", "null_type"})
RESERVED = frozenset({
    "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "package",
    "namespace", "return", "var", "void", "while", "true", "false", "null",
})  # fmt: skip
"""Words that CEL's grammar keeps for itself."""
RENAMED = {"timestamp": "timestamp_", "duration": "duration_"}
"""CEL has functions of these names that accept less than ours."""

EQUALITY = {"==": "==", "!=": "!=", "===": "==", "!==": "!="}
MISSPELT = {
    "=": "write == to compare",
    "&": "write && or and",
    "|": "write || or or",
    "<>": "write !=",
    "**": "write x * x",
    "=>": "write list.map(x, …), or >= to compare",
    "..": "write range(a, b)",
    ".?": "write default(a.b, …)",
    "?.": "write default(a.b, …)",
    "[?": "write default(a[b], …)",
    "??": "write default(a, b)",
}

RENAMED_FILTERS = {
    "length": "size",
    "count": "size",
    "unique": "distinct",
    "tojson": "to_json",
    "float": "double",
    "d": "default",
}
"""What templates elsewhere call a filter."""

HINTS = {
    "len": "write size(x)",
    "length": "write size(x)",
    "count": "write size(x)",
    "str": "write string(x)",
    "float": "write double(x)",
    "number": "write double(x) or int(x)",
    "parseInt": "write int(x)",
    "any": "write list.exists(x, …)",
    "some": "write list.exists(x, …)",
    "every": "write list.all(x, …)",
    "find": "write list.filter(x, …)[0]",
    "includes": "write x.contains(y), or y in x",
    "has_key": "write 'key' in x",
    "hasOwnProperty": "write 'key' in x",
    "get": "write default(x.field, y)",
    "toLowerCase": "write x.lower()",
    "toUpperCase": "write x.upper()",
    "strip": "write x.trim()",
    "startswith": "write x.startsWith(y)",
    "endswith": "write x.endsWith(y)",
    "toString": "write string(x)",
    "toFixed": "write round(x, digits)",
    "format": "put several templates in one text: {{ a }} of {{ b }}",
    "ifelse": "write condition ? a : b",
    "iif": "write condition ? a : b",
    "append": "write list + [item]",
    "push": "write list + [item]",
    "concat": "write a + b",
    "reduce": "write sum(list), min(list), max(list) or join(list, ',')",
    "unique": "write distinct(list)",
    "sorted": "write sort(list)",
    "today": "write format_time(now(), '%Y-%m-%d')",
}
"""What other languages call a function or a method."""


def mangled(name: str) -> str:
    """A macro's variable as an ASCII name that shadows nothing of ours."""
    return "v_" + (name if name.isascii() and is_name(name) else "_".join(f"{ord(c):x}" for c in name))


def quoted(text: str) -> str:
    """``text`` as a CEL string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'


def list_of(path: tuple[str | int, ...]) -> str:
    """``path`` as a CEL list."""
    return "[" + ", ".join(quoted(part) if isinstance(part, str) else str(part) for part in path) + "]"
