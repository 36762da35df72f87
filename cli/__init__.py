"""The ``realm`` command: one module per command group, thin over library verbs of the same name.

It may import every room, but does so inside its commands: ``realm validate`` must not pay for Prefect, Dask
or torch. Exit codes: 0 ok, 1 the input is at fault, 2 wrong usage, 3 the system is at fault. Start reading at
:mod:`.app` (the commands and the global options), then :mod:`.faults` (how an error reaches a person) and
:mod:`.terminal`.
"""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script: run one command and exit with its code."""
    from .app import run

    raise SystemExit(run(arguments))
