"""Secrets out of texts: what goes into the journal, logs and error messages never shows a password."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from ..core.settings import Settings

MASK = "***"

_NAMED = (
    r"(?:(?:access|secret|api)[_-]?key|(?:access|refresh|auth)[_-]?token|client[_-]?secret|token|secret"
    r"|password|passwd|pwd|signature|sig|x-amz-signature|x-amz-credential|x-amz-security-token)"
)
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    # scheme://user:password@host; the bound keeps long words from costing quadratic time
    (re.compile(r"(\b[a-z][a-z0-9+.-]{0,30}://[^\s/:@'\"]*):[^\s/@'\"]*@", re.IGNORECASE), rf"\1:{MASK}@"),
    (
        re.compile(r"(authorization['\"]?\s*[:=]\s*['\"]?(?:[a-z]+\s+)?)[^\s'\",]+", re.IGNORECASE),
        rf"\1{MASK}",
    ),
    (re.compile(r"(\bbearer\s+)[a-z0-9._~+/=-]{8,}", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(rf"([?&]{_NAMED}=)[^&\s'\"#]+", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(rf"(['\"]{_NAMED}['\"]\s*:\s*['\"])[^'\"]+", re.IGNORECASE), rf"\1{MASK}"),
)


def secret_values(settings: Settings) -> tuple[str, ...]:
    """The values in ``settings`` that must never be shown: fields declared ``repr=False``, and passwords in
    URLs."""
    found: set[str] = set()
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if not isinstance(value, str):
            continue
        if not field.repr:
            found.add(value)
        elif "://" in value and (password := urlsplit(value).password):
            found.add(password)
    # A secret shorter than this would blank out parts of ordinary words.
    return tuple(sorted((value for value in found if len(value) >= 4), key=len, reverse=True))


def redact(text: str, secrets: tuple[str, ...] = ()) -> str:
    """``text`` without the given secrets, bearer tokens, passwords in URLs and values of secret-named keys.

    >>> redact("GET https://ann:hunter2@host/?token=abc failed")
    'GET https://ann:***@host/?token=*** failed'
    """
    for secret in secrets:
        text = text.replace(secret, MASK).replace(quote(secret, safe=""), MASK)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def redact_tree(value: Any, secrets: tuple[str, ...] = ()) -> Any:
    """A JSON value with every string in it redacted."""
    if isinstance(value, str):
        return redact(value, secrets)
    if isinstance(value, Mapping):
        return {key: redact_tree(item, secrets) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redact_tree(item, secrets) for item in value]
    return value
