"""What nodes touch outside their outputs, as names of which some parts only the run knows.

A node type declares its effects as a function of parameters and input (:class:`~mirror_realm.tasks.sdk.Effects`). Here
it is asked with the parameters as written, each template being a mark, so that the names tell where it went.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pydantic import BaseModel, ValidationError

from ...tasks.sdk import Effects, NodeType
from ..expressions.errors import ExpressionError
from ..expressions.parser import parse
from ..expressions.printing import unparse
from ..expressions.references import node_key
from ..expressions.syntax import Call, Chain, references, walk
from ..expressions.templates import parse_template

if TYPE_CHECKING:
    from ...tasks.registry import Registry
    from ..analysis import Analysis
    from ..diagnostics import Path
    from ..document import Document
    from ..graph import GraphNode
    from ..scopes import Scope

Mode = Literal["read", "write", "add"]
_OPEN, _CLOSE = "\ue000", "\ue001"
_PARTS = re.compile(f"{_OPEN}(\\d+){_CLOSE}|(\\{{[^{{}}]*\\}})")
_VOLATILE = frozenset({"now", "uuid"})


@dataclass(frozen=True, slots=True)
class Blank:
    """An expression in a name, and for each reference in it the scope that binds what it reads (``None``: the whole
    run). Two equal blanks are the same text, as long as the rounds of those scopes are the same."""

    expression: str
    binders: tuple[Scope | None, ...]


Name: TypeAlias = tuple[str | Blank, ...]
"""A resource name: its kind and a dot, then texts and blanks in turn."""


@dataclass(frozen=True, slots=True)
class Access:
    """``node`` of ``scope`` touches what ``name`` says."""

    scope: Scope
    node: GraphNode
    mode: Mode
    name: Name

    @property
    def literal(self) -> bool:
        """Whether the name is known before anything runs."""
        return all(isinstance(part, str) for part in self.name)

    @property
    def shown(self) -> str:
        """The name as people write it.

        >>> text = "".join(["file./nas/", "a.jpg"])
        >>> " ".join(text.split(".", 1))
        'file /nas/a.jpg'
        """
        parts = (part if isinstance(part, str) else f"{{{{ {part.expression} }}}}" for part in self.name)
        return " ".join("".join(parts).split(".", 1))


@dataclass(frozen=True, slots=True)
class Unknown:
    """``node`` changes things outside, and does not say which."""

    scope: Scope
    node: GraphNode


class Accesses:
    """The accesses of the nodes of one definition. Names with a part of which nothing is known are left out: they
    could be equal to any other."""

    def __init__(
        self, document: Document, registry: Registry, subworkflows: Mapping[Path, Analysis] | None = None
    ) -> None:
        self._document = document
        self._registry = registry
        self._subworkflows = subworkflows or {}

    def of(self, scope: Scope, node: GraphNode) -> Iterator[Access | Unknown]:
        """What a node itself touches; of a sub-workflow, what its nodes do where that does not depend on its input."""
        if (inner := self._subworkflows.get(node.path)) is not None:
            yield from self._of_workflow(scope, node, inner)
            return
        raw = self._document.value(node.path)
        effects = effects_of(self._registry, raw)
        if effects is None:
            return
        declared, marks = effects
        if declared is None:
            yield Unknown(scope, node)
            return
        modes: tuple[tuple[Mode, Any], ...] = (
            ("write", declared.writes),
            ("add", declared.adds),
            ("read", declared.reads),
        )
        for mode, names in modes:
            for text in dict.fromkeys(names):
                if (name := _name(str(text), marks, scope)) is not None:
                    yield Access(scope, node, mode, name)

    def _of_workflow(self, scope: Scope, node: GraphNode, inner: Analysis) -> Iterator[Access | Unknown]:
        if inner.scope is None or inner.document is None:
            return
        accesses = Accesses(inner.document, self._registry, inner.subworkflows)
        for part in inner.scope.walk():
            for one in part.graph.nodes:
                for access in accesses.of(part, one):
                    if isinstance(access, Access) and access.literal:
                        yield Access(scope, node, access.mode, access.name)


Marks: TypeAlias = list[str]
"""The expressions of the templates that marks stand for."""


def effects_of(registry: Registry, raw: Mapping[str, Any]) -> tuple[Effects | None, Marks] | None:
    """The effects of a node as written, with what the marks in them stand for; ``None`` for effects where they cannot
    be told of a node that changes things outside; ``None`` where there is nothing to tell."""
    kind = raw.get("type")
    if not isinstance(kind, str) or kind not in registry:
        return None
    node_type, marks = registry[kind], Marks()
    effects = _declared(node_type, raw, marks)
    return (effects, marks) if effects is not None or node_type.side_effects else None


def _declared(node_type: NodeType, raw: Mapping[str, Any], marks: Marks) -> Effects | None:
    if node_type.effects is None:
        return None
    parameters, given = raw.get("parameters"), raw.get("input")
    try:
        return node_type.effects(
            _filled(node_type.parameters, _marked(parameters, marks)),
            _filled(node_type.input, _marked(given, marks)),
        )
    except Exception:  # noqa: BLE001 - asked with half of its data, a plugin's function may raise anything
        return None


def _filled(model: type[BaseModel], given: Any) -> BaseModel:
    """``given`` as the model, as far as it is known yet."""
    values: dict[str, Any] = given if isinstance(given, dict) else {}
    try:
        return model.model_validate(values)
    except ValidationError:
        return model.model_construct(**values)


def _marked(value: Any, marks: Marks) -> Any:
    """``value`` with a mark for each template."""
    if isinstance(value, str) and "{{" in value:
        try:
            parts = parse_template(value)
        except ExpressionError:
            return value
        text = ""
        for part in parts:
            if isinstance(part, str):
                text += part
            else:
                text += f"{_OPEN}{len(marks)}{_CLOSE}"
                marks.append(part.expression)
        return text
    if isinstance(value, dict):
        return {key: _marked(item, marks) for key, item in value.items()}
    return [_marked(item, marks) for item in value] if isinstance(value, list) else value


def _name(text: str, marks: Marks, scope: Scope) -> Name | None:
    """The name that ``text`` says; ``None`` where nothing is known of a part of it."""
    parts: list[str | Blank] = []
    position = 0
    for match in _PARTS.finditer(text := _normal(text)):
        number, _ = match.groups()
        blank = _blank(marks[int(number)], scope) if number and int(number) < len(marks) else None
        if blank is None:
            return None
        parts += [text[position : match.start()], blank]
        position = match.end()
    return tuple(part for part in (*parts, text[position:]) if part != "")


def _normal(text: str) -> str:
    """One spelling for one file: without ``file://``, ``//`` and ``./``."""
    kind, dot, rest = text.partition(".")
    if kind != "file" or not rest:
        return text
    path = posixpath.normpath(rest.removeprefix("file://"))
    return kind + dot + path + ("/" if rest.endswith("/") and path != "/" else "")


def _blank(expression: str, scope: Scope) -> Blank | None:
    try:
        tree = parse(expression)
    except ExpressionError:
        return None
    if any(isinstance(node, Call) and node.function in _VOLATILE for node in walk(tree)):
        return None
    return Blank(unparse(tree), tuple(binder(scope, chain) for chain, _ in references(tree)))


def binder(scope: Scope, chain: Chain) -> Scope | None:
    """The scope whose rounds ``chain`` depends on, read in ``scope``; ``None`` where it is the same in all the run."""
    for one in scope.around():
        if chain.root in one.names:
            return one
        if (
            chain.root == "nodes"
            and one.owner is not None
            and (not chain.path or node_key(one.graph.by_id, str(chain.path[0])))
        ):
            return one
    return None
