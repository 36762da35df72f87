"""``wfformat``: a scientific workflow as WfCommons records it (WfFormat 1.5; 1.6 adds nothing that matters here).

Every task becomes a ``control/set`` node without work of its own, whose values are what was measured of the task:

- from ``execution``: ``runtime_seconds``, ``cores``, ``avg_cpu``, ``memory_bytes``, ``read_bytes``, ``written_bytes``,
  ``energy_kwh``, ``avg_power_w``, ``priority``;
- from the sizes of its files: ``input_bytes`` and ``output_bytes``.

So a scheduler or a simulation finds the figures at the node, and a run of the workflow measures the engine and nothing
else. The workflow's own figures are in ``metadata.wfformat``. Parents and children both make edges, each once.

Schema: github.com/wfcommons/WfFormat, ``wfcommons-schema.json``.
"""

from __future__ import annotations

from typing import Any

from ..close_matches import did_you_mean
from ..diagnostics import Diagnostic
from ..document import Document
from .fields import Entry, Fields, Made, stand_in, whole
from .naming import node_id, workflow_name
from .rewriting import Draft

ID = "wfformat"
VOCABULARY = None
VERSIONS = ("1.5", "1.6")

_TOP = ("name", "description", "createdAt", "schemaVersion", "runtimeSystem", "author", "workflow", "dialect")
_TASK = ("name", "id", "parents", "children", "inputFiles", "outputFiles")
_FIGURES = {
    "runtimeInSeconds": "runtime_seconds",
    "coreCount": "cores",
    "avgCPU": "avg_cpu",
    "memoryInBytes": "memory_bytes",
    "readBytes": "read_bytes",
    "writtenBytes": "written_bytes",
    "energyInKWh": "energy_kwh",
    "avgPowerInW": "avg_power_w",
    "priority": "priority",
}
_RECORDED = ("id", *_FIGURES, "command", "machine", "machines", "executedAt")


def recognises(tree: Any) -> bool:
    """A schema version and a workflow with a specification."""
    workflow = tree.get("workflow") if isinstance(tree, dict) else None
    if not isinstance(workflow, dict):
        return False
    return "specification" in workflow or ("schemaVersion" in tree and "tasks" in workflow)


def rewrite(document: Document) -> tuple[Document, tuple[Diagnostic, ...]]:
    """A node for each task, an edge for each parent."""
    draft = Draft(document)
    top = Fields(draft, whole(draft), "an instance", _TOP)
    made = Made(top.entry)
    name = top.take("name", str, needed=True, example="montage-2mass-005d")
    made.add("name", workflow_name(name.value) if name else "unnamed", name or top.entry)
    if name and made.tree["name"] != name.value:
        made.add("display_name", name.value, name)
    made.put("description", top.get("description"))
    _check_version(draft, top)
    workflow = top.take("workflow", dict, needed=True, example="{specification: {tasks: […]}}")
    if workflow is not None:
        _Instance(draft, workflow).write(made)
    if not made.tree.get("nodes") and draft.diagnostics:
        made.add_list("nodes", [stand_in(top.entry)], top.entry)
    _metadata(top, made)
    draft.tree, draft.marks = made.tree, made.mark
    return draft.done()


def _check_version(draft: Draft, top: Fields) -> None:
    found = top.take("schemaVersion", str, needed=True, example='"1.5"')
    if found is not None and found.value not in VERSIONS:
        hint = "bring it to 1.5 with WfCommons' wfcommons-migrate-instance.py"
        draft.report("MR113", f"WfFormat {found.value} is not read, only 1.5", found.path, hint=hint)


def _metadata(top: Fields, made: Made) -> None:
    """What the instance says of its recording."""
    facts: dict[str, Any] = {}
    for key, name in (
        ("schemaVersion", "schema_version"),
        ("createdAt", "created_at"),
        ("runtimeSystem", "runtime_system"),
        ("author", "author"),
    ):
        if (entry := top.get(key)) is not None:
            facts[name] = entry.value
    workflow = top.get("workflow")
    execution = workflow.value.get("execution") if workflow and isinstance(workflow.value, dict) else None
    if isinstance(execution, dict):
        for key, name in (
            ("makespanInSeconds", "makespan_seconds"),
            ("executedAt", "executed_at"),
            ("machines", "machines"),
        ):
            if key in execution:
                facts[name] = execution[key]
    made.add("metadata", {"wfformat": facts}, top.get("schemaVersion") or top.entry)


