"""``control/foreach``: a part for each item of a list, some at the same time, results in order."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from itertools import takewhile
from typing import Any

from ...core.errors import NO_VERDICTS, RealmError
from ...tasks.control.constructs import ForeachParameters
from ..batches.items import Batches
from ..batches.lots import Lots, Numbered
from ..batches.worker import Done, Item, Left, Made
from ..together import side_by_side
from .collected import Collected
from .site import Site

Attempted = tuple[Numbered, Mapping[str, Made]]
"""An item, and the attempts that a worker made of it."""

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
        workers = min(parameters.max_concurrent, -(-len(parameters.items) // size))
        lots = Lots(parameters.items, size, workers)
        items = _Items(site, parameters, collected, batches, lots)
        await side_by_side(items.work() for _ in range(workers))
        if items.failure is not None:
            raise items.failure
        site.notes["items"] = len(parameters.items)
        return await collected.output()


class _Items:
    """The items of one foreach. ``failure`` is the error of the one that ended it."""

    def __init__(
        self,
        site: Site,
        parameters: ForeachParameters,
        collected: Collected,
        batches: Batches | None,
        lots: Lots,
    ) -> None:
        self.failure: RealmError | None = None
        self._site = site
        self._parameters = parameters
        self._collected = collected
        self._batches = batches
        self._lots = lots
        self._done = 0
        self._every = max(1, len(parameters.items) // PROGRESS_STEPS)
        self._looking = asyncio.Lock()
        self._shared = _without_the_list(site, parameters.items)

    async def work(self) -> None:
        """Go through one lot after another, until there are no more, or the foreach has failed."""
        while self.failure is None and (lot := await self._lots.take()):
            try:
                await self._lot(lot)
            finally:
                self._lots.over()

    async def _lot(self, lot: list[Numbered]) -> None:
        """Items in batches, but those that an earlier life of the instance began: their nodes are looked at one by
        one. Those that a batch had no time for are put back."""
        if self._batches is None:
            await self._one(lot[0])
            return
        async with self._looking:  # Rounds are asked for in order, each once.
            for one in lot:
                if one.past is None:
                    one.past = await self._site.past(one.index)
        left = lot
        while left and self.failure is None:
            fresh = list(takewhile(lambda one: not one.past, left))
            if not fresh:
                await self._one(left[0])
                left = left[1:]
                continue
            late, lame = await self._batch(self._batches, fresh)
            left = [*late, *left[len(fresh) :]]
            if late:  # For whoever is free, while those of the batch have their retries.
                self._lots.put_back(lot, left)
            for one, made in lame:
                await self._one(one, made=made)
            if late:
                return
        self._lots.got_done(lot)

    async def _batch(self, batches: Batches, left: list[Numbered]) -> tuple[list[Numbered], list[Attempted]]:
        """Items of which no earlier life began any node. Those at the end that there was no time for, and those that
        go on in the run."""
        size, whole = len(left), True
        while left and self.failure is None:
            if batches.watched:
                await self._one(left.pop(0))
                continue
            results = await batches.run([self._item(one) for one in left[:size]])
            lame: list[Attempted] = []
            for one, result in zip(left, results, strict=False):
                if isinstance(result, Done):
                    self._put(result.index, result.output)
                elif self.failure is None or result.made:  # What was begun beside a failure is told too.
                    lame.append((one, result.made))
            left = left[len(results) :]
            if whole and results and not (batches.in_order and isinstance(results[-1], Left)):
                return left, lame
            for one, made in lame:
                await self._one(one, made=made)
            if results:
                size *= 2
            elif size > 1:
                size, whole = max(1, size // SPLIT), False
            else:  # It may be the one that kills its workers: the run holds it responsible.
                await self._one(left.pop(0))
        return left, []

    def _item(self, one: Numbered) -> Item:
        around = self._site.handle.scope.iteration
        given = self._given(one.item) if self._batches is not None and self._batches.rooted else {}
        iteration = f"{around}.{one.index}" if around else str(one.index)
        return Item(one.index, iteration, self._names(one.index, one.item), given)

    async def _one(self, one: Numbered, *, made: Mapping[str, Made] | None = None) -> None:
        """An item in the run, node by node."""
        index, item = one.index, one.item
        try:
            _, output = await self._site.run(
                self._site.parts[""],
                index=index,
                names=self._names(index, item),
                given=self._given(item),
                past=one.past,
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
