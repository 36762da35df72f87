"""``python -m chaos.report RESULTS…``: docs/chaos-report.md out of the results of campaigns and nights."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .faults import NEWER
from .stage import ROOT

TARGET = ROOT / "docs" / "chaos-report.md"
Trial = dict[str, Any]
NONE = {"none", NEWER}
"""What is struck, and is no fault."""


def report(
    trials: Sequence[Trial], nights: Sequence[dict[str, Any]], commit: str, notes: Sequence[str] = ()
) -> str:
    """The page; ``notes`` are what a reader must know of how it was made."""
    seeds = [trial["seed"] for trial in trials]
    instances = sum(len(trial["statuses"]) for trial in trials)
    wrong = [trial for trial in trials if trial["wrong"]]
    kills = sum(kind not in NONE for trial in trials for kind in trial["faults"])
    lines = [
        "# The fault campaign: what came of it",
        "",
        f"Written by `python -m chaos.report` on {datetime.now(UTC):%Y-%m-%d}, of commit {commit}. What is drawn, "
        "broken and checked is said in [The fault campaign](chaos.md).",
        "",
        f"- {len(trials)} trials with {instances} instances (each of a definition of its own) and "
        f"{sum(trial['nodes'] for trial in trials):,} node executions; seeds {min(seeds)} to {max(seeds)}.",
        f"- {kills} faults struck while something ran; {sum(trial['starts'] for trial in trials)} starts of the "
        "process that runs the instances.",
        f"- {sum(sum(trial['checks'].values()) for trial in trials):,} checks of invariants; "
        f"**{len(wrong)} trials with one that did not hold**.",
        *(f"- {note}" for note in notes),
        "",
        "## Outcomes",
        "",
        *_table(
            [
                "way to run",
                "trials",
                "instances",
                "ended as simulated",
                "failed by a fault that allows it",
                "canceled by a person",
                "wrong",
            ],
            _ways(trials),
        ),
        "",
        "*As simulated*: the instance and each of its nodes ended as a plain simulation of the definition without "
        "any fault says. *Failed by a fault that allows it*: a disk that was full or a scheduler that was away used "
        "up a node's attempts; the node and the instance say so, and every other invariant held.",
        "",
        *_seen(trials),
        "## Invariants",
        "",
        *_table(["invariant", "checks", "did not hold"], _invariants(trials)),
        "",
        "## Faults",
        "",
        "Recovery is the time from the end of the last fault of a trial (a kill ends at once) to the end of its last "
        "instance, the start of a process and the rest of the work included.",
        "",
        *_table(["fault", "struck", "median recovery", "longest"], _faults(trials)),
        "",
        "## Faults by construct",
        "",
        "How many instances with this construct went through this fault.",
        "",
        *_crossing(trials),
        "",
        "## What went wrong",
        "",
        *_failures(wrong),
        "",
        "## Long nights",
        "",
        *_nights(nights),
        "",
    ]
    return "\n".join(lines)


def _ways(trials: Sequence[Trial]) -> Iterable[Sequence[Any]]:
    names = {
        "run": "`realm run`, `realm instances resume`",
        "serve": "`realm serve --engine local`",
        "dask": "dispatcher and reconciler on Dask",
        "prefect": "`realm serve`: Prefect and Dask",
    }
    for way, name in names.items():
        own = [trial for trial in trials if trial["way"] == way]
        same = sum(sum(trial["as_simulated"]) for trial in own)
        all_of = sum(len(trial["statuses"]) for trial in own)
        wrong = sum(bool(trial["wrong"]) for trial in own)
        degraded = sum(not same for trial in own if not trial["wrong"] for same in trial["as_simulated"])
        canceled = sum(trial.get("canceled", 0) for trial in own)
        yield name, len(own), all_of, same, degraded - canceled, canceled, f"{wrong} trials"


def _seen(trials: Sequence[Trial]) -> list[str]:
    """What came to pass, of trials that counted it."""
    counted = [trial for trial in trials if "seen" in trial]
    if not counted:
        return []
    seen: Counter[str] = Counter()
    for trial in counted:
        seen.update(trial["seen"])
    lines = ["## What came to pass", "", f"Counted in {len(counted)} of the trials.", ""]
    lines += _table(["", "times"], [(name, f"{count:,}") for name, count in sorted(seen.items())])
    return [*lines, ""]


def _invariants(trials: Sequence[Trial]) -> Iterable[Sequence[Any]]:
    checks: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for trial in trials:
        checks.update(trial["checks"])
        for what in trial["wrong"]:
            wrong.update(name for name in {*trial["checks"], "every instance ends"} if name in what)
    for name, count in sorted(checks.items()):
        yield name, f"{count:,}", wrong[name]


def _faults(trials: Sequence[Trial]) -> Iterable[Sequence[Any]]:
    took: dict[str, list[float]] = defaultdict(list)
    struck: Counter[str] = Counter()
    for trial in trials:
        struck.update(trial["faults"])
        for kind in set(trial["faults"]):
            if trial["recovery"] is not None:
                took[kind].append(trial["recovery"])
    for kind, count in struck.most_common():
        if kind not in NONE:
            times = took[kind]
            yield kind, count, f"{statistics.median(times):.1f} s", f"{max(times):.1f} s"


def _crossing(trials: Sequence[Trial]) -> list[str]:
    cells: Counter[tuple[str, str]] = Counter()
    for trial in trials:
        for kind in set(trial["faults"]) - NONE:
            for made_of in trial["constructs"]:
                cells.update((kind, name) for name in made_of)
    names = sorted({name for _, name in cells})
    kinds = sorted({kind for kind, _ in cells})
    rows = [[kind, *(cells[kind, name] or "" for name in names)] for kind in kinds]
    return list(_table(["", *names], rows))


def _failures(wrong: Sequence[Trial]) -> list[str]:
    if not wrong:
        return ["Nothing, in these trials."]
    return [
        f"- seed {trial['seed']} ({trial['way']}, {trial['database']}; {', '.join(trial['faults'])}): "
        f"{trial['wrong'][0][:300]}"
        for trial in wrong
    ]


def _nights(nights: Sequence[dict[str, Any]]) -> list[str]:
    if not nights:
        return ["None was run."]
    lines: list[str] = []
    for night in nights:
        counts = ", ".join(f"{count} {status}" for status, count in sorted(night["statuses"].items()))
        kills = ", ".join(f"{count} × {what}" for what, count in sorted(night["kills"].items()))
        lines += [
            f"{night['instances']} instances of {night['nodes']} nodes ({night['way']}, {night['database']}, "
            f"seed {night['seed']}) in {night['seconds']:,.0f} s; killed: {kills or 'nothing'}; "
            f"{night['starts']} starts. Ended: {counts}. {night['checks']:,} checks, "
            f"{len(night['wrong'])} did not hold.",
            "",
            *(f"- {what}" for what in night["wrong"][:5]),
            *([""] if night["wrong"] else []),
            *_table(
                ["process", "lives", "largest", "slope after 20 s", "looked at for"],
                [_size(role, one) for role, one in night["memory"].items()],
            ),
            "",
        ]
    return lines[:-1]


def _size(role: str, one: dict[str, Any]) -> Sequence[Any]:
    slope = f"{one['mib_a_minute']:+.2f} MiB/min"
    return role, one["lives"], f"{one['most_mib']:.0f} MiB", slope, f"{one['seconds']:.0f} s"


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterable[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + " --- |" * len(head)
    for row in rows:
        yield "| " + " | ".join(str(cell) for cell in row) + " |"


def main(arguments: list[str]) -> int:
    """Write the report."""
    parser = argparse.ArgumentParser(prog="python -m chaos.report", description=__doc__)
    parser.add_argument("results", nargs="+", type=Path)
    parser.add_argument("--nights", nargs="*", type=Path, default=[])
    parser.add_argument("--commit", help="the commit that was tried; default the present one")
    parser.add_argument("--note", action="append", default=[], help="what a reader must know")
    given = parser.parse_args(arguments)
    commit = given.commit or subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()  # fmt: skip
    TARGET.write_text(report(_read(given.results), _read(given.nights), commit, given.note), encoding="utf-8")
    print(TARGET)
    return 0


def _read(files: Iterable[Path]) -> list[dict[str, Any]]:
    """The results, a later one of the same seed in place of an earlier one."""
    found: dict[Any, dict[str, Any]] = {}
    for number, line in enumerate(line for file in files for line in file.read_text().splitlines()):
        record = json.loads(line)
        found[record["seed"] if "faults" in record else number] = record
    return sorted(found.values(), key=lambda one: one["seed"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
