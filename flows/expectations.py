"""What a test expects of a run, held against what the run came to."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..core.errors import RealmError
from ..core.status import NodeStatus
from .mocks import Attempt

if TYPE_CHECKING:
    from ..compiler.cases import Expected, ExpectedError, ExpectedNode

Path = tuple[str | int, ...]
MISSING = "nothing"
"""How an absent value is shown."""
LONGEST = 200
_BEGUN = (NodeStatus.COMPLETED, NodeStatus.FAILED, NodeStatus.CANCELED, NodeStatus.RUNNING)


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One thing that is not as expected. ``path`` leads to it in ``expect``, ``expected`` and ``actual`` are words."""

    path: Path
    what: str
    expected: str
    actual: str


@dataclass(frozen=True)
class Outcome:
    """What a run came to: its result as of ``realm run --json``, the attempts that were made, and the labels of the
    nodes in the order in which they began."""

    result: Mapping[str, Any]
    attempts: Sequence[Attempt]
    begun: Sequence[str]
    variables: Mapping[str, Any]

    def node(self, name: str) -> Mapping[str, Any] | None:
        """The node execution, or (of a node in rounds, named without one) the last one."""
        nodes = self.result["nodes"]
        rounds = [value for label, value in nodes.items() if label.partition("[")[0] == name]
        return nodes.get(name) or (rounds[-1] if rounds else None)

    def given(self, name: str) -> Attempt | None:
        """The last attempt of a node, with what it was given."""
        found = [one for one in self.attempts if name in (one.label, one.node)]
        return found[-1] if found else None

    def having(self, *statuses: str) -> list[str]:
        """The labels of the nodes with one of these statuses."""
        return [label for label, node in self.result["nodes"].items() if node["status"] in statuses]

    def scope(self) -> dict[str, Any]:
        """What assertions read."""
        nodes = {
            label: node["output"]
            if node["error"] is None
            else {"status": node["status"], "error": node["error"]}
            for label, node in self.result["nodes"].items()
            if node["status"] in ("completed", "failed")
        }
        return {
            "status": self.result["status"],
            "output": self.result["output"] or {},
            "error": self.result["error"],
            "nodes": nodes,
            "input": self.result["input"] or {},
            "vars": dict(self.variables),
            "ran": list(self.begun),
            "skipped": self.having("skipped"),
            "failed": self.having("failed"),
        }


def mismatches(expected: Expected, outcome: Outcome) -> list[Mismatch]:
    """Everything that is not as expected, the status first."""
    return list(_found(expected, outcome))


def _found(expected: Expected, outcome: Outcome) -> Iterator[Mismatch]:
    result = outcome.result
    if result["status"] != expected.wanted_status:
        error = result.get("error") or {}
        why = f" ({error.get('code')}: {error.get('message')})" if error else ""
        path: Path = ("status",) if expected.status else ("error",) if expected.error else ()
        yield Mismatch(path, "the instance", expected.wanted_status, f"{result['status']}{why}")
    if expected.error is not None:
        yield from _error(expected.error, result.get("error"), ("error",), "the error")
    if "output" in expected.model_fields_set:
        yield from differing(expected.output, result["output"], ("output",), "output")
    for name, wanted in expected.nodes.items():
        yield from _node(name, wanted, outcome, ("nodes", name))
    yield from _lists(expected, outcome)
    yield from _order(expected.order, outcome)
    for index, text in enumerate(expected.that):
        yield from _assertion(text, outcome, ("that", index))


def _node(name: str, wanted: ExpectedNode, outcome: Outcome, path: Path) -> Iterator[Mismatch]:
    node = outcome.node(name)
    if node is None:
        yield Mismatch(path, name, wanted.status or "a node that is reached", "it was not reached")
        return
    if wanted.status is not None and node["status"] != wanted.status:
        yield Mismatch((*path, "status"), name, wanted.status, _became(node))
    if wanted.attempts is not None and node["attempts"] != wanted.attempts:
        yield Mismatch(
            (*path, "attempts"), f"attempts of {name}", str(wanted.attempts), str(node["attempts"])
        )
    if wanted.error is not None:
        yield from _error(wanted.error, node.get("error"), (*path, "error"), f"the error of {name}")
    if "output" in wanted.model_fields_set:
        yield from differing(wanted.output, node["output"], (*path, "output"), f"{name}.output")
    given = outcome.given(name)
    for part in ("input", "parameters"):
        if part in wanted.model_fields_set:
            actual = None if given is None else getattr(given, part)
            yield from differing(getattr(wanted, part), actual, (*path, part), f"{name}.{part}")


