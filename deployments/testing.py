"""``realm test``: the cases of a test file, each an instance of the compiled workflow in a home of its own.

The compiler and the runtime are the real ones, with the local engine; only nodes are stood in for
(:mod:`..flows.mocks`). Nothing of a case is left behind, and nothing of this machine's journal is seen.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from ..compiler import Analysis, analyze, compile_workflow
from ..compiler.cases import SUFFIXES, Case, Mock, Suite
from ..compiler.library import Library
from ..core.errors import Code, ErrorRecord, RealmError
from ..core.settings import PREFIX, Settings, settings
from ..flows.engines import engine_choice
from ..flows.environment import use
from ..flows.expectations import Mismatch, Outcome, mismatches
from ..flows.mocks import Answer, Mocked, as_written
from ..flows.results import label
from ..store import Store
from ..store.history import BEGAN
from .run import execute
from .surroundings import surroundings

LONGEST = 120.0
"""Seconds after which a case is given up."""
DEFINITIONS = (".yaml", ".yml", ".json")
OF_THE_HOME = frozenset(
    {"home", "database_url", "artifacts", "objects", "roots", "reuse", "dask_scheduler"}
    | {"s3_endpoint", "s3_access_key", "s3_secret_key"}
)
"""Settings that say where state is; a case has its own."""

Status = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a case failed, and the place of what was expected, as ``file:line:column``."""

    place: str
    what: str
    expected: str
    actual: str

    def to_dict(self) -> dict[str, str]:
        """As JSON."""
        return {name: getattr(self, name) for name in ("place", "what", "expected", "actual")}


@dataclass(frozen=True)
class CaseResult:
    """What became of a case. ``seconds`` is how long it took, ``nodes`` the status of each node execution."""

    name: str
    place: str
    status: Status
    seconds: float = 0.0
    failures: Sequence[Failure] = ()
    reason: str = ""
    nodes: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "name": self.name,
            "place": self.place,
            "status": self.status,
            "seconds": round(self.seconds, 3),
            "reason": self.reason,
            "failures": [failure.to_dict() for failure in self.failures],
            "nodes": self.nodes,
        }


def files_of(paths: Sequence[Path]) -> list[Path]:
    """The test files that ``paths`` mean: themselves, those beside a definition, those in a folder. NOT_FOUND for
    none."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(
                one for one in path.rglob("*") if one.name.endswith(SUFFIXES) and _ours(one, path)
            )
        elif not path.is_file():
            raise RealmError(
                Code.NOT_FOUND, f"there is no file {path}", hint="name a test file, a definition or a folder"
            )
        elif path.name.endswith(SUFFIXES) or path.suffix not in DEFINITIONS:
            found.append(path)
        else:
            found += _beside(path)
    if not found:
        where = ", ".join(map(str, paths))
        hint = "write workflow.test.yaml beside workflow.yaml; see docs/debugging.md"
        raise RealmError(Code.NOT_FOUND, f"no test file in {where}", hint=hint)
    return list(dict.fromkeys(found))


def _ours(file: Path, folder: Path) -> bool:
    """Not in what a tool keeps: .git, .venv, .realm."""
    return not any(part.startswith(".") for part in file.relative_to(folder).parts[:-1])


def _beside(definition: Path) -> list[Path]:
    names = [definition.with_name(definition.stem + suffix) for suffix in SUFFIXES]
    found = [name for name in names if name.is_file()]
    if not found:
        tests = _is_test_file(definition)
        if tests:
            return [definition]
        hint = f"write {definition.stem}.test.yaml beside it; see docs/debugging.md"
        raise RealmError(Code.NOT_FOUND, f"{definition} has no test file", hint=hint)
    return found


def _is_test_file(path: Path) -> bool:
    from ..compiler.source import load

    document = load(path).document
    return document is not None and isinstance(document.tree, dict) and "tests" in document.tree


class Homes:
    """Temporary homes, each with an empty journal. Migrating takes longer than most cases, so it is done once."""

    def __init__(self, configured: Settings) -> None:
        self._configured = configured
        self._folder = tempfile.TemporaryDirectory(prefix="realm-test-", ignore_cleanup_errors=True)
        self._count = 0

    def __enter__(self) -> Homes:
        with self.home() as template:
            Store.open(template.database).close()
            self._template = template.home / "realm.db"
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._folder.cleanup()

    @contextlib.contextmanager
    def home(self) -> Iterator[Settings]:
        """Inside, this process's settings are those of a fresh home; else as configured."""
        self._count += 1
        home = Path(self._folder.name) / f"case-{self._count}"
        home.mkdir()
        if (template := getattr(self, "_template", None)) is not None:
            shutil.copy(template, home / "realm.db")
        before = {name: value for name, value in os.environ.items() if name.startswith(PREFIX)}
        for name in before:
            del os.environ[name]
        os.environ.update(_variables(self._configured, home))
        settings.cache_clear()
        try:
            yield settings()
        finally:
            for name in [name for name in os.environ if name.startswith(PREFIX)]:
                del os.environ[name]
            os.environ.update(before)
            settings.cache_clear()


