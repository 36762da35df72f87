"""``difference``: every change between two definitions, nodes by nodes, down into their parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...tasks.registry import Registry
from ...tasks.registry import registry as installed
from ..diagnostics import Path
from ..model import Definition, NodeDefinition
from ..scopes import Scope
from .bump import suggested
from .changes import Change, Difference, Impact, Subject
from .keeping import kept_and_again
from .matching import paired, renamed, spelled
from .schemas import schema_edits
from .sides import COSMETIC, PARTS, Side, journal_id
from .values import Edit, edits, shown

_OWN = frozenset({"input", "output", "triggers", "nodes", "edges"})
"""Fields of the workflow that are compared in their own way."""


def difference(old: Definition, new: Definition, registry: Registry | None = None) -> Difference:
    """What ``new`` changes of ``old``. ``registry`` replaces the process's node types."""
    types = registry if registry is not None else installed()
    before, after = Side(old, types), Side(new, types)
    comparison = _Comparison(before, after)
    changes = tuple(comparison.workflow())
    lost, gained = _outputs(before, after)
    kept, again = kept_and_again(before, after, comparison.names)
    bump = suggested(old.version, changes, lost, gained)
    return Difference(old.version, new.version, new.name, changes, lost, gained, kept, again, bump)


class _Comparison:
    def __init__(self, before: Side, after: Side) -> None:
        self.before, self.after = before, after
        self.names: dict[str, str] = {}
        """Old journal id → new one, of the nodes that were renamed."""

    def workflow(self) -> Iterator[Change]:
        """Every change, the workflow's own first."""
        old, new = self.before.tree, self.after.tree
        yield from self._fields(old, new)
        for found in schema_edits(old.get("input"), new.get("input"), ("input",)):
            yield _change("workflow", found.edit, found.impact, found.reason)
        for edit in _output_edits(old.get("output"), new.get("output"), ("output",)):
            gone = edit.kind == "removed" and len(edit.path) == 2
            yield _change("workflow", edit, *_breaks(gone, "a field of the output is gone"))
        yield from self._triggers()
        yield from self._scope(self.before.scope, self.after.scope, ())

    def _fields(self, old: dict[str, Any], new: dict[str, Any]) -> Iterator[Change]:
        before, after = ({k: v for k, v in tree.items() if k not in _OWN} for tree in (old, new))
        for edit in edits(before, after):
            if edit.path == ("name",):
                reason = "it is another workflow: versions, triggers and instances stay with the old name"
                yield _change("workflow", edit, Impact.BREAKING, reason)
            else:
                cosmetic = edit.path[0] in COSMETIC
                yield _change("workflow", edit, Impact.COSMETIC if cosmetic else Impact.COMPATIBLE)

    def _triggers(self) -> Iterator[Change]:
        old, new = self.before.tree.get("triggers", []), self.after.tree.get("triggers", [])
        pairs, gone, came = paired(old, new, spelled, lambda t: t.get("name") or id(t), lambda t: t["type"])
        for one, other in pairs:
            for edit in edits(old[one], new[other], ("triggers", other)):
                yield _change("trigger", edit, Impact.COMPATIBLE)
        for one in gone:
            yield _change("trigger", Edit("removed", ("triggers", one), old[one], None), Impact.COMPATIBLE)
        for other in came:
            yield _change("trigger", Edit("added", ("triggers", other), None, new[other]), Impact.COMPATIBLE)

    def _scope(self, old: Scope, new: Scope, base: Path) -> Iterator[Change]:
        was, now = self.before.nodes(old), self.after.nodes(new)
        names = renamed(was, now, old.written, new.written)
        self.names |= {journal_id(old, one): journal_id(new, other) for one, other in names.items()}
        for one, other in names.items():
            path: Path = ("nodes", journal_id(new, other))
            yield _change("node", Edit("renamed", path, one, other), Impact.COMPATIBLE)
        for gone in [node for node in was if node not in now and node not in names]:
            path = ("nodes", journal_id(old, gone))
            reason = "its results are gone"
            yield _change("node", Edit("removed", path, was[gone].type, None), Impact.BREAKING, reason)
        fresh = set(now) - set(was) - set(names.values())
        for came in [node for node in now if node in fresh]:
            path = ("nodes", journal_id(new, came))
            yield _change("node", Edit("added", path, None, now[came].type), Impact.COMPATIBLE)
        both = {one: names.get(one, one) for one in was if names.get(one, one) in now}
        yield from self._order(list(both.values()), [n for n in now if n not in fresh], base)
        for one, other in both.items():
            yield from self._node(was[one], now[other], journal_id(new, other))
        yield from self._edges(self.before.edges(old), self.after.edges(new), names, base)
        for one, other in both.items():
            yield from self._parts(old, new, one, other)

    def _order(self, old: list[str], new: list[str], base: Path) -> Iterator[Change]:
        if old != new:
            yield _change("node", Edit("moved", (*base, "nodes"), old, new), Impact.COSMETIC)

    def _node(self, old: NodeDefinition, new: NodeDefinition, name: str) -> Iterator[Change]:
        own = {"node_id", *PARTS}
        before, after = (n.model_dump(mode="json", exclude_defaults=True, exclude=own) for n in (old, new))
        for edit in edits(before, after, ("nodes", name)):
            field = edit.path[2]
            if field == "type":
                yield _change("node", edit, Impact.BREAKING, "another type does something else")
            else:
                yield _change("node", edit, Impact.COSMETIC if field in COSMETIC else Impact.COMPATIBLE)

    def _edges(
        self, old: list[dict[str, Any]], new: list[dict[str, Any]], names: Mapping[str, str], base: Path
    ) -> Iterator[Change]:
        was = [{**e, "source": names.get(e["source"], e["source"]), "target": names.get(e["target"], e["target"])}
               for e in old]  # fmt: skip
        pairs, gone, came = paired(was, new, spelled, _ends)
        for one, other in pairs:
            for edit in edits(was[one], new[other], _edge_path(base, new[other])):
                yield _change("edge", edit, Impact.COMPATIBLE)
        for one in gone:
            edit = Edit("removed", _edge_path(base, was[one]), was[one], None)
            yield _change("edge", edit, Impact.COMPATIBLE)
        for other in came:
            edit = Edit("added", _edge_path(base, new[other]), None, new[other])
            yield _change("edge", edit, Impact.COMPATIBLE)
        yield from self._order_of_edges(pairs, new, base)

    def _order_of_edges(
        self, pairs: list[tuple[int, int]], new: list[dict[str, Any]], base: Path
    ) -> Iterator[Change]:
        """The order of the edges into a node is that in which their outputs are merged."""
        places: dict[str, list[int]] = {}
        for _, other in pairs:
            places.setdefault(new[other]["target"], []).append(other)
        for target, order in places.items():
            if order != sorted(order):
                before, after = ([new[i]["source"] for i in found] for found in (order, sorted(order)))
                path = (*base, "edges", f"→ {target}")
                yield _change("edge", Edit("moved", path, before, after), Impact.COMPATIBLE)

    def _parts(self, old: Scope, new: Scope, one: str, other: str) -> Iterator[Change]:
        was = {branch.name: branch for branch in old.parts_of(one)}
        now = {branch.name: branch for branch in new.parts_of(other)}
        path: Path = ("nodes", journal_id(new, other))
        for name, branch in was.items():
            if name not in now:
                nodes = list(self.before.nodes(branch))
                edit = Edit("removed", _part_path(path, name), nodes, None)
                yield _change("branch", edit, Impact.BREAKING, "the results of its nodes are gone")
        for name, branch in now.items():
            inner = _part_path(path, name)
            if name not in was:
                edit = Edit("added", inner, None, list(self.after.nodes(branch)))
                yield _change("branch", edit, Impact.COMPATIBLE)
                continue
            before, after = (side.part(scope).get("output") for side, scope in
                             ((self.before, was[name]), (self.after, branch)))  # fmt: skip
            for edit in _output_edits(before, after, (*inner, "output")):
                yield _change("branch", edit, Impact.COMPATIBLE)
            yield from self._scope(was[name], branch, inner)


