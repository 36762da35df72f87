"""Tags that follow from measurements alone: true by construction, and modest about what they know."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from .measures import Quality


@dataclass(frozen=True, slots=True)
class Attribute:
    """A tag and how clearly the measurement speaks for it, 0–1."""

    tag: str
    confidence: float


def attributes(
    *,
    width: int,
    height: int,
    quality: Quality | None = None,
    faces: int | None = None,
    captured: datetime | None = None,
) -> list[Attribute]:
    """The attribute tags of an upright picture; ``None`` for what was not measured. ``captured`` is local
    time.

    Shape: landscape, portrait, square, panorama. Size: low-resolution (< 2 megapixels), high-resolution (≥
    12). Light: dark, bright. Colour: monochrome, muted, colourful. Detail: blurry, sharp. People: has-faces.
    Time of day: morning, afternoon, evening, night.
    """
    found = [Attribute(_shape(width, height), 1.0)]
    megapixels = width * height / 1e6
    if megapixels < 2:
        found.append(Attribute("low-resolution", 1.0))
    elif megapixels >= 12:
        found.append(Attribute("high-resolution", 1.0))
    if quality is not None:
        found += _of_quality(quality)
    if faces:
        found.append(Attribute("has-faces", round(1 - 0.3**faces, 2)))
    if captured is not None:
        found.append(Attribute(_part_of_day(captured.hour), 0.9))
    return found


def _shape(width: int, height: int) -> str:
    ratio = max(width, height) / min(width, height)
    if ratio >= 2:
        return "panorama"
    if ratio <= 1.05:
        return "square"
    return "landscape" if width > height else "portrait"


def _of_quality(quality: Quality) -> list[Attribute]:
    graded = (
        ("dark", _falling(quality.brightness, 0.3, 0.1)),
        ("bright", _rising(quality.brightness, 0.6, 0.85)),
        ("monochrome", _falling(quality.colourfulness, 0.08, 0.02)),
        ("colourful", _rising(quality.colourfulness, 0.35, 0.7)),
        ("muted", _falling(quality.colourfulness, 0.2, 0.1) if quality.colourfulness > 0.08 else 0.0),
        ("blurry", _falling(quality.laplacian_variance, 60, 10)),
        ("sharp", _rising(quality.laplacian_variance, 150, 500)),
    )
    return [Attribute(tag, confidence) for tag, confidence in graded if confidence > 0]


def _part_of_day(hour: int) -> str:
    return (
        "night"
        if hour < 5 or hour >= 22
        else "morning"
        if hour < 12
        else "afternoon"
        if hour < 18
        else "evening"
    )


def _rising(value: float, start: float, full: float) -> float:
    """0 below ``start``; from 0.5 there to 1 at ``full``."""
    return 0.0 if value < start else round(min(1.0, 0.5 + 0.5 * (value - start) / (full - start)), 2)


def _falling(value: float, start: float, full: float) -> float:
    return _rising(-value, -start, -full)
