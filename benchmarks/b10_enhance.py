"""Enhancement: our path through x4plus's network against its owner's, and the same network run plainly and in tiles.

The network has x4plus's full size (23 blocks, 64 features) with random weights: speed does not depend on them.
*RealESRGANer* is the class that the owner's package offers, with its defaults, where the extra ``restore`` is
installed: it mirrors ten pixels at the right and at the bottom, so that its picture is another one along those edges.
*Plainly* is the whole picture in one pass, with nothing around it but the conversion from and to 8 bits. *Plain tiles*
are one tile after the other, each with 10 pixels of context that are computed and cut away, joined hard. Both speed and
seams are compared: a tiled result should be the whole one.

With random weights the network looks less far than a trained one does, so that the seams of plain tiles hardly show;
what the figures say is the time.

On a CPU (the default) the picture is small, since the network is not; ``--device cuda`` takes a 1080p frame in fp16.
That also runs where Mirror Realm is not installed: numpy, torch, torchvision and spandrel are enough.
"""

from __future__ import annotations

import argparse
import copy
import functools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from bare import ROOT, inference_core
from harness import Report, Series, pairwise, readable

CONTEXT = 10
"""The reference implementation's ``tile_pad``."""


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--size", help="width and height, as in 128x96")
    parser.add_argument("--tile", type=int, help="tile side in pixels")
    parser.add_argument("--precision", default="auto", choices=["auto", "fp32", "bf16", "fp16"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--threads", type=int, default=1, help="of torch on the CPU; 1, as Dask gives its workers"
    )
    return parser.parse_args()


def picture(width: int, height: int) -> np.ndarray:
    """A smooth picture with some texture."""
    y, x = np.mgrid[0:height, 0:width]
    waves = [np.sin(x / 7 + k) * np.cos(y / 11 - k) for k in range(3)]
    noise = np.random.default_rng(0).normal(0, 0.05, (height, width, 3))
    return (np.clip(np.stack(waves, axis=-1) * 0.4 + 0.5 + noise, 0, 1) * 255).astype(np.uint8)


def plainly(network: Any, image: np.ndarray) -> np.ndarray:
    """One pass over ``image``, as a script would write it."""
    import torch

    like = next(network.parameters())
    with torch.inference_mode():
        batch = torch.from_numpy(image).permute(2, 0, 1)[None].to(like.device, like.dtype) / 255
        result = network(batch)[0].float().clamp(0, 1)
        return (result * 255).round().byte().permute(1, 2, 0).cpu().numpy()


def in_plain_tiles(network: Any, image: np.ndarray, tile: int) -> np.ndarray:
    """Tile after tile, each with :data:`CONTEXT` pixels around it, joined hard."""
    height, width = image.shape[:2]
    result = np.empty((height * 4, width * 4, 3), np.uint8)
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            first, start = max(0, top - CONTEXT), max(0, left - CONTEXT)
            bottom, right = min(height, top + tile), min(width, left + tile)
            piece = plainly(network, image[first : bottom + CONTEXT, start : right + CONTEXT])
            y, x = (top - first) * 4, (left - start) * 4
            part = piece[y : y + (bottom - top) * 4, x : x + (right - left) * 4]
            result[top * 4 : bottom * 4, left * 4 : right * 4] = part
    return result


def cpu_seconds(way: Callable[[], Any]) -> float:
    """CPU time of one call: on a machine that others use, it says more than the clock."""
    start = time.process_time()
    way()
    return time.process_time() - start


def psnr(image: np.ndarray, reference: np.ndarray) -> float:
    """Decibels; infinite when equal."""
    error = float(np.mean((image.astype(float) - reference.astype(float)) ** 2))
    return float("inf") if error == 0 else 10 * np.log10(255**2 / error)


def computed_in_plain_tiles(height: int, width: int, tile: int) -> int:
    """Source pixels that :func:`in_plain_tiles` has the network compute."""

    def along(side: int) -> int:
        return sum(min(side, at + tile + CONTEXT) - max(0, at - CONTEXT) for at in range(0, side, tile))

    return along(height) * along(width)


def note_pairs(report: Report, series: dict[str, Series]) -> None:
    """How much faster ours is, as the median over the rounds, in which both ran next to each other."""
    for plain, ours in (
        ("plainly, the whole picture", "ours, as it chooses"),
        ("RealESRGANer", "ours, as it chooses"),
        ("plain tiles", "ours, tiles"),
        ("RealESRGANer, tiles", "ours, tiles"),
    ):
        if plain not in series:
            continue
        pairs = zip(series[plain].seconds, series[ours].seconds, strict=True)
        ratios = [plain_seconds / our_seconds for plain_seconds, our_seconds in pairs]
        report.note(
            f"{ours}, against {plain}: {statistics.median(ratios):.2f}× as fast (median of the pairs)"
        )
        report.facts.setdefault("pair_ratios", {})[f"{ours} / {plain}"] = [
            round(ratio, 3) for ratio in ratios
        ]


def as_its_owner(
    weights: Path, tile: int, device: str, precision: str
) -> Callable[[np.ndarray], np.ndarray] | None:
    """``RealESRGANer.enhance`` with its own defaults and loader; ``None`` where it is not installed."""
    if find_spec("realesrgan") is None or precision == "bf16":
        return None
    from mirror_realm.tasks.inference.compat import require_upstream

    utils, arch = require_upstream("realesrgan.utils"), require_upstream("basicsr.archs.rrdbnet_arch")
    utils.print = lambda *args, **kwargs: None  # It prints a line for each tile.
    network = arch.RRDBNet(num_in_ch=3, num_out_ch=3, num_feat=64, num_block=23, num_grow_ch=32, scale=4)
    upsampler = utils.RealESRGANer(
        scale=4, model_path=str(weights), model=network, tile=tile, tile_pad=CONTEXT, half=precision == "fp16",
        device=device,
    )  # fmt: skip
    return lambda image: upsampler.enhance(image[..., ::-1], outscale=4)[0][..., ::-1]


def ways_to_enlarge(
    image: np.ndarray, tile: int, device: str, precision: str, folder: Path
) -> dict[str, Callable[[], np.ndarray]]:
    """The candidates, all with the same network."""
    import torch

    from mirror_realm.tasks.inference.enhancer import Request, enhance
    from mirror_realm.tasks.inference.models import model_named
    from mirror_realm.tasks.inference.networks import NetworkSource, network
    from tests.networks import random_x4, save

    model = model_named("realesrgan-x4plus")
    weights = save(random_x4(64, 23), folder / "random.pth")
    ready = network(NetworkSource(model, folder, weights), device, precision).module
    # A copy in the memory layout that a script gets: our own keeps channels_last.
    plain = copy.deepcopy(ready).to(memory_format=torch.contiguous_format)

    def ours(tile: int) -> np.ndarray:
        request = Request(
            model, folder, scale=4, device=device, precision=precision, tile=tile, weights=weights
        )
        return enhance(image, request).pixels

    owners = {
        name: functools.partial(way, image)
        for name, side in (("RealESRGANer", 0), ("RealESRGANer, tiles", tile))
        if (way := as_its_owner(weights, side, device, precision)) is not None
    }
    return {
        "plainly, the whole picture": lambda: plainly(plain, image),
        "plain tiles": lambda: in_plain_tiles(plain, image, tile),
        **owners,
        "ours, as it chooses": lambda: ours(0),
        # A pass of theirs holds the tile and its context; ours may hold as much.
        "ours, tiles": lambda: ours(tile + 2 * CONTEXT),
    }


def main() -> None:
    """Time the ways in turns, compare their results, and report."""
    options = arguments()
    if find_spec("mirror_realm") is None or find_spec("pydantic") is None:
        inference_core()
    sys.path.insert(0, str(ROOT))
    import torch

    from mirror_realm.tasks.inference.models import model_named
    from mirror_realm.tasks.inference.networks import choose_precision
    from mirror_realm.tasks.inference.tiles import MIN_OVERLAP, plan_tiles

    on_cpu = options.device == "cpu"
    device = "cuda:0" if options.device == "cuda" else options.device
    width, height = map(int, (options.size or ("128x96" if on_cpu else "1920x1080")).split("x"))
    tile = options.tile or (64 if on_cpu else 400)
    precision = choose_precision(options.precision, device, model_named("realesrgan-x4plus"))
    with tempfile.TemporaryDirectory() as folder:
        ways = ways_to_enlarge(picture(width, height), tile, device, precision, Path(folder))
        torch.set_num_threads(options.threads)
        results = {name: way() for name, way in ways.items()}
        timed = {name: functools.partial(cpu_seconds, way) if on_cpu else way for name, way in ways.items()}
        series = pairwise(timed, rounds=options.rounds, warmup=1)
    report = Report(
        "enhance" if on_cpu else f"enhance_{options.device.partition(':')[0]}",
        f"x4plus's network, {width}×{height} → {width * 4}×{height * 4}, {precision} on {device}, tiles of {tile}",
        "1.3× as fast as RealESRGANer (GPU: 3×); tiles: at least 45 dB to the whole picture",
    )
    report.compare(series, against="plainly, the whole picture")
    for row in report.rows:
        row["to the whole"] = f"{psnr(results[row['case']], results['plainly, the whole picture']):.1f} dB"
    note_pairs(report, series)
    plan = plan_tiles(height, width, tile + 2 * CONTEXT)
    ours = len(plan) * plan.tile_shape[0] * plan.tile_shape[1]
    report.note(
        f"pixels computed for each of the picture's: ours {ours / (width * height):.2f} "
        f"(neighbours share {MIN_OVERLAP}), plain tiles "
        f"{computed_in_plain_tiles(height, width, tile) / (width * height):.2f} (they share {2 * CONTEXT})"
    )
    per_pixel = series["ours, as it chooses"].median / (width * height)
    report.note(f"{readable(per_pixel)} per source pixel: {readable(per_pixel * 12e6)} for 12 megapixels")
    if on_cpu:
        report.note("all times are CPU time")
    report.facts["threads"] = torch.get_num_threads()
    report.facts["device"] = "cpu" if on_cpu else torch.cuda.get_device_name(device)
    report.write()


if __name__ == "__main__":
    main()
