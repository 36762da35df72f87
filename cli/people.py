"""``realm tasks``: what people are asked, and their answers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from ..core.errors import Code, RealmError
from . import faults
from .running import Pairs, instance_input
from .terminal import Terminal, terminal

if TYPE_CHECKING:
    from ..store import Store
    from ..store.human_tasks import Choice, HumanTask

tasks = App(
    name="tasks",
    help="What people are asked: list it, look into it, approve or reject.",
    help_format="plaintext",
)

Who = Annotated[str | None, Parameter(name="--as")]
Roles = Annotated[tuple[str, ...], Parameter(name="--role")]


@tasks.command(name="list")
def list_(
    *,
    status: Literal["open", "decided", "canceled", "all"] = "open",
    by: Who = None,
    role: Roles = (),
    limit: Annotated[int, Parameter(alias="-n")] = 20,
    json: bool = False,
) -> int:
    """List tasks, newest first; the open ones unless told.

    Parameters
    ----------
    status
        Only with this status, or all.
    by
        Only what this person may decide now.
    role
        A role that the person has, repeatable.
    limit
        At most so many; 20 unless told.
    json
        As JSON.
    """
    with _store() as store:
        wanted = None if status == "all" else status
        found = store.human_tasks.list(wanted, person=by, roles=role, limit=limit)
    out = terminal()
    if json:
        out.write_json([_row(task) for task in found])
    elif found:
        _print_table(out, found)
    else:
        out.say("nobody is asked anything" if by is None else f"{by} is not asked anything")
    return faults.OK


@tasks.command
def show(id: str, /, *, json: bool = False) -> int:
    """Show one task: what is asked of whom, its form, and what was decided so far.

    Parameters
    ----------
    id
        The task, or the beginning of its id.
    json
        As JSON.
    """
    with _store() as store:
        task = find(store, id)
    out = terminal()
    if json:
        out.write_json(_row(task))
    else:
        _print_task(out, task)
    return faults.OK


@tasks.command
def approve(
    id: str,
    /,
    *,
    by: Who = None,
    role: Roles = (),
    comment: str | None = None,
    form: Pairs = (),
    form_file: Path | None = None,
    json: bool = False,
) -> int:
    """Approve a task.

    Parameters
    ----------
    id
        The task, or the beginning of its id.
    by
        Who decides; you, by the name you are logged in with, unless told.
    role
        A role that the person has, repeatable.
    comment
        Why.
    form
        One value of the form as KEY=VALUE, repeatable; a value that is JSON keeps its type.
    form_file
        The form as a YAML or JSON file; --form adds to it.
    json
        As JSON.
    """
    return _decide(id, "approve", by, role, comment, _form(form, form_file), json)


@tasks.command
def reject(
    id: str,
    /,
    *,
    by: Who = None,
    role: Roles = (),
    comment: str | None = None,
    form: Pairs = (),
    form_file: Path | None = None,
    json: bool = False,
) -> int:
    """Reject a task.

    Parameters
    ----------
    id
        The task, or the beginning of its id.
    by
        Who decides; you, by the name you are logged in with, unless told.
    role
        A role that the person has, repeatable.
    comment
        Why.
    form
        One value of the form as KEY=VALUE, repeatable; a rejection need not fill it in.
    form_file
        The form as a YAML or JSON file; --form adds to it.
    json
        As JSON.
    """
    return _decide(id, "reject", by, role, comment, _form(form, form_file), json)


def _form(pairs: tuple[str, ...], file: Path | None) -> dict[str, Any] | None:
    return instance_input(pairs, file, "--form") if pairs or file is not None else None


def _decide(
    id: str,
    decision: Choice,
    by: str | None,
    roles: tuple[str, ...],
    comment: str | None,
    form: dict[str, Any] | None,
    json: bool,
) -> int:
    person = by or _myself()
    with _store() as store:
        task = store.human_tasks.decide(
            find(store, id).id, person, decision, roles=roles, comment=comment, form=form
        )
    out = terminal()
    if json:
        out.write_json(_row(task))
        return faults.OK
    became = task.outcome if task.status == "decided" else "still open, others are asked too"
    out.write(f"{task.id} {task.title}: {became}")
    return faults.OK


def _myself() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        raise RealmError(
            Code.INVALID_ARGUMENT, "nobody is logged in here by a name", hint="say who decides with --as NAME"
        ) from None


def _store() -> Store:
    from ..core.settings import settings
    from ..store import Store

    return Store.open(settings().database)


def find(store: Store, id: str) -> HumanTask:
    """The task that ``id`` or its beginning names. NOT_FOUND, INVALID_ARGUMENT."""
    begin = "ht-" + id.removeprefix("ht-")
    matches = [task for task in store.human_tasks.list(limit=1000) if task.id.startswith(begin)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        hint = f"more than one begins so: {', '.join(task.id for task in matches[:5])}"
        raise RealmError(Code.INVALID_ARGUMENT, f"{id} is not one task", hint=hint)
    return store.human_tasks.get(begin)


def _row(task: HumanTask) -> dict[str, Any]:
    names = (
        *(
            "id",
            "instance_id",
            "node_id",
            "iteration",
            "title",
            "description",
            "assignees",
            "role",
            "approval",
        ),
        *(
            "quorum",
            "form",
            "on_timeout",
            "status",
            "outcome",
            "timed_out",
            "round",
            "decisions",
            "escalations",
        ),
    )
    moments = {name: getattr(task, name) for name in ("deadline", "created_at", "decided_at")}
    return {name: getattr(task, name) for name in names} | {
        name: None if at is None else at.isoformat() for name, at in moments.items()
    }


def _print_table(out: Terminal, found: list[HumanTask]) -> None:
    from rich.table import Table

    table = Table("task", "title", "asked", "rule", "until", "status", box=None, pad_edge=False)
    for task in found:
        table.add_row(task.id, task.title, _asked(task), _rule(task), _when(task.deadline), _status(task))
    out.console.print(table)


def _print_task(out: Terminal, task: HumanTask) -> None:
    from rich.text import Text

    lines = {
        "task": f"{task.id}  {_status(task)}",
        "title": task.title,
        "about": task.description or "",
        "asked": f"{_asked(task)}  ({_rule(task)})",
        "until": f"{_when(task.deadline)}, then {task.on_timeout}" if task.deadline else "",
        "from": f"{task.instance_id}  {task.node_id}{f'[{task.iteration}]' if task.iteration else ''}",
    }
    for name, value in lines.items():
        if value:
            out.console.print(Text.assemble((f"{name:<7}", "dim"), value), soft_wrap=True)
    if task.form is not None:
        out.console.print(Text("form", style="dim"))
        out.write_json(task.form)
    for decision in task.decisions:
        out.console.print(Text(_sentence(decision, task.round)), soft_wrap=True)


def _asked(task: HumanTask) -> str:
    return f"role {task.role}" if task.role is not None else ", ".join(task.assignees or ())


def _rule(task: HumanTask) -> str:
    return f"{task.quorum} of them" if task.approval == "quorum" else task.approval


def _status(task: HumanTask) -> str:
    by_time = " by timeout" if task.timed_out else ""
    return f"{task.outcome}{by_time}" if task.outcome else task.status


def _sentence(decision: Mapping[str, Any], present: int) -> str:
    when = _when(datetime.fromisoformat(decision["at"]))
    earlier = "" if decision["round"] == present else ", in an earlier round"
    why = f": {decision['comment']}" if decision["comment"] else ""
    return f"{when}  {decision['by']} {decision['decision']}s{earlier}{why}"


def _when(moment: datetime | None) -> str:
    return "" if moment is None else moment.astimezone().strftime("%Y-%m-%d %H:%M")
