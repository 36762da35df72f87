"""What tells a picture from another: its bytes, its looks, its size."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from .hashing import perceptual_hash
from .viewing import view

SIDE = 512
"""Longest side of the copy whose looks are taken; 64 pixels of it count in the end."""
PLAIN = 3.0
"""Standard deviation in grey levels below which a picture has no looks: any two such would be taken for one."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """``phash`` is of the upright picture, 16 hex digits; it says nothing where the picture is ``plain``."""

    phash: str
    plain: bool
    width: int
    height: int
    format: str
    captured_at: datetime | None


def fingerprint(path: Path, *, name: str, max_pixels: int) -> Fingerprint:
    """The fingerprint of the picture at ``path``; errors as :func:`.decode.open_picture`."""
    import numpy as np

    seen = view(path, side=SIDE, max_pixels=max_pixels, name=name)
    grey = np.asarray(seen.image.convert("L").resize((64, 64)))
    return Fingerprint(
        phash=perceptual_hash(seen.image),
        plain=float(grey.std()) < PLAIN,
        width=seen.width,
        height=seen.height,
        format=seen.format.name,
        captured_at=seen.facts.captured_at,
    )
