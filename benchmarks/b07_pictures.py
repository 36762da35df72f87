"""A foreach over pictures: in batches against one by one, on one Dask cluster, in turns.

Each item is a JPEG of 640 × 480 that goes through ``image/preprocess`` and ``ai/image-analyze`` (measures only, no
weights); every run has photos of its own, since a content that was seen is not computed again. What that costs is
measured, too: the same photos once more. Beside the seconds stands the processor time of the flow's own process, which
is what bounds a machine of many cores.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from harness import Report, Series, readable
from PIL import Image

PHOTOS, WARM_UP = 300, 30
BATCH = 500
ROUNDS = 3
CASES = {"one by one": 1, "in batches": BATCH}

DEFINITION = """name: pictures-{batch}
nodes:
  - node_id: each
    type: control/foreach
    parameters: {{items: "{{{{ input.photos }}}}", batch_size: {batch}, results: none}}
    body:
      nodes:
        - {{node_id: prepare, type: image/preprocess, parameters: {{format: jpeg, max_size: 512x512}}}}
        - {{node_id: analyze, type: ai/image-analyze}}
      edges:
        - {{source: prepare, target: analyze}}
"""


def photographs(folder: Path, count: int) -> list[dict[str, Any]]:
    """So many new photos, as the items of a foreach."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng()
    for number in range(count):
        coarse = Image.fromarray(generator.integers(0, 256, (24, 32, 3), np.uint8))
        coarse.resize((640, 480), Image.Resampling.BICUBIC).save(folder / f"{number:03}.jpg", quality=90)
    return [{"file_path": str(path)} for path in sorted(folder.iterdir())]


async def measure() -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Seconds, and seconds of processor time of this process, of each case in turns."""
    from mirror_realm.compiler import analyze, compile_workflow
    from mirror_realm.core.settings import settings
    from mirror_realm.deployments.run import execute
    from mirror_realm.deployments.surroundings import surroundings

    wall: dict[str, list[float]] = {}
    own: dict[str, list[float]] = {}
    folder = Path(os.environ["MIRROR_REALM_ROOTS"])
    flows = {
        name: compile_workflow(analyze("pictures.yaml", text=DEFINITION.format(batch=batch))).flow
        for name, batch in CASES.items()
    }
    async with surroundings(settings(), announce=print) as around:
        for number in range(-1, ROUNDS):
            count = PHOTOS if number >= 0 else WARM_UP
            for name, flow in flows.items():
                given = {"photos": photographs(folder / f"{name} {number}", count)}
                for case in (name, f"{name}, again"):
                    start, cpu = time.perf_counter(), time.process_time()
                    result = await execute(flow, around, input=given, trigger=None)
                    seconds, used = time.perf_counter() - start, time.process_time() - cpu
                    assert result["output"] == {"each": {"count": count, "failed": 0}}, result["error"]
                    if number >= 0:
                        wall.setdefault(case, []).append(seconds)
                        own.setdefault(case, []).append(used)
    return wall, own


def main() -> None:
    """Measure, print, write."""
    folder = tempfile.mkdtemp(prefix="realm-b07-")
    os.environ |= {
        "MIRROR_REALM_HOME": f"{folder}/home",
        "MIRROR_REALM_ROOTS": f"{folder}/photos",
        "PREFECT_LOGGING_LEVEL": "ERROR",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    }
    report = Report("pictures", "B7: a foreach over pictures")
    wall, own = asyncio.run(measure())
    base = Series("", tuple(wall["one by one"])).median, Series("", tuple(own["one by one"])).median
    for name in wall:
        seconds, used = Series(name, tuple(wall[name])), Series(name, tuple(own[name]))
        report.row(
            case=name, photos=PHOTOS, median=readable(seconds.median), spread=f"±{seconds.spread:.0%}",
            photos_per_second=f"{PHOTOS / seconds.median:.0f}", ratio=f"{seconds.median / base[0]:.2f}×",
            flow_process_per_photo=readable(used.median / PHOTOS), its_ratio=f"{used.median / base[1]:.2f}×",
        )  # fmt: skip
    report.facts["seconds"], report.facts["processor_seconds"] = wall, own
    report.write()


if __name__ == "__main__":
    main()
