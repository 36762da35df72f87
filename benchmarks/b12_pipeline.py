"""The pipeline of a photo at 4K: preprocess, enhance twice as large, analyse, archive; one, and many side by side.

The nodes are called as a worker calls them, without the run around them (that is B3): 3840×2160 from a JPEG to an
archived JPEG of 7680×4320, with x2plus's full network, whose weights are random. *Beside the network* is what is left
of one photo when the network's own time is taken off: decoding, joining, encoding, measuring, hashing, storing. Threads
share the device by turns, as in a GPU's worker.

On a CPU (the default where there is no GPU) the photo and the network are small.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

from b10_enhance import picture
from bare import ROOT
from harness import Report, readable

STEPS: dict[str, dict[str, Any]] = {
    "image/preprocess": {"format": "jpeg"},
    "ai/image-enhance": {"model": "realesrgan-x2plus", "scale_factor": 2},
    "ai/image-analyze": {"tasks": ["classification", "face-detection", "quality-assessment"]},
    "storage/minio": {"bucket": "processed"},
}
SEEDS = 22.3
"""Seconds that the specification's machine took."""

_number = count()


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", help="width and height of the photo, as in 3840x2160")
    parser.add_argument("--photos", type=int, help="of a sustained run")
    parser.add_argument("--threads", type=int, default=4, help="that share the device")
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


def photo(source: Path, weights: Path, gpu: bool) -> dict[str, float]:
    """One photo through the pipeline: seconds by node type, and of the network alone."""
    from mirror_realm.tasks.executor import NodeCall, execute

    given: dict[str, Any] = {"file_path": str(source)}
    seconds: dict[str, float] = {}
    for name, parameters in STEPS.items():
        if name == "ai/image-enhance":
            parameters = {**parameters, "weights": str(weights)}
        call = NodeCall(
            name, name, "bench", f"bench-{next(_number)}", parameters=parameters, input=given,
            roots=(str(source.parent),), gpu=gpu and name == "ai/image-enhance",
        )  # fmt: skip
        began = time.perf_counter()
        outcome = execute(call)
        seconds[name] = time.perf_counter() - began
        if not outcome.ok:
            raise SystemExit(f"{name}: {outcome.error}")
        if name == "ai/image-enhance":
            seconds["the network"] = outcome.output["seconds"]
        given = {**outcome.output, "image": outcome.output["image"]}
    return seconds


def main() -> None:
    """Time one photo, then many at once, and report."""
    options = arguments()
    sys.path.insert(0, str(ROOT))
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MIRROR_REALM_HOME"] = folder
        measure(options, Path(folder))


def measure(options: argparse.Namespace, folder: Path) -> None:
    """All of it, below ``folder``."""
    import torch
    from PIL import Image

    from tests.networks import random_x4, save

    on_cpu = not torch.cuda.is_available()
    if on_cpu:
        torch.set_num_threads(1)
    width, height = map(int, (options.size or ("480x270" if on_cpu else "3840x2160")).split("x"))
    weights = save(random_x4(*((16, 2) if on_cpu else (64, 23)), scale=2), folder / "x2.pth")
    source = folder / "photo.jpg"
    Image.fromarray(picture(width, height)).save(source, quality=92)
    device = "cpu" if on_cpu else torch.cuda.get_device_name(0)
    report = Report(
        "pipeline" if on_cpu else "pipeline_cuda",
        f"preprocess → enhance ×2{' (small)' if on_cpu else ''} → analyse → archive, {width}×{height} on {device}",
        f"on an H100: a photo at 4K in 2 s (the specification's machine: {SEEDS} s), 60 a minute",
    )
    photo(source, weights, not on_cpu)
    rounds: dict[str, list[float]] = defaultdict(list)
    for _ in range(options.rounds):
        for name, seconds in photo(source, weights, not on_cpu).items():
            rounds[name].append(seconds)
    one = {name: statistics.median(values) for name, values in rounds.items()}
    whole = sum(one[name] for name in STEPS)
    for name, seconds in one.items():
        report.row(case=name, median=readable(seconds), share=f"{seconds / whole:.0%}")
    report.row(case="one photo", median=readable(whole), share="100%")
    report.row(
        case="beside the network",
        median=readable(left := whole - one["the network"]),
        share=f"{left / whole:.0%}",
    )
    photos = options.photos or (12 if on_cpu else 48)
    for threads in sorted({1, options.threads}):
        began = time.perf_counter()
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda _: photo(source, weights, not on_cpu), range(photos)))
        seconds = time.perf_counter() - began
        report.row(
            case=f"{threads} at once",
            median=readable(seconds / photos),
            share=f"{photos / seconds * 60:.0f} a minute",
        )
    report.facts["one_photo_s"] = round(whole, 4)
    report.write()


if __name__ == "__main__":
    main()