def _error(
    wanted: ExpectedError, actual: Mapping[str, Any] | None, path: Path, what: str
) -> Iterator[Mismatch]:
    if actual is None:
        yield Mismatch(path, what, str(wanted.code or wanted.message or "an error"), "there is none")
        return
    if wanted.code is not None and actual.get("code") != wanted.code:
        shown = f"{actual.get('code')}: {actual.get('message')}"
        yield Mismatch((*path, "code"), what, str(wanted.code), shown)
    if wanted.message is not None and wanted.message not in str(actual.get("message")):
        yield Mismatch((*path, "message"), what, f"… {wanted.message} …", str(actual.get("message")))
    failed = (actual.get("details") or {}).get("node_id")
    if wanted.node is not None and failed != wanted.node:
        yield Mismatch((*path, "node"), "the node that failed", wanted.node, str(failed or MISSING))


def _lists(expected: Expected, outcome: Outcome) -> Iterator[Mismatch]:
    wanted = {
        "ran": (expected.ran, "it runs", tuple(map(str, _BEGUN))),
        "skipped": (expected.skipped, "skipped", ("skipped",)),
        "failed": (expected.failed, "failed", ("failed",)),
    }
    for part, (names, words, statuses) in wanted.items():
        for index, name in enumerate(names):
            node = outcome.node(name)
            if node is None or node["status"] not in statuses:
                yield Mismatch((part, index), name, words, _became(node))
    for index, name in enumerate(expected.not_run):
        node = outcome.node(name)
        if node is not None and node["status"] in map(str, _BEGUN):
            yield Mismatch(("not_run", index), name, "it does not run", _became(node))


def _order(names: Sequence[str], outcome: Outcome) -> Iterator[Mismatch]:
    begun = list(outcome.begun)
    places: list[int] = []
    for index, name in enumerate(names):
        found = [place for place, label in enumerate(begun) if name in (label, label.partition("[")[0])]
        if not found:
            yield Mismatch(("order", index), name, "it runs", _became(outcome.node(name)))
            return
        if places and found[0] < places[-1]:
            shown = ", ".join(label for label in begun if label.partition("[")[0] in names or label in names)
            yield Mismatch(("order", index), "the order", ", ".join(names), shown)
            return
        places.append(found[0])


def _became(node: Mapping[str, Any] | None) -> str:
    if node is None:
        return "it was not reached"
    error = node.get("error") or {}
    why = node.get("reason") or (f"{error.get('code')}: {error.get('message')}" if error else "")
    return f"{node['status']}" + (f" ({why})" if why else "")


def _assertion(text: str, outcome: Outcome, path: Path) -> Iterator[Mismatch]:
    from ..compiler.expressions import holds

    scope = outcome.scope()
    try:
        if holds(text, scope):
            return
        actual = "it is false" + "".join(f"; {name} is {value}" for name, value in _read(text, scope))
    except RealmError as error:
        hint = f" ({error.hint})" if error.hint else ""
        actual = f"{error.record.message}{hint}"
    yield Mismatch(path, text, "it is true", actual)


def _read(text: str, scope: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What an assertion reads, and what that is."""
    from ..compiler.expressions.engine import compile_expression
    from ..compiler.expressions.references import MISSING as ABSENT
    from ..compiler.expressions.references import resolve
    from ..compiler.expressions.templates import condition_of

    for reference in compile_expression(condition_of(text).expression).rewritten.variables.values():
        value = resolve(reference, scope)
        yield reference.text(), MISSING if value is ABSENT else shown(value)


def differing(wanted: Any, actual: Any, path: Path, what: str) -> Iterator[Mismatch]:
    """Where ``actual`` does not have what ``wanted`` has. Objects may have more; lists must be as long.

    >>> [one.what for one in differing({"a": 1, "b": [1, 2]}, {"a": 1, "b": [1, 3], "c": 4}, (), "output")]
    ['output.b[1]']
    """
    if isinstance(wanted, Mapping) and isinstance(actual, Mapping):
        for key, value in wanted.items():
            if key not in actual:
                yield Mismatch((*path, key), f"{what}.{key}", shown(value), MISSING)
            else:
                yield from differing(value, actual[key], (*path, key), f"{what}.{key}")
    elif isinstance(wanted, list) and isinstance(actual, list):
        if len(wanted) != len(actual):
            words = [f"{len(one)} items: {shown(one)}" for one in (wanted, actual)]
            yield Mismatch(path, what, words[0], words[1])
            return
        for index, (one, other) in enumerate(zip(wanted, actual, strict=True)):
            yield from differing(one, other, (*path, index), f"{what}[{index}]")
    elif not _same(wanted, actual):
        yield Mismatch(path, what, shown(wanted), MISSING if actual is None else shown(actual))


def _same(wanted: Any, actual: Any) -> bool:
    if isinstance(wanted, bool) or isinstance(actual, bool):
        return wanted is actual
    if isinstance(wanted, int | float) and isinstance(actual, int | float):
        return wanted == actual or math.isclose(wanted, actual, rel_tol=1e-9)
    return wanted == actual


def shown(value: Any) -> str:
    """A value in one line, a long one cut."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"
