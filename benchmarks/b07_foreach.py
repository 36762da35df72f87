"""A foreach over many small items: ours in batches, against raw Dask on the same chunks.

On one Dask cluster, in turns: ``Client.map`` over chunks with nothing but the node's own function; the same with the
node executions, attempts and events that the journal keeps, as bulk inserts through sqlite3 (no checks, no ORM); ours,
in batches of the same size; and ours item by item, on the smallest size. What the flow's process grows by is measured
around each run of the largest size.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import Any

from harness import Report, Series, growth_exponent, readable

SIZES = (1_000, 10_000, 100_000)
CHUNK = 500
ROUNDS = 3
TABLES = (
    "executions (id, instance, node, iteration, type, key, status, started, completed, duration, input, output, usage)",
    "attempts (execution, attempt, status, started, completed, duration, worker, device, usage, notes)",
    "events (instance, sequence, type, node, iteration, attempt, before, after, epoch, at, data)",
)


def definition(items: int, batch: int) -> str:
    """One node for each of so many items."""
    return f"""name: foreach-{items}-{batch}
nodes:
  - node_id: each
    type: control/foreach
    parameters: {{items: "{{{{ input.items }}}}", batch_size: {batch}, results: none}}
    body:
      - {{node_id: double, type: bench/double, input: {{value: "{{{{ item }}}}"}}}}
"""


def plain(chunk: range) -> list[dict[str, Any]]:
    """What a raw task does: the work, and no more."""
    return [{"value": item * 2 % 1_000_003} for item in chunk]


class Raw:
    """Raw Dask, with or without rows."""

    def __init__(self, address: str, folder: Path, *, rows: bool) -> None:
        self._address, self._rows = address, rows
        self._database = sqlite3.connect(folder / "raw.sqlite")
        self._database.execute("PRAGMA journal_mode=WAL")
        for table in TABLES if rows else ():
            self._database.execute(f"CREATE TABLE {table}")

    async def __call__(self, size: int) -> float:
        """Seconds for so many items."""
        from distributed import Client, as_completed

        async with Client(self._address, asynchronous=True) as client:
            start = time.perf_counter()
            chunks = [range(first, min(first + CHUNK, size)) for first in range(0, size, CHUNK)]
            futures = client.map(plain, chunks, pure=False)
            async for future, outputs in as_completed(futures, with_results=True):
                if self._rows:
                    self._write(chunks[futures.index(future)], outputs)
            return time.perf_counter() - start

    def _write(self, chunk: range, outputs: list[dict[str, Any]]) -> None:
        now, usage = time.time(), json.dumps({"wall_seconds": 0.0001, "cpu_seconds": 0.0001, "rss_mb": 120.5})
        done = [
            (f"node-{item:x}", str(item), json.dumps({"value": item}), json.dumps(output))
            for item, output in zip(chunk, outputs, strict=True)
        ]
        with self._database as connection:
            connection.executemany(
                f"INSERT INTO executions VALUES ({','.join('?' * 13)})",
                [
                    (
                        i,
                        "inst",
                        "each/double",
                        n,
                        "bench/double",
                        i,
                        "completed",
                        now,
                        now,
                        0.0,
                        given,
                        output,
                        usage,
                    )
                    for i, n, given, output in done
                ],
            )
            connection.executemany(
                f"INSERT INTO attempts VALUES ({','.join('?' * 10)})",
                [(i, 1, "completed", now, now, 0.0, "w", "cpu", usage, "{}") for i, *_ in done],
            )
            connection.executemany(
                f"INSERT INTO events VALUES ({','.join('?' * 11)})",
                [
                    ("inst", 0, kind, "each/double", n, 1, None, "x", 1, now, None)
                    for _, n, *_ in done
                    for kind in ("began", "ended")
                ],
            )


async def measure() -> tuple[dict[tuple[str, int], list[float]], float]:
    """Seconds of each case at each size, the cases in turns; and the most MiB by which our process grew."""
    import psutil

    from mirror_realm.compiler import analyze, compile_workflow
    from mirror_realm.core.settings import settings
    from mirror_realm.deployments.run import execute
    from mirror_realm.deployments.surroundings import surroundings

    times: dict[tuple[str, int], list[float]] = {}
    grown = 0.0
    async with surroundings(settings(), announce=print) as around:
        address = around.environment.runner.address  # pyright: ignore[reportAttributeAccessIssue]
        folder = Path(tempfile.mkdtemp(prefix="realm-b07-raw-"))
        raw = {
            "raw Dask": Raw(address, folder, rows=False),
            "raw Dask and rows": Raw(address, folder, rows=True),
        }
        flows = {
            (size, batch): compile_workflow(analyze("foreach.yaml", text=definition(size, batch))).flow
            for size, batch in [*((size, CHUNK) for size in SIZES), (SIZES[0], 1)]
        }

        async def ours(size: int, batch: int) -> float:
            start = time.perf_counter()
            given = {"items": list(range(size))}
            result = await execute(flows[size, batch], around, input=given, trigger=None)
            assert result["status"] == "completed", result["error"]
            assert result["output"]["each"] == {"count": size, "failed": 0}
            return time.perf_counter() - start

        for number in range(-1, ROUNDS):
            for size in SIZES:
                if size == SIZES[-1] and number < 0:
                    continue
                cases = {name: one(size) for name, one in raw.items()}
                cases[f"ours, batches of {CHUNK}"] = ours(size, CHUNK)
                if size == SIZES[0]:
                    cases["ours, item by item"] = ours(size, 1)
                for name, case in cases.items():
                    before = psutil.Process().memory_info().rss
                    seconds = await case
                    if number >= 0:
                        times.setdefault((name, size), []).append(seconds)
                        if name.startswith("ours") and size == SIZES[-1]:
                            grown = max(grown, (psutil.Process().memory_info().rss - before) / 2**20)
    return times, grown


def main() -> None:
    """Measure, print, write."""
    os.environ |= {
        "MIRROR_REALM_HOME": tempfile.mkdtemp(prefix="realm-b07-"),
        "MIRROR_REALM_NODES": "bench_nodes",
        "PYTHONPATH": os.path.dirname(os.path.abspath(__file__)),
        "PREFECT_LOGGING_LEVEL": "ERROR",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    }
    report = Report(
        "foreach",
        "B7: a foreach over many small items",
        "≤ 1.3× raw Dask on the same chunks, growth ≤ 100 MB",
    )
    times, grown = asyncio.run(measure())
    series = {key: Series(f"{key[0]} × {key[1]}", tuple(value)) for key, value in times.items()}
    for (name, size), one in series.items():
        report.row(
            case=name, items=f"{size:,}", median=readable(one.median), spread=f"±{one.spread:.0%}",
            per_item=readable(one.median / size),
            to_rows=f"{one.median / series['raw Dask and rows', size].median:.2f}×",
        )  # fmt: skip
    own = [series[f"ours, batches of {CHUNK}", size].median for size in SIZES]
    report.note(f"growth exponent of ours over {SIZES}: {growth_exponent(SIZES, own):.2f}")
    report.note(f"the flow's process grew by {grown:.0f} MiB at most in a run of {SIZES[-1]:,} items")
    one, many = (
        series["ours, item by item", SIZES[0]].median,
        series[f"ours, batches of {CHUNK}", SIZES[0]].median,
    )
    report.note(f"batches are {one / many:.0f} times as fast as item by item, over {SIZES[0]:,} items")
    report.facts["grown_mib"] = grown
    report.write()


if __name__ == "__main__":
    main()
