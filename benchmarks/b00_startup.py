"""Start-up: importing the compiler and `realm validate`, against Python itself and against importing Prefect.

What is ours is the import with our modules minus the import of the libraries that they need anyway (Pydantic,
ruamel.yaml, CEL, jsonschema). The target is 0.3 s of our own; neither Prefect, Dask nor torch may be
imported.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from harness import Report, pairwise, readable

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "nas-photo-processing" / "workflow.yaml"
HEAVY = ("prefect", "dask", "distributed", "torch", "sqlalchemy", "cv2", "PIL", "boto3")


def python(code: str, *arguments: str) -> str:
    """Run ``code`` in a fresh interpreter and return what it printed."""
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout


def libraries(statement: str) -> list[str]:
    """The modules of others that ``statement`` imports, in order."""
    return [
        name for name in python(f"{statement}; import sys; print(*sys.modules)").split() if not ours(name)
    ]


def ours(module: str) -> bool:
    """Whether a module is of this project."""
    return module.partition(".")[0] == "mirror_realm"


def importing(modules: list[str]) -> str:
    """A program that imports ``modules`` and nothing else, skipping those that cannot be imported by name."""
    return (
        "import importlib, contextlib\n"
        f"for name in {modules!r}:\n"
        "    with contextlib.suppress(Exception):\n"
        "        importlib.import_module(name)\n"
    )


def main() -> None:
    """Time the starts in turns and report."""
    analyze = f"from mirror_realm.compiler import analyze; analyze({str(EXAMPLE)!r})"
    validate = f"from mirror_realm.cli.app import run; assert run(['validate', '-q', {str(EXAMPLE)!r}]) == 0"
    needed, needed_validate = libraries(analyze), libraries(validate)
    series = pairwise(
        {
            "python itself": lambda: python("pass"),
            "libraries of the compiler": lambda: python(importing(needed)),
            "compiler: import, analyze": lambda: python(analyze),
            "libraries of realm validate": lambda: python(importing(needed_validate)),
            "realm validate": lambda: python(validate),
            "import prefect": lambda: python("import prefect"),
        },
        rounds=7,
    )
    report = Report(
        "startup", "Start-up of the compiler and of `realm validate`", "0.3 s of our own; no engine imported"
    )
    report.compare(series, against="python itself")
    ours = series["compiler: import, analyze"].median - series["libraries of the compiler"].median
    cli = series["realm validate"].median - series["libraries of realm validate"].median
    heavy = sorted(set(HEAVY) & {m.partition(".")[0] for m in needed_validate})
    report.note(
        f"of our own: compiler {readable(max(ours, 1e-9))}, realm validate {readable(max(cli, 1e-9))}"
    )
    report.note(f"engines imported by realm validate: {', '.join(heavy) or 'none'}")
    report.facts["own_seconds"] = {"compiler": round(ours, 4), "realm validate": round(cli, 4)}
    report.write()


if __name__ == "__main__":
    main()
