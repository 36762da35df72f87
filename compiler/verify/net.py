"""The executions of a definition as a net of decisions: when each node runs, and when each edge is taken.

The rules are those of ``flows/joins.py``: a node waits until every edge into it is decided, runs when enough of them
are taken and its guard holds, and is skipped otherwise, which decides its own edges. So no execution gets stuck, and
an execution is the outcomes of the conditions in it, and of the nodes whose failure does not end the instance. When a
node runs is kept as a function of these (:mod:`.diagrams`), in which all executions are explored at once. A node that
needs more work than is allowed counts as free to run or not; it and what follows it are ``unclear``.

Executions in which a node fails and takes the instance along are left out, and so are the nodes that only run then.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ...tasks.control.routing import label_of
from ..expressions.references import node_key
from ..expressions.syntax import Chain, Node
from ..graph import Edge
from ..handlers import handler_of
from ..passes.edges_from_control import DECISIONS
from .decisions import decision_of
from .diagrams import FALSE, TRUE, Diagrams, TooLarge
from .facts import Facts
from .logic import Domain
from .presence import Factor, factors, first_round
from .propositions import Decided, Presence, Propositions

if TYPE_CHECKING:
    from ...tasks.registry import Registry
    from ..document import Document
    from ..graph import GraphNode
    from ..scopes import Scope

TERMINATE = "control/terminate"
"""The node that ends the instance: nothing follows it."""
_WORK = 100_000
_WORK_OF_A_NODE = 4_000
_QUESTIONS = 300


@dataclass(frozen=True, slots=True)
class Failing:
    """A node whose failure does not end the instance: where it is ``fine``, where its edges may be taken all the same
    (``passes``), and where its error ``leads`` to another node. All are within the executions in which it runs."""

    fine: int
    passes: int
    leads: Mapping[str, int]


@dataclass
class Net:
    """The nodes of one scope by id, and its edges.

    ``joins`` says where enough edges into a node are taken, ``guards`` where its guard holds, ``runs`` where it runs;
    all within a round of the scope. ``around`` says where the node around it runs.
    """

    scope: Scope
    around: int
    raw: Mapping[str, Mapping[str, Any]]
    joins: dict[str, int] = field(default_factory=dict)
    runs: dict[str, int] = field(default_factory=dict)
    guards: dict[str, int] = field(default_factory=dict)
    failing: dict[str, Failing] = field(default_factory=dict)
    """The nodes whose failure does not end the instance."""
    aside: frozenset[str] = frozenset()
    """The nodes that only run when the instance has failed."""
    unclear: set[str] = field(default_factory=set)
    decided: dict[str, Decided] = field(default_factory=dict)
    _holds: dict[int, int] = field(default_factory=dict, repr=False)
    _taken: dict[int, int] = field(default_factory=dict, repr=False)

    def incoming(self, node_id: str) -> tuple[Edge, ...]:
        """The edges that a node waits for."""
        if not self.aside:
            return self.scope.graph.incoming(node_id)
        return tuple(edge for edge in self.scope.graph.incoming(node_id) if edge.source not in self.aside)

    def holds(self, edge: Edge) -> int:
        """Where the edge's own condition holds."""
        return self._holds[id(edge)]

    def taken(self, edge: Edge) -> int:
        """Where the edge is taken."""
        return self._taken[id(edge)]

    @cached_property
    def ending(self) -> tuple[str, ...]:
        """The nodes that end the instance."""
        nodes = self.scope.graph.nodes
        return tuple(node.id for node in nodes if node.type == TERMINATE and node.id in self.runs)

    def guard(self, node_id: str) -> str | None:
        """A node's own guard, as written."""
        guard = self.raw[node_id].get("when")
        if isinstance(guard, bool):
            return "true" if guard else "false"
        return guard if isinstance(guard, str) else None

    def needed(self, node_id: str) -> int:
        """How many edges into a node must be taken."""
        join, count = self.raw[node_id].get("join", "any"), len(self.incoming(node_id))
        if not count:
            return 0  # Nothing to wait for.
        return count if join == "all" else join if type(join) is int and join > 0 else 1


