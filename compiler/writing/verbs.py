"""``convert`` and ``format_document``: what ``realm convert`` and ``realm fmt`` do, each checked before it answers."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, Literal

from ...core.errors import Code, RealmError
from ..analysis import Analysis, analyze
from ..document import Document
from ..source import load
from ..source_faults import Unreadable
from ..source_json import read_json
from .canonical import canonical_layout
from .json_text import parse_json, write_json
from .parse import parse_yaml
from .sorting import sort_keys as sort
from .tree import Collection, Entry, Layout
from .yaml_text import write_yaml

Syntax = Literal["yaml", "json"]
_EDGES = frozenset({"edges", "connections", "links"})


def convert(analysis: Analysis, to: Syntax = "yaml") -> str:
    """The canonical form of a definition as text. YAML keeps the author's comments; JSON has none.

    ``analysis.definition`` must be there. The text means the same: analysed, it gives the same definition.
    """
    definition, document = analysis.definition, analysis.document
    if definition is None or document is None:
        raise RealmError(Code.INVALID_WORKFLOW_DEFINITION, "a definition with errors has no canonical form")
    comments: Counter[str] = Counter()
    if to == "json":
        text = json.dumps(definition.document(), ensure_ascii=False, indent=2) + "\n"
    else:
        source = parse_yaml(document.text) if _as_json(document.text) is None else None
        comments = _comments_in(source) if source is not None else comments
        text = write_yaml(canonical_layout(definition, document.marks, source))
    again = analyze(f"<canonical>.{to}", text=text, registry=analysis.registry).definition
    same = again is not None and again.hash == definition.hash
    if not same or (to == "yaml" and _comments(text) != comments):
        raise RealmError(
            Code.INTERNAL_ERROR,
            "the canonical text does not say what the definition says",
            hint="this is a fault of Mirror Realm; please report it with the definition",
        )
    return text


def count_comments(text: str) -> int:
    """How many comments a readable text has; JSON has none."""
    return _comments(text).total()


def format_document(document: Document, *, sort_keys: bool = False) -> str:
    """A readable definition in good layout, in its own dialect and syntax, with its own line breaks.

    ``document`` is as it was read, before any dialect. The order of keys is the author's, or with ``sort_keys`` the
    model's. Raises FAILED_PRECONDITION where the result would mean something else or lose a comment.
    """
    text = document.text
    as_json = _as_json(text)
    layout = parse_yaml(text) if as_json is None else parse_json(text, *as_json)
    comments = _comments_in(layout)
    _put_edges_on_lines(layout.root)
    if sort_keys:
        sort(layout.root)
    formatted = write_yaml(layout) if as_json is None else write_json(layout)
    if not _says_the_same(document, formatted, sort_keys) or _comments(formatted) != comments:
        hint = "an alias would stand before its anchor" if sort_keys else "please report it with the file"
        raise RealmError(
            Code.FAILED_PRECONDITION, "it cannot be formatted without changing what it says", hint=hint
        )
    return formatted.replace("\n", "\r\n") if _breaks_as_windows(text) else formatted


def _says_the_same(document: Document, formatted: str, sorted_keys: bool) -> bool:
    loaded = load(document.file, text=formatted)
    if loaded.document is None or loaded.diagnostics:
        return False
    return _spelled(loaded.document.tree, sorted_keys) == _spelled(document.tree, sorted_keys)


def _comments(text: str) -> Counter[str]:
    if _as_json(text) is not None:
        return Counter()
    return _comments_in(parse_yaml(text))


def _comments_in(layout: Layout) -> Counter[str]:
    return Counter(comment.text for comment in layout.comments())


def _spelled(tree: Any, sorted_keys: bool) -> str:
    """A tree so that 1, 1.0 and true differ, and the order of keys where it is to be kept."""
    return json.dumps(tree, ensure_ascii=False, sort_keys=sorted_keys)


def _as_json(text: str) -> tuple[Any, Any] | None:
    """The tree and marks of a JSON text; ``None`` for YAML, also where that looks like JSON."""
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        tree, marks, _ = read_json(text)
    except Unreadable:
        return None
    return tree, marks


def _put_edges_on_lines(root: Entry) -> None:
    """Ask for one line for each edge, whatever its dialect calls it."""
    for entry in root.walk():
        if entry.key is None or entry.key.text not in _EDGES or not isinstance(entry.value, Collection):
            continue
        for item in entry.value.entries:
            if not entry.value.mapping and isinstance(item.value, Collection):
                for inner in item.walk():
                    if isinstance(inner.value, Collection):
                        inner.value.flow = True


def _breaks_as_windows(text: str) -> bool:
    return text.count("\r\n") * 2 > text.count("\n")
