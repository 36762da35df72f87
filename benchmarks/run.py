"""Run benchmarks: all of them, or those named. ``python benchmarks/run.py startup compile`` or ``--list``."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent


def benchmarks() -> dict[str, Path]:
    """Name → module, in the order of their numbers: ``b05_compile.py`` is ``compile``."""
    return {file.stem.partition("_")[2]: file for file in sorted(FOLDER.glob("b[0-9][0-9]_*.py"))}


def main(arguments: list[str]) -> int:
    """Run the named benchmarks, each in a process of its own so that none warms up another."""
    known = benchmarks()
    if "--list" in arguments:
        for name, file in known.items():
            doc = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
            print(f"{name:<14} {doc.splitlines()[0] if doc else ''}")
        return 0
    if unknown := [name for name in arguments if name not in known]:
        print(f"no benchmark {', '.join(unknown)}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    failed = []
    for name in arguments or known:
        # PYTHONDONTWRITEBYTECODE would make every start slower than it is for anyone else.
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        if subprocess.run([sys.executable, str(known[name])], env=environment, check=False).returncode:
            failed.append(name)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
