"""``realm instances step``, ``continue``, ``break``, ``vars`` and ``set``: an instance is debugged from any process."""

from __future__ import annotations

import json as json_module
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..core.errors import Code, RealmError
from . import faults
from .records import find, opened
from .terminal import terminal

if TYPE_CHECKING:
    from ..compiler import Analysis
    from ..flows.stepping import Going
    from ..store import Instance, Store

POLL = 0.1
"""Seconds between looks at an instance that was let go on."""

Engine = Literal["prefect", "local"]
Roots = tuple[Path, ...]


def step(
    id: str | None = None,
    node: str | None = None,
    /,
    *,
    detach: bool = False,
    engine: Engine = "prefect",
    root: Roots = (),
    wait: float = 5.0,
    json: bool = False,
) -> int:
    """Run one node of an instance that stands at a breakpoint, and stop before the next ones.

    One that runs stops before its next node. One that nobody runs is run here, as `resume` does.

    Parameters
    ----------
    id
        An instance, or the beginning of its id; without one, the newest.
    node
        Where it stands, if it stands before several; each/resize[7] is one round of a loop.
    detach
        Leave it to `realm serve`.
    engine
        As of `realm run`.
    root
        As of `realm run`.
    wait
        Seconds to wait until it stands again, where another process runs it.
    json
        As JSON.
    """
    return _go(id, node, True, detach, engine, root, wait, json)


def continue_(
    id: str | None = None,
    /,
    *,
    detach: bool = False,
    engine: Engine = "prefect",
    root: Roots = (),
    wait: float = 5.0,
    json: bool = False,
) -> int:
    """Let an instance that stands at a breakpoint go on to the next one, or to its end. It no longer steps.

    Parameters
    ----------
    id
        An instance, or the beginning of its id; without one, the newest.
    detach
        Leave it to `realm serve`.
    engine
        As of `realm run`.
    root
        As of `realm run`.
    wait
        Seconds to wait until it stands again or is over, where another process runs it.
    json
        As JSON.
    """
    return _go(id, None, False, detach, engine, root, wait, json)


def break_(id: str, nodes: tuple[str, ...] = (), /, *, clear: bool = False, json: bool = False) -> int:
    """Set breakpoints of one instance, before it gets to them; or show them.

    Parameters
    ----------
    id
        An instance, or the beginning of its id.
    nodes
        Nodes to stop before, each/resize or, of one round, each/resize[7].
    clear
        Take away these, or, without any, all; those of the definition are passed too then.
    json
        As JSON.
    """
    from ..flows.stepping import checked_breakpoints, person

    with opened() as store:
        instance = find(store, id)
        state = store.debugging.get(instance.id)
        if nodes or clear:
            named = checked_breakpoints(nodes, _analysis(instance, store).node_keys())
            left = [one for one in state.breakpoints if nodes and one not in named]
            wanted = (
                left if clear else [*state.breakpoints, *(n for n in named if n not in state.breakpoints)]
            )
            ignoring = True if clear and not nodes else None
            state = store.debugging.change(instance.id, breakpoints=wanted, ignoring=ignoring, by=person())
    out = terminal()
    if json:
        out.write_json({"instance_id": instance.id, "breakpoints": list(state.breakpoints)})
    else:
        out.write(f"{instance.id}: {', '.join(state.breakpoints) or 'no breakpoints'}")
    return faults.OK


def vars_(
    id: str | None = None, expression: str | None = None, /, *, node: str | None = None, json: bool = False
) -> int:
    """Show the variables of an instance, where it stands and what would run there; or what an expression comes to.

    Parameters
    ----------
    id
        An instance, or the beginning of its id; without one, the newest.
    expression
        An expression as in a definition: 'nodes.resize.width * 2', item, vars.limit.
    node
        Where it stands, if it stands before several.
    json
        As JSON.
    """
    from ..flows.stepping import view

    with opened() as store:
        instance = find(store, id)
        declared = _analysis(instance, store).definition.variables  # pyright: ignore[reportOptionalMemberAccess]
        seen = view(store, instance.id, declared, node=node)
        value = seen.evaluate(expression) if expression is not None else None
    out = terminal()
    if expression is not None:
        out.write(json_module.dumps(value, ensure_ascii=False, indent=2, default=str))
        return faults.OK
    if json:
        out.write_json(seen.to_dict())
        return faults.OK
    from rich.text import Text

    from .debugger import stands
    from .results import lines

    out.console.print(Text.assemble((instance.id, "bold"), f" {instance.status}"))
    for name, shown in seen.variables.items():
        mark = " (set)" if name in seen.changed else ""
        text = json_module.dumps(shown, ensure_ascii=False, default=str)
        out.console.print(
            Text.assemble(("vars.", "dim"), f"{name} = {text}", (mark, "yellow")), soft_wrap=True
        )
    data = seen.to_dict()
    for stop, line in zip(data["stops"], stands(data), strict=True):
        out.console.print(Text(f"\n{line}", style="bold"))
        for part in ("parameters", "input"):
            if stop[part]:
                out.console.print(Text(f"  {part}", style="dim"))
                for key, text in lines(stop[part], 2):
                    out.console.print(Text.assemble((key, "dim"), text), soft_wrap=True)
    return faults.OK


