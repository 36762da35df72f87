"""Canonical names of what other languages name freely: with blanks, dots, in any script."""

from __future__ import annotations

import hashlib
import re
import unicodedata

from ..model import MAX_NODE_ID, NAME, SEMVER

_NOT_IN_AN_ID = re.compile(r"[\s/\\.{}]+")
_LONGEST_NAME = 63


def workflow_name(text: str) -> str:
    """A definition's name for a free text: itself where it is one, else what is left of it and a digest of it all.

    >>> workflow_name("nas-photos"), workflow_name("Order API (v2)"), workflow_name("示例工作流")
    ('nas-photos', 'order-api-v2', 'workflow-f3e7778b')
    """
    if NAME.fullmatch(text):
        return text
    plain = re.sub(r"[^a-z0-9]+", "-", unicodedata.normalize("NFKC", text).lower()).strip("-")
    if plain and text.isascii() and len(plain) <= _LONGEST_NAME:
        return plain
    # Two names in another script must not meet, so what cannot be spelled is told apart by a digest.
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{plain[: _LONGEST_NAME - 9].strip('-') or 'workflow'}-{digest}"


def node_id(text: str) -> str:
    """A node id for a free text; one that may stand as it is does.

    >>> node_id("登录"), node_id("Get User"), node_id("chr1.n-2/3"), node_id(" ")
    ('登录', 'Get-User', 'chr1-n-2-3', 'node')
    """
    plain = _NOT_IN_AN_ID.sub("-", text.strip())
    printable = "".join(letter for letter in plain if letter.isprintable()).strip("-") or "node"
    if len(printable) <= MAX_NODE_ID:
        return printable
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{printable[: MAX_NODE_ID - 9]}-{digest}"


def version(text: str) -> str:
    """A version in three parts where two or one are written.

    >>> version("1.0"), version("2"), version("v1.2.3"), version("draft")
    ('1.0.0', '2.0.0', '1.2.3', 'draft')
    """
    plain = text.strip().removeprefix("v")
    for candidate in (plain, f"{plain}.0", f"{plain}.0.0"):
        if SEMVER.fullmatch(candidate):
            return candidate
    return text
