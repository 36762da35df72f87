"""``realm events``: tell workflows that something happened, and see what did."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from ..core.errors import Code, RealmError
from . import faults
from .running import Pairs, instance_input
from .terminal import terminal

if TYPE_CHECKING:
    from ..store import Store

events = App(
    name="events", help="Events that workflows wait for: emit one, list them.", help_format="plaintext"
)


@events.command
def emit(
    type: str,
    /,
    *,
    payload: Pairs = (),
    payload_file: Path | None = None,
    correlation: str | None = None,
    key: str | None = None,
    json: bool = False,
) -> int:
    """Record an event. Instances that wait for it go on.

    Parameters
    ----------
    type
        What kind of event it is, as order.paid.
    payload
        One value of what it brings as KEY=VALUE, repeatable. A dotted key nests; a value that is JSON keeps its
        type.
    payload_file
        What it brings as a YAML or JSON file; --payload adds to it.
    correlation
        What ties it to who waits for it: text, or JSON as '{"order": 17}'.
    key
        An event with a key that was used before is not recorded again.
    json
        As JSON.
    """
    if not type or any(character.isspace() or character == "*" for character in type):
        raise RealmError(
            Code.INVALID_ARGUMENT,
            f"{type!r} is no type of events",
            hint="write a name without blanks and asterisks, as order.paid",
        )
    brings = instance_input(payload, payload_file, "--payload") if payload or payload_file else None
    with _store() as store:
        event, new = store.events.emit(
            type, brings, source="cli", correlation=_json_or_text(correlation), idempotency_key=key
        )
    out = terminal()
    if json:
        out.write_json({**event.public(), "new": new})
    else:
        out.write(f"{event.id} {event.type}: {'recorded' if new else 'recorded before, nothing changed'}")
    return faults.OK


@events.command(name="list")
def list_(
    *,
    type: str | None = None,
    correlation: str | None = None,
    limit: Annotated[int, Parameter(alias="-n")] = 20,
    json: bool = False,
) -> int:
    """List events, newest first.

    Parameters
    ----------
    type
        Only of this type.
    correlation
        Only of this correlation: text, or JSON.
    limit
        At most so many; 20 unless told.
    json
        As JSON.
    """
    with _store() as store:
        found = store.events.list(type, _json_or_text(correlation), limit=limit)
    out = terminal()
    if json:
        out.write_json([event.public() for event in found])
    elif not found:
        out.say("no events; `realm events emit TYPE` records one")
    else:
        from rich.table import Table

        table = Table("event", "type", "correlation", "from", "when", box=None, pad_edge=False)
        for event in found:
            when = event.created_at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
            table.add_row(event.id, event.type, _shown(event.correlation), event.source, when)
        out.console.print(table)
    return faults.OK


def _json_or_text(value: str | None) -> Any:
    try:
        return None if value is None else json_module.loads(value)
    except json_module.JSONDecodeError:
        return value


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json_module.dumps(value, ensure_ascii=False)


def _store() -> Store:
    from ..core.settings import settings
    from ..store import Store

    return Store.open(settings().database)
