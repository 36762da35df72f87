"""``control/loop``: a part again and again, as long as, or until, a condition holds."""

from __future__ import annotations

from typing import Any

from ...core.errors import NO_VERDICTS, Code, RealmError
from ...tasks.control.constructs import LoopParameters
from ..scope import Scope
from .collected import Collected
from .site import Site


async def loop(site: Site, parameters: LoopParameters) -> Any:
    """The outputs of the rounds. OUT_OF_RANGE when it would go on past ``max_iterations``."""
    part, most = site.parts[""], parameters.max_iterations
    last: Any = None
    scope: Scope | None = None
    with Collected(site, parameters.results) as collected:
        index = 0
        while True:
            names = {"loop": {"index": index, "last": last, "parent": site.names.get("loop")}}
            if parameters.mode != "do-while" and not _goes_on(site, parameters, scope, names):
                break
            if most is not None and index >= most:
                raise _too_long(site, most)
            given = {**site.call.input, **(last if isinstance(last, dict) else {})}
            try:
                scope, last = await site.run(part, index=index, names=names, given=given)
            except NO_VERDICTS:
                raise
            except RealmError as error:
                if not parameters.break_on_error:
                    raise
                site.notes["ended_by"] = f"{error.record.code}: {error.record.message}"
                break
            collected.put(index, last)
            index += 1
            site.report(index / most if most else 0.0, f"round {index}")
            if parameters.mode == "do-while" and not _goes_on(site, parameters, scope, names):
                break
        site.notes["rounds"] = index
        return await collected.output()


def _goes_on(site: Site, parameters: LoopParameters, scope: Scope | None, names: dict[str, Any]) -> bool:
    """Whether there is another round, by the condition; it sees the nodes of the round before."""
    from ...compiler.expressions import holds

    seen = (scope or site.handle.scope).expressions(**names)
    return holds(parameters.condition, seen) != (parameters.mode == "until")


def _too_long(site: Site, most: int) -> RealmError:
    return RealmError(
        Code.OUT_OF_RANGE,
        f"{site.handle.label} is not over after {most} rounds",
        hint="raise `max_iterations`, or look at why its condition still asks for more",
    )
