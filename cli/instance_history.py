"""``realm instances timeline``, ``explain`` and ``replay``: what an instance did, and why."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ..core.durations import parse_duration
from ..core.errors import Code, RealmError
from . import faults
from .records import find, opened
from .terminal import terminal

if TYPE_CHECKING:
    from ..compiler import Definition
    from ..store import Instance, Store


def timeline(
    id: str | None = None, /, *, node: str | None = None, at: str | None = None, json: bool = False
) -> int:
    """Show every transition of an instance and its nodes in order, and how long each had stood before.

    Parameters
    ----------
    id
        An instance, or the beginning of its id; without one, the newest.
    node
        Only of this node; each/resize[7] is one round of a loop.
    at
        How everything stood at that moment instead: the number of a transition, a time such as 2026-11-21T16:05:00
        (this machine's, unless it names a zone), or +90s after the start.
    json
        As JSON.
    """
    if at is not None:
        return _past(id, at, node, json)
    from ..flows.timeline import timeline as entries

    with opened() as store:
        found = [one for one in entries(store, find(store, id).id) if node in (None, one.node)]
    out = terminal()
    if json:
        out.write_json([entry.to_dict() for entry in found])
        return faults.OK
    from rich.table import Table
    from rich.text import Text

    from .progress import ICONS
    from .results import seconds

    table = Table("#", "after", "life", "what", "", "lasted", "", box=None, pad_edge=False)
    for entry in found:
        sign, style = ICONS.get(entry.after or "", ("", ""))
        attempt = f" (attempt {entry.attempt})" if entry.attempt and entry.attempt > 1 else ""
        table.add_row(
            str(entry.sequence),
            seconds(entry.since_start),
            str(entry.epoch or ""),
            Text(entry.node or "instance", style="" if entry.node else "bold"),
            Text(f"{sign} {entry.after or ''}{attempt}".strip(), style=style),
            seconds(entry.lasted),
            Text(entry.note, style="dim"),
        )
    out.console.print(table)
    return faults.OK


def _past(id: str | None, at: str, node: str | None, as_json: bool) -> int:
    """``timeline --at``."""
    with opened() as store:
        instance = find(store, id)
        state = store.history.state_at(instance.id, **_moment(at, instance))
    named = {f"{id}[{round}]" if round else id: past for (id, round), past in state.nodes.items()}
    nodes = {name: past for name, past in named.items() if node in (None, name)}
    out = terminal()
    if as_json:
        shown = {
            name: {"status": str(past.status), "attempts": {str(n): str(s) for n, s in past.attempts.items()}}
            for name, past in nodes.items()
        }
        out.write_json(
            {
                "instance_id": instance.id,
                "sequence": state.sequence,
                "at": state.at.isoformat(),
                "status": str(state.status),
                "life": state.epoch,
                "nodes": shown,
            }
        )
        return faults.OK
    from rich.table import Table
    from rich.text import Text

    from .progress import ICONS

    out.write(
        f"{instance.id} was {state.status} after transition {state.sequence}, at {state.at.isoformat()}"
    )
    table = Table("what", "", "attempts", box=None, pad_edge=False)
    for name, past in nodes.items():
        sign, style = ICONS.get(past.status, ("", ""))
        table.add_row(Text(name), Text(f"{sign} {past.status}", style=style), str(len(past.attempts) or ""))
    out.console.print(table)
    return faults.OK


def _moment(text: str, instance: Instance) -> dict[str, Any]:
    """What ``--at`` names: the number of a transition, or a time."""
    if text.isdecimal():
        return {"sequence": int(text)}
    try:
        if text.startswith("+"):
            return {"moment": instance.created_at + timedelta(seconds=parse_duration(text[1:]))}
        return {"moment": datetime.fromisoformat(text).astimezone(UTC)}
    except (ValueError, RealmError):
        raise RealmError(
            Code.INVALID_ARGUMENT,
            f"--at {text!r} is no moment",
            hint="give the number of a transition, a time such as 2026-11-21T16:05:00, or +90s after the start",
        ) from None


def explain(id: str, node: str, /, *, json: bool = False) -> int:
    """Say why a node of an instance ran, was skipped, used again or canceled, or has not run.

    Parameters
    ----------
    id
        An instance, or the beginning of its id.
    node
        The node; each/resize[7] is one round of a loop.
    json
        As JSON.
    """
    from ..flows.timeline import explain as sentences

    with opened() as store:
        instance = find(store, id)
        said = sentences(store, instance.id, node, _definition(instance, store))
    out = terminal()
    if json:
        out.write_json({"instance_id": instance.id, "node": node, "explanation": said})
    else:
        for sentence in said:
            out.write(sentence)
    return faults.OK


def replay(id: str, /, *, json: bool = False) -> int:
    """Decide a past instance again from its journal, without running a node, and show what would come out otherwise.

    Exits with 0 when every decision and output is as it was, with 1 when something differs.

    Parameters
    ----------
    id
        An instance, or the beginning of its id.
    json
        As JSON.
    """
    from ..core.settings import settings
    from ..deployments.carrying import replayed
    from ..deployments.run import run_to_end

    with opened() as store:
        instance = find(store, id)
        found = run_to_end(replayed(instance, store, settings()))
    out = terminal()
    if json:
        out.write_json(found.to_dict())
    else:
        for line in found.differences:
            out.write(line)
        same = "as it was" if not found.differences else f"{len(found.differences)} differences"
        out.write(f"{instance.id} replayed: {len(found.decisions)} decisions, {same}")
    return faults.OK if not found.differences else faults.INPUT_AT_FAULT


def _definition(instance: Instance, store: Store) -> Definition | None:
    """What the instance ran, where that is known: an explanation can do without."""
    from ..deployments.carrying import analysis_of

    try:
        return analysis_of(instance, store).definition
    except RealmError:
        return None
