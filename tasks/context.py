"""What a node is handed besides its parameters and input."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any, Protocol

from ..core.errors import Code, RealmError
from ..core.references import local_path
from ..core.settings import Settings
from .artifacts import ArtifactStore
from .workdirs import Workdir


class Evaluator(Protocol):
    """Evaluates expressions in the scope of the run."""

    def render(self, value: Any, names: Mapping[str, Any]) -> Any:
        """``value``, a JSON tree, with every ``{{ … }}`` in it evaluated; ``names`` are in reach beside the run's own.

        Raises INVALID_ARGUMENT for an expression that fails. An expression is compiled once, whatever the names.
        """
        ...


@dataclass(frozen=True, slots=True)
class NodeContext:
    """The SDK's view of one attempt of one node. Executors keep no state of their own between attempts.

    ``execution_key`` is stable over retries and resumes of the same node of the same instance (and iteration):
    use it to make effects idempotent. ``device`` is ``cpu`` or ``cuda:N``, the device this attempt was given.
    """

    execution_key: str
    instance_id: str
    node_id: str
    attempt: int
    private: Workdir
    artifacts: ArtifactStore
    settings: Settings
    roots: tuple[Path, ...] = ()
    device: str = "cpu"
    gpu_wanted: bool = False
    """Whether the definition prefers a GPU: with ``device == "cpu"`` the output should say that it ran without."""
    deadline: float | None = None
    """On this process's ``time.monotonic`` clock."""
    logger: logging.Logger = field(default_factory=lambda: logging.getLogger("mirror_realm.node"))
    report: Callable[[float, str], None] = lambda fraction, message: None
    canceled: Event = field(default_factory=Event)
    notes: dict[str, Any] = field(default_factory=dict)
    evaluator: Evaluator | None = None
    """For the :class:`~.sdk.Deferred` parameters of a node that runs in the flow; ``None`` on a worker."""

    @property
    def workdir(self) -> Path:
        """A folder of this attempt alone, removed with all in it afterwards."""
        return self.private.folder

    def progress(self, fraction: float, message: str = "") -> None:
        """Tell whoever watches how far this attempt is, 0 to 1. Cheap; call it as often as you like."""
        self.report(min(max(fraction, 0.0), 1.0), message)

    def note(self, key: str, value: Any) -> None:
        """Add a small JSON value to the journal row of this attempt, beside the output."""
        self.notes[key] = value

    def remaining(self) -> float | None:
        """Seconds to the deadline, never negative; ``None`` without one."""
        return None if self.deadline is None else max(0.0, self.deadline - monotonic())

    def check_canceled(self) -> None:
        """Raise CANCELLED or NODE_EXECUTION_TIMEOUT when this attempt should end. Call it in long loops."""
        if self.canceled.is_set():
            raise RealmError(Code.CANCELLED, f"node {self.node_id} was cancelled")
        if self.deadline is not None and monotonic() > self.deadline:
            raise RealmError(Code.NODE_EXECUTION_TIMEOUT, f"node {self.node_id} ran past its timeout")

    def readable(self, path: str | Path) -> Path:
        """The existing file that ``path`` (or a ``file:`` URI) names, links resolved, inside the roots.

        Raises PERMISSION_DENIED outside them, NOT_FOUND when there is no such file, INVALID_ARGUMENT for a folder.
        """
        resolved = self._confined(path)
        if not resolved.exists():
            raise RealmError(
                Code.NOT_FOUND, f"there is no file {resolved}", hint="check the path and the mount"
            )
        if not resolved.is_file():
            raise RealmError(Code.INVALID_ARGUMENT, f"{resolved} is not a file")
        return resolved

    def folder(self, path: str | Path) -> Path:
        """The existing folder that ``path`` names, links resolved, inside the roots.

        Raises PERMISSION_DENIED outside them, NOT_FOUND when there is no such folder, INVALID_ARGUMENT for a file.
        """
        resolved = self._confined(path)
        if not resolved.exists():
            raise RealmError(
                Code.NOT_FOUND, f"there is no folder {resolved}", hint="check the path and the mount"
            )
        if not resolved.is_dir():
            raise RealmError(Code.INVALID_ARGUMENT, f"{resolved} is not a folder")
        return resolved

    def writable(self, path: str | Path) -> Path:
        """The path to write, inside the roots; its folder is made. Raises PERMISSION_DENIED outside them."""
        resolved = self._confined(path)
        resolved.parent.mkdir(parents=True, exist_ok=True)
        return resolved

    def _confined(self, path: str | Path) -> Path:
        try:
            resolved = local_path(str(path)).expanduser().resolve()
        except (ValueError, OSError, RuntimeError) as error:
            raise RealmError(Code.INVALID_ARGUMENT, f"{str(path)!r} is not a usable path: {error}") from None
        allowed = (*self.roots, self.settings.home)  # the home has the attempt's own folder in it
        if not any(resolved.is_relative_to(root.resolve()) for root in allowed):
            roots = ", ".join(map(str, self.roots)) or "none"
            raise RealmError(
                Code.PERMISSION_DENIED,
                f"{resolved} is outside the allowed folders ({roots})",
                hint=f"allow it with --root {resolved.parent}, or set MIRROR_REALM_ROOTS",
            )
        return resolved
