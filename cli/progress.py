"""How a run shows itself while it runs: a live table on a terminal, one line per change anywhere else.

Consumes the runtime's events, plain dictionaries: ``{"type": "node", "node_id", "status", "attempt",
"progress", "message", "worker", "duration"}`` and ``{"type": "instance", "instance_id", "status"}``. Events
come from any thread.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from ..core.durations import format_duration
from .terminal import Terminal

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

ICONS: Mapping[str, tuple[str, str]] = {
    "pending": ("·", "dim"),
    "running": ("▶", "cyan"),
    "retrying": ("↻", "yellow"),
    "completed": ("✓", "green"),
    "failed": ("✗", "red"),
    "canceled": ("■", "red"),
    "skipped": ("↷", "dim"),
    "waiting": ("⏸", "yellow"),
    "paused": ("⏸", "yellow"),
    "compensating": ("↺", "yellow"),
}
"""Status → its sign and colour."""

BAR = 20
"""Characters of a progress bar."""


class Progress(Protocol):
    """Shows events. Used as a context manager around the run."""

    def __enter__(self) -> Progress: ...

    def __exit__(self, *exc_info: object) -> None: ...

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Take one event; cheap, never raises for an event it does not know."""
        ...


def progress(
    terminal: Terminal,
    nodes: Sequence[tuple[str, str]],
    *,
    silent: bool = False,
    debugging: bool = False,
) -> Progress:
    """The right display for ``terminal``. ``nodes`` are ``(node id, node type)`` in order. ``debugging``: a person is
    asked between its lines."""
    if silent or terminal.quiet:
        return Silent()
    live = terminal.interactive and not debugging
    return LiveProgress(terminal, nodes) if live else PlainProgress(terminal, stops=not debugging)


class Silent:
    """Shows nothing."""

    def __enter__(self) -> Silent:
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Nothing to put away."""

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Drop the event."""


class PlainProgress:
    """One line per change of a node's status, for logs and pipes."""

    def __init__(self, terminal: Terminal, *, stops: bool = True) -> None:
        self._terminal = terminal
        self._stops = stops
        self._shown: dict[str, tuple[str, int]] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> PlainProgress:
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Nothing to put away."""

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Write a line when the event changes a node's status or attempt; of a loop's rounds, only what fails. Where it
        stops at a breakpoint, too, unless somebody is asked there."""
        if event.get("stopped"):
            where = f"[{event['iteration']}]" if event.get("iteration") else ""
            if self._stops:
                self._terminal.say(f"■ {event.get('node_id')}{where} stopped before it ({event['stopped']})")
            return
        if event.get("type") != "node" or (event.get("iteration") and event.get("status") not in _TROUBLE):
            return
        node, status = str(event.get("node_id")), str(event.get("status"))
        attempt = int(event.get("attempt") or 0)
        with self._lock:
            if self._shown.get(node) == (status, attempt):
                return
            self._shown[node] = (status, attempt)
        self._terminal.say(line(event))


_TROUBLE = ("retrying", "failed")


class ServeLog:
    """One line per instance that begins or ends, and per node that is tried again."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Write a line when the event matters to whoever watches."""
        moment = time.strftime("%H:%M:%S")
        if event.get("type") == "instance":
            status = str(event.get("status"))
            error = event.get("error") or {}
            sign = ICONS.get(status, ("?", ""))[0]
            text = f"{sign} {event.get('instance_id')} {event.get('workflow')} {status}"
            if isinstance(event.get("duration"), int | float):
                text += f" in {format_duration(round(event['duration'], 2))}"
            text += f": {error.get('code')}: {error.get('message')}" if error else ""
            self._terminal.say(f"{moment} {text}")
        elif event.get("status") in _TROUBLE:
            self._terminal.say(f"{moment} {line(event)}  {event.get('instance_id')}")


@dataclass
class _Row:
    node_type: str
    status: str = "pending"
    attempt: int = 0
    fraction: float | None = None
    message: str = ""
    worker: str = ""
    duration: float | None = None
    since: float = field(default=0.0)


class LiveProgress:
    """A table that moves: one row per node with its status, progress, time and worker."""

    def __init__(self, terminal: Terminal, nodes: Sequence[tuple[str, str]]) -> None:
        self._terminal = terminal
        self._rows = {node_id: _Row(node_type) for node_id, node_type in nodes}
        self._lock = threading.Lock()
        self._live: Live | None = None

    def __enter__(self) -> LiveProgress:
        from rich.live import Live

        # It goes when the run is over: the result shows the same nodes, decided.
        console = self._terminal.error_console
        self._live = Live(get_renderable=self.table, console=console, refresh_per_second=8, transient=True)
        self._live.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Update the node's row; the rounds of a loop are its own row's progress."""
        if event.get("type") != "node" or event.get("iteration"):
            return
        with self._lock:
            row = self._rows.setdefault(str(event.get("node_id")), _Row(""))
            status = str(event.get("status") or row.status)
            attempt = int(event.get("attempt") or 0)
            if (status, attempt) != (row.status, row.attempt):
                row.status, row.attempt, row.fraction = status, attempt, None
                row.since = time.monotonic()
            if isinstance(event.get("progress"), int | float):
                row.fraction = float(event["progress"])
            row.message = str(event.get("message") or "")
            row.worker = str(event.get("worker") or row.worker)
            if isinstance(event.get("duration"), int | float):
                row.duration = float(event["duration"])

    def table(self) -> Table:
        """The table as it stands."""
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        for _ in range(5):
            table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        with self._lock:
            for node_id, row in self._rows.items():
                sign, style = ICONS.get(row.status, ("?", ""))
                table.add_row(
                    Text(sign, style=style),
                    Text(node_id, style="bold" if row.status == "running" else ""),
                    Text(row.node_type, style="dim"),
                    Text(_state(row), style=style),
                    Text(_time(row), justify="right"),
                    Text(row.message if row.status == "running" else row.worker, style="dim"),
                )
        return table


def line(event: Mapping[str, Any]) -> str:
    """A node event as one line.

    >>> line({"node_id": "a", "status": "completed", "attempt": 2, "duration": 1.5, "worker": "w0"})
    '✓ a completed in 1.5s on w0 (attempt 2)'
    """
    status = str(event.get("status"))
    where = f"[{event['iteration']}]" if event.get("iteration") else ""
    text = f"{ICONS.get(status, ('?', ''))[0]} {event.get('node_id')}{where} {status}"
    if isinstance(event.get("duration"), int | float) and status in ("completed", "failed", "canceled"):
        text += f" in {format_duration(round(event['duration'], 2))}"
    if event.get("worker"):
        text += f" on {event['worker']}"
    if int(event.get("attempt") or 0) > 1:
        text += f" (attempt {event['attempt']})"
    return text + (f": {event['message']}" if event.get("message") else "")


def _state(row: _Row) -> str:
    if row.status != "running" or row.fraction is None:
        text = row.status
    else:
        full = round(row.fraction * BAR)
        text = "━" * full + "╌" * (BAR - full) + f" {row.fraction:4.0%}"
    if row.attempt > 1:
        text += f" (attempt {row.attempt})"
    return text


def _time(row: _Row) -> str:
    if row.status == "running" and row.since:
        return f"{time.monotonic() - row.since:.1f}s"
    return (
        format_duration(round(row.duration, 2))
        if row.duration is not None and row.status != "pending"
        else ""
    )
