"""Identifiers in the forms of the platform specification: ``wf-7a8b9c0d``, ``inst-1a2b3c4d5e6f``, …"""

from __future__ import annotations

import secrets
from typing import Literal

Kind = Literal[
    "workflow",
    "version",
    "instance",
    "node",
    "media",
    "task",
    "artifact",
    "event",
    "space",
    "person",
    "face",
    "clustering",
    "wait",
    "human-task",
    "saga",
    "runner",
]

_FORMS: dict[Kind, tuple[str, int]] = {
    "workflow": ("wf", 8),
    "version": ("ver", 12),
    "instance": ("inst", 12),
    "node": ("node", 16),
    "media": ("media", 12),
    "task": ("pt", 12),
    "artifact": ("art", 12),
    "event": ("evt", 12),
    "space": ("space", 12),
    "person": ("face", 8),
    "face": ("fd", 12),
    "clustering": ("cl", 12),
    "wait": ("wait", 12),
    "human-task": ("ht", 12),
    "saga": ("saga", 8),
    "runner": ("runner", 12),
}


def new_id(kind: Kind) -> str:
    """A fresh random identifier of ``kind``.

    >>> new_id("instance")[:5], len(new_id("instance"))
    ('inst-', 17)
    """
    prefix, digits = _FORMS[kind]
    return f"{prefix}-{secrets.token_hex((digits + 1) // 2)[:digits]}"
