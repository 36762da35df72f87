"""Test files of workflows: cases with an input, stand-ins for nodes, and what is expected of the run.

A test file is checked against its definition before anything runs: a name that the workflow does not have, a key that a
case does not know, an output that the node could not give are findings at their place, as those of a definition.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from ..tasks.registry import Registry
from .analysis import Analysis, analyze
from .close_matches import did_you_mean, listed
from .diagnostics import Diagnostic, Path, in_order
from .document import Document
from .explain import explain, fields_at, item_name, without_echoes
from .expressions.engine import compile_expression
from .expressions.errors import ExpressionError
from .expressions.references import unknown_root
from .expressions.templates import condition_of
from .library import Library
from .model import Duration, ErrorCode, Model

SUFFIXES = (".test.yaml", ".test.yml", ".test.json")
"""How the name of a test file ends."""
SEEN = ("status", "output", "error", "nodes", "input", "vars", "ran", "skipped", "failed")
"""What assertions read."""

InstanceEnd = Literal["completed", "failed", "canceled"]
NodeEnd = Literal["completed", "failed", "skipped", "canceled", "running"]


def _listed(value: object) -> object:
    """One answer stands for every attempt; the word ``real`` for the node itself."""
    return [value] if not isinstance(value, list) else value


def _mock(value: object) -> object:
    return {"real": True} if value == "real" else value


def _code(value: object) -> object:
    return {"code": value} if isinstance(value, str) else value


def _status(value: object) -> object:
    return {"status": value} if isinstance(value, str) else value


class MockedError(Model):
    """The error that an attempt comes to."""

    code: ErrorCode
    message: str = "mocked"
    details: dict[str, Any] = Field(default_factory=dict)


class Mock(Model):
    """What one attempt of a node comes to: an output, an error, or what the node itself does."""

    output: Any = Field(default=None, description="Templates in it see what the node's do, and `call`")
    error: Annotated[MockedError, BeforeValidator(_code)] | None = None
    delay: Duration = Field(default=0.0, description="How long the attempt takes")
    real: bool = Field(default=False, description="Run the node itself")

    @model_validator(mode="after")
    def _one(self) -> Mock:
        given = [name for name in ("output", "error", "real") if name in self.model_fields_set]
        if len(given) != 1:
            found = " and ".join(given) or "none of them"
            raise PydanticCustomError(
                "mock", "a mock has an output, an error or real: true, not {found}", {"found": found}
            )
        return self


Mocks = dict[
    str,
    Annotated[list[Annotated[Mock, BeforeValidator(_mock)]], BeforeValidator(_listed), Field(min_length=1)],
]


class ExpectedError(Model):
    """The error that an instance or a node ends with. ``message`` is a part of it."""

    code: ErrorCode | None = None
    message: str | None = None
    node: str | None = None


class ExpectedNode(Model):
    """What became of one node, and what it was given."""

    status: NodeEnd | None = None
    attempts: int | None = Field(default=None, ge=1)
    output: Any = None
    error: Annotated[ExpectedError, BeforeValidator(_code)] | None = None
    input: Any = None
    parameters: dict[str, Any] | None = None


class Expected(Model):
    """What a case expects. Objects may have more than what is written; lists must be as long."""

    status: InstanceEnd | None = None
    output: Any = None
    error: Annotated[ExpectedError, BeforeValidator(_code)] | None = None
    nodes: dict[str, Annotated[ExpectedNode, BeforeValidator(_status)]] = Field(default_factory=dict)
    ran: list[str] = Field(default_factory=list, description="Nodes that ran")
    not_run: list[str] = Field(default_factory=list, description="Nodes that did not begin")
    skipped: list[str] = Field(default_factory=list)
    failed: list[str] = Field(default_factory=list)
    order: list[str] = Field(default_factory=list, description="Nodes that began one after the other")
    that: list[str] = Field(default_factory=list, description="Expressions that are true afterwards")

    @property
    def wanted_status(self) -> str:
        """The status that is expected, said or not: completed, or failed where an error is expected."""
        return self.status or ("failed" if self.error is not None else "completed")


class Case(Model):
    """One case: one instance, in a home of its own."""

    name: str = Field(min_length=1)
    skip: str | None = Field(default=None, description="Why it is not run now")
    input: dict[str, Any] = Field(default_factory=dict)
    trigger: dict[str, Any] = Field(default_factory=dict)
    variables: dict[str, Any] = Field(
        default_factory=dict, description="Other values of the workflow's variables"
    )
    mocks: Mocks = Field(default_factory=dict)
    expect: Expected = Field(default_factory=Expected)


class TestFile(Model):
    """A test file. Its ``mocks`` hold for every case that has none of its own for the same node."""

    __test__ = False  # pytest would take it for a class of tests.

    workflow: str | None = Field(default=None, description="The definition; default the file beside it")
    mocks: Mocks = Field(default_factory=dict)
    tests: list[Case] = Field(min_length=1)


@dataclass(frozen=True)
class Suite:
    """A test file with the definition that it is about. ``cases`` are ``None`` where either has errors."""

    file: str
    document: Document | None = field(repr=False)
    content: TestFile | None
    analysis: Analysis | None = field(repr=False)
    diagnostics: tuple[Diagnostic, ...]

    @property
    def ok(self) -> bool:
        """Whether its cases can be run."""
        return self.content is not None and not any(d.severity == "error" for d in self.diagnostics)

    def mocks_of(self, case: Case) -> dict[str, list[Mock]]:
        """The mocks of a case, the file's beneath its own."""
        return {**(self.content.mocks if self.content else {}), **case.mocks}

    def place(self, index: int, *path: str | int, key: bool = False) -> str:
        """``file:line:column`` of a value in the case number ``index``, or of its key."""
        assert self.document is not None
        return self.document.place(("tests", index, *path), key=key)


