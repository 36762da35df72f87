"""The outputs of a foreach: in order, although items end in any order, and never all of them in memory as objects."""

from __future__ import annotations

import json
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from ...core.errors import Code, ErrorRecord, RealmError
from ...tasks.workdirs import private_workdir
from .site import Site

MOST_BYTES = 16 << 20
"""Bytes of JSON that the list of outputs may take; a file may take any number."""
_LEFT_OUT = ""


class Collected:
    """Writes each output as a line of JSON as soon as all before it are there.

    ``results`` is ``list`` (the output is the list), ``file`` (a file of JSON lines) or ``none`` (counts only).
    """

    def __init__(self, site: Site, results: str) -> None:
        self._site = site
        self._results = results
        self._early: dict[int, str] = {}
        self._next = 0
        self._size = 0
        self._kept = 0
        self._failed = 0
        self._stack = ExitStack()
        self._path: Path | None = None

    def __enter__(self) -> Collected:
        # Neither is left behind by a process that is killed: the one has no name, the other is swept.
        if self._results == "file":
            home = self._site.handle.scope.run.env.settings.home
            folder = self._stack.enter_context(private_workdir(home, self._site.handle.key))
            self._path = folder / "outputs.jsonl"
            lines: IO[str] = self._path.open("w+", encoding="utf-8")
        else:
            lines = tempfile.TemporaryFile("w+", encoding="utf-8")
        self._lines = self._stack.enter_context(lines)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def put(self, index: int, output: Any) -> None:
        """The output of one item."""
        self.put_line(index, _LEFT_OUT if self._results == "none" else _line(output))

    def put_line(self, index: int, line: str) -> None:
        """The output of one item, as a line of JSON."""
        self._early[index] = _LEFT_OUT if self._results == "none" else line
        self._flush()

    def fail(self, index: int, error: ErrorRecord, *, keep: bool) -> None:
        """The failure of one item, in its place if ``keep``."""
        self._failed += 1
        self._early[index] = (
            _line({"error": _public(error)}) if keep and self._results != "none" else _LEFT_OUT
        )
        self._flush()

    def _flush(self) -> None:
        while (line := self._early.pop(self._next, None)) is not None:
            self._next += 1
            if line is _LEFT_OUT:
                continue
            self._kept += 1
            self._size += len(line)
            self._lines.write(line + "\n")
            if self._results == "list" and self._size > MOST_BYTES:
                raise RealmError(
                    Code.OUT_OF_RANGE,
                    f"the outputs of {self._site.handle.label} outgrow {MOST_BYTES >> 20} MiB at item {self._next - 1}",
                    hint="give the body an `output` of only what is needed, or set `results` to file or none",
                )

    async def output(self) -> Any:
        """What the foreach gives."""
        counts = {"count": self._next, "failed": self._failed}
        if self._results == "none":
            return counts
        if self._results == "list":
            self._lines.seek(0)
            return [json.loads(line) for line in self._lines]
        assert self._path is not None
        self._lines.flush()
        name = self._site.handle.node.id + ".jsonl"
        file = await self._site.keep(self._path, name=name, media_type="application/jsonl")
        return {**counts, "file": file}


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _public(error: ErrorRecord) -> dict[str, Any]:
    return {name: value for name, value in error.to_dict().items() if name != "traceback"}
