"""A difference as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, Literal

from ..diagnostics import Path, format_path

Kind = Literal["added", "removed", "changed", "renamed", "moved"]
Subject = Literal["workflow", "trigger", "node", "branch", "edge"]
Level = Literal["none", "patch", "minor", "major"]


class Impact(StrEnum):
    """How far a change reaches: nobody notices, who uses the workflow goes on as before, or may have to change."""

    COSMETIC = "cosmetic"
    COMPATIBLE = "compatible"
    BREAKING = "breaking"


@dataclass(frozen=True, slots=True)
class Change:
    """One change. ``path`` names nodes by their journal ids and edges by their ends, in the new definition's ids.

    ``old`` and ``new`` are ``None`` where there is nothing; secrets in them are masked. A node's own addition, removal
    or renaming has its type, or its ids, as values.
    """

    kind: Kind
    subject: Subject
    path: Path
    old: Any
    new: Any
    impact: Impact
    reason: str = ""
    """Why it breaks, where it does."""

    @property
    def place(self) -> str:
        """The path as people write it."""
        return format_path(self.path)

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        known = {
            "kind": self.kind,
            "subject": self.subject,
            "path": self.place,
            "old": self.old,
            "new": self.new,
        }
        return {**known, "impact": str(self.impact), **({"reason": self.reason} if self.reason else {})}


@dataclass(frozen=True, slots=True)
class Bump:
    """The version that a difference asks for. ``version`` is ``None`` where the old definition has none."""

    level: Level
    version: str | None
    reason: str


@dataclass(frozen=True)
class Difference:
    """``changes`` are what was edited; the rest follows from them.

    ``lost_outputs`` are fields of the instance's output that are gone, ``gained_outputs`` new ones. ``again`` maps the
    journal id of each node of the new definition that a running instance has to run again to the reason; of all others
    (``kept``) the journaled result stays true.
    """

    old_version: str | None
    new_version: str | None
    name: str
    changes: tuple[Change, ...]
    lost_outputs: tuple[str, ...]
    gained_outputs: tuple[str, ...]
    kept: tuple[str, ...]
    again: Mapping[str, str] = field(default_factory=dict)
    bump: Bump = field(default=Bump("none", None, "nothing changed"))

    def __bool__(self) -> bool:
        return bool(self.changes)

    @property
    def impact(self) -> Impact | None:
        """The farthest that any change reaches; ``None`` without changes."""
        if self.lost_outputs or any(c.impact is Impact.BREAKING for c in self.changes):
            return Impact.BREAKING
        if any(change.impact is Impact.COMPATIBLE for change in self.changes):
            return Impact.COMPATIBLE
        return Impact.COSMETIC if self.changes else None

    def carries_over(self, node: str) -> bool:
        """Whether the journaled result of a node (by its journal id) stays true in the new definition.

        True only when the node, what it reads, how it is reached and all its ancestors are unchanged. The definitions
        behind sub-workflows and the code of node types are not looked at.
        """
        return node in self._kept

    @cached_property
    def _kept(self) -> frozenset[str]:
        return frozenset(self.kept)

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "name": self.name,
            "old_version": self.old_version,
            "new_version": self.new_version,
            "impact": str(self.impact) if self.impact else None,
            "changes": [change.to_dict() for change in self.changes],
            "output": {"lost": list(self.lost_outputs), "gained": list(self.gained_outputs)},
            "running_instances": {"kept": list(self.kept), "again": dict(self.again)},
            "bump": {"level": self.bump.level, "version": self.bump.version, "reason": self.bump.reason},
        }