def definition_of(file: FilePath) -> FilePath | None:
    """The definition that a test file is about when it does not say: of the same name, else ``workflow.yaml``."""
    stem = next(
        (file.name.removesuffix(suffix) for suffix in SUFFIXES if file.name.endswith(suffix)), file.stem
    )
    names = [f"{one}{suffix}" for one in (stem, "workflow") for suffix in (".yaml", ".yml", ".json")]
    return next((file.with_name(name) for name in names if file.with_name(name).is_file()), None)


def load_suite(file: FilePath, *, library: Library | None = None, registry: Registry | None = None) -> Suite:
    """Read and check a test file, and analyse its definition. Never raises for a wrong one."""
    from .source import load

    loaded = load(file)
    document, found = loaded.document, list(loaded.diagnostics)
    if document is None:
        return Suite(str(file), None, None, None, tuple(found))
    content = _content(document, found)
    analysis = _analysis(file, document, found, library, registry)
    if content is not None and analysis is not None and analysis.ok:
        found += _Check(document, content, analysis).run()
    return Suite(str(file), document, content, analysis, in_order(found))


def _content(document: Document, found: list[Diagnostic]) -> TestFile | None:
    if not isinstance(document.tree, dict):
        hint = "start with `tests:` and a list of cases, each with a name"
        found.append(
            document.report("MR106", "a test file is a mapping of workflow, mocks and tests", (), hint=hint)
        )
        return None
    try:
        return TestFile.model_validate(document.tree)
    except ValidationError as error:
        errors = without_echoes(error.errors(include_url=False), lambda path: fields_at(TestFile, path))
        found += [_diagnostic(document, one) for one in errors]
        return None


def _diagnostic(document: Document, error: Any) -> Diagnostic:
    path = _real(document.tree, error["loc"])
    missing = error["type"] == "missing"
    name = str(error["loc"][-1]) if missing else item_name(path)
    if error["type"] == "mock":
        hint = "write {output: …}, {error: CODE} or real; a list has one for each attempt"
        return document.report("MR150", str(error["msg"]), path, hint=hint, key=True)
    known = fields_at(TestFile, error["loc"][:-1])
    told = explain(error, name, known)
    key = missing or error["type"] == "extra_forbidden" or isinstance(error.get("input"), dict | list)
    return document.report(told.code, told.message, path, hint=told.hint, key=key)


