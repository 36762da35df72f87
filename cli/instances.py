"""``realm instances``: steering one. Looking into one is in :mod:`.records`, its past in :mod:`.instance_history`."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from ..core.errors import Code, RealmError
from . import faults
from .debugger import interactive
from .instance_debugging import COMMANDS
from .instance_history import explain, replay, timeline
from .instance_recovery import reconcile
from .records import find, instances, opened
from .running import Pairs, exit_code, instance_input, node_parameters
from .terminal import Terminal, terminal

if TYPE_CHECKING:
    from ..compiler import Analysis
    from ..flows.control import Answer
    from ..store import Instance, Store

POLL = 0.1
"""Seconds between looks at an instance that was asked for something."""

Engine = Literal["prefect", "local"]
Roots = tuple[Path, ...]


@instances.command
def cancel(
    id: str, /, *, undo: bool = False, force: bool = False, wait: float = 15.0, json: bool = False
) -> int:
    """End an instance as canceled; what was journaled is kept.

    Of one that runs, nodes that wait are dropped at once, and running ones are asked to stop. What a transaction left
    half done is undone.

    Parameters
    ----------
    id
        An instance, or the beginning of its id.
    undo
        Undo all that it did: every completed node with a `compensate`, the last one first.
    force
        Do not ask the process that runs it, which may be gone or stuck: it can write nothing more.
    wait
        Seconds to wait until it has ended.
    json
        As JSON.
    """
    from ..deployments.carrying import analysis_of
    from ..flows import control
    from ..flows.environment import run_owner

    with opened() as store:
        instance = find(store, id)
        answer = control.cancel(store, instance.id, undo=undo, owner=run_owner(), by="cli", force=force)
        if answer.instance.requested == "resume":  # Nobody runs it: what is to be undone is undone here.
            return carry_on_here(answer.instance, analysis_of(instance, store), "local", (), json)
        now = _waited(store, answer, wait, lambda one: one.status.terminal)
        return _said(
            now, answer, json, hint=f"`realm instances cancel {now.id} --force` does not ask its process"
        )


@instances.command
def pause(id: str, /, *, wait: float = 15.0, json: bool = False) -> int:
    """Let no more nodes of an instance start. What runs finishes; then it holds nothing until it is resumed.

    Parameters
    ----------
    id
        An instance, or the beginning of its id.
    wait
        Seconds to wait until what runs has finished.
    json
        As JSON.
    """
    from ..flows import control

    with opened() as store:
        answer = control.pause(store, find(store, id).id, by="cli")
        now = _waited(store, answer, wait, lambda one: one.requested != "pause")
        return _said(now, answer, json, hint="it pauses when the nodes that run have finished")


@instances.command
def resume(
    id: str,
    /,
    *,
    force: bool = False,
    detach: bool = False,
    engine: Engine = "prefect",
    root: Roots = (),
    json: bool = False,
) -> int:
    """Let a paused instance, one that stands at a breakpoint, or one whose process died, go on from its journal, here
    and now.

    Nodes that completed do not run again. At a breakpoint it goes on from there; in a terminal, you are asked first.

    Parameters
    ----------
    id
        An instance, or the beginning of its id.
    force
        Also one that seems to run: the process that runs it can write nothing more.
    detach
        Leave it to `realm serve`.
    engine
        As of `realm run`.
    root
        As of `realm run`.
    json
        As JSON.
    """
    from ..deployments.carrying import analysis_of
    from ..flows import control
    from ..flows.environment import run_owner

    with opened() as store:
        instance = find(store, id)
        analysis = analysis_of(instance, store)
        if detach:
            check_served(analysis, store)
        owner = None if detach else run_owner()
        asks = interactive(terminal()) and not json and not detach
        stay = asks and bool(store.debugging.stops(instance.id, "open"))
        answer = control.resume(store, instance.id, owner=owner, by="cli", force=force, stay=stay)
        if detach:
            return _said(answer.instance, answer, json)
    return carry_on_here(answer.instance, analysis, engine, root, json, asks=stay)


@instances.command
def retry(
    id: str,
    /,
    *,
    start: Annotated[str | None, Parameter(name="--from", metavar="NODE")] = None,
    set: Pairs = (),
    input: Pairs = (),
    input_file: Path | None = None,
    onto: str | None = None,
    detach: bool = False,
    engine: Engine = "prefect",
    root: Roots = (),
    json: bool = False,
) -> int:
    """Run an instance that has ended again, from its failure on: what completed does not run again.

    Parameters
    ----------
    id
        An instance, or the beginning of its id.
    start
        Run this node, and all that follows it, again; each/resize[7] is one round of a loop.
    set
        Another parameter of a node as NODE.PARAMETER=VALUE, repeatable; a node that completed with the old one, and
        what follows it, runs again.
    input
        Another value of the instance's input as KEY=VALUE, repeatable. What completed with the old one is kept, unless
        --from runs it again.
    input_file
        Another input as a YAML or JSON file; --input adds to it.
    onto
        A definition file, or another version of the registered workflow, to go on with. What completed must be the
        same in it.
    detach
        Leave it to `realm serve`.
    engine
        As of `realm run`.
    root
        As of `realm run`.
    json
        As JSON.
    """
    from ..flows import control
    from ..flows.environment import run_owner

    with opened() as store:
        instance = find(store, id)
        rerun, analysis = _planned(store, instance, onto, node_parameters(set), start)
        given = None
        if input or input_file:
            given = {**dict(instance.input or {}), **instance_input(input, input_file)}
        if detach:
            check_served(analysis, store)
        owner = None if detach else run_owner()
        answer = control.retry(store, instance.id, rerun, input=given, owner=owner, by="cli")
        if detach:
            return _said(answer.instance, answer, json)
    return carry_on_here(answer.instance, analysis, engine, root, json)


@instances.command
def signal(
    id: str,
    type: str | None = None,
    /,
    *,
    payload: Pairs = (),
    payload_file: Path | None = None,
    key: str | None = None,
    json: bool = False,
) -> int:
    """Tell an instance that what it waits for has come: an event with the correlation that it looks for.

    Parameters
    ----------
    id
        An instance, or the beginning of its id.
    type
        The type of the event; needed where the instance waits for several, or does not wait yet.
    payload
        One value of what the event brings as KEY=VALUE, repeatable.
    payload_file
        What it brings as a YAML or JSON file; --payload adds to it.
    key
        An event with a key that was used before is not recorded again.
    json
        As JSON.
    """
    from ..flows import control

    brings = instance_input(payload, payload_file, "--payload") if payload or payload_file else None
    with opened() as store:
        event = control.signal(store, find(store, id).id, type, brings, key=key)
    out = terminal()
    if json:
        out.write_json(event.public())
    else:
        out.write(f"{event.id} {event.type}: recorded")
    return faults.OK


for command in (timeline, explain, replay, reconcile):
    instances.command(command)
for name, command in COMMANDS.items():
    instances.command(command, name=name)


def _planned(
    store: Store,
    instance: Instance,
    onto: str | None,
    parameters: dict[str, dict[str, Any]],
    start: str | None,
) -> tuple[Any, Analysis]:
    """What runs again, and the definition that it runs with."""
    from ..deployments.carrying import analysis_of
    from ..deployments.library import library_of
    from ..deployments.registration import kept
    from ..deployments.run import with_parameters
    from ..flows.rerun import plan_rerun

    ran = analysis_of(instance, store)
    newer = None if onto is None else _onto(onto, instance, store)
    base = newer or ran
    changed = (
        with_parameters(base, parameters, library_of(Path(base.file or ""), store)) if parameters else None
    )
    analysis = changed or base
    source = Path(analysis.file).absolute() if analysis.file else None
    rerun = plan_rerun(
        store.executions.for_instance(instance.id),
        ran,
        newer=newer,
        changed=changed,
        start=start,
        source_name=str(source) if source is not None and source.is_file() else None,
    )
    return replace(rerun, definition=kept(analysis)), analysis


def _onto(onto: str, instance: Instance, store: Store) -> Analysis:
    from ..compiler import analyze
    from ..deployments.carrying import registered_version
    from ..deployments.library import library_of

    if not Path(onto).is_file():
        return registered_version(instance.workflow, onto, store)
    analysis = analyze(Path(onto), library=library_of(Path(onto), store))
    analysis.raise_for_errors()
    if analysis.definition is None or analysis.definition.name != instance.workflow:
        raise RealmError(
            Code.INVALID_ARGUMENT,
            f"{onto} is not a definition of {instance.workflow}, which {instance.id} is of",
        )
    return analysis


def check_served(analysis: Analysis, store: Store) -> None:
    """FAILED_PRECONDITION for a definition that `realm serve` would not find."""
    from ..deployments.carrying import is_registered

    if not is_registered(analysis, store):
        raise RealmError(
            Code.FAILED_PRECONDITION,
            "`realm serve` runs registered versions, and this definition is none",
            hint="leave out --detach, or `realm register` the definition and name it with --onto",
        )


def carry_on_here(
    instance: Instance, analysis: Analysis, engine: str, root: Roots, json: bool, *, asks: bool = False
) -> int:
    """Run it here to its end, or to the next breakpoint, and show what came out. ``asks``: a person is asked there."""
    from ..core.settings import settings
    from .debugger import Prompt
    from .logs import engines_quiet
    from .progress import progress
    from .results import show_result

    out = terminal()
    assert analysis.definition is not None
    nodes = [(node.node_id, node.type) for node in analysis.definition.nodes]
    display = progress(out, nodes, silent=json, debugging=asks)
    file = Path(analysis.file or "")
    roots = (*root, *([file.absolute().parent] if file.is_file() else []))
    with engines_quiet(out):
        from ..deployments.carrying import carry_on
        from ..deployments.run import run_to_end

        with display:
            result = run_to_end(
                carry_on(
                    instance.id,
                    settings(),
                    engine=engine,
                    roots=roots,
                    on_event=display,
                    announce=(lambda line: None) if json else out.say,
                    debugger=Prompt(out) if asks else None,
                )
            )
    if json:
        out.write_json(result)
    else:
        show_result(out, result, ran_here=True)
    return exit_code(result)


def _waited(store: Store, answer: Answer, seconds: float, until: Callable[[Instance], bool]) -> Instance:
    """The instance once it did what it was asked for, or ``seconds`` are over."""
    deadline = time.monotonic() + seconds
    instance = answer.instance
    while not answer.done and not until(instance) and time.monotonic() < deadline:
        time.sleep(POLL)
        instance = store.instances.get(instance.id)
    return instance


def _said(instance: Instance, answer: Answer, json: bool, *, hint: str | None = None) -> int:
    out: Terminal = terminal()
    if json:
        out.write_json(
            {"instance_id": instance.id, "status": str(instance.status), "requested": instance.requested}
        )
        return faults.OK
    if instance.status is answer.instance.status:
        out.write(f"{instance.id} {answer.message}")
        if hint and not answer.done:
            out.say(hint)
    else:
        out.write(f"{instance.id} is {instance.status}")
    return faults.OK
