"""What the expressions of seed 004's task languages begin with, and what that is called in canonical spelling.

``workflow.input.x`` is the instance's input; ``extract.output.rows``, ``extract.rows`` and
``tasks.extract.output.rows`` are an output of the task ``extract``. A dialect adds names of its own, such as those of a
task's inputs. Canonical names (``input``, ``nodes``, ``vars``, …) may be used too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

from ..close_matches import did_you_mean, listed
from ..document import Mark, Stretch, TextMark
from . import phrases
from .phrase import Parts, Rename, Unknown

CANONICAL = frozenset({"input", "trigger", "nodes", "vars", "execution", "env", "loop", "item"})
_WHOLE = ("output", "outputs", "result")
_WORKFLOW = {"input": "input", "variables": "vars", "vars": "vars"}


@dataclass(frozen=True)
class Outputs:
    """How a task's outputs are read.

    ``renamed`` gives the expression of an output by its name, with ``@`` for the node; others stand ``below`` the node.
    ``declared`` are the outputs that the author lists, if any are.
    """

    renamed: Mapping[str, str] = field(default_factory=dict)
    below: str = ""
    declared: Collection[str] = ()


@dataclass(frozen=True)
class TaskNames:
    """A :data:`~.phrase.Resolve` of ``tasks`` by id, ``own`` names with the expressions that they stand for, and
    ``aliases`` of tasks.

    ``place`` is the expression that reads a task's output, where that is not just its node; ``instead`` the one that
    stands for the whole output of a task that was skipped, where that is no error.
    """

    tasks: Mapping[str, Outputs]
    own: Mapping[str, str] = field(default_factory=dict)
    what: str = "task"
    place: Callable[[str], str] = phrases.node
    aliases: Mapping[str, str] = field(default_factory=dict)
    instead: str | None = None
    odd_tasks: tuple[str, ...] | None = None
    """Those of the tasks that are no identifiers: found once, since each text of a document asks for them."""

    def __post_init__(self) -> None:
        if self.odd_tasks is None:
            object.__setattr__(
                self, "odd_tasks", tuple(name for name in self.tasks if not name.isidentifier())
            )

    @property
    def odd(self) -> list[str]:
        """The names that are no identifiers: expressions may hold them all the same."""
        return [*(self.odd_tasks or ()), *(name for name in self.own if not name.isidentifier())]

    def with_own(self, own: Mapping[str, str]) -> TaskNames:
        """These names and more."""
        return replace(self, own={**self.own, **own})

    def __call__(self, root: str, parts: Parts) -> Rename | Unknown | None:
        """What the reference is called in canonical spelling."""
        if root in self.own:
            return Rename(self.own[root])
        if root in self.aliases:
            return self._output(self.aliases[root], parts, 0)
        if root in self.tasks:
            return self._output(root, parts, 0)
        if root == "workflow":
            if parts and (name := _WORKFLOW.get(str(parts[0]))):
                return Rename(name, 1)
            return Unknown("a workflow has input and variables here", "write workflow.input.x", at=1)
        if root == "tasks" and parts:
            name = str(parts[0])
            return self._output(name, parts, 1) if name in self.tasks else self._unknown(name, at=1)
        return None if root in CANONICAL else self._unknown(root)

    def _output(self, name: str, parts: Parts, taken: int) -> Rename | Unknown:
        outputs, node = self.tasks[name], self.place(name)
        if len(parts) > taken and parts[taken] in _WHOLE and parts[taken] not in outputs.declared:
            taken += 1
        if len(parts) == taken:
            whole = node + outputs.below
            return Rename(whole if self.instead is None else f"default({whole}, {self.instead})", taken)
        part = str(parts[taken])
        if part in outputs.renamed:
            return Rename(outputs.renamed[part].replace("@", node), taken + 1)
        if outputs.declared and part not in outputs.declared:
            guess = did_you_mean(part, outputs.declared)
            hint = guess or f"its outputs are {listed(outputs.declared)}"
            return Unknown(f"{self.what} {name!r} has no output {part!r}", hint, "MR303", taken + 1)
        return Rename(node + outputs.below, taken)

    def _unknown(self, name: str, at: int = 0) -> Unknown:
        known = [*self.own, *self.tasks, "workflow", "input"]
        hint = did_you_mean(name, known) or f"the {self.what}s are {listed(self.tasks)}"
        return Unknown(f"there is no {self.what} or name {name!r}", hint, "MR201" if at else "MR302", at)


def wrapped(text: str, mark: Mark, before: str, after: str, opening: str = "") -> tuple[str, Mark]:
    """A rewritten text with ``before`` and ``after`` around what follows its ``opening``, its mark moved along.

    >>> wrapped("{{ nodes.a.b }}", 0, "default(", ", null)", "{{ ")
    ('{{ default(nodes.a.b, null) }}', 0)
    """
    closing = " }}" if opening else ""
    inner = text.removeprefix(opening).removesuffix(closing)
    if isinstance(mark, TextMark):
        stretches = mark.stretches
    elif isinstance(mark, int):
        stretches = (Stretch(0, 0, len(text), verbatim=True),)
    else:
        return f"{opening}{before}{inner}{after}{closing}", mark
    written = mark.written if isinstance(mark, TextMark) else text
    moved = tuple(
        one._replace(target=one.target + len(before)) if one.target >= len(opening) else one
        for one in stretches
    )
    return f"{opening}{before}{inner}{after}{closing}", TextMark(int(mark), written, moved)
