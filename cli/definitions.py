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
    from ..compiler.verify.pool import Pool

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
    watch: bool = False,
    pool: tuple[str, ...] = (),
) -> int:
    """Check definitions: every finding with its place and the way out.

    Exits with 0 when there is no error, with 1 when there is one.

    Parameters
    ----------
    files
        YAML or JSON files, or folders of them; - reads standard input.
    format
        How findings are written; sarif and github are for CI.
    json
        The same as --format json.
    strict
        Warnings count as errors.
    watch
        Check again whenever a file changes, until Ctrl-C.
    pool
        A worker that the definitions are to fit, as gpu=1,cpu=8,memory=16GiB; may be given several times, 4x before
        one stands for four.
    """
    from . import watching

    if not files:
        faults.complain(
            terminal(), "name at least one definition", "for example: realm validate workflow.yaml"
        )
        return faults.USAGE
    shown: Format = "json" if json else format
    workers = _pool(pool)
    if not watch:
        found = watching.definition_files(files)
        if not found:
            faults.complain(terminal(), f"there is no definition in {', '.join(map(str, files))}")
            return faults.INPUT_AT_FAULT
        return (
            faults.OK
            if _report([read(file, workers) for file in found], shown, strict)
            else faults.INPUT_AT_FAULT
        )
    if Path(STDIN) in files:
        faults.complain(terminal(), "standard input cannot be watched", "name a file or a folder")
        return faults.USAGE
    try:
        watching.watch(files, lambda analyses: _report_anew(analyses, shown, strict), workers)
    except KeyboardInterrupt:
        return faults.OK


def _pool(workers: tuple[str, ...]) -> Pool | None:
    from ..compiler.verify.pool import Pool

    try:
        return Pool.parse(workers) if workers else None
    except ValueError as error:
        raise RealmError(Code.INVALID_ARGUMENT, f"--pool: {error}") from None


def _report_anew(analyses: list[Analysis], shown: Format, strict: bool) -> None:
    """The findings on an empty screen, where there is one."""
    out = terminal()
    if out.stdout.isatty():
        out.stdout.write("\x1b[2J\x1b[H")
    _report(analyses, shown, strict)
    out.say(f"watching {_count(len(analyses), 'definition')}; Ctrl-C ends it")
    out.stdout.flush()


def _report(analyses: list[Analysis], shown: Format, strict: bool) -> bool:
    """Show every finding, and a line for each definition without one that counts; whether that is all of them."""
    from ..compiler.diagnostics import render

    out = terminal()
    findings = [d for analysis in analyses for d in analysis.diagnostics]
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
    return not failed


def compile_(
    file: Path,
    /,
    *,
    output: Annotated[Path | None, Parameter(alias="-o")] = None,
    no_optimise: bool = False,
    explain: bool = False,
    json: bool = False,
) -> int:
    """Print the Prefect flow that a definition becomes: the very source that is run.

    Parameters
    ----------
    file
        The definition.
    output
        A Python file to write; run it with `python flow.py`.
    no_optimise
        Every node and edge as the definition has them: nothing computed beforehand, left out or moved.
    explain
        Print what each pass of the optimiser did and why, instead of the flow.
    json
        The explanation as JSON.
    """
    from ..compiler import emit

    if no_optimise and (explain or json):
        hint = "leave out --no-optimise"
        faults.complain(terminal(), "without the optimiser there is nothing to explain", hint)
        return faults.USAGE
    if (analysis := checked(file)) is None:
        return faults.INPUT_AT_FAULT
    source = emit(analysis, optimised=not no_optimise)
    if output is not None:
        output.write_text(source, encoding="utf-8")
        terminal().say(f"wrote {output}")
    if explain or json:
        _explain(analysis, json=json)
    elif output is None:
        terminal().write(source)
    return faults.OK


def _explain(analysis: Analysis, *, json: bool) -> None:
    from ..compiler.explanation import explain

    explanation = explain(analysis)
    if json:
        terminal().write_json(explanation.to_dict())
    else:
        terminal().write(explanation.text())


def graph(
    file: Path,
    /,
    *,
    output: Annotated[Path | None, Parameter(alias="-o")] = None,
    instance: str | None = None,
) -> int:
    """Draw a definition: as Mermaid to the terminal, or as a picture into a file.

    Nodes with nodes inside, and sub-workflows, are frames around them.

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
    picture = draw(analysis, kind, _states(instance) if instance else None)
    if output is None:
        terminal().write(str(picture))
        return faults.OK
    output.write_bytes(picture if isinstance(picture, bytes) else picture.encode())
    terminal().say(f"wrote {output}")
    if kind == "png":
        from ..compiler.draw.png import unreadable

        if unreadable(analysis):
            hint = "install one, such as fonts-noto-cjk on Debian and Ubuntu, or write an .svg"
            terminal().say(f"this machine has no font with Chinese characters: {hint}")
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


def read(file: Path, pool: Pool | None = None) -> Analysis:
    """The analysis of a file, or of standard input, held against a pool of workers if one is named."""
    import sys

    from ..compiler import analyze

    if str(file) == STDIN:
        return analyze("<stdin>", text=sys.stdin.buffer.read(), pool=pool)
    from ..core.settings import settings
    from ..deployments.library import library_of

    return analyze(file, library=library_of(file, settings()), pool=pool)


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
    """How many nodes and edges there are, those inside other nodes and those that a decision makes among them."""
    if analysis.definition is None or analysis.scope is None:
        return ""
    graphs = [scope.graph for scope in analysis.scope.walk()]
    nodes, edges = sum(len(graph.nodes) for graph in graphs), sum(len(graph.edges) for graph in graphs)
    return f"{_count(nodes, 'node')}, {_count(edges, 'edge')}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
