"""Which journaled results of a running instance stay true when it goes on with another version of its workflow.

A node's result stays true when the node, what it reads, the edges into it and all its ancestors are unchanged. What
only says how it is run (timeouts, retries, resources, priority) does not count. Inside a construct that is reached as
before, the results of its unchanged nodes stay true iteration by iteration, unless its iterations read each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..graph import Edge
from ..model import NodeDefinition, Part
from ..scopes import Scope
from .matching import spelled
from .reading import Reads, reads, reads_other_iterations, spelled_id
from .sides import COSMETIC, PARTS, Side, journal_id
from .values import same

_HOW = frozenset({"timeout", "retry", "resources", "cache", "priority", "breakpoint", "compensate"})
"""Fields of a node that say how it is run, not what it gives."""
_WORDS = {"on_error": "error rules", "when": "guard", "fail_on_error": "handling of failure"}


def kept_and_again(
    before: Side, after: Side, names: Mapping[str, str]
) -> tuple[tuple[str, ...], Mapping[str, str]]:
    """The journal ids whose results are kept, and those to run again with the reason. ``names`` are the renamed ones,
    old → new."""
    keeping = _Keeping(before, after, {new: old for old, new in names.items()})
    keeping.scope(before.scope, after.scope, frozenset())
    every = [journal_id(scope, node.id) for scope in after.scope.walk() for node in scope.graph.nodes]
    kept = tuple(node for node in every if node not in keeping.again)
    return kept, {node: keeping.again[node] for node in every if node in keeping.again}


class _Keeping:
    def __init__(self, before: Side, after: Side, renamed: Mapping[str, str]) -> None:
        self.before, self.after, self.renamed = before, after, renamed
        self.again: dict[str, str] = {}
        old, new = before.definition.variables, after.definition.variables
        differ = {n for n in {*old, *new} if n not in old or n not in new or not same(old[n], new[n])}
        self.variables = frozenset(differ)

    def scope(self, old: Scope, new: Scope, outer: frozenset[str]) -> None:
        """Judge a scope and those inside it; ``outer`` are the spelled ids of nodes around it that run again."""
        was, now = self.before.nodes(old), self.after.nodes(new)
        own: dict[str, str] = {}
        inside: dict[str, str] = {}
        for name, node in now.items():
            if reason := self._changed(was.get(name), node, old, new, outer):
                own[name] = reason
            elif reason := self._changed_inside(was[name], node, outer):
                inside[name] = reason
        self._spread(new, now, own, inside)
        dirty = outer | {spelled_id(name) for name in (*own, *inside)}
        for name, node in now.items():
            key = journal_id(new, name)
            if name in own:
                self.again[key] = own[name]
                self._all_inside(new, name, f"inside {key}, which runs again")
            elif name in inside:
                self.again[key] = inside[name]
                self._parts(old, new, node, dirty)

    def _parts(self, old: Scope, new: Scope, node: NodeDefinition, dirty: frozenset[str]) -> None:
        key = journal_id(new, node.node_id)
        if any(reads_other_iterations(part.model_dump(mode="json")) for part in node.parts):
            self._all_inside(new, node.node_id, f"the iterations of {key} read each other")
            return
        known = {branch.name: branch for branch in old.parts_of(node.node_id)}
        for branch in new.parts_of(node.node_id):
            if branch.name in known:
                self.scope(known[branch.name], branch, dirty)
            else:
                self._whole(branch, "it is new")

    def _all_inside(self, scope: Scope, name: str, reason: str) -> None:
        for part in scope.parts_of(name):
            self._whole(part, reason)

    def _whole(self, part: Scope, reason: str) -> None:
        for scope in part.walk():
            self.again |= {journal_id(scope, node.id): reason for node in scope.graph.nodes}

    def _changed(
        self, was: NodeDefinition | None, now: NodeDefinition, old: Scope, new: Scope, outer: frozenset[str]
    ) -> str | None:
        """Why a node's own result is not true any more, whatever happens to its parts and its ancestors."""
        if was is None:
            earlier = self.renamed.get(journal_id(new, now.node_id))
            return f"it is journaled as {earlier}" if earlier else "it is new"
        before, after = _result_of(was), _result_of(now)
        for field in {**before, **after}:
            if not same(before.get(field), after.get(field)):
                return f"its {_WORDS.get(field, field)} changed"
        arriving = [_arriving(scope.graph.incoming(now.node_id)) for scope in (old, new)]
        if not same(*arriving):
            return "its incoming edges changed"
        return self._stale(reads(after, arriving[1]), outer)

    def _changed_inside(self, was: NodeDefinition, now: NodeDefinition, outer: frozenset[str]) -> str | None:
        before, after = ([_inner(part) for part in node.parts] for node in (was, now))
        if spelled(before) != spelled(after):
            return "something inside it changed"
        return self._stale(reads(after), outer)

    def _stale(self, found: Reads, outer: frozenset[str]) -> str | None:
        """Why what an unchanged text reads is not what it was."""
        if stale := sorted(self.variables if found.all_vars else self.variables & found.vars):
            return f"it reads vars.{stale[0]}"
        if stale := sorted(outer if found.all_nodes else outer & found.nodes):
            return f"it reads nodes.{stale[0]}"
        return None

    def _spread(
        self, scope: Scope, now: Mapping[str, NodeDefinition], own: dict[str, str], inside: dict[str, str]
    ) -> None:
        """What follows a node that runs again runs again, too; so does what reads it."""
        by_spelling = {spelled_id(name): name for name in now}
        followers: dict[str, list[str]] = {}
        readers: dict[str, list[str]] = {}
        for name, node in now.items():
            for before in _dependencies(scope, name, node, by_spelling, tuple(now)):
                followers.setdefault(before, []).append(name)
            for read in _read(reads([_inner(part) for part in node.parts]), by_spelling, tuple(now)):
                readers.setdefault(read, []).append(name)
            for rule in node.on_error:
                if rule.goto is not None:
                    followers.setdefault(name, []).append(rule.goto)
        queue = [*own, *inside]
        for name in queue:
            key = journal_id(scope, name)
            for after in followers.get(name, ()):
                if after not in own:
                    own[after] = f"after {key}"
                    if inside.pop(after, None) is None:
                        queue.append(after)
            for reader in readers.get(name, ()):
                if reader not in own and reader not in inside:
                    inside[reader] = f"it reads {key}"
                    queue.append(reader)


