"""Frames through x4plus's network on one GPU: the time of one, and how many a minute with decoding and encoding.

*One frame* is pixels in memory to pixels in memory, 1920×1080 → 7680×4320, against the same network in tiles run one
after the other, as a script would write it. *Sustained* is JPEG to JPEG: threads decode, take turns at the GPU
(``tasks/inference/turns.py``) and encode, as the nodes of a GPU's worker do. The floor is what the network's
arithmetic takes at the GPU's published peak (74.3 TFLOP a frame).

Speed does not depend on the weights, so they are random. On a CPU (the default where there is no GPU) the frame and
the network are small: that shows that it runs, and how much of the time the network has the device, and nothing else.
numpy, torch, torchvision, spandrel and Pillow are enough; ``nvidia-ml-py`` adds how busy the GPU was.
"""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import resource
import statistics
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from b10_enhance import in_plain_tiles, picture, psnr
from bare import ROOT, inference_core
from harness import Report, pairwise, readable

FLOP_PER_PIXEL = 35.9e6
"""Of x4plus, for each pixel of the source."""
PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L4": 121e12, "4090": 165e12}
"""Published dense fp16 FLOP/s of tensor cores, by a part of the device's name."""
QUALITY = 92
START = 600.0
"""Seconds after which processes wait no longer for one that failed."""


@dataclass(frozen=True)
class Task:
    """What a process is to do."""

    device: str
    size: tuple[int, int]
    tile: int
    precision: str
    weights: str
    frames: int
    threads: int
    compiled: bool = False

    def request(self, tile: int | None = None) -> Any:
        """The request for one picture."""
        from mirror_realm.tasks.inference.enhancer import Request
        from mirror_realm.tasks.inference.models import model_named

        return Request(
            model_named("realesrgan-x4plus"),
            Path(self.weights).parent,
            scale=4,
            device=self.device,
            precision=self.precision,
            tile=self.tile if tile is None else tile,
            weights=Path(self.weights),
            compiled=self.compiled,
        )


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", help="cpu or cuda:N; the first GPU where there is one")
    parser.add_argument("--size", help="width and height of a frame, as in 1920x1080")
    parser.add_argument("--tiles", type=int, nargs="*", help="tile sides to try; 0 lets it choose")
    parser.add_argument("--precision", default="auto", choices=["auto", "fp32", "bf16", "fp16"])
    parser.add_argument("--frames", type=int, help="of a sustained run")
    parser.add_argument("--threads", type=int, default=4, help="that share the device")
    parser.add_argument("--processes", type=int, nargs="*", default=[1, 2], help="that share the device")
    parser.add_argument("--compiled", action="store_true", help="by torch.compile")
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


def ready() -> None:
    """Make Mirror Realm's inference core importable, installed or not."""
    if find_spec("mirror_realm") is None or find_spec("pydantic") is None:
        inference_core()
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))


class Busy:
    """How busy the device says that it is, ten times a second."""

    def __init__(self, device: str) -> None:
        self._device, self._seen, self._over = device, [], threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        import torch

        while not self._over.wait(0.1):
            try:
                self._seen.append(torch.cuda.utilization(self._device))
            except Exception:  # The driver's library is not there.
                return

    def __enter__(self) -> Busy:
        if self._device != "cpu":
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()

    @property
    def share(self) -> float | None:
        """0 to 1, or ``None`` where nobody tells."""
        return statistics.mean(self._seen) / 100 if self._seen else None


def sustained(task: Task, start: Any = None) -> tuple[float, float, float | None]:
    """Seconds for the frames, seconds in which a thread had the device, and how busy the device says it was."""
    ready()
    import torch
    from PIL import Image

    from mirror_realm.tasks.inference.enhancer import enhance

    if task.device == "cpu":
        torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "frame.jpg"
        Image.fromarray(picture(*task.size)).save(source, quality=QUALITY)
        request = task.request()

        def one(number: int) -> float:
            with Image.open(source) as frame:
                pixels = np.asarray(frame.convert("RGB"))
            made = enhance(pixels, request)
            Image.fromarray(made.pixels).save(Path(folder) / f"{number}.jpg", quality=QUALITY)
            return made.seconds

        one(-1)
        if start is not None:
            start.wait()
        with Busy(task.device) as busy, ThreadPoolExecutor(task.threads) as pool:
            began = time.perf_counter()
            computing = sum(pool.map(one, range(task.frames)))
            seconds = time.perf_counter() - began
        return seconds, computing, busy.share


def in_processes(task: Task, count: int) -> tuple[float, float, float | None]:
    """The same frames for each of ``count`` processes at once: the slowest one's seconds, and the means of the rest."""
    if count == 1:
        return sustained(task)
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, context.Pool(count) as pool:
        start = manager.Barrier(count, timeout=START)
        results = pool.starmap(sustained, [(task, start)] * count, chunksize=1)
    busy = [share for _, _, share in results if share is not None]
    return (
        max(seconds for seconds, _, _ in results),
        sum(computing for _, computing, _ in results),
        max(busy) if busy else None,
    )


