"""Films and recordings for tests, made with PyAV: every frame, turn, colour and fault known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from . import photos

RATE = 10


def film(
    path: Path,
    pictures: Sequence[np.ndarray] | Callable[[int], np.ndarray] | None = None,
    *,
    seconds: float = 3.0,
    codec: str = "libx264",
    rotation: int = 0,
    aspect: Fraction | None = None,
    sound: bool = False,
    title: str | None = None,
    transfer: int | None = None,
    container: str | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """A film at 10 frames a second. ``pictures`` (RGB uint8; uint16 for HDR) share its length evenly, or are made per
    frame; the default is the scene of ``tests/photos``. ``rotation`` is clockwise, as a phone writes it. ``transfer``
    16 (PQ) or 18 (HLG) makes a 10-bit film in BT.2020."""
    count = round(seconds * RATE)
    if pictures is None:
        pictures = [photos.scene(160, 120)]
    shown = pictures if callable(pictures) else lambda i: pictures[i * len(pictures) // count]
    height, width = shown(0).shape[:2]
    with av.open(str(path), "w", format=container) as output:
        if title:
            output.metadata["title"] = title
        stream = output.add_stream(codec, rate=RATE, options=options or {})
        stream.width, stream.height = width, height
        stream.pix_fmt = "yuv420p10le" if transfer else "yuv420p"
        context = stream.codec_context
        if rotation:
            stream.set_display_rotation(-rotation)
        if aspect:
            stream.sample_aspect_ratio = aspect
        if transfer:
            context.color_trc, context.color_primaries, context.colorspace, context.color_range = (
                transfer,
                9,
                9,
                1,
            )
        audio = output.add_stream("aac", rate=44_100, layout="mono") if sound else None
        for index in range(count):
            for packet in stream.encode(_frame(shown(index), transfer)):
                output.mux(packet)
        for packet in stream.encode():
            output.mux(packet)
        if audio is not None:
            _tone(output, audio, seconds)
    return path


def recording(path: Path, *, seconds: float = 1.0, title: str | None = None) -> Path:
    """A tone of 440 Hz."""
    codec = {".wav": "pcm_s16le", ".mp3": "libmp3lame", ".flac": "flac"}.get(path.suffix, "aac")
    with av.open(str(path), "w") as output:
        if title:
            output.metadata["title"] = title
        _tone(output, output.add_stream(codec, rate=44_100, layout="mono"), seconds)
    return path


def _frame(picture: np.ndarray, transfer: int | None) -> av.VideoFrame:
    if transfer is None:
        return av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb48le")
    converted = frame.reformat(
        format="yuv420p10le", src_colorspace=9, dst_colorspace=9, src_color_range=2, dst_color_range=1
    )
    converted.color_trc, converted.color_primaries, converted.colorspace = transfer, 9, 9
    converted.color_range = 1
    return converted


def _tone(output, stream, seconds: float) -> None:
    samples = np.sin(np.arange(int(44_100 * seconds)) * 2 * np.pi * 440 / 44_100) * 0.3
    frame = av.AudioFrame.from_ndarray(
        (samples * 32767).astype(np.int16)[None, :], format="s16", layout="mono"
    )
    frame.sample_rate = 44_100
    for packet in [*stream.encode(frame), *stream.encode()]:
        output.mux(packet)
