"""Carrying instances on that exist: what they ran is found again, also where it was never registered."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..compiler import Analysis, analyze, compile_workflow, emit
from ..core.errors import Code, RealmError
from ..core.settings import Settings
from ..flows.engines import engine_choice
from ..flows.environment import Debugger, Event
from ..store import Instance, Store
from .library import RegisteredWorkflows, library_of
from .run import asking, run_instance
from .surroundings import Announce, quiet, surroundings

if TYPE_CHECKING:
    from ..flows.replay import Replayed


def analysis_of(instance: Instance, store: Store) -> Analysis:
    """The definition that an instance runs. FAILED_PRECONDITION where it is neither kept nor registered, or does not
    compile any more."""
    kept = store.definitions.get(instance.definition_hash or "")
    if kept is not None:
        return _analysed(kept.document, kept.source_name, store, instance.version)
    try:
        row = store.workflows.get(instance.workflow, instance.version)
    except RealmError:
        raise RealmError(
            Code.FAILED_PRECONDITION,
            f"what instance {instance.id} ran is not known here: {instance.workflow} {instance.version}",
            hint="`realm register` its definition, or run it again with `realm run`",
        ) from None
    return _analysed(dict(row.definition), row.source_name, store, row.version)


def kept_flow(instance: Instance, store: Store) -> Any:
    """The flow of an instance that runs a definition of its own, as ``realm run FILE`` and retries with changes keep
    it, or that is debugged; ``None`` for any other."""
    debugged = store.debugging.get(instance.id).revision > 0
    if store.definitions.get(instance.definition_hash or "") is None and not debugged:
        return None
    return _compiled(instance, store)


def registered_version(name: str, version: str | None, store: Store) -> Analysis:
    """A registered version, the highest without ``version``."""
    row = store.workflows.get(name, version)
    return _analysed(dict(row.definition), row.source_name, store, row.version)


def is_registered(analysis: Analysis, store: Store) -> bool:
    """Whether a dispatcher would find this very definition by name and version."""
    definition = analysis.definition
    if definition is None:
        return False
    try:
        row = store.workflows.get(definition.name, definition.version)
    except RealmError:
        return False
    return {**row.definition, "version": row.version} == {**definition.document(), "version": row.version}


def _analysed(document: Mapping[str, Any], source: str | None, store: Store, version: str) -> Analysis:
    found = source is not None and Path(source).is_file()
    library = library_of(Path(source or ""), store) if found else RegisteredWorkflows(store)
    document = {**document, "version": document.get("version") or version}
    text = json.dumps(document, ensure_ascii=False, indent=2)
    analysis = analyze(source or "workflow.json", text=text, library=library)
    analysis.raise_for_errors()
    return analysis


def computed_beforehand(analysis: Analysis, name: str) -> bool:
    """Whether the optimiser computes something from a variable, so that setting it changes a flow that runs less than
    it should."""
    variable = re.compile(rf"\bvars\.{re.escape(name.removeprefix('vars.').partition('.')[0])}\b")
    optimised, plain = (len(variable.findall(emit(analysis, optimised=one))) for one in (True, False))
    return optimised < plain


def _compiled(instance: Instance, store: Store) -> Any:
    """The flow of an instance. Of one that is debugged, every node and variable is there as written: what the
    optimiser computes, a person may change."""
    debugged = store.debugging.get(instance.id).revision > 0
    return compile_workflow(analysis_of(instance, store), optimised=not debugged).flow


async def replayed(instance: Instance, store: Store, configured: Settings) -> Replayed:
    """Decide a past instance again from its journal; see :mod:`..flows.replay`."""
    from ..flows.replay import replay

    token = engine_choice.set("local")
    try:
        flow = _compiled(instance, store)
        return await replay(flow, store, instance.id, configured)
    finally:
        engine_choice.reset(token)


async def carry_on(
    instance_id: str,
    configured: Settings,
    *,
    engine: str = "prefect",
    roots: tuple[Path, ...] = (),
    on_event: Callable[[Event], None] = lambda event: None,
    announce: Announce = quiet,
    debugger: Debugger | None = None,
) -> dict[str, Any]:
    """Run an instance here that :mod:`..flows.control` let go on, to its end; its result as of ``run_workflow``."""
    async with surroundings(
        configured, engine=engine, roots=roots, on_event=on_event, announce=announce
    ) as around:
        instance = await around.environment.journal.instance(instance_id)
        flow = _compiled(instance, around.store)
        with asking(around, debugger) as debugged:
            return await run_instance(flow, debugged, instance_id, {})
