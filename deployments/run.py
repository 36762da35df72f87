"""Run one instance here and now: what ``realm run`` and ``python flow.py`` do."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar

from ..compiler import Analysis, analyze, compile_workflow
from ..core.errors import Code, RealmError
from ..core.settings import Settings, settings
from ..core.status import InstanceStatus
from ..flows.environment import Event
from ..flows.results import instance_result
from .surroundings import Announce, Surroundings, quiet, surroundings

T = TypeVar("T")


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
) -> dict[str, Any]:
    """Run one instance of a definition (a file, an analysis, or the name of a registered workflow) to its end.

    ``parameters`` overrides node parameters, ``{node_id: {parameter: value}}``. Returns :func:`instance_result` with
    ``prefect_url``; a failed instance is a result, not an exception. Raises INVALID_WORKFLOW_DEFINITION with the
    findings.
    """
    configured = configured or settings()
    async with surroundings(
        configured, engine=engine, roots=roots, on_event=on_event, announce=announce
    ) as around:
        analysis = with_parameters(_analysis(target, around, configured), parameters or {})
        flow = compile_workflow(analysis).flow
        return await execute(flow, around, input=input, trigger=trigger)


async def execute(
    flow: Any, around: Surroundings, *, input: Mapping[str, Any] | None, trigger: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Persist an instance, run ``flow`` for it, and return its result."""
    instance_id = await around.environment.journal.call(_persist, flow, around, input or {}, trigger or {})
    call = {"input": dict(input or {}), "trigger": dict(trigger or {}), "instance_id": instance_id}
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


def with_parameters(analysis: Analysis, parameters: Mapping[str, Mapping[str, Any]]) -> Analysis:
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
    changed = analyze("workflow.json", text=json.dumps(document, ensure_ascii=False))
    changed.raise_for_errors()
    return changed


def run_to_end(work: Coroutine[Any, Any, T]) -> T:
    """``asyncio.run`` that SIGTERM ends as Ctrl-C does: in order, with the instance decided. KeyboardInterrupt then."""

    def interrupt(*_: object) -> None:
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a shell's background job
            signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.raise_signal(signal.SIGINT)

    if threading.current_thread() is not threading.main_thread():
        return asyncio.run(work)
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        return asyncio.run(work)
    finally:
        signal.signal(signal.SIGTERM, before)


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
        analysis = analyze(Path(target))
    else:
        from .registration import registered

        found = registered(str(target), around.store, configured)
        analysis = analyze("workflow.json", text=json.dumps(found.definition.document(), ensure_ascii=False))
    analysis.raise_for_errors()
    return analysis


def _persist(flow: Any, around: Surroundings, input: Mapping[str, Any], trigger: Mapping[str, Any]) -> str:
    from ..store import NewInstance

    new = NewInstance(
        workflow=flow.name,
        version=flow.version,
        input=dict(input),
        trigger_type=str(trigger.get("type") or "manual"),
        trigger_payload=trigger.get("payload"),
        claimed_by=around.environment.owner,  # Else a `realm serve` of the same database would run it too.
    )
    return around.store.instances.create(new)[0].id


async def _surface(state: Any, instance_id: str, around: Surroundings) -> None:
    """Raise what kept the flow from reaching a verdict: without one, the result would be a lie."""
    instance = await around.environment.journal.instance(instance_id)
    if not instance.status.terminal:
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
