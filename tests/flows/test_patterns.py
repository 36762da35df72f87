"""The 43 workflow control-flow patterns: each example does what docs/patterns.yaml says, as the page says."""

import contextlib
import os
from collections import Counter
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import pytest

from mirror_realm.compiler import analyze, compile_workflow
from mirror_realm.compiler.source import load
from mirror_realm.core.errors import RealmError
from mirror_realm.flows.results import label

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "patterns"
PAGE = ROOT / "docs" / "patterns.md"
SYMBOLS = {"yes": "✓ yes", "partly": "◐ partly", "no": "✗ no"}

HEAD = """# The workflow control-flow patterns

<!-- Written by tests/flows/test_patterns.py from patterns.yaml; UPDATE_GOLDEN=1 writes it anew. -->

Russell, ter Hofstede, van der Aalst and Mulyar found 43 patterns in what workflow languages let people say
about the order of activities. This page says of each whether it can be written here, how, and where it ends.

- **yes**: a node or an edge of the language means it. **partly**: it can be put together from several, or
  holds with the limit that is named. **no**: a definition that says it is refused.
- An activity is a node, a process instance is an instance, a branch is a way along the edges or a branch of a
  `control/parallel`.
- Every example is run by the tests, which also check what makes the pattern: what ran, what was skipped or
  withdrawn, what waited for what. Where something has to happen in the world outside, a node stands for it.

*N. Russell, A. H. M. ter Hofstede, W. M. P. van der Aalst, N. Mulyar: Workflow Control-Flow Patterns: A
Revised View. BPM Center Report BPM-06-22, 2006. The authors' site calls WCP37 Local Synchronizing Merge.*
"""


@dataclass(frozen=True)
class Expected:
    """What one run of an example must do; see docs/patterns.yaml."""

    input: dict[str, Any] = field(default_factory=dict)
    status: str = "completed"
    output: dict[str, Any] | None = None
    completed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    order: list[list[str]] = field(default_factory=list)
    ends: list[list[str]] = field(default_factory=list)
    together: list[list[str]] = field(default_factory=list)
    apart: list[list[str]] = field(default_factory=list)


@dataclass(frozen=True)
class Pattern:
    """A row of the page."""

    number: int
    name: str
    group: str
    support: str
    how: str
    limits: str = ""
    runs: list[dict[str, Any]] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)

    @property
    def file(self) -> Path:
        """Its example: the one whose file begins with its number and is named after the pattern."""
        (found,) = (
            p
            for p in EXAMPLES.glob(f"{self.number:02}-*.yaml")
            if f"\n# WCP{self.number} {self.name}:"
            in "\n" + p.read_text(encoding="utf-8").replace("\n# ", " ")
        )
        return found


def patterns() -> list[Pattern]:
    document = load(ROOT / "docs" / "patterns.yaml").document
    assert document is not None
    return [Pattern(**row) for row in document.tree]


PATTERNS = patterns()


def page() -> str:
    """The text of docs/patterns.md."""
    counted = Counter(pattern.support for pattern in PATTERNS)
    parts = [HEAD, f"{counted['yes']} yes, {counted['partly']} partly, {counted['no']} no.\n"]
    for group in dict.fromkeys(pattern.group for pattern in PATTERNS):
        parts.append(f"## {group}\n")
        rows = ["| | pattern | | how it is written here | limits |", "|---|---|---|---|---|"]
        for one in PATTERNS:
            if one.group == group:
                link = f"[{one.name}](../{one.file.relative_to(ROOT).as_posix()})"
                rows.append(
                    f"| WCP{one.number} | {link} | {SYMBOLS[one.support]} | {one.how} | {one.limits} |"
                )
        parts.append("\n".join(rows) + "\n")
    return "\n".join(parts)


def test_every_pattern_has_its_row():
    assert sorted(pattern.number for pattern in PATTERNS) == list(range(1, 44))
    for pattern in PATTERNS:
        assert pattern.support in SYMBOLS
        assert pattern.limits or pattern.support == "yes", f"WCP{pattern.number} says why not"
        assert bool(pattern.findings) == (pattern.support == "no")
        assert bool(pattern.runs) != bool(pattern.findings)


def test_the_page_is_current():
    if os.environ.get("UPDATE_GOLDEN"):
        PAGE.write_text(page(), encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == page(), "UPDATE_GOLDEN=1 writes it anew"


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: f"WCP{pattern.number}")
async def test_an_example_shows_its_pattern(lab, pattern):
    analysis = analyze(pattern.file)
    wrong = [d.code for d in analysis.diagnostics if d.severity != "info"]
    assert wrong == pattern.findings, analysis.render()
    if wrong:
        return
    flow, seen = compile_workflow(analysis).flow, set()
    for expected in (Expected(**run) for run in pattern.runs):
        with contextlib.suppress(RealmError):
            await flow(input=expected.input)
        (instance,) = (i for i in lab.store.instances.list() if i.id not in seen)
        seen.add(instance.id)
        assert instance.status == expected.status, instance.error
        if expected.output is not None:
            assert instance.output == expected.output
        check(expected, {label(row): row for row in lab.store.executions.for_instance(instance.id)})


def check(expected: Expected, rows: dict[str, Any]) -> None:
    """Compare the journal with what must have happened."""
    statuses = {name: str(row.status) for name, row in rows.items()}
    for name in expected.completed:
        assert statuses.get(name) == "completed", statuses
    for name in expected.skipped:
        assert statuses.get(name) == "skipped", statuses
    for name in expected.stopped:
        assert statuses.get(name) in (None, "canceled"), statuses
    for chain in expected.order:
        for one, other in pairwise(rows[name] for name in chain):
            assert one.completed_at <= other.started_at, chain
    for chain in expected.ends:
        for one, other in pairwise(rows[name] for name in chain):
            assert one.completed_at <= other.completed_at, chain
    for group in expected.together:
        for one, other in combinations([rows[name] for name in group], 2):
            assert one.started_at < other.completed_at
            assert other.started_at < one.completed_at
    for group in expected.apart:
        for one, other in combinations([rows[name] for name in group], 2):
            assert one.completed_at <= other.started_at or other.completed_at <= one.started_at, group
