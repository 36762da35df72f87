"""Compiling and evaluating one expression with CEL, and saying in plain words what went wrong.

Types are checked when an expression runs, not when it is compiled, since JSON has one kind of number: whole and
decimal numbers compare and compute with each other. :mod:`.check` adds the types that are known beforehand.
CEL bounds the work (10,000 steps of ``map``, ``filter``, … in one evaluation, 32 levels of nesting).
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from ...core.settings import settings
from .errors import ExpressionError
from .functions import FUNCTIONS, Function, present, reach
from .messages import runtime_error, syntax_error
from .references import MISSING, SCOPE_NAMES, Reference, explain, resolve, spread, unknown_root
from .rewrite import rewrite
from .rewritten import Rewritten
from .spelling import RENAMED
from .values import has_nul, jsonable, kind_of, to_json

if TYPE_CHECKING:
    from cel_expr_python import cel

CACHED = 4096
"""Compiled expressions that a process keeps."""
_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "_+_": operator.add,
    "_-_": operator.sub,
    "_*_": operator.mul,
    "_/_": operator.truediv,
}


@dataclass(frozen=True, slots=True)
class Compiled:
    """An expression, ready to be evaluated any number of times, in any thread."""

    rewritten: Rewritten
    program: cel.Expression
    variables: tuple[tuple[str, Reference], ...]
    hoisted: tuple[tuple[str, Compiled, int], ...]
    direct: Reference | None
    """The reference, where the expression is nothing else: then CEL is not needed."""

    def evaluate(self, scope: Mapping[str, Any]) -> Any:
        """The expression's JSON value in ``scope``. Raises :class:`ExpressionError`."""
        if self.direct is not None:
            value = resolve(self.direct, scope)
            if value is MISSING:
                raise explain(self.direct, scope, self.rewritten.source)
            return value
        return self._run(scope)

    def _run(self, scope: Mapping[str, Any]) -> Any:
        data = self._bindings(scope)
        error = _error_type()
        try:
            result = self.program.eval(data=data)
            if result.type() == error and "Non-CEL value" in str(result.plain_value()):
                result = self.program.eval(data={name: plain(value) for name, value in data.items()})
            if result.type() == error:
                raise self._failure(str(result.plain_value()), scope)
            return _Reader(self.rewritten.source).read(result)
        except (RuntimeError, TypeError) as failure:
            # What the C++ runtime cannot express as an error value: exhausted budgets, values without a JSON form.
            raise self._failure(str(failure), scope) from None

    def _bindings(self, scope: Mapping[str, Any]) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for name, reference in self.variables:
            value = resolve(reference, scope)
            if value is MISSING:
                if reference.root not in scope and reference.root not in SCOPE_NAMES:
                    raise unknown_root(reference, scope, self.rewritten.source)
                if reference.mode != "value":
                    data[name] = False if reference.mode == "has" else None
                continue  # Left unbound: CEL then fails only where the value is really needed.
            if reference.mode == "has":
                value = True
            elif has_nul(value):
                raise self._nul(reference)
            data[name] = spread(reference, value)
        for name, part, offset in self.hoisted:
            try:
                data[name] = part.evaluate(scope)
            except ExpressionError as error:
                if not error.absent:
                    raise error.shifted(self.rewritten.source, offset) from None
                data[name] = None
        return data

    def _nul(self, reference: Reference) -> ExpressionError:
        return ExpressionError(
            f"{reference.text()} holds a NUL character, which expressions cannot compute with",
            expression=self.rewritten.source,
            column=reference.start + 1,
            end=reference.end + 1,
            hint="pass it on as it is, in a template of its own, or clean it in a node before",
            kind="value",
        )

    def _failure(self, text: str, scope: Mapping[str, Any]) -> ExpressionError:
        if match := re.search(r'No value with name "(\w+)"', text):
            reference = self.rewritten.variables.get(match.group(1))
            if reference is not None:
                return explain(reference, scope, self.rewritten.source)
        return runtime_error(text, self.rewritten)


@lru_cache(maxsize=CACHED)
def compile_expression(expression: str) -> Compiled:
    """``expression`` (without braces), compiled; cached by text. Raises :class:`ExpressionError`."""
    rewritten = rewrite(expression)
    hoisted = []
    for part in rewritten.hoisted:
        try:
            hoisted.append((part.variable, compile_expression(part.text), part.start))
        except ExpressionError as error:
            raise error.shifted(expression, part.start) from None
    try:
        program = _environment().compile(rewritten.text, disable_check=True)
    except RuntimeError as error:
        raise syntax_error(str(error), rewritten) from None
    variables = tuple(rewritten.variables.items())
    direct = variables[0][1] if len(variables) == 1 and rewritten.text == variables[0][0] else None
    if direct is not None and direct.mode != "value":
        direct = None
    return Compiled(rewritten, program, variables, tuple(hoisted), direct)


