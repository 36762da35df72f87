"""Run one instance here and now: what ``realm run`` and ``python flow.py`` do."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from ..compiler import Analysis, analyze, compile_workflow
from ..compiler.library import Library
from ..core.errors import Code, RealmError
from ..core.settings import Settings, settings
from ..core.status import InstanceStatus
from ..flows.environment import Debugger, Event, use
from ..flows.results import instance_result
from ..flows.stepping import Debug, person
from ..flows.stopping import forget_terminal, heard_by
from .library import RegisteredWorkflows, library_of
from .surroundings import Announce, Surroundings, quiet, surroundings

T = TypeVar("T")

MOST_SHOWN = 128 << 10
"""Characters of an instance's input that its flow run in Prefect shows; Prefect's own limit is 512 KiB."""
_ASIDE = (InstanceStatus.PAUSED, InstanceStatus.WAITING)
"""Where an instance rests without a verdict: it was paused, or stands at a breakpoint."""


async def run_workflow(
    target: Analysis | str | Path,
    *,
    input: Mapping[str, Any] | None = None,
    trigger: Mapping[str, Any] | None = None,
    parameters: Mapping[str, Mapping[str, Any]] | None = None,
    engine: str = "prefect",
    roots: tuple[Path, ...] = (),
    on_event: Callable[[Event], None] = lambda event: None,
    announce: Announce = quiet,
    configured: Settings | None = None,
    debug: Debug | None = None,
    debugger: Debugger | None = None,
) -> dict[str, Any]:
    """Run one instance of a definition (a file, an analysis, or the name of a registered workflow) to its end, or to a
    breakpoint where no ``debugger`` asks what to do.

    ``parameters`` overrides node parameters, ``{node_id: {parameter: value}}``; ``debug`` says where to stop. Returns
    :func:`instance_result` with ``prefect_url``; a failed instance is a result, not an exception. Raises
    INVALID_WORKFLOW_DEFINITION with the findings.
    """
    configured = configured or settings()
    async with surroundings(
        configured, engine=engine, roots=roots, on_event=on_event, announce=announce
    ) as around:
        analysis = _analysis(target, around, configured)
        library = library_of(Path(analysis.file or ""), around.store)
        analysis = with_parameters(analysis, parameters or {}, library)
        flow = compile_workflow(analysis, optimised=debug is None).flow
        with asking(around, debugger) as debugged:
            return await execute(flow, debugged, input=input, trigger=trigger, analysis=analysis, debug=debug)


@contextlib.contextmanager
def asking(around: Surroundings, debugger: Debugger | None) -> Iterator[Surroundings]:
    """The surroundings, in which ``debugger`` (if there is one) asks at breakpoints."""
    if debugger is None:
        yield around
        return
    with use(replace(around.environment, debugger=debugger)) as environment:
        yield replace(around, environment=environment)


async def execute(
    flow: Any,
    around: Surroundings,
    *,
    input: Mapping[str, Any] | None,
    trigger: Mapping[str, Any] | None,
    analysis: Analysis | None = None,
    debug: Debug | None = None,
) -> dict[str, Any]:
    """Persist an instance, run ``flow`` for it, and return its result. The definition in ``analysis`` is kept, so that
    the instance can be carried on."""
    persist = around.environment.journal.once  # Asked again, it would be a second instance.
    instance_id = await persist(_persist, flow, around, input or {}, trigger or {}, analysis, debug)
    return await run_instance(
        flow, around, instance_id, {"input": dict(input or {}), "trigger": dict(trigger or {})}
    )


async def run_instance(
    flow: Any, around: Surroundings, instance_id: str, given: Mapping[str, Any]
) -> dict[str, Any]:
    """Run ``flow`` for an instance that was persisted, and return its result."""
    # Prefect takes no more; the instance's row has it all, and the flow reads it there.
    shown = given if len(json.dumps(given, ensure_ascii=False, default=str)) <= MOST_SHOWN else {}
    call = {**shown, "instance_id": instance_id}
    try:
        if around.engine == "local":
            with contextlib.suppress(RealmError):  # It is journaled, and the result shows it.
                await flow(**call)
        else:
            state = await flow(**call, return_state=True)
            await _surface(state, instance_id, around)
    except BaseException:
        await _forget(instance_id, around)
        raise
    result = await around.environment.journal.call(instance_result, around.store, instance_id)
    return {**result, "prefect_url": _flow_run_url(around, result)}


def with_parameters(
    analysis: Analysis, parameters: Mapping[str, Mapping[str, Any]], library: Library | None = None
) -> Analysis:
    """The analysis of the same definition with some node parameters replaced; NOT_FOUND for an unknown node."""
    if not parameters:
        return analysis
    analysis.raise_for_errors()
    assert analysis.definition is not None
    document = analysis.definition.document()
    nodes = {node["node_id"]: node for node in document["nodes"]}
    for node_id, values in parameters.items():
        if node_id not in nodes:
            raise RealmError(
                Code.NOT_FOUND,
                f"--set names node {node_id!r}, which the definition does not have",
                hint=f"its nodes are {', '.join(nodes)}",
            )
        nodes[node_id]["parameters"] = {**nodes[node_id].get("parameters", {}), **values}
    text = json.dumps(document, ensure_ascii=False)
    changed = analyze(analysis.file or "workflow.json", text=text, library=library)
    changed.raise_for_errors()
    return changed


def run_to_end(work: Coroutine[Any, Any, T]) -> T:
    """``asyncio.run`` that SIGTERM and a closed terminal end as Ctrl-C does: in order, with the instance decided.
    KeyboardInterrupt then."""

    def interrupt(signum: int, _: object) -> None:
        forget_terminal(signum)
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a shell's background job
            signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.raise_signal(signal.SIGINT)

    with heard_by(interrupt):
        return asyncio.run(work)


def main(flow: Any) -> None:
    """The command line of an emitted module: ``python flow.py [--input JSON] [--engine local]``."""
    import argparse

    parser = argparse.ArgumentParser(description=f"Run the workflow {flow.name} {flow.version} once.")
    parser.add_argument("--input", default="{}", metavar="JSON", help="the instance's input")
    parser.add_argument(
        "--root", action="append", default=[], metavar="DIR", help="a folder that nodes may touch"
    )
    arguments = parser.parse_args()
    try:
        given = json.loads(arguments.input)
        result = run_to_end(_main(flow, given, tuple(Path(root) for root in arguments.root)))
    except json.JSONDecodeError as error:
        parser.error(f"--input is not JSON: {error}")
    except RealmError as error:
        sys.exit(f"{error}\n{error.hint or ''}".strip())
    except KeyboardInterrupt:
        sys.exit(130)
    sys.stdout.write(json.dumps(result, ensure_ascii=False, indent=2) + "\n")
    sys.exit(0 if result["status"] == "completed" else 1)


async def _main(flow: Any, given: Mapping[str, Any], roots: tuple[Path, ...]) -> dict[str, Any]:
    from ..flows.engines import LocalFlow

    engine = "local" if isinstance(flow, LocalFlow) else "prefect"
    say = lambda line: print(line, file=sys.stderr)  # noqa: E731, T201
    async with surroundings(settings(), engine=engine, roots=roots, announce=say) as around:
        return await execute(flow, around, input=given, trigger=None)


def _analysis(target: Analysis | str | Path, around: Surroundings, configured: Settings) -> Analysis:
    analysis: Analysis
    if not isinstance(target, str | Path):
        analysis = target
    elif Path(target).is_file():
        analysis = analyze(Path(target), library=library_of(Path(target), around.store))
    else:
        from .registration import registered

        found = registered(str(target), around.store, configured)
        document = json.dumps(found.definition.document(), ensure_ascii=False)
        analysis = analyze("workflow.json", text=document, library=RegisteredWorkflows(around.store))
    analysis.raise_for_errors()
    return analysis


def _persist(
    flow: Any,
    around: Surroundings,
    input: Mapping[str, Any],
    trigger: Mapping[str, Any],
    analysis: Analysis | None,
    debug: Debug | None,
) -> str:
    from ..store import NewInstance
    from .registration import kept

    definition = kept(analysis) if analysis is not None else None
    digest = definition.hash.removeprefix("sha256:") if definition is not None else None
    new = NewInstance(
        workflow=flow.name,
        version=flow.version,
        input=dict(input),
        trigger_type=str(trigger.get("type") or "manual"),
        trigger_payload=trigger.get("payload"),
        definition_hash=digest,
        claimed_by=around.environment.owner,  # Else a `realm serve` of the same database would run it too.
    )
    with around.store.transaction():
        if analysis is not None and definition is not None and digest is not None:
            source = Path(analysis.file).absolute() if analysis.file else None
            kept = str(source) if source is not None and source.is_file() else None
            around.store.definitions.keep(digest, definition.document(), kept)
        made = around.store.instances.create(new)[0].id
        if debug is not None:
            debug.begin(around.store, made, by=person())
        return made


async def _surface(state: Any, instance_id: str, around: Surroundings) -> None:
    """Raise what kept the flow from reaching a verdict: without one, the result would be a lie."""
    instance = await around.environment.journal.instance(instance_id)
    if not instance.status.terminal and instance.status not in _ASIDE:
        result = await state.result(raise_on_failure=False)
        if isinstance(result, BaseException):
            raise result
        raise RealmError(
            Code.INTERNAL_ERROR, f"the flow run ended as {state.name} without deciding {instance_id}"
        )


async def _forget(instance_id: str, around: Surroundings) -> None:
    """An instance that never began must not wait for a server that would run it behind the person's back."""
    journal = around.environment.journal
    if (await journal.instance(instance_id)).status is InstanceStatus.PENDING:
        error = {"code": Code.CANCELLED.value, "message": "the run ended before it began"}
        await journal.transition(instance_id, InstanceStatus.CANCELED, error=error)


def _flow_run_url(around: Surroundings, result: Mapping[str, Any]) -> str | None:
    if around.prefect_url is None or not result.get("flow_run_id"):
        return None
    return f"{around.prefect_url.removesuffix('/api')}/runs/flow-run/{result['flow_run_id']}"
