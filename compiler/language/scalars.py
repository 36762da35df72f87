"""Writing an id or a word where one stands: as YAML, as JSON, in an expression."""

from __future__ import annotations

import json
import re

from ..expressions.spelling import LITERALS, RESERVED

_PLAIN = re.compile(r"[^\W\d]\w*(?:[-/.]\w+)*")
_NOT_TEXT = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})


def scalar(text: str) -> str:
    """``text`` as a YAML scalar, in quotes where it would else be read as something else.

    >>> scalar("image/preprocess"), scalar("no"), scalar("质检-01"), scalar("1")
    ('image/preprocess', '"no"', '质检-01', '"1"')
    """
    if _PLAIN.fullmatch(text) and text.casefold() not in _NOT_TEXT:
        return text
    return json.dumps(text, ensure_ascii=False)


def rewritten(old: str, new: str) -> str:
    """``new`` as the scalar that takes the place of ``old``, in the same quotes.

    >>> rewritten("a", "b"), rewritten("'a'", "b"), rewritten('"a"', "b")
    ('b', "'b'", '"b"')
    """
    if old[:1] == '"':
        return json.dumps(new, ensure_ascii=False)
    if old[:1] == "'":
        return "'" + new.replace("'", "''") + "'"
    return scalar(new)


def member(spelled: str, name: str, outer_quote: str) -> str:
    """How an expression reads ``name`` of something: ``.spelled`` where that can be written, else in brackets.

    ``outer_quote`` is that of the scalar which the expression stands in.

    >>> member("a_1", "a-1", ""), member("1x", "1x", '"'), member("1x", "1x", "'")
    ('.a_1', "['1x']", '["1x"]')
    """
    if spelled.isidentifier() and spelled not in LITERALS | RESERVED:
        return f".{spelled}"
    quote = '"' if outer_quote == "'" else "'"
    return f"[{quote}{name}{quote}]"