def _output_edits(old: Any, new: Any, path: Path) -> Iterator[Edit]:
    for edit in edits(old, new, path):
        kind = "added" if edit.old is None and edit.path == path else "removed" if new is None else edit.kind
        yield edit._replace(kind=kind)


def _change(subject: Subject, edit: Edit, impact: Impact, reason: str = "") -> Change:
    old, new = shown(edit.old, edit.path), shown(edit.new, edit.path)
    return Change(edit.kind, subject, edit.path, old, new, impact, reason)


def _breaks(broken: bool, reason: str) -> tuple[Impact, str]:
    return (Impact.BREAKING, reason) if broken else (Impact.COMPATIBLE, "")


def _ends(edge: dict[str, Any]) -> tuple[str, str]:
    return edge["source"], edge["target"]


def _edge_path(base: Path, edge: dict[str, Any]) -> Path:
    return (*base, "edges", f"{edge['source']} → {edge['target']}")


def _part_path(path: Path, name: str | None) -> Path:
    return (*path, "body") if name is None else (*path, "branches", name)


def _outputs(before: Side, after: Side) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The fields that an instance's output loses and gains."""
    old, new = (_fields_of_output(side) for side in (before, after))
    return tuple(f for f in old if f not in new), tuple(f for f in new if f not in old)


def _fields_of_output(side: Side) -> tuple[str, ...]:
    output = side.definition.output
    return tuple(output) if output is not None else side.scope.graph.exits
