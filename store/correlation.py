"""What ties events to those who wait for them: compared as JSON, where 1 is 1.0 but not true."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from .cleaning import plain_json


def fits(event: Any, wanted: Any) -> bool:
    """Whether an event of correlation ``event`` is for whoever wants ``wanted``: anything for ``None``, a mapping with
    at least the same values for a mapping, else the same value.

    >>> fits("order-17", None), fits({"order": 17, "site": "b"}, {"order": 17.0}), fits(True, 1), fits(None, "x")
    (True, True, False, False)
    """
    if wanted is None:
        return True
    if isinstance(wanted, Mapping) and isinstance(event, Mapping):
        return all(name in event and _text(event[name]) == _text(value) for name, value in wanted.items())
    return _text(event) == _text(wanted)


def key_of(correlation: Any) -> str | None:
    """A digest that equal correlations share; ``None`` for none."""
    return None if correlation is None else hashlib.sha256(_text(correlation).encode()).hexdigest()


def _text(value: Any) -> str:
    return json.dumps(_whole(plain_json(value)), sort_keys=True, ensure_ascii=False)


def _whole(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _whole(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
