"""What a decision node decides: its cases as conditions, in the order in which they are tried."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ...tasks.control.routing import label_of, text_of
from ..diagnostics import Path
from ..expressions.errors import ExpressionError
from ..expressions.parser import parse
from ..expressions.printing import unparse
from ..expressions.syntax import Binary, Literal, Logic, Node
from ..expressions.templates import Hole, parse_template
from ..passes.edges_from_control import targets
from .logic import Condition, Formula, Is, every, read, some


@dataclass(frozen=True)
class Case:
    """A way out: what must hold, given that no case before it did; where that is written, and where it leads."""

    condition: Condition
    path: Path
    label: str | None
    targets: tuple[str, ...]


@dataclass(frozen=True)
class Decision:
    """``control/condition`` or ``control/switch``; the first case that holds is taken, ``default`` when none does.

    ``plain`` is the form with one condition, whose two ways are ``cases`` and ``default``.
    """

    path: Path
    cases: tuple[Case, ...]
    default: tuple[str, ...]
    plain: bool = False

    def takes(self, index: int) -> Formula:
        """That the case of that ``index`` is taken."""
        before = [Is(case.condition, False) for case in self.cases[:index]]
        return every(Is(self.cases[index].condition, True), *before)

    @cached_property
    def takes_none(self) -> Formula:
        """That no case is taken."""
        return every(*(Is(case.condition, False) for case in self.cases))

    @cached_property
    def leads(self) -> Mapping[str, Formula]:
        """When it leads to which node."""
        ways: dict[str, list[Formula]] = {}
        for index, case in enumerate(self.cases):
            for target in case.targets:
                ways.setdefault(target, []).append(self.takes(index))
        for target in self.default:
            ways.setdefault(target, []).append(self.takes_none)
        return {target: some(*formulas) for target, formulas in ways.items()}

    @property
    def labels(self) -> tuple[str | None, ...]:
        """What its output's ``case`` may be, but for the ends of the plain form."""
        return (*(case.label for case in self.cases), None)


def decision_of(kind: str, parameters: Any, path: Path) -> Decision | None:
    """The decision of a node with these ``parameters`` at ``path``; ``None`` where it is none or cannot be read."""
    if not isinstance(parameters, dict):
        return None
    default = tuple(target for target, _ in targets(parameters.get("default"), path))
    if kind == "control/condition" and "condition" in parameters:
        return _plain(parameters, path)
    cases = parameters.get("cases")
    if kind == "control/condition" and isinstance(cases, list):
        found = list(_cases(cases, (*path, "cases")))
        return Decision(path, tuple(found), default) if len(found) == len(cases) and found else None
    if kind == "control/switch" and (subject := _expression(parameters.get("value"))) is not None:
        found = list(_switched(subject, cases, (*path, "cases")))
        count = len(cases) if isinstance(cases, list | dict) else 0
        return Decision(path, tuple(found), default) if found and len(found) == count else None
    return None


def _plain(parameters: Mapping[str, Any], path: Path) -> Decision | None:
    tree = _expression(parameters["condition"])
    condition = None if tree is None else read(unparse(tree))
    if condition is None:
        return None
    ways = {
        name: tuple(target for target, _ in targets(parameters.get(name), path))
        for name in ("true_path", "false_path")
    }
    case = Case(condition, (*path, "condition"), "true", ways["true_path"])
    return Decision(path, (case,), ways["false_path"], plain=True)


def _cases(cases: list[Any], path: Path) -> Iterator[Case]:
    for index, case in enumerate(cases):
        tree = _expression(case.get("when")) if isinstance(case, dict) else None
        if tree is not None and (condition := read(unparse(tree))) is not None:
            yield _case(condition, case, (*path, index, "when"), ())


def _switched(subject: Node, cases: Any, path: Path) -> Iterator[Case]:
    if isinstance(cases, dict):
        for key, target in cases.items():
            if (condition := _equals(subject, _meanings(key))) is not None:
                yield _case(condition, {"target": target}, (*path, key), (key,))
        return
    for index, case in enumerate(cases if isinstance(cases, list) else ()):
        values = (
            case.get("values", [case["value"]] if "value" in case else []) if isinstance(case, dict) else []
        )
        if isinstance(values, list) and (condition := _equals(subject, values)) is not None:
            name = "values" if "values" in case else "value"
            yield _case(condition, case, (*path, index, name), tuple(values))


def _case(condition: Condition, case: Mapping[str, Any], path: Path, values: tuple[Any, ...]) -> Case:
    name, target = case.get("name"), case.get("target")
    label = label_of(name if isinstance(name, str) else None, target, values)
    return Case(condition, path, label, tuple(found for found, _ in targets(target, path)))


def _meanings(key: str) -> list[Any]:
    """The values that a key of the short form stands for."""
    found: list[Any] = [key]
    try:
        literal = parse(key)
    except ExpressionError:
        return found
    if (
        isinstance(literal, Literal)
        and not isinstance(literal.value, str | bytes)
        and text_of(literal.value) == key
    ):
        found.append(literal.value)
    return found


def _equals(subject: Node, values: list[Any]) -> Condition | None:
    if not values or any(isinstance(value, list | dict) or "{{" in str(value) for value in values):
        return None
    tests: list[Node] = [Binary("==", subject, Literal(value)) for value in values]
    return read(unparse(tests[0] if len(tests) == 1 else Logic("||", tuple(tests))))


def _expression(value: Any) -> Node | None:
    """The expression of a parameter that is one template; ``None`` for everything else."""
    if isinstance(value, bool):
        return Literal(value)
    if not isinstance(value, str):
        return None
    try:
        parts = parse_template(value)
        hole = parts[0]
        return parse(hole.expression) if len(parts) == 1 and isinstance(hole, Hole) else None
    except ExpressionError:
        return None
