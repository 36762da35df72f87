"""Search: nearest neighbours among 512-dimensional vectors by our index, against exact search.

The vectors gather as those of photos do: many subjects, pictures scattered around each. Queries are pictures that
are not in the index. Searches run one at a time on one thread, as a request would; the index is built on all cores.
``--sizes`` takes others: the target is at 1,000,000, which takes a quarter of an hour and 6 GB here.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import faiss
import numpy as np
from bare import inference_core
from harness import Report, Series, growth_exponent, readable, stopwatch

inference_core()

from mirror_realm.tasks.inference.vectors import VectorIndex  # noqa: E402 - after it was made importable

DIMENSION = 512
NEAREST = 10
QUERIES = 500
EXACT_QUERIES = 50
PICTURES_PER_SUBJECT = 100
SPREAD = 0.7
"""How far pictures scatter around their subject, relative to how far the subjects are from each other."""


def pictures(count: int, subjects: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Unit vectors (count, dimension), each near one of the subjects."""
    chosen = subjects[random.integers(len(subjects), size=count)]
    scattered = chosen + SPREAD * random.standard_normal((count, DIMENSION), np.float32)
    return scattered / np.linalg.norm(scattered, axis=1, keepdims=True)


def timed(search, queries: np.ndarray) -> tuple[Series, list[list[int]]]:
    """The time of each query by itself, and what it found."""
    found: list[list[int]] = []
    seconds = []
    for query in queries:
        start = time.perf_counter()
        ids = search(query[None])
        seconds.append(time.perf_counter() - start)
        found.append(ids)
    return Series("search", tuple(seconds)), found


def measure(report: Report, size: int, folder: Path) -> tuple[float, float]:
    """One size: a row of the report; the median times of our index and of exact search."""
    random = np.random.default_rng(size)
    subjects = random.standard_normal((max(1, size // PICTURES_PER_SUBJECT), DIMENSION), np.float32)
    vectors, queries = pictures(size, subjects, random), pictures(QUERIES, subjects, random)
    index = VectorIndex("space", DIMENSION)
    build = stopwatch(lambda: index.add(range(size), vectors))
    with (folder / "index.npz").open("wb") as file:
        save = stopwatch(lambda: index.save(file))
    load = stopwatch(lambda: VectorIndex.load(folder / "index.npz", "space", DIMENSION))
    flat = faiss.IndexFlatL2(DIMENSION)
    flat.add(vectors)
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        ours, found = timed(lambda query: [hit.id for hit in index.search(query, NEAREST)[0]], queries)
        exact, _ = timed(lambda query: flat.search(query, NEAREST)[1][0].tolist(), queries[:EXACT_QUERIES])
    finally:
        faiss.omp_set_num_threads(threads)
    _, truth = flat.search(queries, NEAREST)
    shared = [len(set(mine) & set(true)) for mine, true in zip(found, truth.tolist(), strict=True)]
    report.row(
        vectors=f"{size:,}",
        kind=index.kind,
        recall=f"{sum(shared) / (NEAREST * QUERIES):.3f}",
        median=readable(ours.median),
        p95=readable(ours.percentile(0.95)),
        exact=readable(exact.median),
        faster=f"{exact.median / ours.median:.1f}×",
        build=readable(build),
        save=readable(save),
        load=readable(load),
    )
    return ours.median, exact.median


def main() -> None:
    """Each size in turn, and how the time grows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 30_000, 90_000])
    sizes = parser.parse_args().sizes
    report = Report(
        "search",
        f"Search: {NEAREST} nearest of N × {DIMENSION}, one query at a time on one thread",
        target="recall@10 ≥ 0.95, p95 ≤ 5 ms, at 1,000,000",
    )
    with tempfile.TemporaryDirectory() as name:
        medians = [measure(report, size, Path(name)) for size in sizes]
    if len(sizes) >= 3:
        ours, exact = (growth_exponent(sizes, [pair[i] for pair in medians]) for i in (0, 1))
        report.facts["growth_exponent"] = {"ours": round(ours, 3), "exact": round(exact, 3)}
        report.note(
            f"a query's time grows with the number of vectors to the power {ours:.2f}; exact {exact:.2f}"
        )
    report.write()


if __name__ == "__main__":
    main()
