"""``realm models``: which models there are, which are here, and how they get here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyclopts import App

from . import faults
from .terminal import terminal

if TYPE_CHECKING:
    from ..tasks.ai.download import Progress
    from ..tasks.ai.provision import FileState
    from ..tasks.inference.catalogue import KnownModel

models = App(name="models", help="Model weights: list them, fetch them, check them.", help_format="plaintext")

READY, MISSING, DAMAGED, UNKNOWN = "ready", "missing", "damaged", "not checked"


@models.command(name="list")
def list_(*, task: str | None = None, json: bool = False) -> int:
    """List the models, and which of them are on this machine.

    Parameters
    ----------
    task
        Only of this task, such as embedding or super-resolution.
    json
        As JSON.
    """
    from ..core.settings import settings
    from ..tasks.ai.provision import states
    from ..tasks.inference.catalogue import CATALOGUE, own_models

    configured = settings()
    known = [*CATALOGUE, *own_models(configured.model_folder.expanduser())]
    rows = [(model, states(model, configured)) for model in known if task in (None, model.task)]
    out = terminal()
    if json:
        out.write_json([_row(model, found) for model, found in rows])
        return faults.OK
    _print_table(rows)
    out.say(f"\nthe models folder is {configured.model_folder}; `realm models pull NAME` fetches one")
    return faults.OK


@models.command
def pull(name: str, /, *names: str) -> int:
    """Fetch the files of models: from the shared folder or bucket, else from their publisher.

    A transfer that breaks goes on where it stopped when the command is run again.

    Parameters
    ----------
    name
        A model, as `realm models list` names it.
    names
        More of them.
    """
    from ..core.settings import settings
    from ..tasks.ai.provision import provide, states
    from ..tasks.inference.catalogue import known_model

    configured = settings()
    wanted = [known_model(each, configured.model_folder.expanduser()) for each in (name, *names)]
    for model in wanted:
        with _progress(model.name) as progress:
            provide(model, configured, download=True, progress=progress)
        for state in states(model, configured):
            pinned = f"  sha256 {state.sha256}" if state.sha256 else ""
            terminal().write(f"{state.path}{pinned}")
    return faults.OK


@models.command
def verify(*names: str, json: bool = False) -> int:
    """Compute the digests of the models that are here and compare them with the known or recorded ones.

    Parameters
    ----------
    names
        Models; all that are here unless told.
    json
        As JSON.
    """
    from ..core.settings import settings
    from ..tasks.ai import provision
    from ..tasks.inference.catalogue import CATALOGUE, known_model, own_models

    configured = settings()
    folder = configured.model_folder.expanduser()
    wanted = [known_model(each, folder) for each in names] or [*CATALOGUE, *own_models(folder)]
    rows = [(model, provision.verify(model, configured)) for model in wanted]
    if not names:
        rows = [(model, found) for model, found in rows if any(state.path for state in found)]
    out = terminal()
    if json:
        out.write_json([_row(model, found) for model, found in rows])
    elif rows:
        _print_table(rows)
    else:
        out.say(f"there are no models in {folder}; `realm models pull NAME` fetches one")
    states = [state for _, found in rows for state in found]
    for state in states:
        if state.error:
            faults.complain(out, state.error, f"remove {state.path} and fetch it again")
    wrong = any(state.checked is False or (names and state.path is None) for state in states)
    return faults.INPUT_AT_FAULT if wrong else faults.OK


def _status(state: FileState) -> str:
    if state.path is None:
        return MISSING
    if state.checked is False:
        return DAMAGED
    return READY if state.checked or state.sha256 else UNKNOWN


def _row(model: KnownModel, found: list[FileState]) -> dict[str, Any]:
    return {
        "name": model.name,
        "title": model.title,
        "task": model.task,
        "licence": model.licence,
        "capabilities": dict(model.capabilities),
        "files": [
            {
                "file": state.file,
                "url": source.url,
                "path": str(state.path) if state.path else None,
                "sha256": state.sha256 or source.sha256,
                "status": _status(state),
            }
            for source, state in zip(model.files, found, strict=True)
        ],
    }


def _print_table(rows: list[tuple[KnownModel, list[FileState]]]) -> None:
    from rich.table import Table
    from rich.text import Text

    styles = {READY: "green", MISSING: "dim", DAMAGED: "red", UNKNOWN: "yellow"}
    table = Table("model", "task", "licence", "file", "size", "state", box=None, pad_edge=False)
    for model, found in rows:
        for state in found:
            status = _status(state)
            table.add_row(
                model.name,
                model.task,
                model.licence,
                state.file,
                _megabytes(state.path),
                Text(status, style=styles[status]),
            )
    terminal().console.print(table)


def _megabytes(path: Path | None) -> str:
    return f"{path.stat().st_size / 1e6:.1f} MB" if path else ""


@contextmanager
def _progress(name: str) -> Iterator[Progress]:
    """What a transfer calls: a bar on a terminal, nothing anywhere else."""
    out = terminal()
    if not out.interactive:
        out.say(f"fetching {name}")
        yield lambda done, total: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=out.error_console, transient=True) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
