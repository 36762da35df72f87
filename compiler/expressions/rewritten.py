"""What rewriting makes of an expression."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field

from .references import Reference
from .tokens import Token


@dataclass(frozen=True, slots=True)
class Hoisted:
    """A part that is evaluated on its own, before the rest; null if something in it is absent."""

    variable: str
    text: str
    start: int


@dataclass(slots=True)
class Rewritten:
    """An expression in plain CEL. ``variables`` maps names in ``text`` to the references they stand for."""

    source: str
    text: str
    variables: dict[str, Reference]
    hoisted: list[Hoisted]
    tokens: list[Token]
    _targets: list[int] = field(default_factory=list)
    _sources: list[int] = field(default_factory=list)

    def origin(self, offset: int) -> int:
        """The offset in the source that ``offset`` in :attr:`text` comes from."""
        index = max(bisect_right(self._targets, offset) - 1, 0)
        return self._sources[index] if self._sources else 0

    def token_at(self, offset: int) -> Token:
        """The source token at or after the source offset ``offset``."""
        return next((token for token in self.tokens if token.end > offset), self.tokens[-1])
