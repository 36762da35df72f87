"""A film while pictures of it are taken: the one that stands for it, and a strip of many."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ...core.errors import Code, RealmError
from ..imaging.raster import resized, shallow
from ..imaging.sizing import fit
from .containers import duration_of, hdr_of, turn_of
from .frames import SCORING_SIDE, Candidate, best, first_frames, frames_at, picture_of, rank, strip_of

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream
    from PIL import Image

    from ..context import NodeContext

FIRST_FRAMES = 600
"""Frames that are looked through where a film does not tell its length."""
EDGES = (0.05, 0.95)
"""The part of a film in which its picture is looked for: titles and credits lie outside."""

Sample = tuple[float, "Image.Image"]


@dataclass(frozen=True, slots=True)
class Poster:
    """The frame that stands for a film: when it is shown (seconds), and what was done to see it upright in sRGB."""

    time: float
    picture: Image.Image
    size: tuple[int, int]
    """Of the film as seen; the picture may be smaller."""
    rotation: int
    hdr: Literal["pq", "hlg"] | None
    candidates: tuple[Candidate, ...]
    """Among which it was chosen; none where a moment was named."""


class Film:
    """The pictures of an opened film. Every frame that is decoded checks for cancellation and tells the progress."""

    def __init__(
        self, container: InputContainer, stream: VideoStream, name: str, context: NodeContext
    ) -> None:
        self._container = container
        self._stream = stream
        self._name = name
        self._context = context
        self.duration = duration_of(container, stream)
        """Seconds, where the film tells."""

    def poster(self, at: str | float, candidates: int, box: tuple[int, int] | None) -> Poster:
        """The frame at ``at`` (``auto``, a share such as ``10%``, or seconds), no larger than ``box``.

        Raises OUT_OF_RANGE for a moment beyond the end, DATA_CORRUPTED when no frame can be decoded.
        """
        ranked: list[Candidate] = []
        moment = self._moment(at)
        if moment is None:
            samples = self._samples(candidates)
            if not samples:
                raise self._unreadable()
            # Moments closer together than frames give the same frame.
            ranked = rank(list(dict(samples).items()))
            moment = ranked[best(ranked)].time
        aspect = self._stream.sample_aspect_ratio
        for time, frame in frames_at(self._container, self._stream, [moment], self._checkpoint(0.6, 0.05, 1)):
            picture = picture_of(frame, aspect)
            return Poster(
                time=time,
                picture=shallow(resized(picture, fit(picture.size, box))),
                size=picture.size,
                rotation=turn_of(frame),
                hdr=hdr_of(frame.color_trc),
                candidates=tuple(ranked),
            )
        raise self._unreadable()

    def strip(self, count: int, columns: int, side: int) -> tuple[list[float], Image.Image | None]:
        """(times, strip) of ``count`` frames; no strip where none is wanted or the film does not tell its length."""
        if not count or self.duration is None:
            return [], None
        times = [self.duration * (index + 0.5) / count for index in range(count)]
        samples = self._at(times, side, self._checkpoint(0.65, 0.3, count))
        if not samples:
            return [], None
        return [round(time, 3) for time, _ in samples], strip_of(
            [image for _, image in samples], columns, side
        )

    def _samples(self, count: int) -> list[Sample]:
        if self.duration is None:
            aspect = self._stream.sample_aspect_ratio
            step = max(1, FIRST_FRAMES // count)
            check = self._checkpoint(0.0, 0.6, FIRST_FRAMES)
            found = first_frames(self._container, self._stream, step, FIRST_FRAMES, check)
            return [(time, picture_of(frame, aspect, side=SCORING_SIDE)) for time, frame in found]
        first, last = (edge * self.duration for edge in EDGES)
        step = (last - first) / max(1, count - 1)
        times = [first + index * step for index in range(count)]
        return self._at(times, SCORING_SIDE, self._checkpoint(0.0, 0.6, count))

    def _at(self, times: list[float], side: int, check: Callable[[int], None]) -> list[Sample]:
        aspect = self._stream.sample_aspect_ratio
        found = frames_at(self._container, self._stream, times, check)
        return [(time, picture_of(frame, aspect, side=side)) for time, frame in found]

    def _moment(self, at: str | float) -> float | None:
        if at == "auto":
            return None
        if isinstance(at, str):
            return float(at.rstrip("% ")) / 100 * (self.duration or 0.0)
        if self.duration is not None and at > self.duration:
            raise RealmError(
                Code.OUT_OF_RANGE,
                f"{self._name} ends after {self.duration:.3f} s; there is nothing at {at:g} s",
            )
        return at

    def _checkpoint(self, start: float, share: float, steps: int) -> Callable[[int], None]:
        def check(index: int) -> None:
            self._context.check_canceled()
            self._context.progress(start + share * index / steps, f"frame {index + 1}")

        return check

    def _unreadable(self) -> RealmError:
        return RealmError(
            Code.DATA_CORRUPTED,
            f"no frame of {self._name} can be decoded",
            hint="copy the original again; a file that is still being written looks like this too",
        )
