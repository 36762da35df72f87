"""A pool: the workers that a definition is meant for, by what each of them offers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

FORM = "gpu=1,vram=24GiB,cpu=8,memory=16GiB"
"""A worker as people write it."""
CPU, MEMORY, GPU = "CPU_MILLIS", "MEMORY_MB", "GPU"
SOFT = frozenset({CPU, MEMORY})
"""What counts only where some worker says how much it has of it."""
_MEBIBYTES = {
    "": 1.0,
    "m": 1.0,
    "mb": 1.0,
    "mib": 1.0,
    "g": 1024.0,
    "gb": 1024.0,
    "gib": 1024.0,
    "tib": 1048576.0,
}
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")
_TIMES = re.compile(r"(\d+)\s*[x*]\s*(?=\D)")
_NAMES = {"cpu": CPU, "memory": MEMORY, "gpu": GPU, "vram": "VRAM_MB"}


@dataclass(frozen=True)
class Pool:
    """``workers``: what each declares as Dask resources, as ``{"GPU": 1, "CPU_MILLIS": 8000}``."""

    workers: tuple[Mapping[str, float], ...]

    @classmethod
    def parse(cls, workers: Sequence[str]) -> Pool:
        """A pool of workers as people write them; ``4x`` before one stands for four of it. CPU in cores, memory with a
        unit (else MiB), other names as the cluster tags them. Raises :class:`ValueError` with a sentence.

        >>> Pool.parse(["gpu=1,memory=2GiB", "2x cpu=4"]).total
        {'GPU': 1.0, 'MEMORY_MB': 2048.0, 'CPU_MILLIS': 8000.0}
        """
        found: list[Mapping[str, float]] = []
        for text in workers:
            times = _TIMES.match(text.strip())
            one = _worker(text.strip()[times.end() if times else 0 :])
            found += [one] * (min(int(times.group(1)), 10_000) if times else 1)
        return cls(tuple(found))

    @cached_property
    def total(self) -> dict[str, float]:
        """What all of them have together."""
        found: dict[str, float] = {}
        for offers in self.workers:
            for name, amount in offers.items():
                found[name] = found.get(name, 0.0) + amount
        return found

    def asked(self, request: Mapping[str, float]) -> dict[str, float]:
        """``request`` without what does not count here."""
        return {name: amount for name, amount in request.items() if name not in SOFT or name in self.total}

    def fits(self, request: Mapping[str, float]) -> bool:
        """Whether some worker can take ``request`` when it is idle."""
        return not self.lacking(request)

    def lacking(self, request: Mapping[str, float]) -> dict[str, float]:
        """What of ``request`` the worker that comes closest has too little of."""
        asked = self.asked(request)
        lacks = (
            {name: amount for name, amount in asked.items() if offers.get(name, 0.0) < amount}
            for offers in self.workers
        )
        return min(lacks, key=len, default=asked)


def _worker(text: str) -> Mapping[str, float]:
    offers: dict[str, float] = {}
    accelerator = ""
    for part in text.split(","):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if name == "accelerator" and value:
            accelerator = f"ACCELERATOR:{value}"
            continue
        if not name or not equals:
            raise ValueError(f"{text!r} is not a worker; write for example {FORM}")
        offers[_NAMES.get(name, name)] = _amount(name, value)
    if accelerator:
        offers[accelerator] = offers.setdefault(GPU, 1.0)
    return offers


def _amount(name: str, value: str) -> float:
    match = _AMOUNT.fullmatch(value)
    unit = match.group(2).lower() if match else ""
    units = _MEBIBYTES if name in ("memory", "vram") else {"": 1000.0 if name == "cpu" else 1.0}
    if match is None or unit not in units:
        example = "16GiB" if name in ("memory", "vram") else "8"
        raise ValueError(f"{name}={value}: {value!r} is no amount; write for example {name}={example}")
    return float(match.group(1)) * units[unit]


def shown(name: str, amount: float) -> str:
    """An amount as people write it.

    >>> shown("CPU_MILLIS", 1500), shown("MEMORY_MB", 2048), shown("GPU", 2)
    ('cpu 1.5', 'memory 2GiB', 'gpu 2')
    """
    words = {value: key for key, value in _NAMES.items()}
    if name == CPU:
        return f"cpu {amount / 1000:g}"
    if name in (MEMORY, "VRAM_MB"):
        unit = f"{amount / 1024:g}GiB" if amount >= 1024 else f"{amount:g}MiB"
        return f"{words[name]} {unit}"
    return f"{words.get(name, name)} {amount:g}"
