"""Compiling: analyze (read, rewrite, validate, graph, every check) and emit, at 10 to 10,000 nodes.

Compared are sizes with each other: the exponent fitted to time over nodes says how it grows (1 is linear). The graph is
a ladder of two lanes with edges across, a condition and a template in every node. Targets: 0.1 s at 100 nodes, 1 s at
1,000, less than 200 MB at 10,000.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tracemalloc
from pathlib import Path
from time import perf_counter

from harness import Report, Series, growth_exponent, readable

SIZES = (10, 100, 1_000, 10_000)
ROUNDS = {10: 15, 100: 9, 1_000: 5, 10_000: 3}
TARGETS = {100: 0.1, 1_000: 1.0}
MEGABYTES = 200


def definition(count: int) -> str:
    """A definition of ``count`` nodes in YAML."""
    lines = ["name: ladder", "version: 1.0.0", "triggers: [{type: manual}]", "nodes:"]
    for index in range(count):
        lines += [
            f"  - node_id: step-{index}",
            "    type: data/file-read",
            f'    parameters: {{path: "data/{{{{ input.day }}}}/{index}.json", format: json}}',
            "    timeout: 30s",
            f"    when: input.size > {index}",
        ]
        if following := [n for n in (index + 2, index + 3) if n < count]:
            lines.append(f"    next: [{', '.join(f'step-{n}' for n in following)}]")
    return "\n".join(lines) + "\n"


def memory(count: int) -> dict[str, float]:
    """Peak megabytes of a process of its own: resident beyond its imports, and what Python allocated."""
    code = f"import b05_compile; b05_compile.measure({count})"
    command = [sys.executable, "-c", code]
    printed = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent
    ).stdout
    resident, traced = map(float, printed.split())
    return {"resident_over_imports_mb": resident, "allocated_by_python_mb": traced}


def measure(count: int) -> None:
    """Print the two peaks of this process, first as it is, then traced."""
    from mirror_realm.compiler import analyze, emit

    emit(analyze("warm.yaml", text=definition(2)))
    text = definition(count)
    before = resident_peak()
    emit(analyze("ladder.yaml", text=text))
    grown = resident_peak() - before
    tracemalloc.start()
    emit(analyze("ladder.yaml", text=text))
    print(round(grown, 1), round(tracemalloc.get_traced_memory()[1] / 1e6, 1))


def resident_peak() -> float:
    """The most memory this process ever held, in MB. ``ru_maxrss`` would count its parent's before exec."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Time each size, fit the exponent, measure memory, report."""
    from mirror_realm.compiler import analyze, emit

    emit(analyze("warm.yaml", text=definition(2)))
    series: dict[str, Series] = {}
    shares: dict[int, float] = {}
    for count in SIZES:
        text, whole, emitting = definition(count), [], []
        for _ in range(ROUNDS[count]):
            began = perf_counter()
            analysis = analyze("ladder.yaml", text=text)
            middle = perf_counter()
            emit(analysis)
            whole.append(perf_counter() - began)
            emitting.append(perf_counter() - middle)
        series[f"{count:,} nodes"] = Series(f"{count:,} nodes", tuple(whole))
        shares[count] = min(emitting) / min(whole)
    report = Report("compile", "Compile and check", "0.1 s at 100 nodes, 1 s at 1,000, < 200 MB at 10,000")
    report.compare(series, against="1,000 nodes")
    best = {count: min(series[f"{count:,} nodes"].seconds) for count in SIZES}
    exponent = growth_exponent(SIZES[1:], [best[count] for count in SIZES[1:]])
    report.facts["seconds"] = {str(count): round(seconds, 5) for count, seconds in best.items()}
    report.facts["exponent"] = round(exponent, 3)
    report.facts["memory"] = {str(count): memory(count) for count in (1_000, 10_000)}
    report.note(
        f"time grows as nodes^{exponent:.2f} from 100 to 10,000; emission is {shares[1_000]:.0%} of it"
    )
    for count, limit in TARGETS.items():
        met = "met" if best[count] <= limit else "MISSED"
        report.note(f"{count:,} nodes in {readable(best[count])} (target {readable(limit)}): {met}")
    peak = report.facts["memory"]["10000"]["resident_over_imports_mb"]
    met = "met" if peak < MEGABYTES else "MISSED"
    report.note(f"10,000 nodes: {peak} MB over the imports (target {MEGABYTES} MB): {met}")
    report.write()


if __name__ == "__main__":
    main()
