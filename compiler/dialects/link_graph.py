"""The tasks of a ``links`` document by their ids, and what leads from one to another."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Literal

from ..close_matches import did_you_mean, listed
from .fields import Entry, Fields, Made
from .naming import node_id
from .phrases import Phrases, node
from .rewriting import Draft
from .task_names import TaskNames
from .task_types import outputs_of

_LANGUAGES = ("cel", "")


Way = Literal["always", "completed", "failed"]
"""Whether an edge is taken when its source has failed and the workflow goes on: also then, not then, only then."""


@dataclass
class _Edge:
    source: str
    target: str
    entry: Entry
    origin: Entry
    end: Entry
    condition: Entry | None
    way: Way


class LinkGraph:
    """Nodes by the names of their tasks, and the edges between them."""

    def __init__(self, draft: Draft, tasks: list[Fields]) -> None:
        self.draft = draft
        self.ids: dict[str, str] = {}
        taken: dict[str, str] = {}
        for task in tasks:
            name = str(task.path[-1])
            identity = node_id(name)
            if identity in taken:
                message = f"the tasks {taken[identity]!r} and {name!r} are both {identity!r} as node ids"
                draft.report("MR202", message, task.path, hint="rename one of them", key=True)
                continue
            taken[identity] = name
            self.ids[name] = identity
        kinds = {str(task.path[-1]): task.get("type") for task in tasks}
        outputs = {name: outputs_of(str(kind.value) if kind else "", {}) for name, kind in kinds.items()}
        self.names = TaskNames(outputs, place=self._place)
        self.odd = frozenset(self.names.odd)
        self._edges: list[_Edge] = []
        self._needs: list[tuple[str, str, Entry]] = []
        self._tolerant: set[str] = set()
        self._catching: set[str] = set()

    def _place(self, name: str) -> str:
        return node(self.ids.get(name, node_id(name)))

    # --- reading ------------------------------------------------------------------------------------------------

    def read_links(self, links: Entry | None) -> None:
        """The document's own links."""
        for entry in links.items() if links else ():
            fields = Fields(
                self.draft, entry, "a link", ("from", "to", "condition"), {"source": "from", "target": "to"}
            )
            if not isinstance(entry.value, dict):
                continue
            origin = fields.take("from", str, needed=True, example="a task's id")
            end = fields.take("to", str, needed=True, example="a task's id")
            source, target = self._task(origin, "source"), self._task(end, "target")
            written = fields.get("condition")
            if source is None or target is None or origin is None or end is None:
                continue
            condition = None if written is None else self.condition(written, self.after(source))
            self.lead(source, self.ids[target], entry, origin, end, condition)

    def _task(self, entry: Entry | None, what: str) -> str | None:
        if entry is None or entry.value in self.ids:
            return None if entry is None else str(entry.value)
        hint = did_you_mean(str(entry.value), self.ids) or f"the tasks are {listed(self.ids, 8)}"
        self.draft.report("MR201", f"{what} task {entry.value!r} not found", entry.path, hint=hint)
        return None

    def after(self, name: str) -> Phrases:
        """The phrases of what follows a task: ``output`` is its output."""
        own = {word: self._place(name) for word in ("output", "result") if word not in self.names.tasks}
        local = self.names.with_own(own)
        return Phrases(self.draft, local, self.odd)

    def condition(self, entry: Entry, phrases: Phrases) -> Entry | None:
        """A condition, ``{expression, language}`` or a bare text, as an entry with the canonical text."""
        if isinstance(entry.value, dict):
            fields = Fields(self.draft, entry, "a condition", ("expression", "language"))
            language = fields.take("language", str)
            if language is not None and language.value.strip().lower() not in _LANGUAGES:
                message = f"conditions in {language.value!r} are not evaluated, only CEL"
                self.draft.report("MR113", message, language.path, hint="write the expression in CEL")
                return None
            found = fields.get("expression")
            if found is None:
                fields.take("expression", str, needed=True, example='"output.score >= 60"')
                return None
            entry = found
        if isinstance(entry.value, bool):
            return entry._replace(value="true" if entry.value else "false")
        if not isinstance(entry.value, str):
            hint = 'write {expression: "output.score >= 60"}'
            self.draft.report("MR112", "a condition is an expression", entry.path, hint=hint)
            return None
        if entry.value.strip() in ("else", "default"):
            return entry._replace(value="else")
        text, mark = phrases.condition(entry.value, entry.mark, entry.path)
        return entry._replace(value=text, mark=mark)

    # --- building -----------------------------------------------------------------------------------------------

    def lead(
        self,
        source: str,
        target: str,
        entry: Entry,
        origin: Entry,
        end: Entry,
        condition: Entry | None,
        way: Way = "always",
    ) -> None:
        """An edge from a task to a node."""
        self._edges.append(_Edge(source, target, entry, origin, end, condition, way))
        if way == "failed":
            self._catching.add(source)

    def go_on(self, source: str, target: Entry, entry: Entry, condition: Entry | None, way: Way) -> None:
        """An edge that an action makes."""
        if (name := self._task(target, "target")) is not None:
            self.lead(source, self.ids[name], entry, target, target, condition, way)

    def tolerate(self, name: str) -> None:
        """Note that the workflow goes on when a task has failed."""
        self._tolerant.add(name)

    def need(self, source: str, target: str, entry: Entry) -> None:
        """The task ``target`` reads the output of the task ``source``."""
        if source != target and source in self.ids and target in self.ids:
            self._needs.append((source, target, entry))

    def catches(self, name: str) -> bool:
        """Whether an action goes on when a task has failed."""
        return name in self._catching

    def tolerates(self, name: str) -> bool:
        """Whether the workflow goes on when a task has failed, whatever the error."""
        return name in self._tolerant

    def add_dependencies(self) -> None:
        """An edge for each dependency on data that no path of edges carries."""
        successors = defaultdict[str, set[str]](set)
        for edge in self._edges:
            successors[self.ids[edge.source]].add(edge.target)
        for source, target, entry in self._needs:
            ends = self.ids[source], self.ids[target]
            if not _reaches(successors, *ends):
                successors[ends[0]].add(ends[1])
                self._edges.append(_Edge(source, ends[1], entry, entry, entry, None, "always"))

    def edges(self) -> list[Made]:
        """Every edge. Where an error has a way of its own, the others are taken only without an error."""
        return [self._made(edge) for edge in self._edges]

    def _made(self, edge: _Edge) -> Made:
        made = Made(edge.entry)
        made.add("source", self.ids[edge.source], edge.origin)
        made.add("target", edge.target, edge.end)
        guard = self._guard(edge)
        if edge.condition is None and guard:
            made.add("condition", guard, edge.entry._replace(mark=edge.entry.key))
        elif edge.condition is not None and (not guard or edge.condition.value == "else"):
            made.add("condition", edge.condition.value, edge.condition)
        elif edge.condition is not None:
            whole = edge.condition._replace(mark=edge.entry.key)
            made.add("condition", f"{guard} && ({edge.condition.value})", whole)
        return made

    def _guard(self, edge: _Edge) -> str:
        failed = f"has({self._place(edge.source)}.error.code)"
        if edge.way == "failed":
            return failed
        completed = edge.way == "completed" and edge.source in self._tolerant
        return f"!{failed}" if completed or self.catches(edge.source) else ""


def _reaches(successors: dict[str, set[str]], source: str, target: str) -> bool:
    seen, queue = {source}, [source]
    while queue:
        following = successors[queue.pop()]
        if target in following:
            return True
        queue += following - seen
        seen |= following
    return False
