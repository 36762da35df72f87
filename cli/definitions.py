"""``realm validate``, ``compile`` and ``graph``: a definition, its findings, its flow and its picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from ..core.errors import Code, RealmError
from . import faults
from .terminal import STDIN, color_wanted, terminal

if TYPE_CHECKING:
    from ..compiler import Analysis

PICTURES = {
    ".svg": "svg",
    ".png": "png",
    ".mmd": "mermaid",
    ".mermaid": "mermaid",
    ".dot": "dot",
    ".gv": "dot",
}
"""File ending → kind of picture."""

Format = Literal["text", "json", "sarif", "github"]


def validate(
    *files: Path,
    format: Format = "text",
    json: bool = False,
    strict: bool = False,
) -> int:
    """Check definitions: every finding with its place and the way out.

    Exits with 0 when there is no error, with 1 when there is one.

    Parameters
    ----------
    files
        YAML or JSON files; - reads standard input.
    format
        How findings are written; sarif and github are for CI.
    json
        The same as --format json.
    strict
        Warnings count as errors.
    """
    from ..compiler.diagnostics import render

    if not files:
        faults.complain(
            terminal(), "name at least one definition", "for example: realm validate workflow.yaml"
        )
        return faults.USAGE
    analyses = [read(file) for file in files]
    findings = [d for analysis in analyses for d in analysis.diagnostics]
    out = terminal()
    shown: Format = "json" if json else format
    color = shown == "text" and color_wanted(out.stdout)
    if findings or shown in ("json", "sarif"):
        out.write(render(findings, shown, sources=_sources(analyses), color=color))
    failed = {d.file for d in findings if d.severity == "error" or (strict and d.severity == "warning")}
    for analysis in analyses:
        if analysis.file not in failed and analysis.definition is not None:
            out.say(f"{analysis.file}: ok, {_size(analysis)}")
    if failed:
        errors = sum(d.severity == "error" for d in findings)
        warnings = sum(d.severity == "warning" for d in findings)
        out.say(f"\n{_count(errors, 'error')}, {_count(warnings, 'warning')}")
    return faults.INPUT_AT_FAULT if failed else faults.OK


def compile_(file: Path, /, *, output: Annotated[Path | None, Parameter(alias="-o")] = None) -> int:
    """Print the Prefect flow that a definition becomes: the very source that is run.

    Parameters
    ----------
    file
        The definition.
    output
        A Python file to write; run it with `python flow.py`.
    """
    from ..compiler import emit

    if (analysis := checked(file)) is None:
        return faults.INPUT_AT_FAULT
    source = emit(analysis)
    if output is None:
        terminal().write(source)
    else:
        output.write_text(source, encoding="utf-8")
        terminal().say(f"wrote {output}")
    return faults.OK


def graph(
    file: Path,
    /,
    *,
    output: Annotated[Path | None, Parameter(alias="-o")] = None,
    instance: str | None = None,
) -> int:
    """Draw a definition: as Mermaid to the terminal, or as a picture into a file.

    Parameters
    ----------
    file
        The definition.
    output
        A file to write: .svg, .png, .mmd (Mermaid) or .dot (Graphviz).
    instance
        An instance, or the beginning of its id: its nodes' states colour the picture.
    """
    from ..compiler.draw import draw

    kind = picture_format(output)
    if (analysis := read(file)).graph is None or analysis.definition is None:
        checked(file)
        return faults.INPUT_AT_FAULT
    picture = draw(analysis.graph, kind, _states(instance) if instance else None)
    if output is None:
        terminal().write(str(picture))
        return faults.OK
    output.write_bytes(picture if isinstance(picture, bytes) else picture.encode())
    terminal().say(f"wrote {output}")
    return faults.OK


def picture_format(output: Path | None) -> str:
    """The picture's format by the file's ending; Mermaid for the terminal."""
    if output is None:
        return "mermaid"
    if (kind := PICTURES.get(output.suffix.lower())) is None:
        hint = f"end the name in one of {', '.join(PICTURES)}"
        raise RealmError(Code.INVALID_ARGUMENT, f"{output} names no kind of picture", hint=hint)
    return kind


def _states(instance: str) -> dict[str, Any]:
    from ..core.settings import settings
    from ..flows.results import instance_result
    from ..store import Store
    from .records import find

    with Store.open(settings().database) as store:
        result = instance_result(store, find(store, instance).id)
    return {
        name: {"status": node["status"], "seconds": node["duration"]}
        for name, node in result["nodes"].items()
    }


def read(file: Path) -> Analysis:
    """The analysis of a file, or of standard input."""
    import sys

    from ..compiler import analyze

    if str(file) == STDIN:
        return analyze("<stdin>", text=sys.stdin.buffer.read())
    return analyze(file)


def checked(file: Path) -> Analysis | None:
    """The analysis of a definition that holds; else its findings are shown and the answer is ``None``."""
    from ..compiler.diagnostics import render

    analysis = read(file)
    out = terminal()
    errors = [d for d in analysis.diagnostics if d.severity == "error"]
    shown = errors or ([] if out.quiet else [d for d in analysis.diagnostics if d.severity == "warning"])
    if shown:
        out.complain(render(shown, sources=_sources([analysis]), color=color_wanted(out.stderr)))
    if errors:
        out.say(f"\n{_count(len(errors), 'error')}")
        return None
    return analysis


def _sources(analyses: list[Analysis]) -> dict[str, str]:
    return {analysis.file or "": analysis.text for analysis in analyses}


def _size(analysis: Analysis) -> str:
    definition = analysis.definition
    if definition is None:
        return ""
    return f"{_count(len(definition.nodes), 'node')}, {_count(len(definition.edges), 'edge')}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
