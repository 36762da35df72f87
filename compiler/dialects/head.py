"""The head of a definition in seed 004's task languages: what is said of the workflow as a whole.

``id`` becomes the canonical name and ``name`` the display name; ``input_schema`` is the schema of the instance input.
What has no meaning for a run (``output_schema``, ``created_at``, ``updated_at``) is kept in the metadata. Beside these
the canonical keys of :data:`CANONICAL_KEYS` may be used as they are.
"""

from __future__ import annotations

from typing import Any

from .fields import Entry, Fields, Made
from .naming import version, workflow_name

CANONICAL_KEYS = (
    "display_name", "description", "labels", "tags", "variables", "triggers", "output", "error_handling",
    "concurrency", "execution",
)  # fmt: skip
KEPT_IN_METADATA = ("output_schema", "created_at", "updated_at")
HEAD_KEYS = ("id", "name", "version", "input_schema", "metadata", *KEPT_IN_METADATA, *CANONICAL_KEYS)
SYNONYMS = {
    "input": "input_schema",
    "inputs": "input_schema",
    "inputschema": "input_schema",
    "vars": "variables",
}

NODE_KEYS = (
    "resources", "when", "join", "cache", "fail_on_error", "on_error", "compensate", "priority", "breakpoint",
    "position",
)  # fmt: skip
"""Canonical keys that a task of these languages may have as they are."""


def write_head(fields: Fields, made: Made, otherwise: Entry | None = None) -> None:
    """Name, version, schemas and metadata; without ``id`` and ``name`` the workflow is called as ``otherwise`` says."""
    own, shown = fields.take("id", str), fields.take("name", str)
    called = own or shown or otherwise
    if called is not None:
        made.add("name", workflow_name(called.value), called)
    if shown is not None and (own is not None or made.tree["name"] != shown.value):
        made.put("display_name", shown)
    if (number := fields.get("version")) is not None:
        made.add("version", version(number.value) if isinstance(number.value, str) else number.value, number)
    made.put("input", fields.take("input_schema", dict))
    for key in CANONICAL_KEYS:
        made.put(key, fields.get(key))
    _write_metadata(fields, made)


def _write_metadata(fields: Fields, made: Made) -> None:
    metadata = fields.take("metadata", dict)
    extra = {key: entry for key in KEPT_IN_METADATA if (entry := fields.get(key)) is not None}
    if not extra:
        made.put("metadata", metadata)
        return
    inner = Made(metadata or fields.entry)
    for entry in metadata.items() if metadata else ():
        inner.put(str(entry.path[-1]), entry)
    for key, entry in extra.items():
        if key not in inner.tree:
            inner.put(key, entry)
    made.add_map("metadata", inner)


def milliseconds(value: Any) -> Any:
    """A number of milliseconds in seconds; what is no such number as it is, for the form check to judge.

    >>> milliseconds(1500), milliseconds("1500"), milliseconds("2s"), milliseconds(-1)
    (1.5, 1.5, '2s', -1)
    """
    if isinstance(value, str) and value.strip().isdecimal() and value.isascii():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        return value
    return value / 1000
