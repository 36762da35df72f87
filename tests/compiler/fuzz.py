"""The long fuzz: as many damaged definitions as asked for, each judged by the processor time that it took.

    python -m tests.compiler.fuzz --count 100000

Every seed is one mutation of :mod:`.mutations` of one definition of the corpus; each is analysed, its findings are
written in every format, and what is accepted is emitted and parsed. A seed fails by an exception, by more than
``--limit`` seconds of this process's own time, or by more than ``--memory`` MiB that the process has grown by. The
last line is the summary as JSON; the exit code is 1 when a seed failed. The short form of it runs in
``test_fuzz_definitions.py``.
"""

import argparse
import gc
import json
import random
import resource
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

from mirror_realm.compiler import analyze, emit
from mirror_realm.compiler.source import load

from .mutations import mutation

FOLDER = Path(__file__).parent / "fixtures"
VALID = sorted(
    path for path in FOLDER.rglob("*") if path.parent.name in ("valid", "proofs") and path.is_file()
)
FORMATS = ("text", "json", "sarif", "github")


def corpus() -> list[tuple[str, object]]:
    """Each valid definition of the fixtures, as its text and as its tree."""
    return [(path.read_text(encoding="utf-8"), load(path).document.tree) for path in VALID]


def damaged(seed: int, definitions: list[tuple[str, object]]) -> tuple[str, str]:
    """The definition of ``seed``, and the suffix of a file that would hold it."""
    chance = random.Random(seed)
    text, tree = chance.choice(definitions)
    return mutation(text, tree, chance.choice(definitions)[1], chance)


def check(text: str, name: str) -> bool:
    """Analyse ``text`` and use all that comes of it; whether it was accepted. Raises AssertionError or what broke."""
    analysis = analyze(name, text=text)
    for finding in analysis.diagnostics:
        assert finding.line is not None, finding
        assert finding.column is not None, finding
        assert finding.severity == "info" or finding.hint, finding
    for form in FORMATS:
        analysis.render(form)
    if analysis.ok:
        compile(emit(analysis), name, "exec")
    return analysis.ok


def resident() -> float:
    """MiB that this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


class Endless(Exception):
    """A seed that was stopped."""


def _stop(*_: object) -> None:
    raise Endless


def campaign(first: int, count: int, limit: float, memory: float, report: int) -> Iterator[dict[str, object]]:
    """A record per failure, and at last the summary."""
    definitions = corpus()
    signal.signal(signal.SIGPROF, _stop)
    accepted = failures = 0
    slowest, slowest_seed, began = 0.0, -1, time.monotonic()
    start, largest = resident(), 0.0
    spent = 0.0
    for seed in range(first, first + count):
        text, suffix = damaged(seed, definitions)
        before, problem = time.process_time(), None
        signal.setitimer(signal.ITIMER_PROF, 10 * limit)
        try:
            accepted += check(text, f"w{suffix}")
        except Endless:
            problem = f"stopped after {10 * limit} s:\n{traceback.format_exc(limit=-6)}"
        except Exception:
            problem = traceback.format_exc(limit=-8)
        signal.setitimer(signal.ITIMER_PROF, 0)
        took = time.process_time() - before
        spent += took
        if took > slowest:
            slowest, slowest_seed = took, seed
        if took > limit and problem is None:
            problem = f"took {took:.2f} s"
        if seed % 100 == 0 or took > limit / 2:
            grown = resident() - start
            if grown > largest + memory:
                problem = problem or f"the process has grown by {grown:.0f} MiB"
            largest = max(largest, grown)
        if problem is not None:
            failures += 1
            yield {"seed": seed, "problem": problem}
        if (seed - first + 1) % report == 0:
            done = seed - first + 1
            print(
                f"{done} done, {failures} failed, {spent / done * 1000:.0f} ms each",
                file=sys.stderr,
                flush=True,
            )
            gc.collect()
    yield {
        "first": first,
        "count": count,
        "accepted": accepted,
        "failures": failures,
        "processor_seconds": round(spent, 1),
        "mean_ms": round(spent / count * 1000, 1),
        "slowest_s": round(slowest, 2),
        "slowest_seed": slowest_seed,
        "grown_mib": round(largest),
        "wall_seconds": round(time.monotonic() - began),
    }


def main() -> int:
    """Run the campaign that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000, help="how many definitions")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--limit", type=float, default=2.0, help="seconds of processor time for one")
    parser.add_argument(
        "--memory", type=float, default=256.0, help="MiB that the process may grow by at once"
    )
    parser.add_argument("--report", type=int, default=1000, help="a line on stderr after so many")
    parser.add_argument("--show", type=int, help="print the definition of this seed, and nothing else")
    options = parser.parse_args()
    if options.show is not None:
        print(damaged(options.show, corpus())[0])
        return 0
    record: dict[str, object] = {}
    for record in campaign(options.first, options.count, options.limit, options.memory, options.report):
        print(json.dumps(record, ensure_ascii=False), flush=True)
    return 1 if record["failures"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
