"""Whether a formula over conditions can hold: by trying values first, then by proof.

The answer *yes* comes with data for which evaluation has confirmed it, *no* with z3's proof that there is none, and
*unknown* with the reason. z3 is imported only when trying has found nothing, which is rare.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from ...expressions.syntax import Chain
from .conditions import Condition, Formula, Is, conditions, evaluate
from .domains import Domain
from .samples import Assignment, assignments, scope_of
from .uses import Uses

if TYPE_CHECKING:
    from .solver import Session

MOST_CONDITIONS = 64
"""Conditions in one formula."""
NO_Z3 = "z3 is not installed (pip install 'mirror-realm[verify]')"


@dataclass(frozen=True, slots=True)
class Answer:
    """``yes`` has a ``witness``: a value for each reference. ``assumed`` are references whose type is taken from their
    uses. ``unknown`` has a reason, ``why``."""

    verdict: Literal["yes", "no", "unknown"]
    witness: Assignment = field(default_factory=dict)
    assumed: tuple[Chain, ...] = ()
    why: str = ""


@dataclass(slots=True)
class Budget:
    """What may still be spent on one graph: proofs, and evaluations of conditions (plain ones count together as one);
    and where the proofs are made."""

    proofs: int = 400
    trials: int = 40_000
    session: Session | None = None


@dataclass(frozen=True)
class Prover:
    """``domain_of`` gives the declared domain of a reference, ``canonical`` its one spelling; ``constants`` are
    the definition's ``vars``."""

    domain_of: Callable[[Chain], Domain]
    canonical: Callable[[Chain], Chain]
    constants: Mapping[str, Any] = field(default_factory=dict)
    budget: Budget = field(default_factory=Budget)

    def possible(self, formula: Formula, *, assume: bool = False) -> Answer:
        """Whether ``formula`` can hold.

        With ``assume``, references that nothing declares have the kinds that their uses ask for. Without it, they may
        be anything, so that *no* holds of all data.
        """
        if self.budget.proofs <= 0:
            return Answer("unknown", why="there is too much to prove in one definition")
        used = conditions(formula)
        if any(condition.volatile for condition in used):
            return Answer("unknown", why="it depends on the time or on chance")
        if len(used) > MOST_CONDITIONS:
            return Answer("unknown", why=f"more than {MOST_CONDITIONS} conditions take part")
        domains = self._domains(used, assume)
        assumed = tuple(c for c, d in domains.items() if assume and not d.declared and d.assumed is not None)
        unclear = [c for c, d in domains.items() if assume and not d.declared and d.assumed is None]
        if not unclear and (witness := self._tried(formula, used, domains)) is not None:
            return Answer("yes", witness, assumed)
        answer = self._proved(formula, domains)
        if answer.verdict == "yes" and unclear:
            return Answer("unknown", why=f"nothing declares the type of {unclear[0].text()}")
        return replace(answer, assumed=assumed)

    def outcomes(self, condition: Condition) -> tuple[Answer, Answer]:
        """Whether ``condition`` can be true, and whether it can be false: :meth:`possible` of each."""
        domains = self._domains((condition,), assume=False)
        found: dict[bool, Answer] = {}
        if self.budget.proofs > 0 and self.budget.trials > 0 and not condition.volatile:
            readers = {self.canonical(chain): (condition,) for chain in condition.chains}
            for assignment in assignments(domains, readers):
                self.budget.trials -= 1
                value = self._outcome(condition, assignment)
                if value is not None and value not in found:
                    found[value] = Answer("yes", assignment)
                if len(found) == 2:  # true and false
                    break
        answers = (found.get(one) or self.possible(Is(condition, one)) for one in (True, False))
        return next(answers), next(answers)

    def _domains(self, used: tuple[Condition, ...], assume: bool) -> dict[Chain, Domain]:
        uses = [condition.uses for condition in used]
        domains: dict[Chain, Domain] = {}
        for chain in dict.fromkeys(chain for condition in used for chain in condition.chains):
            name = self.canonical(chain)
            domain = self.domain_of(name)
            if not domain.declared:
                kinds = Uses.assumed(chain, uses)
                earlier = domains.get(name)
                if earlier is not None and kinds is not None and earlier.assumed is not None:
                    kinds |= earlier.assumed
                domain = replace(domain, assumed=kinds)
                if assume and kinds is not None:
                    domain = domain.among(kinds)
            domains[name] = domain
        return _with_holders(domains)

    # --- trying -------------------------------------------------------------------------------------------------

    def _tried(
        self, formula: Formula, used: tuple[Condition, ...], domains: Mapping[Chain, Domain]
    ) -> Assignment | None:
        if self.budget.trials <= 0:
            return None
        readers: dict[Chain, list[Condition]] = {}
        for condition in used:
            for chain in condition.chains:
                readers.setdefault(self.canonical(chain), []).append(condition)
        costly = sum(condition.plain is None for condition in used)
        for assignment in assignments(domains, readers):
            self.budget.trials -= 1 + costly
            if self.confirms(formula, assignment):
                return assignment
        return None

    def confirms(self, formula: Formula, assignment: Assignment) -> bool:
        """Whether evaluation finds that ``formula`` holds for these values."""
        scope = self._scope(assignment)
        if scope is None:
            return False
        known: dict[str, bool | None] = {}

        def outcome(condition: Condition) -> bool | None:
            if condition.text not in known:
                known[condition.text] = condition.outcome(scope)
            return known[condition.text]

        return evaluate(formula, outcome)

    def _outcome(self, condition: Condition, assignment: Assignment) -> bool | None:
        scope = self._scope(assignment)
        return None if scope is None else condition.outcome(scope)

    def _scope(self, assignment: Assignment) -> dict[str, Any] | None:
        """The whole scope in which the references have these values; ``None`` where they contradict each other."""
        scope = scope_of(assignment)
        if scope is None:
            return None
        scope = {"vars": dict(self.constants), **scope}
        if isinstance(scope["vars"], dict):
            scope["vars"] = {**self.constants, **scope["vars"]}
        return scope

    # --- proving ------------------------------------------------------------------------------------------------

    def _proved(self, formula: Formula, domains: Mapping[Chain, Domain]) -> Answer:
        self.budget.proofs -= 1
        try:
            from . import solver
        except ImportError:
            return Answer("unknown", why=NO_Z3)
        from .terms import Translator

        with solver.LOCK:
            translator = Translator(domains, self.canonical)
            session = self.budget.session = self.budget.session or solver.Session()
            verdict, model = session.solve([translator.formula(formula), *translator.constraints])
            if verdict == "unsat":
                return Answer("no")
            if verdict == "unknown":
                return Answer("unknown", why="the proof would take too long")
            witness = {chain: translator.read(model, chain) for chain in domains}
        if all(domains[chain].admits(value) for chain, value in witness.items()) and self.confirms(
            formula, witness
        ):
            return Answer("yes", witness)
        return Answer("unknown", why="it uses functions or constraints that are not modelled")


def _with_holders(domains: dict[Chain, Domain]) -> dict[Chain, Domain]:
    """An undeclared reference under which another one lies may also be a map."""
    for chain in list(domains):
        for length in range(len(chain.path)):
            around = domains.get(holder := Chain(chain.root, chain.path[:length]))
            if around is not None and not around.declared:
                domains[holder] = around.including("map", "list")
    return domains
