"""Interactive runs: the time of our own code per node beyond the thin Prefect task that it is built on.

Chains of nodes that do next to nothing, on the same Prefect server and the same Dask cluster, in turns:
the thin Prefect task alone (one async task per node that awaits ``Client.submit``; no journal, no checks), the
compiled workflow, and the compiled workflow with ``task_runner: prefect-dask``. Three lengths show the growth; the
slope between them is the cost of one node, free of what a flow run costs once.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from typing import Any

from harness import Report, Series, growth_exponent, readable

LENGTHS = (2, 16, 64)
ROUNDS = 15


def definition(length: int, runner: str) -> str:
    """A chain of nodes that run on workers."""
    nodes = "\n".join(f"  - {{node_id: n{i}, type: bench/double}}" for i in range(length))
    edges = "\n".join(f"  - {{source: n{i}, target: n{i + 1}}}" for i in range(length - 1))
    return f"name: chain-{length}-{runner}\nnodes:\n{nodes}\nedges:\n{edges}\nexecution: {{task_runner: {runner}}}\n"


def thin(address: str) -> Any:
    """The floor: Prefect tasks in the flow process that await a Dask future, nothing else."""
    from distributed import Client
    from prefect import flow, task
    from prefect.cache_policies import NO_CACHE

    async def run(length: int) -> float:
        async with Client(address, asynchronous=True) as client:

            @task(cache_policy=NO_CACHE, persist_result=False)
            async def node(value: int) -> int:
                return await client.submit(_double, value, pure=False)

            @flow(name="thin", persist_result=False)
            async def chain() -> int:
                value = 1
                for _ in range(length):
                    value = await node(1)
                return value

            start = time.perf_counter()
            await chain()
            return time.perf_counter() - start

    return run


def _double(value: int) -> int:
    return value * 2


async def measure() -> dict[tuple[str, int], list[float]]:
    """Seconds of each case at each length, the cases in turns."""
    from mirror_realm.compiler import analyze, compile_workflow
    from mirror_realm.core.settings import settings
    from mirror_realm.deployments.run import execute
    from mirror_realm.deployments.surroundings import surroundings

    times: dict[tuple[str, int], list[float]] = {}
    async with surroundings(settings(), announce=print) as around:
        floor = thin(around.environment.runner.address)  # pyright: ignore[reportAttributeAccessIssue]
        flows = {
            (runner, length): compile_workflow(analyze("chain.yaml", text=definition(length, runner))).flow
            for runner in ("dask", "prefect-dask")
            for length in LENGTHS
        }
        for number in range(-1, ROUNDS):
            for length in LENGTHS:
                # prefect-dask is ten times slower: two rounds of the short chains tell enough.
                slow = ("prefect-dask",) if number < 2 and length <= LENGTHS[1] else ()
                cases = ("thin task", "dask", *slow)
                for name in cases if number % 2 else reversed(cases):
                    if name == "thin task":
                        seconds = await floor(length)
                    else:
                        seconds = await timed(execute(flows[name, length], around, input={}, trigger=None))
                    if number >= 0:
                        times.setdefault((name, length), []).append(seconds)
    return times


async def timed(run: Any) -> float:
    """Seconds that a run takes; it must complete."""
    start = time.perf_counter()
    result = await run
    assert result["status"] == "completed", result["error"]
    return time.perf_counter() - start


def main() -> None:
    """Measure, print, write."""
    os.environ |= {
        "MIRROR_REALM_HOME": tempfile.mkdtemp(prefix="realm-b03-"),
        "MIRROR_REALM_NODES": "bench_nodes",
        "PYTHONPATH": os.path.dirname(os.path.abspath(__file__)),
        "PREFECT_LOGGING_LEVEL": "ERROR",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",  # as the command line does
    }
    report = Report(
        "interactive", "B3: time per node of an interactive run", "≤ 1.15× the thin Prefect task alone"
    )
    times = {
        key: Series(f"{key[0]} × {key[1]}", tuple(value)) for key, value in asyncio.run(measure()).items()
    }
    slopes: dict[str, float] = {}
    for name in ("thin task", "dask", "prefect-dask"):
        points = [(length, times[name, length].median) for length in LENGTHS if (name, length) in times]
        slopes[name] = (points[-1][1] - points[0][1]) / (points[-1][0] - points[0][0])
    for (name, length), series in times.items():
        base = times["thin task", length].median
        report.row(
            case=name, nodes=length, median=readable(series.median), spread=f"±{series.spread:.0%}",
            ratio=f"{series.median / base:.2f}×",
        )  # fmt: skip
    for name, slope in slopes.items():
        report.row(
            case=f"{name}, per node", median=readable(slope), ratio=f"{slope / slopes['thin task']:.2f}×"
        )
    ours = [times["dask", length].median for length in LENGTHS]
    report.note(
        f"growth exponent of ours over {LENGTHS}: {growth_exponent(LENGTHS, ours):.2f} (a run costs once, too)"
    )
    report.facts["per_node_seconds"] = slopes
    report.write()


if __name__ == "__main__":
    main()