def set_(id: str, name: str, value: str, /, *, json: bool = False) -> int:
    """Give a variable of an instance another value, for everything that runs from here on. The timeline tells who did.

    Parameters
    ----------
    id
        An instance, or the beginning of its id.
    name
        A variable, or a field of one as limits.most.
    value
        Its value as JSON; a bare word is a text.
    json
        As JSON.
    """
    from ..deployments.carrying import computed_beforehand
    from ..flows.stepping import person, set_variable
    from .debugger import value_of

    try:
        given = value_of(value)
    except ValueError as error:
        raise RealmError(Code.INVALID_ARGUMENT, str(error)) from None
    with opened() as store:
        instance = find(store, id)
        analysis = _analysis(instance, store)
        assert analysis.definition is not None
        early = str(instance.status) == "running" and store.debugging.get(instance.id).revision == 0
        old = set_variable(store, instance.id, name, given, analysis.definition.variables, by=person())
    out = terminal()
    if early and computed_beforehand(analysis, name):
        out.say(
            f"the flow that runs was compiled with {name}: what was computed from it changes in its next life"
        )
    if json:
        out.write_json({"instance_id": instance.id, "name": name, "old": old, "new": given})
    else:
        words = [json_module.dumps(one, ensure_ascii=False) for one in (old, given)]
        out.write(f"{instance.id}: {name} was {words[0]}, is {words[1]}")
    return faults.OK


def _go(
    id: str | None,
    node: str | None,
    stepping: bool,
    detach: bool,
    engine: Engine,
    root: Roots,
    wait: float,
    json: bool,
) -> int:
    from ..flows.environment import run_owner
    from ..flows.stepping import go_on, person
    from .instances import carry_on_here, check_served

    with opened() as store:
        instance = find(store, id)
        analysis = None if instance.status.terminal else _analysis(instance, store)
        before = {stop.number for stop in store.debugging.stops(instance.id, "open")}
        if detach and analysis is not None:
            check_served(analysis, store)
        owner = None if detach else run_owner()
        going = go_on(store, instance.id, stepping=stepping, node=node, owner=owner, by=person())
        if not going.here:
            return _told(_watched(store, going, before, 0.0 if detach else wait), going, store, json)
    assert analysis is not None
    return carry_on_here(going.answer.instance, analysis, engine, root, json)


def _watched(store: Store, going: Going, before: set[int], seconds: float) -> Instance:
    """The instance once it stands somewhere else, is put aside or over, or ``seconds`` are over."""
    deadline = time.monotonic() + (0.0 if going.answer.done else seconds)
    id = going.answer.instance.id
    while True:
        instance = store.instances.get(id)
        new = {stop.number for stop in store.debugging.stops(id, "open")} - before
        still = instance.status == going.answer.instance.status
        if new or instance.status.terminal or not still or time.monotonic() >= deadline:
            return instance
        time.sleep(POLL)


def _told(instance: Instance, going: Going, store: Store, json: bool) -> int:
    from ..flows.results import instance_result
    from .debugger import stands

    out = terminal()
    result = instance_result(store, instance.id)
    if json:
        out.write_json(result)
        return faults.OK
    out.write(f"{instance.id} {going.answer.message}; it is {instance.status}")
    for line in stands(result):
        out.write(f"  {line}")
    if not result["stops"] and str(instance.status) == "waiting":
        out.say(f"`realm serve` carries it on; without one, `realm instances resume {instance.id}` does")
    return faults.OK


def _analysis(instance: Instance, store: Store) -> Analysis:
    from ..deployments.carrying import analysis_of

    return analysis_of(instance, store)


COMMANDS: dict[str, Any] = {"step": step, "continue": continue_, "break": break_, "vars": vars_, "set": set_}
"""By the names that people call them."""
