"""What a person does to an instance that is debugged: step, continue, change a variable, look. Verbs over the store,
as those of :mod:`.control`; they work from any process."""

from __future__ import annotations

import getpass
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..core.errors import Code, RealmError
from ..core.status import InstanceStatus
from .control import Answer, abandoned, refused

if TYPE_CHECKING:
    from ..store import Instance, Stop, Store

_S = InstanceStatus


def person() -> str:
    """Who sits at this process, as events name them."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # A user id without a name, as in a container.
        return "cli"


@dataclass(frozen=True, slots=True)
class Debug:
    """What a run is debugged with from its beginning: see :class:`~mirror_realm.store.DebugState`."""

    stepping: bool = False
    breakpoints: Sequence[str] = ()
    ignoring: bool = False

    @property
    def wanted(self) -> bool:
        """Whether there is anything in it."""
        return self.stepping or self.ignoring or bool(self.breakpoints)

    def begin(self, store: Store, instance_id: str, *, by: str | None = None) -> None:
        """Let a new instance know."""
        store.debugging.change(
            instance_id,
            stepping=self.stepping,
            ignoring=self.ignoring,
            breakpoints=self.breakpoints,
            by=by,
        )


def checked_breakpoints(names: Iterable[str], nodes: Iterable[str]) -> list[str]:
    """The names, of nodes or of one round of them; NOT_FOUND with close matches for what names no node."""
    from ..compiler.close_matches import did_you_mean, listed

    known, chosen = list(nodes), list(dict.fromkeys(names))
    for name in chosen:
        key, bracket, rest = name.partition("[")
        if bracket and not (rest.endswith("]") and rest[:-1].replace(".", "").isdigit()):
            hint = "write NODE or, of one round, each/resize[7]"
            raise RealmError(Code.INVALID_ARGUMENT, f"{name} names no node", hint=hint)
        if key not in known:
            hint = did_you_mean(key, known) or f"its nodes are {listed(known)}"
            raise RealmError(Code.NOT_FOUND, f"the workflow has no node {key}", hint=hint)
    return chosen


def let_go(
    store: Store, instance_id: str, *, numbers: Collection[int] | None, on: bool, by: str | None = None
) -> list[Stop]:
    """Let stops go on (``None``: all), and stop before every further node (``on``) or not; those let go."""
    with store.transaction():
        store.debugging.change(instance_id, stepping=on, by=by)
        return store.debugging.release(instance_id, numbers, by=by)


@dataclass(frozen=True, slots=True)
class Going:
    """What became of a request to step or go on. ``here``: nobody runs the instance, so whoever asked does."""

    answer: Answer
    released: list[Stop]
    here: bool


def go_on(
    store: Store,
    instance_id: str,
    *,
    stepping: bool,
    node: str | None = None,
    owner: str | None = None,
    by: str | None = None,
) -> Going:
    """Let an instance go on from where it stands: past one stop (``stepping``: that of ``node``, else the first), or
    past all of them.

    One that runs hears of it within a second; one that ``realm serve`` put aside is carried on by that; any other is
    run by ``owner``. FAILED_PRECONDITION for one that is over, NOT_FOUND where ``node`` does not stand.
    """
    with store.transaction():
        instance = store.instances.lock(instance_id)
        if instance.status.terminal or instance.status is _S.COMPENSATING:
            hint = (
                f"`realm instances retry {instance.id}` runs it again" if instance.status.terminal else None
            )
            raise refused(instance, "it stands nowhere", hint=hint)
        open_stops = store.debugging.stops(instance_id, "open")
        chosen = _chosen(instance, open_stops, node, stepping)
        released = let_go(store, instance_id, numbers=chosen, on=stepping, by=by)
        words = f"goes on from {', '.join(stop.label for stop in released)}" if released else "goes on"
        if stepping and not released:
            words = "stops before its next node"
        served = (instance.claimed_by or "").startswith("home:")
        alive = instance.status is _S.RUNNING and abandoned(instance, store) is not True
        if alive or instance.status is _S.PENDING or (served and instance.status is _S.WAITING):
            return Going(Answer(instance, words, done=instance.status is _S.PENDING), released, here=False)
        asked = store.instances.ask(instance_id, "resume", by=by, claimed_by=owner)
        return Going(Answer(asked, words, done=False), released, here=owner is not None)


def _chosen(
    instance: Instance, stops: list[Stop], node: str | None, stepping: bool
) -> Collection[int] | None:
    if node is not None:
        numbers = [stop.number for stop in stops if node in (stop.label, stop.node_id)]
        if not numbers:
            where = ", ".join(stop.label for stop in stops) or "nowhere"
            raise RealmError(
                Code.NOT_FOUND,
                f"instance {instance.id} does not stand before {node}",
                hint=f"it stands before {where}" if stops else "it stands nowhere",
            )
        return numbers[:1] if stepping else numbers
    return [stop.number for stop in stops[:1]] if stepping else None


def set_variable(
    store: Store, instance_id: str, name: str, value: Any, declared: Mapping[str, Any], *, by: str
) -> Any:
    """Give a variable of an instance another value, for what runs from here on; the old one. ``declared`` are the
    definition's. The errors of :func:`assign`; FAILED_PRECONDITION for an instance that is over."""
    instance = store.instances.get(instance_id)
    if instance.status.terminal:
        raise refused(
            instance, "nothing of it reads a variable any more", hint="`realm instances retry` runs it again"
        )
    known = {**declared, **store.debugging.get(instance_id).variables}
    return assign(store, instance_id, known=known, name=name, value=value, by=by)