class _Instance:
    """The ``workflow`` of an instance being rewritten."""

    def __init__(self, draft: Draft, workflow: Entry) -> None:
        self.draft = draft
        fields = Fields(draft, workflow, "a workflow", ("specification", "execution"))
        self.specification = fields.take("specification", dict, needed=True, example="{tasks: […]}")
        self.execution = fields.take("execution", dict)
        self.ids: dict[str, str] = {}
        self.sizes: dict[str, float] = {}
        self.figures: dict[str, Fields] = {}
        self._canonical: dict[str, str] = {}
        self.nameless = False

    def write(self, made: Made) -> None:
        """Nodes and edges."""
        if self.specification is None:
            return
        fields = Fields(self.draft, self.specification, "a specification", ("tasks", "files", "metrics"))
        tasks = fields.take(
            "tasks", list, needed=True, example="[{name: …, id: …, parents: [], children: []}]"
        )
        self._read_files(fields.take("files", list))
        entries = [Fields(self.draft, task, "a task", _TASK) for task in (tasks.items() if tasks else ())]
        named = [(task, canonical) for task in entries if (canonical := self._name(task))]
        self._read_execution()
        if tasks is not None:
            made.add_list("nodes", [self._node(task, canonical) for task, canonical in named], tasks)
            made.add_list("edges", self._edges(named), tasks)

    def _name(self, task: Fields) -> str | None:
        """The canonical id of a task; ``None`` where it has none of its own."""
        if not isinstance(task.entry.value, dict):
            return None
        identity = task.take("id", str, needed=True, example="mProject_ID0000001")
        if identity is None:
            self.nameless = True
            return None
        canonical = node_id(identity.value)
        if (other := self._canonical.get(canonical)) is not None:
            same = other == identity.value
            what = (
                f"the id {other!r}"
                if same
                else f"the node id {canonical!r} ({other!r} and {identity.value!r})"
            )
            self.draft.report(
                "MR202", f"two tasks have {what}", identity.path, hint="give each task an id of its own"
            )
            return None
        self._canonical[canonical] = identity.value
        self.ids[identity.value] = canonical
        return canonical

    def _read_files(self, files: Entry | None) -> None:
        for file in files.items() if files else ():
            fields = Fields(self.draft, file, "a file", ("id", "sizeInBytes"))
            identity = fields.take("id", str, needed=True)
            size = fields.take("sizeInBytes", int, needed=True, example="1024")
            if identity is not None:
                self.sizes[identity.value] = size.value if size else 0

    def _read_execution(self) -> None:
        if self.execution is None:
            return
        known = ("makespanInSeconds", "executedAt", "tasks", "machines", "metrics")
        fields = Fields(self.draft, self.execution, "an execution", known)
        tasks = fields.take("tasks", list, needed=True, example="[{id: …, runtimeInSeconds: 12.5}]")
        for task in tasks.items() if tasks else ():
            recorded = Fields(self.draft, task, "a recorded task", _RECORDED)
            if not isinstance(task.value, dict):
                continue
            identity = recorded.take("id", str, needed=True, example="mProject_ID0000001")
            if identity is not None and self._known(identity, "the execution records"):
                self.figures[identity.value] = recorded

    def _known(self, identity: Entry, what: str) -> bool:
        if identity.value in self.ids:
            return True
        meant = did_you_mean(str(identity.value), self.ids)
        if self.nameless and meant is None:
            return False  # It may be the one whose id is missing, which is told.
        hint = meant or "write the id of a task"
        message = f"{what} task {identity.value!r}, which does not exist"
        self.draft.report("MR201", message, identity.path, hint=hint)
        return False

    def _node(self, task: Fields, canonical: str) -> Made:
        node = Made(task.entry)
        identity = _identity(task)
        node.add("node_id", canonical, identity)
        node.add("type", "control/set", task.entry)
        if (name := task.take("name", str, needed=True)) is not None and name.value != canonical:
            node.add("display_name", name.value, name)
        values = self._figures(identity.value)
        for key, figure in (("inputFiles", "input_bytes"), ("outputFiles", "output_bytes")):
            files = self._texts(task, key, needed=False)
            sizes = [self.sizes[file.value] for file in files if self._size_known(file)]
            if sizes:
                values[figure] = sum(sizes)
        node.add("parameters", {"values": values}, task.entry)
        return node

    def _size_known(self, file: Entry) -> bool:
        if file.value in self.sizes:
            return True
        hint = did_you_mean(str(file.value), self.sizes) or "describe it in specification.files"
        message = f"there is no file {file.value!r} in specification.files"
        self.draft.report("MR201", message, file.path, hint=hint)
        return False

    def _figures(self, task: str) -> dict[str, Any]:
        recorded = self.figures.get(task)
        if recorded is None:
            return {}
        values: dict[str, Any] = {}
        for key, figure in _FIGURES.items():
            if key == "runtimeInSeconds" or key in recorded:
                entry = recorded.take(key, float, needed=key == "runtimeInSeconds", example="12.5")
                if entry is not None:
                    values[figure] = entry.value
        return values

    def _texts(self, task: Fields, key: str, *, needed: bool) -> list[Entry]:
        """The strings of a list."""
        found: list[Entry] = []
        entries = task.take(key, list, needed=needed, example="[]")
        for entry in entries.items() if entries else ():
            if isinstance(entry.value, str):
                found.append(entry)
            else:
                self.draft.report("MR112", f"{key} takes ids", entry.path, hint='write ["id", …]')
        return found

    def _edges(self, named: list[tuple[Fields, str]]) -> list[Made]:
        edges: dict[tuple[str, str], Made] = {}
        for task, canonical in named:
            for key, what in (("parents", "parent"), ("children", "child")):
                for other in self._texts(task, key, needed=True):
                    if not self._known(other, f"{_identity(task).value!r} has the {what}"):
                        continue
                    far = self.ids[other.value]
                    ends = (far, canonical) if key == "parents" else (canonical, far)
                    if ends not in edges:
                        edges[ends] = edge = Made(other)
                        edge.add("source", ends[0], other)
                        edge.add("target", ends[1], other)
        return list(edges.values())


def _identity(task: Fields) -> Entry:
    """The id of a task that has one."""
    identity = task.get("id")
    assert identity is not None
    return identity
