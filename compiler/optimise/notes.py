"""What a pass tells about its work."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class Remark(NamedTuple):
    """Something about a node (or ``""``, the workflow), in a few words."""

    node: str
    text: str


@dataclass
class Notes:
    """Of one pass over one workflow: what it saw, what it changed, and what it left as it was and why."""

    name: str
    workflow: str
    saw: str = ""
    changed: list[Remark] = field(default_factory=list)
    kept: list[Remark] = field(default_factory=list)

    def change(self, node: str, text: str) -> None:
        """Note a change."""
        self.changed.append(Remark(node, text))

    def keep(self, node: str, text: str) -> None:
        """Note what was left, and why."""
        self.kept.append(Remark(node, text))


def counted(number: int, noun: str) -> str:
    """``3 nodes``."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
