"""What the two readers share: how they say that a text is wrong, and how much they take."""

from __future__ import annotations

from dataclasses import dataclass

MAX_BYTES = 16 * 1024 * 1024
"""Size of a definition's text."""
MAX_DEPTH = 100
"""Mappings and lists inside each other."""
MAX_VALUES = 1_000_000
"""Keys and values, aliases counted with all that they stand for."""
MAX_ALIASED = 100_000
"""Keys and values that aliases stand for: a few lines can say so many."""
MAX_INTEGER = 2**63
"""Integers beyond 64 bits do not survive other readers of JSON, nor expressions."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong at the characters ``[start, end)`` of the text."""

    code: str
    message: str
    start: int
    end: int
    hint: str | None = None


class Unreadable(Exception):
    """The text cannot be read beyond this fault."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def duplicate_key(key: str, first_line: int, start: int, end: int) -> Fault:
    """A key that its mapping already has."""
    return Fault(
        "MR104",
        f"key {key!r} appears twice in one mapping (first on line {first_line})",
        start,
        end,
        "remove one of the two, or rename it",
    )


def too_deep(start: int) -> Fault:
    """More nesting than :data:`MAX_DEPTH`."""
    message = f"nested more than {MAX_DEPTH} levels deep"
    return Fault("MR103", message, start, start + 1, "flatten this part of the file")


def too_many(start: int, aliases: bool = False) -> Fault:
    """More values than :data:`MAX_VALUES`, or more behind aliases than :data:`MAX_ALIASED`."""
    most, why = (MAX_ALIASED, " behind aliases") if aliases else (MAX_VALUES, "")
    return Fault(
        "MR103",
        f"more than {most:,} values{why}",
        start,
        start + 1,
        "repeat fewer aliases (*name)" if aliases else "split the definition into sub-workflows",
    )


def number_fault(text: str, start: int, end: int) -> Fault | None:
    """Why a number as written cannot be taken, if so."""
    shown = text if len(text) <= 40 else text[:37] + "…"
    if text.lstrip("+-").isdigit():
        # Measured by digits first: Python refuses to convert very long ones.
        if len(text) <= 18 or (len(text) <= 24 and -MAX_INTEGER <= int(text) < MAX_INTEGER):
            return None
        message, hint = f"{shown} does not fit into 64 bits", f'write it as a string: "{shown}"'
        return Fault("MR108", message, start, end, hint)
    try:
        finite = abs(float(text)) < float("inf")
    except ValueError:
        finite = False
    if finite:
        return None
    hint = "write a finite number, or a string in quotes"
    return Fault("MR108", f"{shown} is not a finite number", start, end, hint)
