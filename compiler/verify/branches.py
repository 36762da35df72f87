"""What can be proved about the branches of one graph: verdicts on every condition, fork and join.

A verdict is about what the author of a branch may rely on: that a condition can hold and can fail, that some branch is
taken, that alternatives exclude each other, that a join can be met. ``refuted`` comes with data or a proof, ``unknown``
with why.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..diagnostics import Path, Severity, Verdict
from ..expressions.references import MISSING
from ..expressions.syntax import (
    Binary,
    Call,
    Chain,
    Conditional,
    Literal,
    Logic,
    Method,
    Node,
    Unary,
    chain_of,
    walk,
)
from ..graph import Edge
from .decisions import Decision
from .facts import Facts
from .logic import Answer, AtLeast, Condition, Formula, Is, every, read
from .logic.conditions import conditions
from .logic.domains import kind_of
from .paths import ALWAYS, Paths, conflicting

if TYPE_CHECKING:
    from ...tasks.registry import Registry
    from ..document import Document
    from ..scopes import Scope
    from .logic import Prover

_FIRST_MATCH = "branch_conditions"
_MOST_SHOWN = 4


@dataclass(frozen=True)
class Judgement:
    """A verdict on what stands at ``path``. ``severity`` is ``None`` where there is nothing to tell."""

    code: str
    verdict: Verdict
    message: str
    path: Path
    hint: str | None = None
    severity: Severity | None = None
    key: bool = False
    """Whether it is about the key at ``path``, not its value."""


@dataclass
class _Branches:
    facts: Facts
    paths: Paths
    dead: set[str] = field(default_factory=set)
    """The conditions that never hold, so that what follows from that is not told again."""

    def hopeless(self, formula: Formula) -> bool:
        """Whether a condition that never holds takes part in ``formula``."""
        return bool(self.dead) and any(condition.text in self.dead for condition in conditions(formula))


def judge(document: Document, scope: Scope, registry: Registry) -> Iterator[Judgement]:
    """Every verdict on the branches of ``scope``, also those with nothing to tell."""
    facts = Facts(document, scope, registry)
    branches = _Branches(facts, Paths(facts))
    yield from _conditions(branches)
    yield from _forks(branches)
    yield from _joins(branches)


# --- conditions -------------------------------------------------------------------------------------------------


def _conditions(branches: _Branches) -> Iterator[Judgement]:
    """MR222 and MR223: conditions that never hold, or always."""
    graph = branches.facts.scope.graph
    for edge in graph.edges:
        condition = _condition(edge)
        if condition is not None and not _made(branches, edge):
            where = (*edge.path, "condition")
            before = branches.paths.runs(edge.source)
            yield from _condition_at(
                branches, condition, where, before, (edge.source,), "this edge is never taken"
            )
    for node in graph.nodes:
        guard = branches.paths.guards[node.id]
        if guard is not None:
            incoming = graph.incoming(node.id)
            ran = (incoming[0].source,) if len(incoming) == 1 else ()
            before = branches.paths.into(node.id)
            yield from _condition_at(
                branches, guard, (*node.path, "when"), before, ran, "this node never runs"
            )
    for decision in branches.paths.decisions.values():
        yield from _cases(branches, decision)


def _condition_at(
    branches: _Branches, condition: Condition, where: Path, before: Formula, ran: tuple[str, ...], effect: str
) -> Iterator[Judgement]:
    """Verdicts on one condition: on its own, and where ``before`` leads to it."""
    if isinstance(condition.tree, Literal):
        return  # a plain true or false is a switch that somebody set
    prover = branches.facts.prover(ran, switches=True)
    can_hold, can_fail = prover.outcomes(condition)
    if can_hold.verdict == "no":
        branches.dead.add(condition.text)
        if can_fail.verdict != "no":  # else it is always an error, which the types of what it reads explain
            yield _never(condition, where, effect, branches)
        return
    if can_hold.verdict == "unknown":
        yield Judgement("MR222", "unknown", f"whether it can hold: {can_hold.why}", where)
        return
    if can_fail.verdict == "no":
        message = f"this condition always holds: {_short(condition.text)}"
        hint = "remove it, or compare with what can differ"
        yield Judgement("MR223", "refuted", message, where, hint, "warning")
    elif conflicting(before, asked := Is(condition, True)) and not branches.hopeless(before):
        anywhere = branches.facts.prover(switches=True, far=True)
        reach = every(before, asked)
        # Where nothing leads here at all, that is told elsewhere.
        if anywhere.possible(reach).verdict == "no" and anywhere.possible(before).verdict != "no":
            branches.dead.add(condition.text)
            message = f"{effect}: where it is reached, {_short(condition.text)} does not hold"
            hint = "the conditions before it exclude it; change one of them, or remove it"
            yield Judgement("MR222", "refuted", message, where, hint, "error")
            return
    yield Judgement("MR222", "proved", "it can hold", where)


def _never(condition: Condition, where: Path, effect: str, branches: _Branches) -> Judgement:
    own = _own(condition) if _FIRST_MATCH in branches.facts.document.origin(where) else None
    if own is not None and branches.facts.prover(switches=True).possible(Is(own, True)).verdict == "yes":
        return _shadowed(own, where)
    message = f"{effect}: {_short((own or condition).text)} never holds"
    return Judgement("MR222", "refuted", message, where, "change the condition, or remove it", "error")


def _shadowed(condition: Condition, where: Path) -> Judgement:
    message = f"this branch is never taken: the branches before it take everything for which {_short(condition.text)}"
    return Judgement("MR222", "refuted", message, where, "put it before them, or remove it", "error")


def _cases(branches: _Branches, decision: Decision) -> Iterator[Judgement]:
    prover = branches.facts.prover(switches=True)
    for index, case in enumerate(decision.cases):
        if decision.plain:
            effect = "true_path is never taken" if case.targets else "its result is always false"
            yield from _condition_at(branches, case.condition, case.path, ALWAYS, (), effect)
        elif isinstance(case.condition.tree, Literal):
            continue
        elif prover.possible(Is(case.condition, True)).verdict == "no":
            branches.dead.add(case.condition.text)
            if prover.possible(Is(case.condition, False)).verdict == "no":
                continue  # always an error
            message = f"this case is never taken: {_short(case.condition.text)} never holds"
            of_key = case.path[-2] == "cases"
            yield Judgement(
                "MR222", "refuted", message, case.path, "change it, or remove it", "error", key=of_key
            )
        elif index and prover.possible(decision.takes(index)).verdict == "no":
            branches.dead.add(case.condition.text)
            yield _shadowed(case.condition, case.path)


# --- forks ------------------------------------------------------------------------------------------------------


def _forks(branches: _Branches) -> Iterator[Judgement]:
    """MR220 and MR221: data for which no branch is taken, and alternatives that are taken together."""
    graph = branches.facts.scope.graph
    for node in graph.nodes:
        edges = [edge for edge in graph.outgoing(node.id) if not _made(branches, edge)]
        asked = [(edge, condition) for edge in edges if (condition := _condition(edge)) is not None]
        if len(asked) < 2 or len({condition.text for _, condition in asked}) < 2:
            continue  # a single condition is a guard: without it the way simply ends here
        first_match = all(_FIRST_MATCH in branches.facts.document.origin(edge.path) for edge, _ in asked)
        if len(asked) == len(edges):
            yield from _gap(branches, node.id, asked, first_match)
        elif not first_match and any(edge.condition == "else" for edge in edges):
            yield from _overlap(branches, asked)
    for node_id, decision in branches.paths.decisions.items():
        if not decision.plain and not decision.default and any(case.targets for case in decision.cases):
            answer = _where_reached(branches, node_id, decision.takes_none, branches.facts.prover())
            tested = [case.condition for case in decision.cases]
            hint = "add default: with a node, or a case for it; otherwise nothing follows then"
            yield _of_gap(f"no case of {node_id!r} is taken", answer, tested, decision.path, hint, "warning")


def _gap(
    branches: _Branches, node_id: str, asked: list[tuple[Edge, Condition]], first_match: bool
) -> Iterator[Judgement]:
    """Alternatives that leave something out. Conditions that can hold together are optional ways, not alternatives."""
    prover = branches.facts.prover((node_id,))
    conditions = [condition for _, condition in asked]
    where = asked[-1][0].path
    if not first_match:
        holds = tuple(Is(condition, True) for condition in conditions)
        together = prover.possible(AtLeast(2, holds), assume=True)
        if together.verdict != "no":
            if together.verdict == "unknown":
                yield Judgement("MR220", "unknown", f"whether they are alternatives: {together.why}", where)
            return
    if branches.dead & {condition.text for condition in conditions}:
        return
    none = every(*(Is(condition, False) for condition in conditions))
    answer = _where_reached(branches, node_id, none, prover)
    way = f"{_FIRST_MATCH} entry without an expression" if first_match else "edge with condition: else"
    hint = f"add an {way}" if not first_match else f"add a {way}"
    hint += f"; otherwise nothing after {node_id!r} runs then"
    severity: Severity = "info" if answer.verdict == "unknown" else "warning"
    yield _of_gap(f"no branch out of {node_id!r} is taken", answer, conditions, where, hint, severity)


def _where_reached(branches: _Branches, node_id: str, gap: Formula, prover: Prover) -> Answer:
    """Whether ``gap`` is possible where ``node_id`` runs: what leads there may exclude it."""
    answer, before = prover.possible(gap, assume=True), branches.paths.runs(node_id)
    if answer.verdict != "yes" or not conflicting(before, gap):
        return answer
    return branches.facts.prover((node_id,), far=True).possible(every(before, gap), assume=True)


def _of_gap(
    what: str, answer: Answer, conditions: list[Condition], where: Path, hint: str, severity: Severity
) -> Judgement:
    if answer.verdict == "no":
        return Judgement("MR220", "proved", "some branch is always taken", where)
    if answer.verdict == "unknown":
        message = f"whether {what} for some data is not known: {answer.why}"
        return Judgement("MR220", "unknown", message, where, hint, "info")
    message = f"{what} when {_shown(answer, conditions)}"
    return Judgement("MR220", "refuted", message, where, _with_assumptions(hint, answer), severity)


def _overlap(branches: _Branches, asked: list[tuple[Edge, Condition]]) -> Iterator[Judgement]:
    """With an ``else`` beside them, comparisons of the same value read as alternatives: if, else if, else."""
    source = asked[0][0].source
    chains = {frozenset(map(branches.facts.canonical, condition.chains)) for _, condition in asked}
    if len(chains) != 1 or not all(_compares(condition.tree) for _, condition in asked):
        return
    prover = branches.facts.prover((source,))
    for (edge, one), (later, other) in itertools.islice(itertools.combinations(asked, 2), 50):
        if edge.target == later.target or one.text == other.text:
            continue
        answer = prover.possible(every(Is(one, True), Is(other, True)), assume=True)
        if answer.verdict == "yes":
            message = f"both {edge.target!r} and {later.target!r} follow {source!r} when {_shown(answer, [one, other])}"
            hint = (
                f"if only the first is meant, write {_FIRST_MATCH}, or exclude it: && !({_short(one.text)})"
            )
            where = (*later.path, "condition")
            yield Judgement("MR221", "refuted", message, where, _with_assumptions(hint, answer), "warning")
            return
        if answer.verdict == "unknown":
            yield Judgement("MR221", "unknown", answer.why, (*later.path, "condition"))


def _compares(tree: Node) -> bool:
    """Whether it only compares: asking whether something is in a list, say, is not meant as an alternative."""
    for node in walk(tree):
        if isinstance(node, Method | Call | Conditional):
            return False
        if isinstance(node, Binary) and node.operator == "in" and chain_of(node.right) is not None:
            return False
    return isinstance(tree, Binary | Logic | Unary)


# --- joins ------------------------------------------------------------------------------------------------------


def _joins(branches: _Branches) -> Iterator[Judgement]:
    """MR224: a join of edges that are never taken together."""
    graph = branches.facts.scope.graph
    for node in graph.nodes:
        incoming = graph.incoming(node.id)
        needed = branches.paths.join(node.id)
        if not 2 <= needed <= len(incoming) or node.id in branches.paths.jumped_to:
            continue
        parts = branches.paths.together(node.id)
        formula = AtLeast(needed, parts)
        pairs = itertools.combinations(parts, 2)
        if branches.hopeless(formula) or not any(conflicting(*pair) for pair in pairs):
            continue
        where = (*node.path, "join")
        answer = branches.facts.prover(far=True).possible(formula)
        if answer.verdict != "no":
            verdict: Verdict = "proved" if answer.verdict == "yes" else "unknown"
            yield Judgement("MR224", verdict, answer.why or "the join can be met", where)
            continue
        yield Judgement(
            "MR224", "refuted", _apart(branches, node.id, incoming, parts, needed), where, _ANY, "error"
        )


_ANY = "write join: any: the node then runs after those that are taken, once all are decided"


def _apart(
    branches: _Branches, node_id: str, incoming: tuple[Edge, ...], parts: tuple[Formula, ...], needed: int
) -> str:
    prover = branches.facts.prover(far=True)
    if needed == len(parts):
        for (one, first), (other, second) in itertools.islice(
            itertools.combinations(zip(incoming, parts, strict=True), 2), 28
        ):
            if conflicting(first, second) and prover.possible(every(first, second)).verdict == "no":
                return (
                    f"node {node_id!r} is always skipped: it waits for the edges from {one.source!r} and "
                    f"{other.source!r}, which are never taken together"
                )
    return (
        f"node {node_id!r} is always skipped: it waits for {needed} of {len(parts)} edges, and never are so many "
        "taken together"
    )


# --- words ------------------------------------------------------------------------------------------------------


def _shown(answer: Answer, conditions: Iterable[Condition]) -> str:
    """A witness in the reader's own names, as far as the conditions read it."""
    written = {chain: None for condition in conditions for chain in condition.chains}
    canonical: dict[Chain, Any] = dict(answer.witness)
    shown: list[str] = []
    for chain in written:
        value = _look_up(canonical, chain)
        shown.append(f"{chain.text()} is absent" if value is MISSING else f"{chain.text()} = {_json(value)}")
    more = f" and {len(shown) - _MOST_SHOWN} more are given" if len(shown) > _MOST_SHOWN else ""
    return (", ".join(shown[:_MOST_SHOWN]) or "they are evaluated") + more


