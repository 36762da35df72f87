"""In the run: which items are taken next, and how many at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ...store import NodeExecution


@dataclass(slots=True, eq=False)
class Numbered:
    """An item with its number, and what earlier lives of the instance did of it (``None``: nobody has looked)."""

    index: int
    item: Any
    past: Mapping[str, NodeExecution] | None = None


class Lots:
    """The items of a foreach, for ``takers`` who take up to ``size`` of them until there are no more.

    A batch that took its time comes home early: what it did not get to is put back for whoever is free, and from then
    on nobody takes more than twice what it got done, nor more than a fair share of what is left. So slow items are
    spread as they would be one by one, and quick ones go in few large batches.
    """

    def __init__(self, items: Sequence[Any], size: int, takers: int) -> None:
        self._items: Iterator[Numbered] = (Numbered(index, item) for index, item in enumerate(items))
        self._left = len(items)
        self._back: deque[Numbered] = deque()
        self._largest = self._size = size
        self._takers = takers
        self._out = 0
        self._changed = asyncio.Event()

    async def take(self) -> list[Numbered]:
        """The next items, in order; none when all are done. Whatever is taken ends in :meth:`over`."""
        while not self._left:
            if not self._out:
                return []
            self._changed.clear()
            await self._changed.wait()  # Some may be put back.
        most = min(self._left, self._size)
        if self._size < self._largest:
            most = min(most, -(-self._left // self._takers))
        lot = [self._back.popleft() if self._back else next(self._items) for _ in range(most)]
        self._left -= most
        self._out += 1
        return lot

    def put_back(self, lot: Sequence[Numbered], left: Sequence[Numbered]) -> None:
        """Nothing was done with those at the end of a lot: they are for whoever is free."""
        self._left += len(left)
        self._back.extendleft(reversed(left))
        self._size = min(self._largest, max(1, 2 * (len(lot) - len(left))))
        self._changed.set()

    def got_done(self, lot: Sequence[Numbered]) -> None:
        """All of a lot was done."""
        self._size = min(self._largest, max(self._size, 2 * len(lot)))

    def over(self) -> None:
        """A lot that was taken is over, however it ended."""
        self._out -= 1
        self._changed.set()
