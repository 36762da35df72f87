"""Where the engines' own log lines go while a command shows its progress: a file, not the terminal."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from .faults import log_file
from .terminal import Terminal

CONSOLE_LEVELS = ("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "PREFECT_LOGGING_HANDLERS_DEBUG_LEVEL")
"""Prefect's own switches for what reaches the terminal; what it sends to its server is not affected."""

CHATTY = ("httpx", "httpcore", "alembic", "asyncio")
"""Loggers that have a line for every request or table."""


@contextmanager
def engines_quiet(terminal: Terminal) -> Iterator[None]:
    """Send log records of every library to ``<home>/logs/engines.log``; with ``--debug`` also to stderr.

    To be entered before Prefect is imported, since it configures its loggers at import.
    """
    file = log_file().with_name("engines.log")
    file.parent.mkdir(parents=True, exist_ok=True)
    handlers: list[logging.Handler] = [logging.FileHandler(file, encoding="utf-8", errors="backslashreplace")]
    if terminal.debug:
        handlers.append(logging.StreamHandler(terminal.stderr))
    else:
        for switch in CONSOLE_LEVELS:
            os.environ.setdefault(switch, "CRITICAL")
    for handler in handlers:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    root.handlers[:] = handlers
    root.setLevel(logging.DEBUG if terminal.debug else logging.INFO)
    if not terminal.debug:
        for chatty in CHATTY:
            logging.getLogger(chatty).setLevel(logging.WARNING)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        root.handlers[:] = before
        root.setLevel(level)
        for handler in handlers:
            handler.close()
