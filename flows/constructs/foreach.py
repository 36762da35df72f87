"""``control/foreach``: a part for each item of a list, some at the same time, results in order."""

from __future__ import annotations

from typing import Any

from ...core.errors import NO_VERDICTS, RealmError
from ...tasks.control.constructs import ForeachParameters
from .collected import Collected
from .site import Site, together

PROGRESS_STEPS = 200
"""Progress reports of one foreach, about."""


async def foreach(site: Site, parameters: ForeachParameters) -> Any:
    """The outputs of the items. Of 100,000 items only ``max_concurrent`` scopes are alive at a time."""
    items, part = parameters.items, site.parts[""]
    collected = Collected(site, parameters.results)
    pending = iter(enumerate(items))
    failure: RealmError | None = None
    done = 0
    every = max(1, len(items) // PROGRESS_STEPS)

    async def work() -> None:
        nonlocal failure, done
        for index, item in pending:
            try:
                output = await _item(site, parameters, part, index, item)
            except NO_VERDICTS:
                raise
            except RealmError as error:
                if parameters.on_item_error == "fail":
                    failure = failure or error
                    return
                collected.fail(index, error.record, keep=parameters.on_item_error == "collect")
            else:
                collected.put(index, output)
            done += 1
            if done % every == 0:
                site.report(done / len(items), f"{done:,} of {len(items):,}")
            if failure is not None:
                return

    with collected:
        await together(work() for _ in range(min(parameters.max_concurrent, len(items))))
        if failure is not None:
            raise failure
        site.notes["items"] = len(items)
        return await collected.output()


async def _item(site: Site, parameters: ForeachParameters, part: Any, index: int, item: Any) -> Any:
    fields = item if isinstance(item, dict) else {}
    names = {
        parameters.item: item,
        "loop": {"index": index, "length": len(parameters.items), "parent": site.names.get("loop")},
    }
    given = {**site.call.input, **fields, parameters.item: item}
    _, output = await site.run(part, index=index, names=names, given=given)
    return output