def _dependencies(
    scope: Scope, name: str, node: NodeDefinition, by_spelling: Mapping[str, str], every: Iterable[str]
) -> Iterator[str]:
    yield from scope.graph.predecessors(name)
    found = reads(_result_of(node), _arriving(scope.graph.incoming(name)))
    for read in _read(found, by_spelling, every):
        if read != name:
            yield read


def _read(found: Reads, by_spelling: Mapping[str, str], every: Iterable[str]) -> Iterator[str]:
    yield from every if found.all_nodes else (by_spelling[n] for n in found.nodes if n in by_spelling)


def _result_of(node: NodeDefinition) -> dict[str, Any]:
    """The fields that decide what a node gives, without its parts."""
    return node.model_dump(mode="json", exclude_defaults=True, exclude={"node_id", *PARTS, *COSMETIC, *_HOW})


def _inner(part: Part) -> dict[str, Any]:
    """A part without what does not decide what it gives."""
    return _stripped(part.model_dump(mode="json", exclude_defaults=True))


def _stripped(part: dict[str, Any]) -> dict[str, Any]:
    nodes = []
    for node in part.get("nodes", ()):
        kept = {key: item for key, item in node.items() if key not in COSMETIC | _HOW}
        if "body" in kept:
            kept["body"] = _stripped(kept["body"])
        if "branches" in kept:
            kept["branches"] = [_stripped(branch) for branch in kept["branches"]]
        nodes.append(kept)
    return {**part, "nodes": nodes}


def _arriving(edges: Iterable[Edge]) -> list[dict[str, Any]]:
    return [{"source": e.source, "condition": e.condition, "mapping": e.mapping} for e in edges]