class Nets:
    """The nets of one definition, each made when it is first asked for; all are over the same decisions."""

    def __init__(self, document: Document, registry: Registry) -> None:
        self.document = document
        self.registry = registry
        self.diagrams = Diagrams(_WORK)
        self.propositions = Propositions(self.diagrams, self)
        self.questions = _QUESTIONS
        """How often conditions may still be asked whether they can really come out so."""
        self.unfinished: dict[tuple[str | int, ...], int] = {}
        """Where a branch of a fork that does not wait for all is over."""
        self._nets: dict[int, Net | None] = {}
        self._facts: dict[int, Facts] = {}

    def of(self, scope: Scope) -> Net | None:
        """The net of a scope; ``None`` where its graph, or one around it, is wrong, which others report."""
        if id(scope) not in self._nets:
            self._nets[id(scope)] = None
            self._make(scope)
        return self._nets[id(scope)]

    def facts(self, scope: Scope) -> Facts:
        """What is declared about the references of a scope."""
        if (found := self._facts.get(id(scope))) is None:
            found = self._facts[id(scope)] = Facts(self.document, scope, self.registry)
        return found

    def find(self, name: str, scope: Scope) -> tuple[Scope, str] | None:
        """The node that expressions in ``scope`` call ``name``, with the scope it is in."""
        for around in scope.around():
            if (node_id := node_key(around.graph.by_id, name)) is not None:
                return around, node_id
        return None

    # --- making a net -------------------------------------------------------------------------------------------

    def _make(self, scope: Scope) -> None:
        graph, around = scope.graph, TRUE
        if graph.cycles or graph.dangling or any(edge.source == edge.target for edge in graph.edges):
            return
        if scope.parent is not None and scope.owner is not None:
            outer = self.of(scope.parent)
            if outer is None:
                return
            around = self.product(outer.around, outer.runs[scope.owner.id])
        net = Net(scope, around, {node.id: self.document.value(node.path) for node in graph.nodes})
        self._nets[id(scope)] = net  # Conditions of later nodes read what is known of earlier ones.
        if scope.owner is None:
            net.aside = handler_of(self.document.tree, graph).only
        for node_id in graph.order:
            if node_id not in net.aside:
                self._add(net, graph.by_id[node_id])

    def _add(self, net: Net, node: GraphNode) -> None:
        """Where the node runs, from its edges, whose sources are known."""
        incoming = net.incoming(node.id)
        if any(edge.source in net.unclear for edge in incoming):
            net.unclear.add(node.id)
        try:
            with self.diagrams.within(_WORK_OF_A_NODE):
                for edge in incoming:
                    self._decide(net, edge)
                taken = [net.taken(edge) for edge in incoming]
                joined = self.diagrams.at_least(net.needed(node.id), taken)
                guard = net.guard(node.id)
                holds = TRUE if guard is None else self.propositions.condition(guard, net.scope)
                net.joins[node.id], net.guards[node.id] = joined, holds
                net.runs[node.id] = self.diagrams.both(joined, holds)
                if node.type in DECISIONS:
                    net.decided[node.id] = self._decided(net, node)
        except TooLarge:
            self._give_up(net, node.id)
        if (ways := _ways(net.raw[node.id])) is not None:
            passes = net.raw[node.id].get("fail_on_error") is False
            net.failing[node.id] = self._failing(ways, passes=passes)

    def _give_up(self, net: Net, node_id: str) -> None:
        net.unclear.add(node_id)
        for edge in net.incoming(node_id):
            net._holds.setdefault(id(edge), self.diagrams.variable())
            net._taken.setdefault(id(edge), self.diagrams.variable())
        net.joins[node_id], net.guards[node_id] = self.diagrams.variable(), TRUE
        net.runs[node_id] = net.joins[node_id]

    def _decide(self, net: Net, edge: Edge) -> None:
        """Where the edge's condition holds, and where it is taken."""
        if edge.condition == "else":
            siblings = net.scope.graph.outgoing(edge.source)
            others = (self._condition(net, one) for one in siblings if one.condition not in (None, "else"))
            net._holds[id(edge)] = self.diagrams.some(others) ^ 1
        source, failing = net.runs[edge.source], net.failing.get(edge.source)
        if net.scope.graph.by_id[edge.source].type == TERMINATE:
            source = FALSE
        elif edge.codes is not None:
            source = self.diagrams.both(source, failing.leads.get(edge.target, FALSE) if failing else FALSE)
        elif failing is not None:
            source = self.diagrams.both(source, failing.passes)
        net._taken[id(edge)] = self.diagrams.both(source, self._condition(net, edge))

    def _condition(self, net: Net, edge: Edge) -> int:
        if id(edge) not in net._holds:
            text = edge.condition
            net._holds[id(edge)] = TRUE if text is None else self.propositions.condition(text, net.scope)
        return net._holds[id(edge)]

    def _decided(self, net: Net, node: GraphNode) -> Decided:
        """What the decision decides; where its cases cannot be read, one of them or none is taken."""
        parameters = net.raw[node.id].get("parameters")
        decision = decision_of(node.type, parameters, (*node.path, "parameters"))
        if decision is None:
            found = [(label, self.diagrams.variable()) for label in _labels(parameters)]
            if not found:
                return Decided(self.diagrams.variable(), {})
        else:
            found = [
                (case.label or "", self.propositions.holds(case.condition.tree, net.scope))
                for case in decision.cases
            ]
        left, cases = TRUE, dict[str, int]()
        for label, holds in found:
            taken = self.diagrams.both(left, holds)
            cases[label] = self.diagrams.either(cases.get(label, FALSE), taken)
            left = self.diagrams.both(left, holds ^ 1)
        if decision is not None and decision.plain:
            cases = {"true": left ^ 1, "false": left}
        return Decided(left ^ 1, cases)

    def _failing(self, ways: tuple[str | None, ...], *, passes: bool) -> Failing:
        """What follows a failure: the way of its code. The last one gets what is left, since nothing else goes on."""
        fine = self.diagrams.variable()
        left, leads = fine ^ 1, dict[str | None, int]()
        for way in ways[:-1]:
            leads[way] = self.diagrams.both(left, self.diagrams.variable())
            left = self.diagrams.both(left, leads[way] ^ 1)
        leads[ways[-1]] = left
        ignored = leads.pop(None, FALSE)
        goes_on = TRUE if passes else self.diagrams.either(fine, ignored)
        return Failing(fine, goes_on, {way: where for way, where in leads.items() if way is not None})

    def holds(self, tree: Node, scope: Scope) -> int:
        """Where an expression is true; somewhere unknown, if that takes too much work."""
        try:
            with self.diagrams.within(_WORK_OF_A_NODE):
                return self.propositions.holds(tree, scope)
        except TooLarge:
            return self.diagrams.variable()

    def product(self, *functions: int) -> int:
        """Where all hold; somewhere unknown, if that takes too much work."""
        try:
            with self.diagrams.within(_WORK_OF_A_NODE):
                return self.diagrams.every(functions)
        except TooLarge:
            return self.diagrams.variable()

    # --- the world of conditions --------------------------------------------------------------------------------

    def canonical(self, chain: Chain, scope: Scope) -> tuple[Hashable, Chain]:
        """A reference with its node's own id, and where that node, or the loop that binds its name, stands."""
        if chain.root == "nodes" and chain.path and (found := self.find(str(chain.path[0]), scope)):
            return found[0].path, replace(chain, path=(found[1], *chain.path[1:]))
        binder = next((one for one in scope.around() if chain.root in one.names), None)
        return (None if binder is None else binder.path), chain

    def domain(self, chain: Chain, scope: Scope) -> Domain:
        """What is declared of a reference."""
        _, chain = self.canonical(chain, scope)
        ran = frozenset(str(part) for part in chain.path[:1])
        return self.facts(scope).domain(chain, ran=ran, switches=True)

    def presence(self, chain: Chain, scope: Scope) -> Presence:
        """Where a reference leads to something."""
        found: list[Factor] = list(factors(self, chain, scope))
        if not found:
            return Presence(TRUE, exact=False)
        function = self.product(*(factor.function for factor in found))
        return Presence(function, exact=found[-1].complete)

    def null(self, chain: Chain, scope: Scope) -> int | None:
        """Where ``loop.last`` is null: in the first round."""
        return first_round(self, chain, scope) if chain.path == ("last",) else None

    def decided(self, chain: Chain, scope: Scope) -> Decided | None:
        """The decision of which a reference reads ``result`` or ``case``."""
        if chain.root != "nodes" or len(chain.path) != 2:
            return None
        found = self.find(str(chain.path[0]), scope)
        net = self.of(found[0]) if found else None
        return net.decided.get(found[1]) if net and found else None


