"""The debugger of ``realm run`` in a terminal: what would run, and what the person wants of it."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TextIO

from rich.text import Text

from ..core.errors import RealmError
from .results import lines
from .terminal import Terminal

if TYPE_CHECKING:
    from ..flows.debugging import Standing

PROMPT = "(realm) "
HELP = """\
  c, continue        go on to the next breakpoint
  s, step            run this node, and stop before the next ones
  p EXPR             show what an expression comes to here: p nodes.resize.width * 2
  set NAME JSON      give a variable another value: set limit 20
  v, vars            the variables
  i, input           what the node is given, whole
  w, where           everything that stands, and where
  q, quit            leave it here: it waits until `realm instances resume`
  h, help            this"""
WORDS = {"step": "stepping", "break": "--break", "breakpoint": "breakpoint"}
"""Why a node stands, in a word."""


def interactive(terminal: Terminal) -> bool:
    """Whether a person can be asked."""
    return terminal.interactive and sys.stdin is not None and sys.stdin.isatty()


class Prompt:
    """Asks on a terminal. One stop at a time; while it asks, what else runs goes on."""

    def __init__(self, terminal: Terminal, stdin: TextIO | None = None) -> None:
        self._terminal = terminal
        self._stdin = stdin or sys.stdin
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        self._reading = False

    async def at(self, standing: Standing) -> None:
        """Show the node, and do what the person says until it may go on, or is left."""
        try:
            await self._ask(standing)
        except asyncio.CancelledError:
            self._terminal.say(f"{standing.stop.label} was let go on from elsewhere")
            raise

    async def _ask(self, standing: Standing) -> None:
        self._show(standing)
        while True:
            line = await self._read()
            if line is None:  # The end of the input, as by Ctrl-D.
                self._terminal.say("")
                standing.leave()
                return
            word, _, rest = line.strip().partition(" ")
            try:
                if await self._do(standing, word, rest.strip()):
                    return
            except (RealmError, ValueError) as error:
                self._complain(error)

    async def _do(self, standing: Standing, word: str, rest: str) -> bool:
        """Whether that ends the asking."""
        if word in ("c", "continue"):
            await standing.go_on()
        elif word in ("s", "step", "n", "next"):
            await standing.step()
        elif word in ("q", "quit", "exit"):
            standing.leave()
        else:
            await self._look(standing, word, rest)
            return False
        return True

    async def _look(self, standing: Standing, word: str, rest: str) -> None:
        if word in ("p", "print") and rest:
            self._value(standing.evaluate(rest))
        elif word == "set":
            await self._set(standing, rest)
        elif word in ("v", "vars"):
            self._value(standing.variables)
        elif word in ("i", "input"):
            self._value({"parameters": dict(standing.stop.parameters), "input": standing.stop.input})
        elif word in ("w", "where"):
            for stop in await standing.others():
                mark = "→" if stop.number == standing.stop.number else " "
                self._terminal.say(f"{mark} {stop.label}  {stop.node_type}  ({WORDS[stop.because]})")
        elif word:
            known = word in ("h", "help", "?")
            self._terminal.say(HELP if known else f"{word}? These are understood:\n{HELP}")

    async def _set(self, standing: Standing, rest: str) -> None:
        name, _, text = rest.partition(" ")
        if not text.strip():
            raise ValueError('write set NAME JSON, as in set limit 20 or set label "new"')
        old = await standing.set(name, value_of(text))
        new = standing.evaluate("vars." + name.removeprefix("vars."))
        self._terminal.say(
            f"{name} was {json.dumps(old, ensure_ascii=False)}, is {json.dumps(new, ensure_ascii=False)}"
        )

    def _show(self, standing: Standing) -> None:
        stop, console = standing.stop, self._terminal.error_console
        console.print(
            Text.assemble(
                ("■ ", "yellow"),
                (stop.label, "bold"),
                (f"  {stop.node_type}  stopped before it ({WORDS[stop.because]})", "dim"),
                (f"  {standing.handle.node.at}" if standing.handle.node.at else "", "dim"),
            ),
            soft_wrap=True,
        )
        for name, value in (("parameters", stop.parameters), ("input", stop.input)):
            if value:
                console.print(Text(f"  {name}", style="dim"))
                for key, text in lines(value, 2):
                    console.print(Text.assemble((key, "dim"), text), soft_wrap=True)
        self._terminal.say("  (c)ontinue (s)tep (p) EXPR, set NAME JSON, (v)ars, (q)uit, (h)elp")

    def _value(self, value: Any) -> None:
        self._terminal.say(json.dumps(value, ensure_ascii=False, indent=2, default=str))

    def _complain(self, error: Exception) -> None:
        hint = f" ({error.hint})" if isinstance(error, RealmError) and error.hint else ""
        message = error.record.message if isinstance(error, RealmError) else str(error)
        self._terminal.say(f"{message}{hint}")

    async def _read(self) -> str | None:
        """A line; ``None`` at the end of the input. A thread of its own reads, which keeps no process alive; what it is
        given after nobody asks any more is the next answer."""
        loop = asyncio.get_running_loop()
        self._terminal.stderr.write(PROMPT)
        self._terminal.stderr.flush()

        def take(line: str | None) -> None:
            self._reading = False
            self._lines.put_nowait(line)

        def read() -> None:
            try:
                line = self._stdin.readline() or None
            except (OSError, ValueError):
                line = None
            if not loop.is_closed():
                loop.call_soon_threadsafe(take, line)

        if not self._reading:
            self._reading = True
            threading.Thread(target=read, name="debugger", daemon=True).start()
        return await self._lines.get()


def value_of(text: str) -> Any:
    """A value as a person writes it: JSON, else the text itself.

    >>> value_of("20"), value_of('{"a": [1]}'), value_of("new")
    (20, {'a': [1]}, 'new')
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        if text.lstrip()[:1] in ("{", "[", '"'):
            raise ValueError(f"{text} is not JSON") from None
        return text.strip()


def stands(result: Mapping[str, Any]) -> Iterator[str]:
    """A line for each place where an instance stands."""
    for stop in result.get("stops") or ():
        yield f"stands before {stop['node']}  {stop['type']}  ({WORDS.get(str(stop['because']), stop['because'])})"
