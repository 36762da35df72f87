"""Preprocessing: decode, shrink, turn and encode a photograph, against the same Pillow calls made directly.

*Directly* is what a careful script does: decode a JPEG at the scale that is needed, shrink, then turn (the
small picture, not the large one), and save with the original EXIF and profile; it checks nothing and corrects
nothing. *As usually written* is the other order, ``exif_transpose`` before ``thumbnail``. *The node* adds
what ``image/preprocess`` does around it: sha256 of the original and of the result, and the artifact store.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

from harness import Report, pairwise
from PIL import Image, ImageOps

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "examples"))

import make_sample_photo  # noqa: E402 - from the examples folder
import numpy as np  # noqa: E402

from mirror_realm.core.settings import Settings  # noqa: E402
from mirror_realm.tasks.artifacts import ArtifactStore  # noqa: E402
from mirror_realm.tasks.context import NodeContext  # noqa: E402
from mirror_realm.tasks.image import image_preprocess  # noqa: E402
from mirror_realm.tasks.imaging.pipeline import Options, prepare  # noqa: E402
from mirror_realm.tasks.workdirs import Workdir  # noqa: E402

SIZES = {2: (1632, 1224, 1024), 12: (4032, 3024, 2048), 24: (6000, 4000, 4096)}
"""Megapixels → width and height as stored, and the box to fit into."""
QUALITY = 92
ROUNDS = 15


def photograph(folder: Path, megapixels: int) -> Path:
    """The sample photograph in another size, with grain, stored on its side with EXIF and profile."""
    width, height, _ = SIZES[megapixels]
    upright = make_sample_photo.picture().resize((height, width), Image.Resampling.BICUBIC)
    grain = np.random.default_rng(0).normal(0, 3, (width, height, 1))
    path = folder / f"{megapixels}.jpg"
    make_sample_photo.save(
        Image.fromarray(np.clip(np.asarray(upright) + grain, 0, 255).astype(np.uint8)), path
    )
    return path


def directly(path: Path, target: Path, box: int) -> None:
    """The same calls, in the same order, with nothing around them."""
    with Image.open(path) as image:
        exif, icc = image.info["exif"], image.info["icc_profile"]
        scale = min(box / image.width, box / image.height)
        size = (round(image.width * scale), round(image.height * scale))
        image.draft(None, (size[0] * 2, size[1] * 2))
        small = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    turned = small.transpose(Image.Transpose.ROTATE_270)
    turned.save(target, "JPEG", quality=QUALITY, subsampling=0, exif=exif, icc_profile=icc)


def as_usually_written(path: Path, target: Path, box: int) -> None:
    """Turn first, then shrink: what most scripts do."""
    with Image.open(path) as image:
        icc = image.info["icc_profile"]
        turned = ImageOps.exif_transpose(image)
    turned.thumbnail((box, box), Image.Resampling.LANCZOS)
    exif = turned.getexif().tobytes()
    turned.save(target, "JPEG", quality=QUALITY, subsampling=0, exif=exif, icc_profile=icc)


def the_node(path: Path, folder: Path, box: int) -> None:
    """The whole node, artifact and all."""
    configured = Settings(home=folder / "home")
    context = NodeContext(
        "key",
        "inst",
        "node",
        1,
        Workdir(folder, "work"),
        ArtifactStore.open(configured),
        configured,
        roots=(folder,),
    )
    parameters: Any = image_preprocess.parameters(format="jpeg", max_size=box)
    image_preprocess(parameters, image_preprocess.input(file_path=str(path)), context)


class Clocked:
    """A candidate that times itself by the CPU time of this process, and keeps the time on the wall beside
    it."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.work = work
        self.wall: list[float] = []

    def __call__(self) -> float:
        """Run once; the CPU seconds."""
        wall, cpu = perf_counter(), process_time()
        self.work()
        cpu, wall = process_time() - cpu, perf_counter() - wall
        self.wall.append(wall)
        return cpu


def main() -> None:
    """Time each size in turns and report."""
    report = Report(
        "preprocess",
        "Preprocess a photograph (orientation 6, EXIF, profile) to JPEG: CPU time",
        target="ours ≤ 1.05 × the same Pillow calls made directly",
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "work").mkdir()
        for megapixels in SIZES:
            compare(report, folder, megapixels)
    report.note(
        "CPU time, since other work on the machine moves the time on the wall by more than the difference"
    )
    report.write()


def compare(report: Report, folder: Path, megapixels: int) -> None:
    """One size."""
    width, height, box = SIZES[megapixels]
    path = photograph(folder, megapixels)
    options = Options(format="jpeg", box=(box, box), quality=QUALITY)
    numbers = count()

    def fresh() -> Path:
        # A new file each time: replacing one makes some file systems flush, which only one side would pay.
        made = folder / f"out-{megapixels}-{next(numbers)}"
        made.mkdir()
        return made

    label = f"{megapixels} MP: "
    candidates = {
        label + "directly": Clocked(lambda: directly(path, fresh() / "a.jpg", box)),
        label + "ours": Clocked(lambda: prepare(path, fresh(), options, max_pixels=10**9)),
        label + "as usually written": Clocked(lambda: as_usually_written(path, fresh() / "a.jpg", box)),
        label + "the node": Clocked(lambda: the_node(path, folder, box)),
    }
    series = pairwise(candidates, rounds=ROUNDS)
    report.compare(series, against=label + "directly", size=f"{width}×{height} → {box}")
    ratio = median_of_pairs(series[label + "ours"].seconds, series[label + "directly"].seconds)
    wall = median_of_pairs(candidates[label + "ours"].wall[1:], candidates[label + "directly"].wall[1:])
    report.facts.setdefault("median_ratio_of_pairs", {})[f"{megapixels} MP"] = {"cpu": ratio, "wall": wall}
    report.note(f"{megapixels} MP: median of the ratios of pairs {ratio:.3f} (on the wall {wall:.3f})")


def median_of_pairs(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median ratio of times measured next to each other."""
    return round(median(a / b for a, b in zip(ours, theirs, strict=True)), 4)


if __name__ == "__main__":
    main()
