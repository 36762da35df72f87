"""``python -m chaos``: the campaign. ``--seed`` and ``--trials`` say which; ``--write`` makes the report of it."""

from __future__ import annotations

import argparse
import json
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from .stage import prepare
from .trial import BESIDE, WAYS_SHARE, Result, describe, run


def main(arguments: list[str]) -> int:
    """Run trials and say how they went; 1 when an invariant did not hold."""
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument(
        "--seed", type=int, default=1, help="the first trial's; each next one has the next number"
    )
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--way", choices=list(WAYS_SHARE), help="run them all this way")
    parser.add_argument("--jobs", type=int, default=1, help="trials at the same time")
    parser.add_argument("--beside", type=int, default=BESIDE, help="instances that share a serving process")
    parser.add_argument("--results", type=Path, help="add each trial's result to this file of JSON lines")
    parser.add_argument("--keep", type=Path, help="keep the folders of trials that went wrong here")
    given = parser.parse_args(arguments)
    prepare()
    wrong = 0
    with ThreadPoolExecutor(given.jobs) as pool:
        trials = [
            pool.submit(run, seed, given.way, keep=given.keep, count=given.beside)
            for seed in range(given.seed, given.seed + given.trials)
        ]
        for trial in as_completed(trials):
            result = trial.result()
            wrong += bool(result.wrong)
            _tell(result, given.results)
    print(f"{given.trials} trials, {wrong} went wrong")
    return 1 if wrong else 0


def _tell(result: Result, results: Path | None) -> None:
    print(result.line(), flush=True)
    for what in result.wrong[:8]:
        print(f"    {what[:600]}", flush=True)
    if result.wrong:
        again = f"make chaos SEED={result.seed} TRIALS=1"
        print(f"    {again}{f'; kept in {result.kept}' if result.kept else ''}", flush=True)
    if results is not None:
        with results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(describe(result), ensure_ascii=False) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