def _variables(configured: Settings, home: Path) -> dict[str, str]:
    """The settings of a case as variables: nodes of the workers' kind read them for themselves."""
    found = {"home": str(home), "reuse": "false", "models": str(configured.model_folder)}
    for name in Settings.model_fields:
        value = getattr(configured, name)
        if name in OF_THE_HOME or name in found or value is None or value == ():
            continue
        if isinstance(value, tuple):
            found[name] = ",".join(map(str, value))
        else:
            found[name] = str(value).lower() if isinstance(value, bool) else str(value)
    return {PREFIX + name.upper(): value for name, value in found.items()}


def run_suite(
    suite: Suite,
    homes: Homes,
    *,
    chosen: Callable[[Case], bool] = lambda case: True,
    library: Library | None = None,
    told: Callable[[CaseResult], bool] = lambda result: True,
) -> list[CaseResult]:
    """Run the chosen cases of a suite that is ``ok``, in order, and tell each; not ``told``, the others are left out.

    Works in the test file's folder, so that names of files mean what they mean beside the definition.
    """
    assert suite.content is not None
    assert suite.analysis is not None
    folder = Path(suite.file).absolute().parent
    results: list[CaseResult] = []
    token = engine_choice.set("local")
    try:
        for index, case in enumerate(suite.content.tests):
            if not chosen(case):
                continue
            if case.skip is not None:
                result = CaseResult(case.name, suite.place(index), "skipped", reason=case.skip)
            else:
                with homes.home() as configured, contextlib.chdir(folder):
                    result = asyncio.run(_case(suite, index, case, configured, folder, library))
            results.append(result)
            if not told(result):
                break
    finally:
        engine_choice.reset(token)
    return results


async def _case(
    suite: Suite, index: int, case: Case, configured: Settings, folder: Path, library: Library | None
) -> CaseResult:
    began = time.monotonic()
    mocked = Mocked({name: [_answer(one) for one in mocks] for name, mocks in suite.mocks_of(case).items()})
    place = suite.place(index)
    try:
        async with asyncio.timeout(LONGEST):
            outcome = await _run(_analysis(suite, case, library), case, mocked, configured, folder)
    except TimeoutError:
        failures = [Failure(place, "the case", "it ends", f"it is not over after {LONGEST:.0f} s")]
        return CaseResult(case.name, place, "failed", time.monotonic() - began, failures)
    except RealmError as error:
        failures = [Failure(place, "the case", "it can be run", error.record.message)]
        return CaseResult(case.name, place, "failed", time.monotonic() - began, failures)
    failures = [_refused(suite, index, name, why) for name, why in mocked.refused.items()]
    # What followed a node that could not be run says nothing.
    failures = failures or [_failure(suite, index, one) for one in mismatches(case.expect, outcome)]
    nodes = {name: node["status"] for name, node in outcome.result["nodes"].items()}
    status: Status = "failed" if failures else "passed"
    return CaseResult(case.name, place, status, time.monotonic() - began, failures, nodes=nodes)


def _analysis(suite: Suite, case: Case, library: Library | None) -> Analysis:
    """The analysis of the definition, with the variables of the case."""
    analysis = suite.analysis
    assert analysis is not None
    assert analysis.definition is not None
    if not case.variables:
        return analysis
    document = analysis.definition.document()
    document["variables"] = {**document.get("variables", {}), **case.variables}
    changed = analyze(
        analysis.file or "workflow.json", text=json.dumps(document, ensure_ascii=False), library=library
    )
    return changed.raise_for_errors()


async def _run(analysis: Analysis, case: Case, mocked: Mocked, configured: Settings, folder: Path) -> Outcome:
    assert analysis.definition is not None
    # As written: a node that the optimiser leaves out would be missing from what the case can ask about.
    flow = compile_workflow(analysis, optimised=False).flow
    async with surroundings(configured, engine="local", roots=(folder,)) as around:
        with use(replace(around.environment, mocks=mocked)) as environment:
            result = await execute(
                flow,
                replace(around, environment=environment),
                input=case.input,
                trigger=case.trigger,
                analysis=analysis,
            )
        events = around.store.history.of(result["instance_id"])
    begun = [as_written(label(event)) for event in events if event.type == BEGAN]  # pyright: ignore[reportArgumentType]
    nodes = {as_written(name): node for name, node in result["nodes"].items()}
    variables = analysis.definition.variables
    return Outcome({**result, "nodes": nodes}, mocked.attempts, list(dict.fromkeys(begun)), variables)


def _answer(mock: Mock) -> Answer:
    error = mock.error
    record = None if error is None else ErrorRecord(error.code, error.message, details=dict(error.details))
    return Answer(mock.output, record, mock.delay, mock.real)


def _failure(suite: Suite, index: int, mismatch: Mismatch) -> Failure:
    place = suite.place(index, "expect", *mismatch.path) if mismatch.path else suite.place(index)
    return Failure(place, mismatch.what, mismatch.expected, mismatch.actual)


def _refused(suite: Suite, index: int, name: str, why: str) -> Failure:
    key = name.partition("[")[0]
    return Failure(suite.place(index), name, f"a mock: {key}: {{output: …}}, or {key}: real", why)