def plain(value: Any) -> Any:
    """``value`` with tuples, other mappings, paths, dates and models as JSON types."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if value is None or isinstance(value, str | int | float):
        return value
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    try:
        return jsonable(value)
    except ValueError:
        return str(value)


class _Reader:
    """CEL's value as JSON, within the payload limit."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.budget = settings().max_payload_bytes

    def read(self, result: Any) -> Any:
        """The plain value of ``result``."""
        value = result.value()
        if isinstance(value, list):
            self.spend(2 * len(value) + 2)
            return [self.read(item) for item in value]
        if isinstance(value, dict):
            self.spend(4 * len(value) + 2)
            return {self.key(key): self.read(item) for key, item in value.items()}
        return self.scalar(value)

    def scalar(self, value: Any) -> Any:
        """A value that holds no others."""
        if value is None or isinstance(value, bool | int):
            return value
        if isinstance(value, float):
            if value - value != 0:
                raise self.error(f"the result is {value}, which JSON cannot carry")
            return value
        if isinstance(value, str):
            self.spend(len(value))
            return value
        if isinstance(value, bytes | bytearray):
            import base64

            self.spend(len(value))
            return base64.b64encode(value).decode()
        try:
            return jsonable(value)
        except ValueError:
            raise self.error("the result is a type, not a value", "compare it: type(x) == string") from None

    def key(self, key: Any) -> str:
        """A map's key as JSON has it."""
        text = key if isinstance(key, str) else to_json(key)
        self.spend(len(text))
        return text

    def spend(self, size: int) -> None:
        """Count what has been read against the limit."""
        self.budget -= size
        if self.budget < 0:
            limit = settings().max_payload_bytes
            raise self.error(f"the result is larger than {limit} bytes", "pass files by reference", "limit")

    def error(self, problem: str, hint: str | None = None, kind: str = "value") -> ExpressionError:
        """An error of the whole expression."""
        return ExpressionError(problem, expression=self.source, hint=hint, kind=kind)


@cache
def _error_type() -> Any:
    from cel_expr_python import cel

    return cel.Type.ERROR


@cache
def _environment() -> cel.Env:
    return new_environment({})


def new_environment(variables: Mapping[str, Any], *, one_number: bool = False) -> cel.Env:
    """A CEL environment with our functions. With ``one_number`` every number is an ``int`` to the type checker."""
    from cel_expr_python import cel

    # The optional types of CEL stay out: a Python function that is handed one crashes the process (0.1.3).
    extension = cel.CelExtension("realm", list(_declarations(one_number)))
    return cel.NewEnv(variables=dict(variables), extensions=[extension])


def _declarations(one_number: bool) -> Iterator[cel.FunctionDecl]:
    from cel_expr_python import cel

    kinds = cel.Type
    double = kinds.INT if one_number else kinds.DOUBLE
    results = {
        "dyn": kinds.DYN,
        "bool": kinds.BOOL,
        "int": kinds.INT,
        # A whole number stays one, so abs(2) is 2: declared dyn where it runs, a number where it is checked.
        "double": kinds.INT if one_number else kinds.DYN,
        "string": kinds.STRING,
        "list": kinds.List(kinds.DYN),
        "timestamp": kinds.TIMESTAMP,
        "duration": kinds.DURATION,
    }
    by_name: dict[str, list[Function]] = {}
    for function in FUNCTIONS:
        by_name.setdefault(function.name, []).append(function)
    for name, variants in by_name.items():
        overloads = [
            cel.Overload(
                f"{name}_{'m' if variant.member else 'g'}{count}",
                results[variant.result],
                [kinds.DYN] * count,
                variant.member,
                variant.implementation,
            )
            for variant in variants
            for count in variant.arities
        ]
        yield cel.FunctionDecl(RENAMED.get(name, name), overloads)
    pair = [kinds.DYN, kinds.DYN]
    yield cel.FunctionDecl("has_", [cel.Overload("has_", kinds.BOOL, pair, False, present)])
    yield cel.FunctionDecl("reach_", [cel.Overload("reach_", kinds.DYN, pair, False, reach)])
    contains = cel.Overload("list_contains", kinds.BOOL, [kinds.LIST, kinds.DYN], True, _contains)
    yield cel.FunctionDecl("contains", [contains])
    if not one_number:
        for symbol, compute in _ARITHMETIC.items():
            yield cel.FunctionDecl(
                symbol,
                [
                    cel.Overload(f"{symbol}id", double, [kinds.INT, kinds.DOUBLE], False, _mixed(compute)),
                    cel.Overload(f"{symbol}di", double, [kinds.DOUBLE, kinds.INT], False, _mixed(compute)),
                ],
            )


def _mixed(compute: Callable[[Any, Any], Any]) -> Callable[[Any, Any], float]:
    def apply(left: float, right: float) -> float:
        try:
            return float(compute(left, right))
        except ZeroDivisionError:
            raise ValueError("division by zero") from None

    return apply


def _contains(values: list[Any], item: Any) -> bool:
    return any(value == item and kind_of(value) == kind_of(item) for value in values)
