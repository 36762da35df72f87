"""What the databases cannot hold, made holdable, in this one place.

PostgreSQL refuses NUL in text and in ``jsonb``; neither database holds lone surrogates (which undecodable
file names bring); JSON has no NaN or infinity. Both databases get the same treatment, so that they hold the
same:

- NUL and lone surrogates in text, keys and values become their escapes written out: ``\\u0000``, ``\\udcff``.
  The mapping keeps distinct names distinct;
- ``NaN``, ``Infinity`` and ``-Infinity`` become these very strings, which Pydantic reads back as floats;
- large floats are written without an exponent: ``jsonb`` would give ``1e+16`` back as an integer.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from enum import Enum
from functools import cache
from pathlib import PurePath
from typing import Any

from ..core.errors import Code, RealmError


def clean_text(text: str) -> str:
    """``text`` without characters that a database refuses; the same object when there are none.

    >>> clean_text("照片\\x00.jpg") == "照片" + chr(92) + "u0000.jpg"
    True
    """
    if "\0" in text:
        text = text.replace("\0", "\\u0000")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode("utf-8")
    return text


def encode_json(value: Any, *, fallback: Callable[[Any], Any] | None = None) -> str:
    """``value`` as JSON text that both databases hold. Mappings, sequences, sets, dates and paths are
    accepted.

    Anything else goes through ``fallback``; without one it raises INVALID_ARGUMENT, as do cycles.
    """

    encoder = _encoder(fallback)
    try:
        try:
            text = _dump(value, encoder)
            if "\\u0000" not in text:
                if not text.isascii():
                    text.encode("utf-8")
                return text
        except (UnicodeEncodeError, ValueError):
            pass  # the slow way finds and mends what is wrong, or says what it is
        return _dump(_clean_tree(json.loads(json.dumps(value, default=encoder.default))), encoder)
    except (TypeError, ValueError, RecursionError) as error:
        raise RealmError(Code.INVALID_ARGUMENT, f"not representable as JSON: {error}") from None


def plain_json(value: Any) -> Any:
    """``value`` as plain JSON data, whatever it holds: what JSON does not know becomes its ``repr``.

    For errors, notes and measurements, whose recording must never fail the node they belong to.
    """
    return None if value is None else json.loads(encode_json(value, fallback=repr))


_STRING_OR_LARGE = re.compile(r'"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?e\+\d+')


@cache
def _encoder(fallback: Callable[[Any], Any] | None) -> json.JSONEncoder:
    """Made once: these run some times for every node."""
    return json.JSONEncoder(
        ensure_ascii=False,
        allow_nan=False,
        separators=(",", ":"),
        default=lambda thing: _convert(thing, fallback),
    )


def _dump(value: Any, encoder: json.JSONEncoder) -> str:
    text = encoder.encode(value)
    return _STRING_OR_LARGE.sub(_plain_number, text) if "e+" in text else text


def _plain_number(token: re.Match[str]) -> str:
    return token[0] if token[0].startswith('"') else f"{Decimal(token[0]):f}.0"


def _convert(thing: Any, fallback: Callable[[Any], Any] | None) -> Any:
    if isinstance(thing, Mapping):
        return dict(thing)
    if isinstance(thing, set | frozenset):
        return sorted(thing, key=repr)
    if isinstance(thing, date):  # datetime is a date too
        return thing.isoformat()
    if isinstance(thing, PurePath):
        return str(thing)
    if isinstance(thing, Enum):
        return thing.value
    if fallback is not None:
        return fallback(thing)
    raise TypeError(f"{type(thing).__module__}.{type(thing).__qualname__} is not a JSON value")


def _clean_tree(tree: Any) -> Any:
    if isinstance(tree, str):
        return clean_text(tree)
    if isinstance(tree, dict):
        return {clean_text(key): _clean_tree(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_clean_tree(value) for value in tree]
    if isinstance(tree, float) and not math.isfinite(tree):
        return "NaN" if math.isnan(tree) else ("Infinity" if tree > 0 else "-Infinity")
    return tree
