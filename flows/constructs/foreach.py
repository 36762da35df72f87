"""``control/foreach``: a part for each item of a list, some at the same time, results in order."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from ...core.errors import NO_VERDICTS, RealmError
from ...tasks.control.constructs import ForeachParameters
from ..batches.items import Batches
from ..batches.worker import Done, Item, Made
from ..together import side_by_side
from .collected import Collected
from .site import Site

if TYPE_CHECKING:
    from ...store import NodeExecution

PROGRESS_STEPS = 200
"""Progress reports of one foreach, about."""
SPLIT = 8
"""Into how many a batch is split that came to nothing."""


async def foreach(site: Site, parameters: ForeachParameters) -> Any:
    """The outputs of the items. Of 100,000 items only ``max_concurrent`` scopes, or batches, are alive at a time."""
    batches, size = None, 1
    if parameters.batch_size > 1:
        in_order = parameters.max_concurrent == 1 or parameters.on_item_error == "fail"
        batches = Batches.of(site, site.parts[""], in_order=in_order)
    if batches is not None:
        share = -(-len(parameters.items) // parameters.max_concurrent)
        size = max(1, min(parameters.batch_size, share))
    with Collected(site, parameters.results) as collected:
        items = _Items(site, parameters, collected, batches)
        lots = _lots(parameters.items, size)
        workers = min(parameters.max_concurrent, -(-len(parameters.items) // size))
        await side_by_side(items.work(lots) for _ in range(workers))
        if items.failure is not None:
            raise items.failure
        site.notes["items"] = len(parameters.items)
        return await collected.output()


def _lots(items: Sequence[Any], size: int) -> Iterator[list[tuple[int, Any]]]:
    """The items with their numbers, ``size`` at a time."""
    numbered = enumerate(items)
    while lot := list(islice(numbered, size)):
        yield lot


class _Items:
    """The items of one foreach. ``failure`` is the error of the one that ended it."""

    def __init__(
        self, site: Site, parameters: ForeachParameters, collected: Collected, batches: Batches | None
    ) -> None:
        self.failure: RealmError | None = None
        self._site = site
        self._parameters = parameters
        self._collected = collected
        self._batches = batches
        self._done = 0
        self._every = max(1, len(parameters.items) // PROGRESS_STEPS)
        self._looking = asyncio.Lock()
        self._shared = _without_the_list(site, parameters.items)

    async def work(self, lots: Iterator[list[tuple[int, Any]]]) -> None:
        """Go through one lot after another, until there are no more, or the foreach has failed."""
        for lot in lots:
            if self._batches is None:
                await self._one(*lot[0])
            else:
                await self._lot(lot)
            if self.failure is not None:
                return

    async def _lot(self, lot: list[tuple[int, Any]]) -> None:
        """Items in batches, but those that an earlier life of the instance began: their nodes are looked at one by
        one."""
        async with self._looking:  # Rounds are asked for in order.
            pasts = [await self._site.past(index) for index, _ in lot]
        fresh: list[tuple[int, Any]] = []
        for one, past in zip(lot, pasts, strict=True):
            if not past:
                fresh.append(one)
                continue
            await self._batch(fresh)
            fresh = []
            if self.failure is None:
                await self._one(*one, past=past)
        await self._batch(fresh)

    async def _batch(self, left: list[tuple[int, Any]]) -> None:
        """Items of which no earlier life began any node."""
        assert self._batches is not None
        size = len(left)
        while left and self.failure is None:
            if self._batches.watched:
                await self._one(*left.pop(0), past={})
                continue
            results = await self._batches.run([self._item(*one) for one in left[:size]])
            for one, result in zip(left, results, strict=False):
                if isinstance(result, Done):
                    self._put(result.index, result.output)
                elif self.failure is None:
                    await self._one(*one, past={}, made=result.made)
            left = left[len(results) :]
            if results:
                size *= 2
            elif size > 1:
                size = max(1, size // SPLIT)
            else:  # It may be the one that kills its workers: the run holds it responsible.
                await self._one(*left.pop(0), past={})

    def _item(self, index: int, item: Any) -> Item:
        around = self._site.handle.scope.iteration
        given = self._given(item) if self._batches is not None and self._batches.rooted else {}
        return Item(index, f"{around}.{index}" if around else str(index), self._names(index, item), given)

    async def _one(
        self,
        index: int,
        item: Any,
        *,
        past: Mapping[str, NodeExecution] | None = None,
        made: Mapping[str, Made] | None = None,
    ) -> None:
        """An item in the run, node by node."""
        try:
            _, output = await self._site.run(
                self._site.parts[""],
                index=index,
                names=self._names(index, item),
                given=self._given(item),
                past=past,
                made=made,
            )
        except NO_VERDICTS:
            raise
        except RealmError as error:
            if self._parameters.on_item_error == "fail":
                self.failure = self.failure or error
                return
            self._collected.fail(index, error.record, keep=self._parameters.on_item_error == "collect")
            self._progress()
        else:
            self._collected.put(index, output)
            self._progress()

    def _put(self, index: int, output: str) -> None:
        self._collected.put_line(index, output)
        self._progress()

    def _progress(self) -> None:
        self._done += 1
        if self._done % self._every == 0:
            total = len(self._parameters.items)
            self._site.report(self._done / total, f"{self._done:,} of {total:,}")

    def _names(self, index: int, item: Any) -> dict[str, Any]:
        around = self._site.names.get("loop")
        loop = {"index": index, "length": len(self._parameters.items), "parent": around}
        return {self._parameters.item: item, "loop": loop}

    def _given(self, item: Any) -> dict[str, Any]:
        fields = item if isinstance(item, dict) else {}
        return {**self._shared, **fields, self._parameters.item: item}


def _without_the_list(site: Site, items: list[Any]) -> dict[str, Any]:
    """What the foreach got, but for the list that it goes through and those that ``items`` was made of: handed to each
    of ten thousand items, ten thousand file references would be a hundred million in the journal."""
    from ...compiler.expressions import fields_read

    made_of = fields_read(site.handle.node.parameters.get("items"))
    return {
        name: value
        for name, value in site.call.input.items()
        if not isinstance(value, list) or (name not in made_of and value != items)
    }
