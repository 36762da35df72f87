"""Frames of a film as pictures: upright, square pixels, right colours; and which of them stands for the film."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from .containers import hdr_of, turn_of

if TYPE_CHECKING:
    import numpy as np
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream
    from PIL import Image

MOST_FORWARD = 300
"""Frames that are decoded from a key frame on towards the moment that is wanted; then the frame there must do."""
SCORING_SIDE = 320
CUT = 0.45
"""Distance of two colour histograms, 0–1, from which two neighbours belong to different scenes."""
_BLANK = 6.0
"""Standard deviation in grey levels below which a frame shows nothing."""

_BT2020 = 9
_MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: _BT2020, 10: _BT2020}
"""From H.273's matrix coefficients to the scaler's."""
_HD = 720
_NEAR = 1e-6
_STEPS_BACK = (0.0, 1.0, 10.0, 1e9)
"""Seconds before a moment from which its frame is looked for, one after the other; the last is the beginning, and a
second more, since a transport stream sought at its very start begins behind it."""
_RATE = 30
"""Frames a second of a film that does not tell."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A frame that might stand for the film: when it is, how good it is as a picture, which scene it is of."""

    time: float
    quality: float
    scene: int
    score: float


def frames_at(
    container: InputContainer,
    stream: VideoStream,
    times: Sequence[float],
    checkpoint: Callable[[int], None],
) -> Iterator[tuple[float, VideoFrame]]:
    """(time, frame) for each of ``times`` (seconds from the beginning, ascending) at which something can be decoded.

    The frame is the one shown at that time, or the nearest that :data:`MOST_FORWARD` allows. Where nothing can be
    decoded from the key frame before it on, the search goes back as far as the beginning; where nothing can be decoded
    at all, the moment is passed over.
    ``checkpoint(index)`` is called for every frame decoded and may raise to stop.
    """
    reader = _Reader(container, stream)
    for index, time in enumerate(times):
        found = reader.at(time, lambda at=index: checkpoint(at))
        if found is not None:
            yield max(0.0, reader.moment(found)), found


class _Reader:
    """The frames of a film by time. Going forward, it goes back to no key frame that lies behind it already."""

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self._container = container
        self._stream = stream
        self._base = stream.time_base or Fraction(1, 90_000)
        self._start = stream.start_time or 0
        self._frames: Iterator[VideoFrame] = iter(())
        self._last: VideoFrame | None = None
        self._next: VideoFrame | None = None

    def moment(self, frame: VideoFrame) -> float:
        """Seconds from the beginning."""
        return float((frame.pts - self._start) * self._base) if frame.pts is not None else 0.0

    def at(self, time: float, checkpoint: Callable[[], None]) -> VideoFrame | None:
        """The frame that is shown at ``time``."""
        target = self._start + int(time / self._base)
        if self._leads_to(target):
            return self._forward(time, checkpoint)
        nearest: VideoFrame | None = None
        # Streams without an index are sought by guesses that land behind the target, or nowhere.
        for back in _STEPS_BACK:
            self._seek(max(target - int(back / self._base), self._start - int(1 / self._base)))
            found = self._forward(time, checkpoint)
            if found is not None and self.moment(found) <= time + _NEAR:
                return found
            if found is not None and (nearest is None or self.moment(found) < self.moment(nearest)):
                nearest = found
        return nearest

    def _leads_to(self, target: int) -> bool:
        """Whether decoding on is the way to ``target``: it lies ahead, not far, and no key frame in between."""
        here = self._next or self._last
        if here is None or here.pts is None or target < here.pts:
            return False
        rate = self._stream.average_rate or _RATE
        if (target - here.pts) * self._base * rate > MOST_FORWARD:
            return False
        index = self._stream.index_entries
        place = index.search_timestamp(target)
        return place >= 0 and index[place].timestamp <= here.pts

    def _seek(self, target: int) -> None:
        from av.error import FFmpegError

        self._last = self._next = None
        try:
            self._container.seek(target, stream=self._stream, backward=True)
            self._frames = iter(self._container.decode(self._stream))
        except FFmpegError:
            self._frames = iter(())

    def _forward(self, time: float, checkpoint: Callable[[], None]) -> VideoFrame | None:
        from av.error import FFmpegError

        for _ in range(MOST_FORWARD):
            if self._next is not None and self.moment(self._next) > time + _NEAR:
                return self._last or self._next
            try:
                following = next(self._frames, None)
            except FFmpegError:
                following = None  # what was found before the damage counts
            if following is None:
                return self._next or self._last
            checkpoint()
            self._last, self._next = self._next, following
        return self._next


