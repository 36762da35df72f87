"""Instances of WfFormat 1.5 in the shapes of real workflows: what their generators give, without a download.

The shapes are those of the applications that WfCommons characterises: Montage (a mosaic of sky images), Epigenomics
(pipelines of genome lanes) and 1000Genome (populations against chromosomes). Figures are drawn with a fixed seed.
"""

import random
from typing import Any

Instance = dict[str, Any]


class _Draw:
    """Tasks in the order in which they are added; a task's parents must be there before it."""

    def __init__(self, name: str, seed: int = 0) -> None:
        self.name = name
        self.chance = random.Random(seed)
        self.tasks: dict[str, dict[str, Any]] = {}
        self.files: list[dict[str, Any]] = []
        self.recorded: list[dict[str, Any]] = []

    def task(self, program: str, parents: list[str], seconds: float) -> str:
        identity = f"{program}_ID{len(self.tasks) + 1:07d}"
        output = f"{identity}_output.dat"
        self.files.append({"id": output, "sizeInBytes": self.chance.randrange(1_000, 10_000_000)})
        self.tasks[identity] = {
            "name": program,
            "id": identity,
            "parents": parents,
            "children": [],
            "inputFiles": [f"{parent}_output.dat" for parent in parents],
            "outputFiles": [output],
        }
        for parent in parents:
            self.tasks[parent]["children"].append(identity)
        runtime = round(self.chance.lognormvariate(0, 0.5) * seconds, 3)
        self.recorded.append({
            "id": identity,
            "runtimeInSeconds": runtime,
            "command": {"program": program, "arguments": ["-v"]},
            "coreCount": 1,
            "avgCPU": 98.5,
            "memoryInBytes": self.chance.randrange(10_000_000, 900_000_000),
        })  # fmt: skip
        return identity

    def instance(self) -> Instance:
        return {
            "name": self.name,
            "description": f"An instance in the shape of {self.name}",
            "createdAt": "2024-05-01T08:00:00Z",
            "schemaVersion": "1.5",
            "runtimeSystem": {"name": "Pegasus", "version": "5.0"},
            "workflow": {
                "specification": {"tasks": list(self.tasks.values()), "files": self.files},
                "execution": {
                    "makespanInSeconds": 4321.5,
                    "executedAt": "2024-05-01T08:00:00Z",
                    "tasks": self.recorded,
                    "machines": [{"nodeName": "worker-1", "cpu": {"coreCount": 48}}],
                },
            },
        }


def montage(images: int, seed: int = 0) -> Instance:
    """Images are reprojected, their overlaps compared, the differences fitted, the backgrounds levelled, all added."""
    draw = _Draw("montage", seed)
    projected = [draw.task("mProject", [], 10) for _ in range(images)]
    fits = [
        draw.task("mDiffFit", [projected[index], projected[(index + step) % images]], 1)
        for step in (1, 2)
        for index in range(images)
        if (index + step) % images != index
    ]
    concat = draw.task("mConcatFit", fits, 30)
    model = draw.task("mBgModel", [concat], 60)
    levelled = [draw.task("mBackground", [model, image], 1) for image in projected]
    table = draw.task("mImgtbl", levelled, 5)
    added = draw.task("mAdd", [table, *levelled], 60)
    draw.task("mViewer", [added], 20)
    return draw.instance()


def epigenomics(lanes: int, chunks: int, seed: int = 0) -> Instance:
    """Each lane is split into chunks that run through a pipeline of four, and merged; then the lanes are merged."""
    draw = _Draw("epigenomics", seed)
    merged: list[str] = []
    for _ in range(lanes):
        split = draw.task("fastqSplit", [], 30)
        mapped: list[str] = []
        for _ in range(chunks):
            before = split
            for program, seconds in (("filterContams", 2), ("sol2sanger", 1), ("fastq2bfq", 1), ("map", 100)):
                before = draw.task(program, [before], seconds)
            mapped.append(before)
        merged.append(draw.task("mapMerge", mapped, 10))
    whole = draw.task("mapMerge", merged, 20)
    index = draw.task("maqIndex", [whole], 20)
    draw.task("pileup", [index], 60)
    return draw.instance()


def genome_1000(chromosomes: int, individuals: int, populations: int, seed: int = 0) -> Instance:
    """For each chromosome: individuals merged, sifted, then overlap and frequency for each population."""
    draw = _Draw("1000genome", seed)
    for _ in range(chromosomes):
        parts = [draw.task("individuals", [], 40) for _ in range(individuals)]
        merge = draw.task("individuals_merge", parts, 30)
        sifting = draw.task("sifting", [], 15)
        for _ in range(populations):
            draw.task("mutation_overlap", [merge, sifting], 20)
            draw.task("frequency", [merge, sifting], 60)
    return draw.instance()
