"""What a command writes to: results on standard output, everything else on standard error.

Colours only where a terminal shows them (``NO_COLOR`` and ``FORCE_COLOR`` are heeded), every character in any
locale.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console


STDIN = "/dev/stdin"
"""How a command is told to read standard input; ``-`` on the command line becomes this."""


def color_wanted(stream: TextIO) -> bool:
    """Whether ``stream`` should get colours."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return bool(os.environ.get("FORCE_COLOR")) or stream.isatty()


def make_unicode_safe() -> None:
    """No name or message may fail to print: what a stream's encoding lacks is escaped instead."""
    for stream in (sys.stdout, sys.stderr):
        if (reconfigure := getattr(stream, "reconfigure", None)) is not None:
            reconfigure(errors="backslashreplace")


def invocation() -> str:
    """How the person calls us: ``realm`` where that is on PATH and is ours, else the path that works."""
    own = Path(sys.executable).with_name("realm")
    found = shutil.which("realm")
    if found is not None and Path(found).resolve() == own.resolve():
        return "realm"
    try:
        return str(own.relative_to(Path.cwd()))
    except ValueError:
        return str(own)


@dataclass
class Terminal:
    """One command's voice. ``quiet`` drops everything that is neither the result nor an error."""

    quiet: bool = False
    debug: bool = False
    stdout: TextIO = field(default_factory=lambda: sys.stdout)
    stderr: TextIO = field(default_factory=lambda: sys.stderr)

    @cached_property
    def console(self) -> Console:
        """Rich, on standard output. Without a terminal a table is as wide as it needs to be."""
        return self._console(self.stdout)

    @cached_property
    def error_console(self) -> Console:
        """Rich, on standard error."""
        return self._console(self.stderr)

    @property
    def interactive(self) -> bool:
        """Whether a person watches standard error, so that a live display is of use."""
        return not self.quiet and self.stderr.isatty() and os.environ.get("TERM") != "dumb"

    def write(self, text: str) -> None:
        """The result, as it is, with a line break at its end."""
        self.stdout.write(text if text.endswith("\n") else text + "\n")

    def write_json(self, value: Any) -> None:
        """The result, as one JSON document."""
        self.write(json.dumps(value, ensure_ascii=False, indent=2, default=str))

    def say(self, text: str) -> None:
        """A remark beside the result; nothing when quiet."""
        if not self.quiet:
            self.stderr.write(text + "\n")
            self.stderr.flush()

    def complain(self, text: str) -> None:
        """An error; shown even when quiet."""
        self.stderr.write(text + "\n")
        self.stderr.flush()

    def styled(self, text: str, style: str) -> str:
        """``text`` in ``style`` for standard error, where colours are wanted."""
        codes = {"red": "31", "green": "32", "yellow": "33", "bold": "1", "dim": "2"}
        return f"\x1b[{codes[style]}m{text}\x1b[0m" if color_wanted(self.stderr) else text

    def _console(self, stream: TextIO) -> Console:
        from rich.console import Console

        wide = None if stream.isatty() or os.environ.get("COLUMNS") else 200
        color = color_wanted(stream)
        return Console(
            file=stream,
            width=wide,
            no_color=not color,
            force_terminal=color or None,
            highlight=False,
            soft_wrap=False,
        )


_current = Terminal()


def terminal() -> Terminal:
    """The running command's terminal."""
    return _current


def use_terminal(new: Terminal) -> None:
    """Make ``new`` the running command's terminal."""
    global _current
    _current = new
