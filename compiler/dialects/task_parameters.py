"""The parameters of a task's node, being filled from the task's configuration."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .fields import Entry, Fields, Made
from .phrases import Phrases
from .rewriting import Draft

KINDS = ("task_type", "type")
"""Where a task's type stands."""
NO_KIND = "control/end"
"""The stand-in for a type that is missing and was reported."""


def kind_of(task: Fields) -> Entry:
    """A task's type, or a stand-in."""
    for key in KINDS:
        entry = task.get(key)
        if entry is not None and isinstance(entry.value, str) and entry.value:
            return entry
    return task.entry._replace(value=NO_KIND, mark=task.entry.key)


@dataclass
class Filling:
    """A task, its configuration and its own timeout if it has them, and the parameters that its node gets."""

    draft: Draft
    phrases: Phrases
    task: Fields
    config: Entry | None = None
    deadline: Entry | None = None
    own: Entry | None = None
    """Its id, where that is not one of its keys."""
    used: set[str] = field(default_factory=set)
    """Keys of the configuration that something acts on, though they have no parameter of their own."""

    def __post_init__(self) -> None:
        self.kind = kind_of(self.task)
        self.parameters = Made(self.config or self.task.entry)

    @property
    def title(self) -> Entry:
        """What people call the task: its name, else its id, else its type."""
        called = (self.task.get("name"), self.own, self.task.get("id"), self.kind)
        return next(entry for entry in called if entry is not None and isinstance(entry.value, str))

    def config_entry(self, key: str) -> Entry | None:
        """A value of the configuration; a null is none. Asking for it counts as using it."""
        for entry in self.config.items() if self.config else ():
            if entry.path[-1] == key and entry.value is not None:
                self.used.add(key)
                return entry
        return None

    def tree_of(self, entry: Entry) -> tuple[Any, Entry]:
        """A value with the templates in it rewritten."""
        value, mark = self.phrases.tree(entry.value, entry.mark, entry.path)
        return value, entry._replace(value=value, mark=mark)

    def text_of(self, entry: Entry) -> tuple[Any, Entry]:
        """The same for a value that is to be text."""
        return self.tree_of(entry) if isinstance(entry.value, str) else (str(entry.value), entry)

    def idle(self, entry: Entry) -> None:
        """Say that nothing acts on a value."""
        key = str(entry.path[-1])
        message = f"{key!r} of a {self.kind.value} task is accepted but nothing acts on it"
        hint = "the workflow runs as if it were absent"
        self.draft.diagnostics.append(
            self.draft.document.report("MR130", message, entry.path, hint=hint, severity="warning", key=True)
        )
