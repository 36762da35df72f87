"""``realm test``: the cases beside definitions, run and reported."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from ..core.errors import Code, RealmError
from . import faults
from .terminal import Terminal, color_wanted, terminal

if TYPE_CHECKING:
    from ..compiler.cases import Case, Suite
    from ..deployments.testing import CaseResult

SIGNS = {"passed": ("✓", "green"), "failed": ("✗", "red"), "skipped": ("↷", "dim")}


def run_tests(
    paths: tuple[Path, ...] = (),
    /,
    *,
    choose: Annotated[str | None, Parameter(name=("--choose", "-k"), metavar="TEXT")] = None,
    fail_fast: Annotated[bool, Parameter(name=("--fail-fast", "-x"))] = False,
    format: Literal["text", "json", "junit"] = "text",
    output: Annotated[Path | None, Parameter(name=("--output", "-o"))] = None,
) -> int:
    """Run the test cases of workflows: the compiler and the runtime are real, nodes are stood in for as the case says.

    Exits with 0 when every case passed, with 1 when one failed or a test file is wrong.

    Parameters
    ----------
    paths
        Test files, definitions that have one beside them, or folders; without any, this folder.
    choose
        Only cases whose name, or whose file's, has this text; `not TEXT` all others.
    fail_fast
        Stop at the first case that fails.
    format
        text, json or junit (the XML that CI systems read).
    output
        Write the report there and show the text as well; without it, the report is what is printed.
    """
    from ..compiler.cases import load_suite
    from ..core.settings import settings
    from ..deployments.library import library_of
    from ..deployments.testing import files_of
    from .case_reports import junit, report

    if output is not None and format == "text":
        raise RealmError(Code.INVALID_ARGUMENT, "--output needs a format", hint="add --format junit, or json")
    configured = settings()
    files = files_of(paths or (Path(),))
    suites = [load_suite(file, library=library_of(file, configured)) for file in files]
    out = terminal()
    shows = format == "text" or output is not None
    began = time.monotonic()
    found = _run_all(out, suites, choose, fail_fast, shows)
    seconds = time.monotonic() - began
    if format != "text":
        text = junit(found, seconds) if format == "junit" else report(found, seconds)
        if output is None:
            out.write(text)
        else:
            output.write_text(text, encoding="utf-8")
    if shows:
        _summary(out, found, seconds)
    wrong = any(not suite.ok for suite, _ in found)
    failed = any(result.status == "failed" for _, results in found for result in results)
    nothing = not any(results for _, results in found)
    if nothing and not wrong:
        out.complain(f"no case has {choose!r} in its name")
    return faults.INPUT_AT_FAULT if wrong or failed or nothing else faults.OK


Found = Sequence[tuple["Suite", list["CaseResult"]]]


def _run_all(out: Terminal, suites: list[Suite], choose: str | None, fail_fast: bool, shows: bool) -> Found:
    from ..compiler.diagnostics import render
    from ..core.settings import settings
    from ..deployments.library import library_of
    from ..deployments.testing import Homes, run_suite
    from .logs import engines_quiet

    found: list[tuple[Suite, list[CaseResult]]] = []
    configured = settings()

    def tell(result: CaseResult) -> bool:
        if shows:
            _line(out, result)
        return not (fail_fast and result.status == "failed")

    with engines_quiet(out), Homes(configured) as homes:
        for suite in suites:
            if shows:
                out.write(suite.file)
            if suite.diagnostics:
                sources = {suite.file: suite.document.text} if suite.document is not None else {}
                out.complain(render(suite.diagnostics, sources=sources, color=color_wanted(out.stderr)))
            results: list[CaseResult] = []
            if suite.ok:
                library = library_of(Path(suite.file), configured)
                results = run_suite(suite, homes, chosen=_chosen(choose, suite), library=library, told=tell)
            found.append((suite, results))
            if fail_fast and (not suite.ok or any(result.status == "failed" for result in results)):
                break
    return found


def _chosen(choose: str | None, suite: Suite) -> Callable[[Case], bool]:
    if choose is None:
        return lambda case: True
    without = choose.startswith("not ")
    text = choose.removeprefix("not ").casefold()
    return lambda case: (text in f"{suite.file} {case.name}".casefold()) is not without


def _line(out: Terminal, result: CaseResult) -> None:
    from rich.text import Text

    from .results import seconds

    sign, style = SIGNS[result.status]
    took = seconds(result.seconds) if result.status != "skipped" else result.reason
    out.console.print(Text.assemble("  ", (sign, style), f" {result.name}  ", (took, "dim")), soft_wrap=True)
    for failure in result.failures:
        out.console.print(Text.assemble(f"      {failure.what}  ", (failure.place, "dim")), soft_wrap=True)
        out.console.print(
            Text.assemble(("        expected  ", "dim"), (failure.expected, "green")), soft_wrap=True
        )
        out.console.print(
            Text.assemble(("        actual    ", "dim"), (failure.actual, "red")), soft_wrap=True
        )
    if result.status == "failed" and result.nodes:
        nodes = ", ".join(f"{name} {status}" for name, status in result.nodes.items())
        out.console.print(Text(f"        nodes     {nodes}", style="dim"), soft_wrap=True)


def _summary(out: Terminal, found: Found, took: float) -> None:
    from .results import seconds

    counts = {status: sum(r.status == status for _, results in found for r in results) for status in SIGNS}
    wrong = sum(not suite.ok for suite, _ in found)
    words = [f"{number} {status}" for status, number in counts.items() if number]
    words += [f"{wrong} test files are wrong" if wrong > 1 else "1 test file is wrong"] if wrong else []
    out.write(f"\n{', '.join(words) or 'no cases'} in {seconds(took)}")
