"""How an error reaches a person: what happened, what to do next, and the exit code that says whose fault.

A :class:`RealmError` is shown as its message, code and hint. Anything else is a fault of ours: its traceback
goes to ``<home>/logs/realm.log``, and the message says where. ``--debug`` shows tracebacks at once.
"""

from __future__ import annotations

import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path

from ..core.errors import RealmError
from .terminal import Terminal

OK = 0
INPUT_AT_FAULT = 1
USAGE = 2
SYSTEM_AT_FAULT = 3
INTERRUPTED = 130

LOG_LIMIT = 5 << 20
"""Bytes after which the log starts anew, keeping one predecessor."""


def report(error: BaseException, terminal: Terminal) -> int:
    """Show ``error`` and return the exit code it stands for."""
    if isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        # What a task group held is the error; the group says nothing more.
        return report(error.exceptions[0], terminal)
    if isinstance(error, RealmError):
        return _report_realm_error(error, terminal)
    if isinstance(error, KeyboardInterrupt) or (
        isinstance(error, BaseExceptionGroup)
        and error.subgroup(lambda e: isinstance(e, KeyboardInterrupt)) is not None
    ):
        terminal.complain("stopped")
        return INTERRUPTED
    if isinstance(error, OSError) and error.filename is not None and not terminal.debug:
        return _report_os_error(error, terminal)
    return _report_ours(error, terminal)


def complain(terminal: Terminal, message: str, hint: str | None = None, code: str | None = None) -> None:
    """One error in the form all of them have."""
    label = terminal.styled("error", "red") + (f" {code}" if code else "")
    terminal.complain(f"{label}: {message}")
    if hint:
        terminal.complain(f"  = {hint}")


def _report_realm_error(error: RealmError, terminal: Terminal) -> int:
    if terminal.debug:
        traceback.print_exception(error, file=terminal.stderr)
    complain(terminal, error.record.message, error.hint, error.code)
    violations = error.record.details.get("field_violations")
    for violation in violations if isinstance(violations, list) else ():
        if isinstance(violation, dict):
            terminal.complain(f"    {violation.get('field', '')}: {violation.get('description', '')}")
    if error.user_fault:
        return INPUT_AT_FAULT
    if error.record.traceback and not terminal.debug:
        where = _log(error.record.traceback)
        terminal.complain(
            f"    the traceback is in {where}" if where else "    run again with --debug for the traceback"
        )
    return SYSTEM_AT_FAULT


def _report_os_error(error: OSError, terminal: Terminal) -> int:
    complain(terminal, f"{error.filename}: {error.strerror or type(error).__name__}")
    given = isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError | PermissionError)
    return INPUT_AT_FAULT if given else SYSTEM_AT_FAULT


def _report_ours(error: BaseException, terminal: Terminal) -> int:
    text = "".join(traceback.format_exception(error))
    if terminal.debug:
        terminal.complain(text.rstrip())
    where = _log(text)
    complain(
        terminal,
        f"{type(error).__name__}: {error}",
        f"this is a fault of Mirror Realm, not of yours; the traceback is in {where}"
        if where
        else "this is a fault of Mirror Realm, not of yours; run again with --debug for the traceback",
    )
    return SYSTEM_AT_FAULT


def log_file() -> Path:
    """Where faults of ours are written. Works with settings that cannot be read, since those may be it."""
    from ..core.settings import load_settings

    try:
        home = load_settings().home
    except RealmError:
        home = Path.home() / ".mirror-realm"
    return home / "logs" / "realm.log"


def _log(text: str) -> Path | None:
    file = log_file()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.exists() and file.stat().st_size > LOG_LIMIT:
            file.replace(file.with_suffix(".log.1"))
        with file.open("a", encoding="utf-8", errors="backslashreplace") as log:
            log.write(f"{datetime.now(UTC).isoformat()} {' '.join(sys.argv)}\n{text}\n")
    except OSError:
        return None
    return file