def assign(
    store: Store, instance_id: str, *, known: Mapping[str, Any], name: str, value: Any, by: str
) -> Any:
    """Give the variable ``name`` (``limits.most`` is a field of ``limits``) another value, with an event of it; the old
    one. NOT_FOUND for an unknown one, INVALID_ARGUMENT for a value of another type."""
    from ..compiler.close_matches import did_you_mean

    top, *path = name.removeprefix("vars.").split(".")
    if top not in known:
        names = ", ".join(known) or "none"
        hint = did_you_mean(top, known) or f"the workflow's variables are: {names}"
        raise RealmError(Code.NOT_FOUND, f"the workflow has no variable {top}", hint=hint)
    old, new = _put(known[top], path, value, name)
    store.debugging.set(instance_id, top, known[top], new, by=by)
    return old


def _put(value: Any, path: list[str], new: Any, name: str) -> tuple[Any, Any]:
    """The old value at ``path``, and ``value`` with ``new`` there."""
    if not path:
        if value is not None and new is not None and _kind(value) != _kind(new):
            raise RealmError(
                Code.INVALID_ARGUMENT,
                f"{name} is {_kind(value)}, and {new!r} is {_kind(new)}",
                hint="the definition was checked with its type; give a value of the same",
            )
        return value, new
    if not isinstance(value, Mapping) or path[0] not in value:
        fields = ", ".join(value) if isinstance(value, Mapping) else "it has none"
        raise RealmError(Code.NOT_FOUND, f"{name}: there is no field {path[0]}", hint=f"its fields: {fields}")
    old, inner = _put(value[path[0]], path[1:], new, name)
    return old, {**value, path[0]: inner}


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    words = {str: "a text", list: "a list", dict: "an object"}
    return next((word for type, word in words.items() if isinstance(value, type)), "null")


@dataclass(frozen=True, slots=True)
class View:
    """What is to be seen of an instance: its variables, where it stands, and what expressions read there."""

    instance: Instance
    variables: Mapping[str, Any]
    changed: Mapping[str, Any]
    stops: list[Stop]
    scope: Mapping[str, Any]

    def evaluate(self, expression: str) -> Any:
        """What an expression comes to. The errors of expressions."""
        from ..compiler.expressions import render

        return render("{{ " + expression + " }}", self.scope)

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "instance_id": self.instance.id,
            "status": str(self.instance.status),
            "variables": dict(self.variables),
            "changed": sorted(self.changed),
            "stops": [shown(stop) for stop in self.stops],
        }


def shown(stop: Stop) -> dict[str, Any]:
    """A stop as JSON."""
    return {
        "node": stop.label,
        "type": stop.node_type,
        "because": stop.because,
        "since": stop.reached_at.isoformat(),
        "parameters": dict(stop.parameters),
        "input": stop.input,
    }


def view(store: Store, instance_id: str, declared: Mapping[str, Any], *, node: str | None = None) -> View:
    """Look at an instance, as seen from where it stands: before ``node``, else at its first stop, else at the
    outermost nodes. NOT_FOUND where ``node`` does not stand."""
    instance = store.instances.get(instance_id)
    changed = store.debugging.get(instance_id).variables
    stops = [] if instance.status.terminal else store.debugging.stops(instance_id, "open")
    chosen = _chosen(instance, stops, node, True) if node is not None else None
    at = next((stop for stop in stops if chosen is None or stop.number in chosen), None)
    variables = {**declared, **changed}
    started = instance.started_at.isoformat() if instance.started_at else None
    scope = {
        "input": dict(instance.input or {}),
        "trigger": {"type": instance.trigger_type, "payload": instance.trigger_payload or {}},
        "vars": variables,
        "execution": {
            "id": instance.id,
            "workflow": instance.workflow,
            "version": instance.version,
            "started_at": started,
        },
        "env": {},
        **(dict(at.names) if at is not None else {}),
        "nodes": _outputs(store, instance_id, at.scopes if at is not None else [("", "")]),
    }
    return View(instance, variables, changed, stops, scope)


def _outputs(store: Store, instance_id: str, scopes: Any) -> dict[str, Any]:
    """The outputs of the nodes in reach, by id; inner ones hide outer ones."""
    found: dict[str, Any] = {}
    for prefix, iteration in scopes:
        for row in store.executions.for_instance(instance_id, iteration):
            name = row.node_id.removeprefix(prefix)
            inside = row.node_id.startswith(prefix) and "/" not in name
            if inside and row.output is not None:
                found.setdefault(name, row.output)
    return found
