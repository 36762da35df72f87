"""Photos written byte by byte, so that no library's habits are what is tested, and what becomes of them."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from PIL import Image

from mirror_realm.core.references import local_path
from mirror_realm.tasks.image import image_preprocess
from tests import photos
from tests.photo_context import context_in, run

WIDTH, HEIGHT = 48, 32


def colours() -> np.ndarray:
    return np.asarray(Image.fromarray(photos.scene()).resize((WIDTH, HEIGHT)))


def grey() -> np.ndarray:
    return np.ascontiguousarray(colours()[..., 1]).astype(np.uint16) * 257


def tiff(
    path: Path, size: tuple[int, int], tags: dict, data: bytes, *, big: bool = False, pages: int = 1
) -> Path:
    """An uncompressed TIFF in one strip. ``tags``: {tag: (type, values)}, over the usual ones."""
    entries = {
        256: (3, [size[0]]), 257: (3, [size[1]]), 259: (3, [1]), 273: (4, [16]), 278: (3, [size[1]]),
        279: (4, [len(data)]), **tags,
    }  # fmt: skip
    at = 16 + len(data) + len(data) % 2
    entry, number, inline = ("<HHQ", "Q", 8) if big else ("<HHL", "L", 4)
    directories = b""
    for page in range(pages):
        count = struct.pack("<Q" if big else "<H", len(entries))
        tail_at = at + len(count) + (20 if big else 12) * len(entries) + inline
        body, tail = count, b""
        for tag, (kind, values) in sorted(entries.items()):
            raw = (
                values
                if isinstance(values, bytes)
                else struct.pack(f"<{len(values)}{' BBH'[kind] if kind != 4 else 'L'}", *values)
            )
            body += struct.pack(entry, tag, kind, len(values))
            if len(raw) > inline:
                body += struct.pack("<" + number, tail_at + len(tail))
                tail += raw + b"\0" * (len(raw) % 2)
            else:
                body += raw.ljust(inline, b"\0")
        following = 0 if page == pages - 1 else tail_at + len(tail)
        directories += body + struct.pack("<" + number, following) + tail
        at = tail_at + len(tail)
    start = 16 + len(data) + len(data) % 2
    head = b"II+\0" + struct.pack("<HHQ", 8, 0, start) if big else b"II*\0" + struct.pack("<L", start)
    path.write_bytes(head.ljust(16, b"\0") + data + b"\0" * (len(data) % 2) + directories)
    return path


def rgb(bits: int = 8, **more) -> dict:
    return {258: (3, [bits] * 3), 262: (3, [2]), 277: (3, [3])} | {int(k[1:]): v for k, v in more.items()}


def mono(bits: int = 16, photometric: int = 1) -> dict:
    return {258: (3, [bits]), 262: (3, [photometric]), 277: (3, [1])}


def processed(path: Path, tmp_path: Path, **parameters):
    return run(
        image_preprocess, context_in(tmp_path, roots=(tmp_path,)), path, **({"format": "png"} | parameters)
    )


def pixels(output) -> np.ndarray:
    with Image.open(local_path(output.image.uri)) as image:
        return np.asarray(image.convert("RGBA") if "transparency" in image.info else image)