def _real(tree: Any, loc: Path) -> Path:
    """The part of a location that the file has: one mock may stand where the model has a list."""
    path: list[str | int] = []
    for part in loc:
        if isinstance(tree, dict):
            inside = part in tree
        else:
            inside = isinstance(tree, list) and isinstance(part, int) and part < len(tree)
        if inside:
            tree = tree[part]  # type: ignore[index]
            path.append(part)
    return tuple(path)


def _analysis(
    file: FilePath,
    document: Document,
    found: list[Diagnostic],
    library: Library | None,
    registry: Registry | None,
) -> Analysis | None:
    named = document.tree.get("workflow") if isinstance(document.tree, dict) else None
    path = file.parent / named if isinstance(named, str) else definition_of(file)
    if path is None or not path.is_file():
        what = f"there is no file {path}" if path is not None else "there is no definition beside it"
        where: Path = ("workflow",) if isinstance(named, str) else ()
        hint = "name it with `workflow: FILE`, from the test file's folder"
        found.append(document.report("MR100", what, where, hint=hint))
        return None
    analysis = analyze(os.path.relpath(path), library=library, registry=registry)
    if analysis.errors:
        first, more = analysis.errors[0], len(analysis.errors) - 1
        also = f" (and {more} more)" if more else ""
        message = f"the definition has errors: {first.position}: {first.message}{also}"
        hint = f"`realm validate {analysis.file}` shows them"
        found.append(document.report("MR100", message, ("workflow",), hint=hint))
    return analysis


