"""What checks look at."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ...tasks.registry import Registry
from ...tasks.sdk import NodeType
from ..diagnostics import Diagnostic, Path, format_path
from ..document import Document
from ..graph import Graph
from ..model import Definition
from ..scopes import Scope
from ..validate import NO_ID, UNNAMED

if TYPE_CHECKING:
    from ..analysis import Analysis
    from ..expressions.outputs import Outputs
    from ..verify.branches import Judgement
    from ..verify.net import Nets
    from ..verify.pool import Pool


@dataclass(frozen=True)
class Subject:
    """One scope of a canonical document, and the definition as far as its form could be saved."""

    document: Document
    scope: Scope
    registry: Registry
    definition: Definition | None = None
    form: tuple[Diagnostic, ...] = field(default=(), repr=False)
    """What was found before the checks."""
    subworkflows: Mapping[Path, Analysis] = field(default_factory=dict, repr=False)
    """The analysed definition of each node that runs another workflow."""
    outputs: Outputs | None = field(default=None, repr=False)
    """What expressions can read, and the shape of it."""
    pool: Pool | None = None
    """The workers that it is meant for, where they are named."""

    @property
    def graph(self) -> Graph:
        """The scope's edges that are meant."""
        return self.scope.graph

    @property
    def written(self) -> Graph:
        """The scope's edges as written."""
        return self.scope.written

    @property
    def tree(self) -> dict[str, Any]:
        """The canonical document's mapping."""
        return self.document.tree if isinstance(self.document.tree, dict) else {}

    def nodes(self) -> Iterator[tuple[Path, dict[str, Any]]]:
        """The scope's nodes that are mappings, with their paths."""
        part = self.document.value(self.scope.path)
        items = part.get("nodes") if isinstance(part, dict) else None
        for index, node in enumerate(items if isinstance(items, list) else ()):
            if isinstance(node, dict):
                yield (*self.scope.path, "nodes", index), node

    def refused(self, path: Path) -> bool:
        """Whether something at ``path``, or under it, was wrong in form, and so is not what its author meant."""
        place = format_path(self.document.origin(path))
        at = bisect_left(self._wrong, place)
        return any(
            one[len(place) :][:1] in ("", ".", "[")
            for one in self._wrong[at : at + 1]
            if one.startswith(place)
        )

    @cached_property
    def _wrong(self) -> list[str]:
        return sorted(one.path for one in self.form if one.path and one.severity == "error")

    def node_type(self, name: Any) -> NodeType | None:
        """The node type of that name, if the registry has it."""
        return self.registry[name] if isinstance(name, str) and name in self.registry else None

    def told(self, judgements: Iterable[Judgement]) -> Iterator[Diagnostic]:
        """The judgements that have something to tell, as diagnostics."""
        for one in judgements:
            if one.severity is not None:
                yield self.document.report(
                    one.code,
                    one.message,
                    one.path,
                    hint=one.hint,
                    severity=one.severity,
                    verdict=one.verdict,
                    key=one.key,
                )

    @cached_property
    def nets(self) -> Nets:
        """When nodes run; the checks that are asked once for a definition share it."""
        from ..verify.net import Nets

        return Nets(self.document, self.registry)

    @cached_property
    def unnamed(self) -> bool:
        """Whether a node stands without an id, so that references to it must look wrong."""
        told = any(one.code == "MR110" and one.message.endswith(NO_ID) for one in self.form)
        return told or any(node.id.startswith(UNNAMED) for node in self.graph.nodes)