def _look_up(witness: dict[Chain, Any], chain: Chain) -> Any:
    if chain in witness:
        return witness[chain]
    alike = (
        c for c in witness if c.root == chain.root and [*map(_plain, c.path)] == [*map(_plain, chain.path)]
    )
    found = next(alike, None)
    return MISSING if found is None else witness[found]


def _plain(part: str | int) -> str:
    return str(part).replace("-", "_")


def _json(value: Any) -> str:
    return _short(json.dumps(value, ensure_ascii=False), 40)


def _with_assumptions(hint: str, answer: Answer) -> str:
    if not answer.assumed:
        return hint
    words = {
        "bool": "true or false",
        "number": "a number",
        "string": "a string",
        "list": "a list",
        "map": "a map",
    }
    kinds = {chain: words.get(kind_of(answer.witness.get(chain, MISSING))) for chain in answer.assumed}
    taken = [f"{chain.text()} for {word}" for chain, word in kinds.items() if word][:_MOST_SHOWN]
    return f"{hint} (nothing declares it; this takes {', '.join(taken)})" if taken else hint


def _short(text: str, most: int = 80) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"


def _condition(edge: Edge) -> Condition | None:
    return read(edge.condition) if edge.condition not in (None, "else") else None


def _made(branches: _Branches, edge: Edge) -> bool:
    """Whether a decision's parameters made the edge: it is judged by its cases."""
    decision = branches.paths.decisions.get(edge.source)
    return not edge.listed or (decision is not None and edge.target in decision.leads)


def _own(condition: Condition) -> Condition | None:
    """A first-match branch's own part of its condition, which also excludes the branches before it."""
    tree = condition.tree
    if not isinstance(tree, Logic) or tree.operator != "&&":
        return None
    own = tree.operands[0]
    return read(condition.text[slice(*own.span)])
