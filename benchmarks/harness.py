"""What every benchmark shares: pairwise timing, medians, the machine it ran on, a table and a JSON file.

A benchmark is a module ``bNN_<name>.py`` in this folder with a docstring that says what is compared with
what, and a ``main()`` that ends in :meth:`Report.write`. Run it alone (``python benchmarks/b00_startup.py``)
or through ``make bench-<name>``. Machines differ and are noisy, so candidates are timed in turns within one
run, and what counts is the ratio of two medians, not an absolute time.
"""

from __future__ import annotations

import json
import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
PACKAGES = (
    "mirror-realm",
    "prefect",
    "prefect-dask",
    "distributed",
    "sqlalchemy",
    "pydantic",
    "pillow",
    "torch",
)


@dataclass(frozen=True)
class Series:
    """The times of one candidate, in seconds, in the order measured."""

    name: str
    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """Half the distance between the quartiles, relative to the median: how much to trust it."""
        if len(self.seconds) < 4:
            return (max(self.seconds) - min(self.seconds)) / 2 / self.median
        low, _, high = statistics.quantiles(self.seconds, n=4)
        return (high - low) / 2 / self.median

    def percentile(self, share: float) -> float:
        """The time that ``share`` (0 to 1) of the runs did not exceed."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, max(0, math.ceil(share * len(ordered)) - 1))]


def stopwatch(function: Callable[[], Any]) -> float:
    """Seconds that one call takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def pairwise(
    candidates: Mapping[str, Callable[[], Any]], *, rounds: int = 5, warmup: int = 1
) -> dict[str, Series]:
    """Time the candidates in turns, the order reversed every other round, after ``warmup`` rounds that do not
    count.

    A candidate may time itself and return the seconds as a float; otherwise the whole call is timed.
    """
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for number in range(-warmup, rounds):
        order = list(candidates)[:: 1 if number % 2 else -1]
        for name in order:
            start = time.perf_counter()
            answer = candidates[name]()
            seconds = answer if isinstance(answer, float) else time.perf_counter() - start
            if number >= 0:
                times[name].append(seconds)
    return {name: Series(name, tuple(values)) for name, values in times.items()}


def growth_exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """The ``k`` of ``seconds ≈ c · size^k``, by least squares on logarithms. Give at least three sizes.

    >>> round(growth_exponent([10, 100, 1000], [1, 10, 100]), 2)
    1.0
    """
    slope, _ = statistics.linear_regression([math.log(s) for s in sizes], [math.log(t) for t in seconds])
    return slope


def machine() -> dict[str, Any]:
    """Where and with what a figure was measured."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "cpu": _cpu(),
        "load": load(),
        "versions": versions,
    }


def load() -> float | None:
    """The one-minute load average: above the number of cores, times are not to be trusted."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def readable(seconds: float) -> str:
    """Seconds with three figures and a fitting unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


@dataclass
class Report:
    """What a benchmark found: rows of a table, remarks, and where it was found."""

    name: str
    """As in ``make bench-<name>``; also the name of the JSON file."""
    title: str
    target: str = ""
    rows: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    """Further figures for the JSON file alone."""
    load_before: float | None = field(default_factory=load)

    def row(self, **cells: Any) -> None:
        """Add a row; the keys of all rows together are the columns."""
        self.rows.append(cells)

    def compare(self, series: Mapping[str, Series], *, against: str, **cells: Any) -> None:
        """A row per series: median, spread, and the ratio to the series named ``against``."""
        base = series[against].median
        for one in series.values():
            self.row(
                **cells,
                case=one.name,
                median=readable(one.median),
                spread=f"±{one.spread:.0%}",
                ratio=f"{one.median / base:.2f}×",
            )
            self.facts.setdefault("seconds", {})[one.name] = [round(s, 6) for s in one.seconds]

    def note(self, text: str) -> None:
        """Add a remark under the table."""
        self.notes.append(text)

    def write(self, folder: Path = RESULTS) -> Path:
        """Print the table and write ``results/<name>.json``."""
        print(self.text())
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.name}.json"
        document = {
            "name": self.name,
            "title": self.title,
            "target": self.target,
            "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": {**machine(), "load_before": self.load_before},
            "rows": self.rows,
            "notes": self.notes,
            **self.facts,
        }
        path.write_text(
            json.dumps(document, ensure_ascii=False, indent=2, default=str) + "\n", encoding="utf-8"
        )
        return path

    def text(self) -> str:
        """The table as people read it."""
        columns = list(dict.fromkeys(key for row in self.rows for key in row))
        cells = [columns, *([str(row.get(column, "")) for column in columns] for row in self.rows)]
        widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in cells
        ]
        head = f"\n{self.title}" + (f"\ntarget: {self.target}" if self.target else "")
        where = f"{os.cpu_count()} cores, load {self.load_before} before and {load()} after"
        return "\n".join([head, "", *lines, "", *self.notes, where])


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"
