"""What is known beforehand about the data that a graph's conditions read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from ..expressions.composed import sole_hole
from ..expressions.references import MISSING, Reference, node_key, resolve
from ..expressions.shapes import ANYTHING, Shape, shape_of_model, shape_of_schema
from ..expressions.syntax import Chain
from ..expressions.typecheck import is_count
from .logic import Budget, Domain, Prover, domain_of, listed

if TYPE_CHECKING:
    from ...tasks.registry import Registry
    from ..document import Document
    from ..scopes import Scope

_COUNT = Domain(frozenset({"number"}), whole=True, low=0, typed=True, declared=True)
_LOOP: Mapping[tuple[str | int, ...], Domain] = {("index",): _COUNT, ("length",): _COUNT}


class Facts:
    """The declared domains of references for the conditions of one ``scope``."""

    def __init__(self, document: Document, scope: Scope, registry: Registry) -> None:
        self.document = document
        self.scope = scope
        self.registry = registry
        self.budget = Budget()
        self.far = Budget(proofs=50, trials=20_000)
        """For questions about what lies upstream, whose formulas are long."""
        tree = document.tree if isinstance(document.tree, dict) else {}
        self.input = shape_of_schema(tree.get("input"))
        variables = tree.get("variables")
        self.constants: dict[str, Any] = variables if isinstance(variables, dict) else {}
        self.nodes: dict[str, Mapping[str, Any]] = {}
        for around in scope.around():
            for node in around.graph.nodes:
                self.nodes.setdefault(node.id, document.value(node.path))

    def prover(self, ran: Iterable[str] = (), *, switches: bool = False, far: bool = False) -> Prover:
        """A prover for questions that are asked when the nodes ``ran`` are over. With ``switches``, boolean constants
        may be either: somebody set them, and may set them differently."""
        domain = partial(self.domain, ran=frozenset(ran), switches=switches)
        return Prover(domain, self.canonical, self.constants, self.far if far else self.budget)

    def canonical(self, chain: Chain) -> Chain:
        """``chain`` with the node's own id."""
        if chain.root != "nodes" or not chain.path:
            return chain
        node_id = node_key(self.nodes, str(chain.path[0]))
        return chain if node_id is None else replace(chain, path=(node_id, *chain.path[1:]))

    def domain(self, chain: Chain, *, ran: frozenset[str], switches: bool) -> Domain:
        """What ``chain`` (canonical) may be."""
        if chain.root == "input":
            return _walk(self.input, chain.path, present=True)
        if chain.root == "vars":
            return self._constant(chain, switches)
        if chain.root == "loop":
            return _LOOP.get(chain.path, Domain())
        if chain.root == "nodes" and len(chain.path) > 1 and (node := self.nodes.get(str(chain.path[0]))):
            return self._output(node, chain, present=chain.path[0] in ran)
        return Domain()

    def _constant(self, chain: Chain, switches: bool) -> Domain:
        value = resolve(Reference("vars", chain.path, "maybe", ()), {"vars": self.constants})
        if value is MISSING:
            return Domain()
        if switches and isinstance(value, bool):
            return Domain(frozenset({"bool"}), declared=True)
        return Domain() if "{{" in str(value) else replace(listed([value]), typed=True)

    def _output(self, node: Mapping[str, Any], chain: Chain, *, present: bool) -> Domain:
        kind = node.get("type")
        if not isinstance(kind, str) or kind not in self.registry:
            return Domain()
        present = present and node.get("fail_on_error") is not False and not node.get("on_error")
        if self._counts(node, kind, chain.path[1:]):
            return _COUNT if present else _COUNT.including("absent")
        return _walk(shape_of_model(self.registry[kind].output), chain.path[1:], present=present)

    def _counts(self, node: Mapping[str, Any], kind: str, path: tuple[str | int, ...]) -> bool:
        """Whether the field of the output that ``path`` names is computed as the size of something."""
        parameters = node.get("parameters")
        given = self.registry[kind].gives(parameters) if isinstance(parameters, dict) else None
        value = given.get(str(path[0])) if given is not None and len(path) == 1 else None
        hole = sole_hole(value) if isinstance(value, str) else None
        return hole is not None and is_count(hole.expression)


def _walk(shape: Shape, path: tuple[str | int, ...], *, present: bool) -> Domain:
    """The domain at the end of ``path``; what lies under something that may be absent or null may be absent."""
    for part in path:
        present = present and part in shape.certain
        step = shape.step(part)
        if not isinstance(step, Shape):
            return Domain()  # a field that is not there, which is reported where it matters
        shape = step
    return domain_of(shape, present=present) if shape is not ANYTHING else Domain()
