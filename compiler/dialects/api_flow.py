"""Where the steps of an API orchestration are, what leads where, and what their expressions read."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from typing import Any

from ..close_matches import did_you_mean
from ..expressions.references import SCOPE_NAMES
from .api_connections import Link
from .api_nodes import Step
from .fields import Entry, Made
from .phrase import Parts
from .phrases import Phrases, Rename, Unknown, node
from .regions import Construct, Place, Regions
from .rewriting import Draft

_OPENING = {"LOOP": "LOOP", "PARALLEL": "PARALLEL"}
"""The kind of link that opens the body or a branch of a node of that type."""


class Flow:
    """The steps and links, and the nesting that they mean."""

    def __init__(self, draft: Draft, steps: list[Step], links: list[Link]) -> None:
        self.draft, self.steps, self.links = draft, steps, links
        self._by_name = {step.label: step for step in reversed(steps)}
        self._odd = frozenset(name for name in self._by_name if not name.isidentifier())
        self._incoming, self._outgoing = (
            defaultdict[int, list[Link]](list),
            defaultdict[int, list[Link]](list),
        )
        for link in links:
            self._outgoing[link.source.index].append(link)
            self._incoming[link.target.index].append(link)
        constructs = {step.index: self._construct(step) for step in steps if step.type in _OPENING}
        self.regions = Regions(
            len(steps),
            ((link.source.index, link.target.index) for link in links),
            constructs,
            {step.index for step in steps if step.type == "END"},
        )
        self._constructs = constructs
        self._report()

    # --- nesting ------------------------------------------------------------------------------------------------

    def starts(self, step: Step) -> list[Step]:
        """Where the body of a loop, or each branch of a fork, begins."""
        return [self.steps[index] for index in self._constructs[step.index].starts]

    def is_construct(self, step: Step) -> bool:
        """Whether a step has nodes inside it, in each of its branches."""
        construct = self._constructs.get(step.index)
        if construct is None or not construct.starts:
            return False
        branches = 1 if construct.loop else len(construct.starts)
        return all(self.regions.members(step.index, branch) for branch in range(branches))

    def steps_at(self, place: Place) -> list[Step]:
        """The steps of the definition itself, of a body, or of a branch."""
        return [step for step in self.steps if self.regions.place(step.index) == place]

    def catches(self, step: Step) -> bool:
        """Whether an ERROR connection begins at a step."""
        return any(link.kind == "ERROR" for link in self._outgoing[step.index])

    def _construct(self, step: Step) -> Construct:
        opening = [link for link in self._outgoing[step.index] if link.kind == _OPENING[step.type]]
        starts = dict.fromkeys(link.target.index for link in opening if link.target is not step)
        after = {link.target.index for link in self._outgoing[step.index] if link not in opening}
        return Construct(tuple(starts), tuple(after - {step.index}), step.type == "LOOP")

    def _report(self) -> None:
        for fault in self.regions.faults:
            name = self.steps[fault.node].name
            self.draft.report("MR211", f"{name.value!r}: {fault.message}", name.path, hint=fault.hint)
        for index in self._constructs:
            step = self.steps[index]
            if not self.is_construct(step) and not self.regions.faults:
                what = "body" if step.type == "LOOP" else "branches"
                message = f"the {step.type} {step.label!r} has no {what}"
                hint = f"connect it with what belongs to it: connection_type: {_OPENING[step.type]}"
                self.draft.report("MR211", message, step.name.path, hint=hint)

    # --- edges --------------------------------------------------------------------------------------------------

    def targets(self, step: Step, kind: str) -> list[Entry]:
        """The ids of the nodes that a condition's TRUE or FALSE links lead to, each once."""
        found: dict[str, Entry] = {}
        for link in self._outgoing[step.index]:
            if link.kind == kind and self._stays(link):
                found.setdefault(link.target.id, link.end._replace(value=link.target.id))
        return list(found.values())

    def edges_at(self, place: Place) -> tuple[list[Made], list[Made]]:
        """The edges at a place, and the nodes that delay on the way."""
        edges: list[Made] = []
        waits: list[Made] = []
        seen: set[tuple[str, str]] = set()
        for link in self.links:
            if self._opens(link) or link.kind in ("TRUE", "FALSE"):
                continue
            found = self.regions.edge(link.source.index, link.target.index)
            if found is None:
                if place == ():
                    self._enters(link)
                continue
            if found[0] != place or (link.source.index, link.target.index) in self.regions.returns:
                continue
            source = self.steps[found[1]]
            if source is not link.source and (not self._stays(link) or (source.id, link.target.id) in seen):
                continue
            if link.condition is None and link.kind != "ERROR":
                seen.add((source.id, link.target.id))
            self._edge(link, source, edges, waits)
        return edges, waits

    def _edge(self, link: Link, source: Step, edges: list[Made], waits: list[Made]) -> None:
        edge = Made(link.entry)
        edge.add("source", source.id, link.origin)
        edges.append(edge)
        target = link.target.id
        seconds = link.delay.value if link.delay else 0
        if link.delay is not None and seconds != 0:
            wait = Made(link.entry)
            wait.add("node_id", f"{source.id}-{target}-wait", link.delay)
            wait.add("type", "control/delay", link.delay)
            parameters = Made(link.entry)
            parameters.put("duration", link.delay)
            wait.add_map("parameters", parameters)
            waits.append(wait)
            last = Made(link.entry)
            last.add("source", wait.tree["node_id"], link.delay)
            last.add("target", target, link.end)
            edges.append(last)
            target = wait.tree["node_id"]
        edge.add("target", target, link.end)
        self._condition(link, source, edge)

    def _condition(self, link: Link, source: Step, edge: Made) -> None:
        failed = f"has({node(source.id)}.error.code)"
        guard = ""
        if link.kind == "ERROR":
            guard = failed
        elif self.catches(source):
            guard = f"!{failed}"
        written = link.condition
        if written is None or not isinstance(written.value, str):
            if guard:
                edge.add("condition", guard, link.entry)
            edge.put("condition", written)
        elif written.value.strip().lower() in ("else", "default"):
            edge.add("condition", "else", written)
        else:
            phrases = self.phrases(link.source, after=True)
            text, mark = phrases.condition(written.value, written.mark, written.path, also=guard)
            edge.add("condition", text, written._replace(mark=mark))

    def _opens(self, link: Link) -> bool:
        return _OPENING.get(link.source.type) == link.kind

    def _stays(self, link: Link) -> bool:
        """Whether a link stays where it begins, or leaves without a condition; else it is reported."""
        found = self.regions.edge(link.source.index, link.target.index)
        if found is None:
            self._enters(link)
            return False
        if found[1] == link.source.index:
            return True
        if link.condition is None and link.kind in ("SEQUENCE", "PARALLEL", "LOOP"):
            return True
        owner = self.steps[found[1]]
        message = f"a conditional connection leads out of {owner.label!r}, to {link.target.label!r}"
        hint = f"let it lead to a node inside, or leave {owner.label!r} by its own condition"
        self._once("MR211", message, link.end, hint)
        return False

    def _enters(self, link: Link) -> None:
        owner = self.steps[self.regions.place(link.target.index)[-1][0]]
        message = f"a connection leads to {link.target.label!r}, which lies inside {owner.label!r}"
        hint = f"let it lead to {owner.label!r}"
        self._once("MR211", message, link.end, hint)

    def _once(self, code: str, message: str, at: Entry, hint: str) -> None:
        found = self.draft.document.report(code, message, at.path, hint=hint)
        if found not in self.draft.diagnostics:
            self.draft.diagnostics.append(found)

    # --- what expressions read ----------------------------------------------------------------------------------

    def phrases(self, step: Step, *, after: bool = False) -> Phrases:
        """The phrases of a step's configuration, or of a link ``after`` it."""
        return Phrases(self.draft, partial(self._resolve, step, after), self._odd)

    def _resolve(self, reader: Step, after: bool, root: str, parts: Parts) -> Rename | Unknown | None:
        if root == "response":
            return self._response(reader, after, parts)
        if root in SCOPE_NAMES:
            return None
        step = self._by_name.get(root)
        if step is None:
            known = [*self._by_name, "input", "response", "loop", "execution"]
            hint = (
                did_you_mean(root, known) or f"write input.…, a node's name, or put text in quotes: '{root}'"
            )
            return Unknown(f"there is no node {root!r}", hint)
        base = self._read(step, reader)
        return base if isinstance(base, Unknown) else _of_a_call(step, base, parts)

    def _response(self, reader: Step, after: bool, parts: Parts) -> Rename | Unknown:
        calls = self._calls_before(reader, after)
        if len(calls) != 1:
            names = " and ".join(repr(call.label) for call in calls[:2])
            message = (
                f"'response' could be that of {names}"
                if calls
                else "no API_CALL comes before, so there is no response"
            )
            hint = (
                f"write {calls[0].label}.field" if calls else "write input.field, or a node's name and field"
            )
            return Unknown(message, hint)
        base = self._read(calls[0], reader)
        return base if isinstance(base, Unknown) else _of_a_response(base, parts)

    def _calls_before(self, reader: Step, after: bool) -> list[Step]:
        """The API calls that are the last ones on the ways to a step, or up to and with it."""
        found: dict[int, Step] = {}
        queue = [reader] if after else [link.source for link in self._incoming[reader.index]]
        seen: set[int] = set()
        for step in queue:
            if step.index in seen:
                continue
            seen.add(step.index)
            if step.type == "API_CALL":
                found[step.index] = step
            else:
                queue += [link.source for link in self._incoming[step.index]]
        return list(found.values())

    def _read(self, step: Step, reader: Step) -> str | Unknown:
        """The expression that reads a step's output where ``reader`` is."""
        place, here = self.regions.place(step.index), self.regions.place(reader.index)
        shared = 0
        while shared < min(len(place), len(here)) and place[shared] == here[shared]:
            shared += 1
        inner = [self.steps[construct] for construct, _ in place[shared:]]
        if inner and len(here) > shared and here[shared][0] == inner[0].index:
            message = f"{step.label!r} runs in another branch of {inner[0].label!r}, side by side with this"
            return Unknown(message, f"read it after {inner[0].label!r}")
        chain = [*inner, step]
        text = node(chain[0].id)
        for (construct, branch), following in zip(place[shared:], chain[1:], strict=True):
            owner = self.steps[construct]
            if owner.type == "LOOP":
                text = f"{text}[size({text}) - 1]"
            else:
                text += _step(self.starts(owner)[branch].id)
            text += _step(following.id)
        return text


def _step(name: str) -> str:
    return node(name).removeprefix("nodes")


def _of_a_call(step: Step, base: str, parts: Parts) -> Rename | Unknown:
    """``{{login.token}}``: an output of the mapping, or a field of the answer's body."""
    if step.type != "API_CALL" or not parts:
        return Rename(base)
    first, names = parts[0], step.outputs()
    if first == "response":
        inner = _of_a_response(base, parts[1:])
        return Rename(inner.text, inner.parts + 1)
    if (names and first in names) or first in ("headers", "url", "body", "status_code"):
        return Rename(base)
    if first == "status":
        return Rename(f"{base}.status_code", 1)
    if names is None:
        return Rename(f"{base}.body")
    hint = did_you_mean(str(first), names) or f"its output_mapping gives {', '.join(names)}"
    return Unknown(f"{step.label!r} has no output {first!r}", hint, "MR303", 1)


def _of_a_response(base: str, parts: Parts) -> Rename:
    first: Any = parts[0] if parts else None
    if first in ("status", "status_code"):
        return Rename(f"{base}.status_code", 1)
    if first in ("headers", "url"):
        return Rename(base)
    return Rename(f"{base}.body", 1 if first == "body" else 0)