def one_frame(report: Report, task: Task, tiles: list[int], rounds: int) -> None:
    """Time one frame in several tilings, against plain tiles."""
    import torch

    from mirror_realm.tasks.inference.enhancer import enhance
    from mirror_realm.tasks.inference.models import model_named
    from mirror_realm.tasks.inference.networks import NetworkSource, network

    image = picture(*task.size)
    model = model_named("realesrgan-x4plus")
    source = NetworkSource(model, Path(task.weights).parent, Path(task.weights))
    module = network(source, task.device, task.precision).module
    plain_tile = 400 if task.device != "cpu" else 64
    ways = {
        f"plain tiles of {plain_tile}": functools.partial(in_plain_tiles, module, image, plain_tile),
        **{
            f"ours, {f'tiles of {tile}' if tile else 'as it chooses'}": functools.partial(
                lambda tile: enhance(image, task.request(tile)).pixels, tile
            )
            for tile in tiles
        },
    }
    peaks, made = {}, {}
    for name, way in ways.items():
        if task.device != "cpu":
            torch.cuda.reset_peak_memory_stats(task.device)
        made[name] = way()
        if task.device != "cpu":
            peaks[name] = f"{torch.cuda.max_memory_allocated(task.device) / 2**30:.1f} GiB"
    plain = next(iter(ways))
    series = pairwise(ways, rounds=rounds, warmup=1)
    report.compare(series, against=plain)
    for row in report.rows:
        row["memory"] = peaks.get(row["case"], "")
        row["to plain tiles"] = f"{psnr(made[row['case']], made[plain]):.1f} dB"
    best = min((one for name, one in series.items() if name != plain), key=lambda one: one.median)
    flop = FLOP_PER_PIXEL * task.size[0] * task.size[1]
    report.facts["best_frame_s"] = round(best.median, 4)
    if task.device == "cpu":
        return
    device = torch.cuda.get_device_name(task.device)
    words = device.replace("-", " ").split()
    peak = next((flops for name, flops in PEAKS.items() if name in words), None)
    floor = f"; the floor at its peak is {readable(flop / peak)}" if peak else ""
    report.note(
        f"one frame: {readable(best.median)} at best, {flop / best.median / 1e12:.0f} TFLOP/s on {device}{floor}"
    )


def main() -> None:
    """Time one frame, then streams of them, and report."""
    options = arguments()
    ready()
    import torch

    from mirror_realm.tasks.inference.models import model_named
    from mirror_realm.tasks.inference.networks import choose_precision
    from tests.networks import random_x4, save

    device = options.device or ("cuda:0" if torch.cuda.is_available() else "cpu")
    device = "cuda:0" if device == "cuda" else device
    on_cpu = device == "cpu"
    width, height = map(int, (options.size or ("160x90" if on_cpu else "1920x1080")).split("x"))
    precision = choose_precision(options.precision, device, model_named("realesrgan-x4plus"))
    tiles = options.tiles if options.tiles is not None else ([0, 96] if on_cpu else [0, 256, 400, 540, 1080])
    report = Report(
        "frames" if on_cpu else "frames_cuda",
        f"x4plus{' (small)' if on_cpu else ''}, {width}×{height} → {width * 4}×{height * 4}, {precision} on {device}",
        "on an H100: a frame in 0.25 s, 240 frames a minute from JPEG to JPEG, the GPU busy for 75 % of the time",
    )
    with tempfile.TemporaryDirectory() as folder:
        weights = save(random_x4(*((16, 2) if on_cpu else (64, 23))), Path(folder) / "random.pth")
        frames = options.frames or (12 if on_cpu else 48)
        task = Task(
            device, (width, height), 0, precision, str(weights), frames, options.threads, options.compiled
        )
        one_frame(report, task, tiles, options.rounds)
        for processes in options.processes:
            for threads in sorted({1, options.threads}):
                streams = Task(**{**task.__dict__, "threads": threads})
                seconds, computing, busy = in_processes(streams, processes)
                total = frames * processes
                report.row(
                    case=f"JPEG to JPEG, {processes} process{'es' * (processes > 1)}, {threads} threads",
                    median=readable(seconds / total),
                    ratio=f"{total / seconds * 60:.0f} a minute",
                    busy=f"{busy:.0%}" if busy is not None else "",
                )
                if not on_cpu:
                    had = computing / seconds / processes
                    report.note(f"{processes} × {threads}: somebody had the device {had:.0%} of the time")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    report.note(f"this process took {peak:.1f} GiB of memory at its peak")
    report.write()


if __name__ == "__main__":
    main()