def _ways(raw: Mapping[str, Any]) -> tuple[str | None, ...] | None:
    """What may follow the node's failure but the instance's: the nodes that are gone to, and ``None`` where its edges
    are taken all the same. No ways for a node whose failure is the instance's."""
    found: dict[str | None, None] = {}
    rules = raw.get("on_error")
    for rule in rules if isinstance(rules, list) else [rules]:
        if not isinstance(rule, dict):
            continue
        if isinstance(target := rule.get("goto"), str):
            found[target] = None
        elif rule.get("ignore"):
            found[None] = None
        if not rule.get("codes"):
            break  # The first rule for a code counts.
    else:
        if raw.get("fail_on_error") is False:
            found[None] = None
    return tuple(found) or ((None,) if raw.get("fail_on_error") is False else None)


def _labels(parameters: Any) -> Iterator[str]:
    """What the cases of a decision are called."""
    cases = parameters.get("cases") if isinstance(parameters, dict) else None
    listed = [{"target": target} for target in cases.values()] if isinstance(cases, dict) else cases
    for case in listed if isinstance(listed, list) else ():
        if isinstance(case, dict):
            name, values = case.get("name"), case.get("values", [case.get("value")])
            label = label_of(name if isinstance(name, str) else None, case.get("target"), values)
            yield label or ""
