"""``realm convert`` and ``fmt``: definitions as text, in the canonical form or in their author's own."""

from __future__ import annotations

import difflib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from . import faults
from .terminal import STDIN, color_wanted, terminal

if TYPE_CHECKING:
    from ..compiler.document import Document

Syntax = Literal["yaml", "json"]


def convert(
    file: Path,
    /,
    *,
    output: Annotated[Path | None, Parameter(alias="-o")] = None,
    to: Syntax | None = None,
) -> int:
    """Write a definition of any dialect in the canonical form, comments kept.

    Parameters
    ----------
    file
        The definition; - reads standard input.
    output
        A file to write; its ending (.yaml, .json) decides the syntax.
    to
        The syntax; YAML unless told. JSON has no comments.
    """
    from ..compiler.writing import convert as canonical
    from ..compiler.writing import count_comments
    from .definitions import read

    analysis, out = read(file), terminal()
    if analysis.definition is None:
        out.complain(analysis.render(color=color_wanted(out.stderr)))
        return faults.INPUT_AT_FAULT
    syntax = to or ("json" if output is not None and output.suffix.lower() == ".json" else "yaml")
    text = canonical(analysis, syntax)
    if syntax == "json" and (lost := count_comments(analysis.text)):
        out.say(f"JSON has no comments: {lost} of {analysis.file} not written")
    if output is None:
        out.write(text)
    else:
        _write(output, text)
        out.say(f"wrote {output}")
    return faults.OK


def fmt(*files: Path, check: bool = False, diff: bool = False, sort_keys: bool = False) -> int:
    """Put definitions into good layout, in place and in their own dialect: what they say never changes.

    Comments and the order of keys stay. Standard input is written to standard output.

    Parameters
    ----------
    files
        YAML or JSON files; - reads standard input.
    check
        Write nothing; list the files that would change and exit with 1 if there are any.
    diff
        Write nothing; show what would change.
    sort_keys
        Put keys into the canonical order.
    """
    if not files:
        faults.complain(terminal(), "name at least one definition", "for example: realm fmt workflow.yaml")
        return faults.USAGE
    codes = [_format(file, check, diff, sort_keys) for file in files]
    return max(codes)


def _format(file: Path, check: bool, diff: bool, sort_keys: bool) -> int:
    from ..compiler.writing import format_document
    from ..core.errors import RealmError

    out = terminal()
    if (document := _read(file)) is None:
        return faults.INPUT_AT_FAULT
    try:
        formatted = format_document(document, sort_keys=sort_keys)
    except RealmError as error:
        faults.complain(out, f"{file}: {error.record.message}", error.hint)
        return faults.INPUT_AT_FAULT
    changed = formatted != document.text
    if diff and changed:
        out.write(_difference(document.text, formatted, document.file or str(file)))
    if check:
        if changed and not diff:
            out.write(document.file or str(file))
        return faults.INPUT_AT_FAULT if changed else faults.OK
    if diff:
        return faults.OK
    if str(file) == STDIN:
        out.stdout.write(formatted)
    elif changed:
        _write(file, formatted)
        out.say(f"formatted {file}")
    return faults.OK


def _read(file: Path) -> Document | None:
    """The document in a file; ``None`` when it cannot be read, which was then shown."""
    from ..compiler.diagnostics import render
    from ..compiler.source import load

    piped = str(file) == STDIN
    loaded = load("<stdin>", text=sys.stdin.buffer.read()) if piped else load(file)
    if not loaded.diagnostics:
        return loaded.document
    out = terminal()
    name = "<stdin>" if piped else str(file)
    out.complain(render(loaded.diagnostics, sources={name: loaded.text}, color=color_wanted(out.stderr)))
    return None


def _write(file: Path, text: str) -> None:
    """Replace a file's content at once, through a link to what it names, keeping its mode."""
    from ..blocks.atomic import atomic_file

    target = file.resolve()
    with atomic_file(target) as written:
        if target.exists():
            os.fchmod(written.fileno(), target.stat().st_mode & 0o7777)
        written.write(text.encode("utf-8"))


def _difference(old: str, new: str, name: str) -> str:
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), name, name, lineterm="")
    tints = {"+": "32", "-": "31", "@": "36"}
    color = color_wanted(terminal().stdout)
    return "\n".join(
        f"\x1b[{tints[line[0]]}m{line}\x1b[0m" if color and line[:1] in tints else line for line in lines
    )