def first_frames(
    container: InputContainer, stream: VideoStream, step: int, most: int, checkpoint: Callable[[int], None]
) -> Iterator[tuple[float, VideoFrame]]:
    """Every ``step``-th of the first ``most`` frames, for films that neither tell their length nor can be searched."""
    from av.error import FFmpegError

    reader = _Reader(container, stream)
    try:
        for count, frame in enumerate(container.decode(stream)):
            checkpoint(count)
            if count >= most:
                return
            if count % step == 0:
                yield max(0.0, reader.moment(frame)), frame
    except FFmpegError:
        return


def picture_of(frame: VideoFrame, aspect: Fraction | None, *, side: int | None = None) -> Image.Image:
    """The frame as it is to be seen: sRGB, upright, with square pixels; with ``side``, no longer than that.

    PQ and HLG are brought into the range of a screen. Where a film does not state its colour matrix, small
    frames are taken for BT.601 and others for BT.709, as players do.
    """
    from PIL import Image

    width, height = frame.width, frame.height
    if aspect and 0.1 < aspect < 10:
        width = max(1, round(width * aspect))
    if side is not None and (longest := max(width, height)) > side:
        width, height = max(1, round(width * side / longest)), max(1, round(height * side / longest))
    hdr = hdr_of(frame.color_trc)
    pixels = _rgb(frame, (width, height), deep=hdr is not None)
    if hdr is not None:
        from .tonemap import to_sdr

        pixels = to_sdr(pixels, hdr)
    image = Image.fromarray(pixels)
    turns = {90: Image.Transpose.ROTATE_270, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_90}
    turn = turns.get(turn_of(frame))
    return image if turn is None else image.transpose(turn)


def _rgb(frame: VideoFrame, size: tuple[int, int], *, deep: bool) -> np.ndarray:
    matrix = _MATRICES.get(frame.colorspace, 1 if frame.height >= _HD else 5)
    full = frame.color_range == 2 or frame.format.name.startswith("yuvj") or frame.format.is_rgb
    converted = frame.reformat(
        width=size[0],
        height=size[1],
        format="rgb48le" if deep else "rgb24",
        src_colorspace=matrix,
        dst_colorspace=matrix,
        src_color_range=2 if full else 1,
        dst_color_range=2,
        interpolation="LANCZOS" if size[0] >= frame.width // 2 else "AREA",
    )
    return converted.to_ndarray()


def rank(pictures: Sequence[tuple[float, Image.Image]]) -> list[Candidate]:
    """Each of ``pictures`` (in the order of time) as a candidate: 0.65 of its score is how good it is, 0.35 how much
    of the film looks like it. A frame that shows nothing (a black one, a fade) scores 0.

    Neighbours whose colour histograms differ by :data:`CUT` or more are of different scenes.
    """
    import numpy as np

    from ..imaging.measures import measure

    histograms = [_histogram(image) for _, image in pictures]
    scenes: list[int] = []
    for index, histogram in enumerate(histograms):
        apart = index > 0 and _distance(histogram, histograms[index - 1]) >= CUT
        scenes.append(scenes[-1] + apart if scenes else 0)
    found: list[Candidate] = []
    for (time, image), scene in zip(pictures, scenes, strict=True):
        quality = measure(image)
        blank = float(np.asarray(image.convert("L")).std()) < _BLANK
        share = scenes.count(scene) / len(scenes)
        score = 0.0 if blank else 0.65 * quality.score + 0.35 * share
        found.append(Candidate(time, quality.score, scene, round(score, 4)))
    return found


def best(candidates: Sequence[Candidate]) -> int:
    """The index of the best candidate; of equals the earliest."""
    return max(range(len(candidates)), key=lambda index: (candidates[index].score, -index))


def _histogram(image: Image.Image) -> Any:
    import numpy as np

    pixels = np.asarray(image.convert("RGB")) >> 5
    codes = (pixels[..., 0].astype(np.int32) << 6) | (pixels[..., 1].astype(np.int32) << 3) | pixels[..., 2]
    counts = np.bincount(codes.ravel(), minlength=512).astype(np.float64)
    return counts / counts.sum()


def _distance(a: Any, b: Any) -> float:
    """1 − the share that two histograms have in common."""
    import numpy as np

    return float(1 - np.minimum(a, b).sum())


def strip_of(pictures: Sequence[Image.Image], columns: int, side: int) -> Image.Image:
    """The pictures side by side in rows of ``columns``, all of one size, the longer side ``side`` pixels."""
    from PIL import Image

    first = pictures[0]
    scale = side / max(first.size)
    cell = (max(1, round(first.width * scale)), max(1, round(first.height * scale)))
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (cell[0] * columns, cell[1] * rows))
    for index, picture in enumerate(pictures):
        place = (index % columns * cell[0], index // columns * cell[1])
        sheet.paste(picture.convert("RGB").resize(cell, Image.Resampling.LANCZOS), place)
    return sheet