class _Check:
    """The names and values of a test file against its definition."""

    def __init__(self, document: Document, content: TestFile, analysis: Analysis) -> None:
        from ..tasks.registry import registry

        self.document, self.content, self.analysis = document, content, analysis
        self.registry = analysis.registry if analysis.registry is not None else registry()
        self.nodes = dict(_types(analysis))
        assert analysis.definition is not None
        self.variables = analysis.definition.variables

    def run(self) -> Iterator[Diagnostic]:
        """All findings."""
        yield from self._mocks(self.content.mocks, ("mocks",))
        names: dict[str, int] = {}
        for index, case in enumerate(self.content.tests):
            base: Path = ("tests", index)
            if case.name in names:
                hint = "a name is how a case is chosen with -k"
                yield self.document.report(
                    "MR119", f"two cases are called {case.name!r}", (*base, "name"), hint=hint
                )
            names[case.name] = index
            yield from self._mocks(case.mocks, (*base, "mocks"))
            yield from self._variables(case, (*base, "variables"))
            yield from self._expected(case.expect, (*base, "expect"))

    def _mocks(self, mocks: Mapping[str, list[Mock]], base: Path) -> Iterator[Diagnostic]:
        for name, answers in mocks.items():
            if (wrong := self._unknown(name, (*base, name), types=True)) is not None:
                yield wrong
                continue
            for index, answer in enumerate(answers):
                yield from self._output(name, answer, (*base, name), index)

    def _output(self, name: str, answer: Mock, base: Path, index: int) -> Iterator[Diagnostic]:
        """What the node's output model has against a mocked output; fields may be left out."""
        type_name = self.nodes.get(_key(name), name)
        if (
            "output" not in answer.model_fields_set
            or type_name not in self.registry
            or _templated(answer.output)
        ):
            return
        single = not isinstance(self.document.value(base), list)
        path = (*base, "output") if single else (*base, index, "output")
        try:
            self.registry[type_name].output.model_validate(answer.output)
        except ValidationError as error:
            for one in error.errors(include_url=False):
                if one["type"] in ("missing", "value_error", "assertion_error"):
                    continue
                told = explain(
                    one,
                    item_name(one["loc"]) or "output",
                    tuple(self.registry[type_name].output.model_fields),
                )
                place = (*path, *_real(answer.output, one["loc"]))
                message = f"{type_name} cannot give this: {told.message}"
                yield self.document.report(
                    "MR150", message, place, hint=told.hint, key=one["type"] == "extra_forbidden"
                )

    def _variables(self, case: Case, base: Path) -> Iterator[Diagnostic]:
        for name in case.variables:
            if name not in self.variables:
                hint = (
                    did_you_mean(name, self.variables)
                    or f"its variables are {listed(self.variables) or 'none'}"
                )
                yield self.document.report(
                    "MR302", f"the workflow has no variable {name!r}", (*base, name), hint=hint, key=True
                )

    def _expected(self, expected: Expected, base: Path) -> Iterator[Diagnostic]:
        for name in expected.nodes:
            if (wrong := self._unknown(name, (*base, "nodes", name))) is not None:
                yield wrong
        for part in ("ran", "not_run", "skipped", "failed", "order"):
            for index, name in enumerate(getattr(expected, part)):
                if (wrong := self._unknown(name, (*base, part, index), key=False)) is not None:
                    yield wrong
        if expected.error is not None and expected.error.node is not None:
            place = (*base, "error", "node")
            if (wrong := self._unknown(expected.error.node, place, key=False)) is not None:
                yield wrong
        for index, text in enumerate(expected.that):
            yield from self._assertion(text, (*base, "that", index))

    def _assertion(self, text: str, path: Path) -> Iterator[Diagnostic]:
        try:
            hole = condition_of(text)
            compiled = compile_expression(hole.expression)
            for reference in compiled.rewritten.variables.values():
                if reference.root not in SEEN:
                    raise unknown_root(reference, SEEN, hole.expression)
        except ExpressionError as error:
            code = "MR302" if error.kind == "name" else "MR301"
            yield self.document.report(code, error.problem, path, hint=error.hint)

    def _unknown(self, name: str, path: Path, *, types: bool = False, key: bool = True) -> Diagnostic | None:
        if _key(name) in self.nodes or (types and self._is_type(name)):
            return None
        known = [*self.nodes, *(self._type_names() if types else ())]
        what = "no node, and none of a type," if types else "no node"
        hint = did_you_mean(_key(name), known) or f"its nodes are {listed(self.nodes)}"
        return self.document.report("MR201", f"the workflow has {what} {name!r}", path, hint=hint, key=key)

    def _is_type(self, name: str) -> bool:
        used = self._type_names()
        return name in used or (name.endswith("/*") and any(one.startswith(name[:-1]) for one in used))

    def _type_names(self) -> set[str]:
        undone = {node.compensate.type for _, node in self._definitions() if node.compensate is not None}
        return {*self.nodes.values(), *undone}

    def _definitions(self) -> Iterable[tuple[Path, Any]]:
        for one in (self.analysis, *self.analysis.subworkflows.values()):
            if one.definition is not None:
                yield from one.definition.walk()


def _types(analysis: Analysis) -> Iterator[tuple[str, str]]:
    """The types of all nodes by their ids in the journal, and of the steps that undo them."""
    for scope in analysis.scope.walk() if analysis.scope is not None else ():
        prefix = f"{scope.key}/" if scope.key else ""
        for node in scope.graph.nodes:
            yield prefix + node.id, node.type
            raw = analysis.document.value(node.path) if analysis.document is not None else {}
            undo = raw.get("compensate")
            if isinstance(undo, dict):
                yield f"{prefix}{node.id}!compensate", str(undo.get("type"))
            if (inner := analysis.subworkflows.get(node.path)) is not None:
                yield from ((f"{prefix}{node.id}/{key}", type) for key, type in _types(inner))


def _key(name: str) -> str:
    """A node without its round."""
    return name.partition("[")[0]


def _templated(value: Any) -> bool:
    if isinstance(value, str):
        return "{{" in value
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(map(_templated, items))
