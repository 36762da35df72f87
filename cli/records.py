"""``realm register`` and ``realm instances``: what the store knows."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from ..core.errors import Code, RealmError
from . import faults
from .terminal import terminal

if TYPE_CHECKING:
    from ..deployments.registration import Registered
    from ..store import Instance, Store

Status = Literal[
    "pending", "running", "paused", "waiting", "compensating", "retrying", "completed", "failed", "canceled"
]

instances = App(
    name="instances",
    help="The runs of workflows: list them, look into one, steer it, follow what it did.",
    help_format="plaintext",
)


def register(file: Path, /, *, json: bool = False) -> int:
    """Put a definition into the store as its next version; `realm serve` then listens to its triggers.

    Parameters
    ----------
    file
        The definition.
    json
        As JSON.
    """
    if (found := put(file)) is None:
        return faults.INPUT_AT_FAULT
    out = terminal()
    if json:
        out.write_json(
            {
                "name": found.name,
                "version": found.version,
                "created": found.created,
                "source": str(found.path),
            }
        )
        return faults.OK
    news = "registered" if found.created else "registered before, nothing changed"
    out.write(f"{found.name} {found.version}: {news}")
    out.say(f"next: realm run {found.name}, realm deploy {found.name}, or realm serve")
    return faults.OK


def put(file: Path) -> Registered | None:
    """Register the definition in ``file``; ``None`` when it has errors, which were shown."""
    from ..core.settings import settings
    from ..deployments.registration import register as register_definition
    from ..store import Store
    from .definitions import checked

    if (analysis := checked(file)) is None:
        return None
    configured = settings()
    with Store.open(configured.database) as store:
        return register_definition(analysis, store, configured, source=str(file.absolute()))


@instances.command(name="list")
def list_(
    *,
    workflow: str | None = None,
    status: Status | None = None,
    limit: Annotated[int, Parameter(alias="-n")] = 20,
    json: bool = False,
) -> int:
    """List instances, newest first.

    Parameters
    ----------
    workflow
        Only of this workflow.
    status
        Only with this status.
    limit
        At most so many; 20 unless told.
    json
        As JSON.
    """
    from ..core.status import InstanceStatus

    wanted = InstanceStatus(status) if status else None
    with opened() as store:
        found = store.instances.list(wanted, workflow, limit=limit)
        total = store.instances.count(wanted, workflow)
    out = terminal()
    if json:
        out.write_json([_row(instance) for instance in found])
        return faults.OK
    if not found:
        out.say("no instances; `realm run workflow.yaml` makes one")
        return faults.OK
    _print_table(found)
    if total > len(found):
        out.say(f"\n{len(found)} of {total}; --limit shows more")
    return faults.OK


@instances.command
def show(id: str | None = None, /, *, json: bool = False) -> int:
    """Show one instance: every node with its attempts, the output or the error.

    Parameters
    ----------
    id
        An instance, or the beginning of its id; without one, the newest.
    json
        As JSON.
    """
    from ..flows.results import instance_result
    from .results import show_result

    with opened() as store:
        result = instance_result(store, find(store, id).id)
    out = terminal()
    if json:
        out.write_json(result)
    else:
        show_result(out, result)
    return faults.OK


def opened() -> Store:
    """The configured store."""
    from ..core.settings import settings
    from ..store import Store

    return Store.open(settings().database)


def find(store: Store, id: str | None) -> Instance:
    """The instance that ``id`` or its beginning names; the newest for ``None``. NOT_FOUND, INVALID_ARGUMENT."""
    if id is None:
        if newest := store.instances.list(limit=1):
            return newest[0]
        raise RealmError(
            Code.NOT_FOUND, "there is no instance yet", hint="`realm run workflow.yaml` makes one"
        )
    try:
        return store.instances.get(id)
    except RealmError as error:
        if error.code is not Code.NOT_FOUND:
            raise
        matches = [
            i
            for i in store.instances.list(limit=1000)
            if i.id.removeprefix("inst-").startswith(id.removeprefix("inst-"))
        ]
        if len(matches) == 1:
            return matches[0]
        if matches:
            hint = f"more than one begins so: {', '.join(i.id for i in matches[:5])}"
            raise RealmError(Code.INVALID_ARGUMENT, f"{id} is not one instance", hint=hint) from None
        raise RealmError(
            Code.NOT_FOUND, f"no instance {id}", hint="`realm instances list` shows them"
        ) from None


def _row(instance: Instance) -> dict[str, Any]:
    return {
        "instance_id": instance.id,
        "workflow": instance.workflow,
        "version": instance.version,
        "status": str(instance.status),
        "trigger_type": instance.trigger_type,
        "created_at": instance.created_at.isoformat(),
        "started_at": instance.started_at.isoformat() if instance.started_at else None,
        "completed_at": instance.completed_at.isoformat() if instance.completed_at else None,
        "duration": instance.duration,
        "error": {"code": instance.error.get("code"), "message": instance.error.get("message")}
        if instance.error
        else None,
    }


def _print_table(found: list[Instance]) -> None:
    from rich.table import Table
    from rich.text import Text

    from .progress import ICONS
    from .results import seconds

    table = Table(
        "instance", "workflow", "status", "trigger", "started", "took", "", box=None, pad_edge=False
    )
    for instance in found:
        status = str(instance.status)
        sign, style = ICONS.get(status, ("", ""))
        table.add_row(
            instance.id,
            f"{instance.workflow} {instance.version}",
            Text(f"{sign} {status}".strip(), style=style),
            instance.trigger_type,
            _when(instance.started_at or instance.created_at),
            seconds(instance.duration),
            Text(str((instance.error or {}).get("code", "")), style="red"),
        )
    terminal().console.print(table)


def _when(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")
