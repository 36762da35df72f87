"""Colours that a file states by numbers instead of a profile, as an ICC profile: PNG's cICP, gAMA and cHRM, and the
nclx box of HEIF and AVIF.

Such a statement is lost by whoever copies pixels and profiles only, and the picture turns pale or garish. Sources: PNG
(third edition) §11.3.2, ISO/IEC 14496-12 §12.1.5 (nclx), ITU-T H.273 (the code points), ICC.1:2001-04 (the profile).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from ...core.errors import Code, RealmError

Chromaticities = tuple[tuple[float, float], tuple[float, float], tuple[float, float], tuple[float, float]]
"""(x, y) of white, red, green and blue."""

_D65 = (0.3127, 0.329)
_SRGB: Chromaticities = (_D65, (0.64, 0.33), (0.3, 0.6), (0.15, 0.06))
_PRIMARIES: dict[int, Chromaticities] = {
    1: _SRGB,
    5: (_D65, (0.64, 0.33), (0.29, 0.6), (0.15, 0.06)),
    6: (_D65, (0.63, 0.34), (0.31, 0.595), (0.155, 0.07)),
    9: (_D65, (0.708, 0.292), (0.17, 0.797), (0.131, 0.046)),
    11: ((0.314, 0.351), (0.68, 0.32), (0.265, 0.69), (0.15, 0.06)),
    12: (_D65, (0.68, 0.32), (0.265, 0.69), (0.15, 0.06)),
}
_GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0}
"""Transfer functions that are a power; the others of low dynamic range are shown as sRGB's by common consent."""
_HDR = {16: "PQ", 18: "HLG"}

_SRGB_GAMMA = (0.43, 0.48)
"""gAMA values that mean sRGB's own curve."""
_SAME = 0.005
"""Difference in x or y within which primaries are the same."""
_LONGEST_HEAD = 1 << 20


def stated_profile(path: Path, kind: str, *, grey: bool) -> bytes | None:
    """The profile for what a file without one (a PNG, HEIC or AVIF, by ``kind``) states about its colours by numbers;
    ``None`` where that is sRGB, or nothing.

    Raises UNSUPPORTED_FILE_TYPE for high dynamic range, which would look pale and flat.
    """
    if kind == "png":
        stated = _of_png(path)
    elif kind in ("heic", "avif"):
        stated = _of_boxes(path)
    else:
        return None
    if stated is None:
        return None
    primaries, gamma = stated
    if grey:
        return None if gamma is None else grey_profile(gamma)
    same = all(
        abs(a - b) <= _SAME for p, q in zip(primaries, _SRGB, strict=True) for a, b in zip(p, q, strict=True)
    )
    return None if same and gamma is None else rgb_profile(primaries, gamma)


def _of_codes(path: Path, primaries: int, transfer: int) -> tuple[Chromaticities, float | None] | None:
    if (name := _HDR.get(transfer)) is not None:
        raise RealmError(
            Code.UNSUPPORTED_FILE_TYPE,
            f"{path.name} is a picture of high dynamic range ({name})",
            hint="export it for ordinary screens (sRGB or Display P3) first",
        )
    found = _PRIMARIES.get(primaries)
    return None if found is None else (found, _GAMMAS.get(transfer))


def _of_png(path: Path) -> tuple[Chromaticities, float | None] | None:
    chunks: dict[bytes, bytes] = {}
    with path.open("rb") as file:
        file.seek(8)
        while len(head := file.read(8)) == 8:
            length, kind = struct.unpack(">L4s", head)
            if kind in (b"IDAT", b"IEND"):
                break
            if kind in (b"cICP", b"sRGB", b"gAMA", b"cHRM") and length <= 32:
                chunks.setdefault(kind, file.read(length))
                length = 0
            file.seek(length + 4, 1)
    if len(code := chunks.get(b"cICP", b"")) == 4:
        return _of_codes(path, code[0], code[1])
    if b"sRGB" in chunks or len(chunks.get(b"gAMA", b"")) != 4:
        return None
    gamma = struct.unpack(">L", chunks[b"gAMA"])[0] / 100_000
    if not 0.1 <= gamma <= 5:
        return None
    primaries = _SRGB
    if len(chunks.get(b"cHRM", b"")) == 32:
        numbers = [value / 100_000 for value in struct.unpack(">8L", chunks[b"cHRM"])]
        white, red, green, blue = zip(numbers[::2], numbers[1::2], strict=True)
        pairs = (white, red, green, blue)
        primaries = pairs if _is_a_triangle(pairs) else _SRGB
    low, high = _SRGB_GAMMA
    same = primaries is _SRGB and low <= gamma <= high
    return primaries, None if same else 1 / gamma


def _is_a_triangle(pairs: Chromaticities) -> bool:
    if any(not (0 < x < 1 and 0 < y < 1) for x, y in pairs):
        return False
    (ax, ay), (bx, by), (cx, cy) = pairs[1:]
    return abs((bx - ax) * (cy - ay) - (cx - ax) * (by - ay)) > 0.01


def _of_boxes(path: Path) -> tuple[Chromaticities, float | None] | None:
    with path.open("rb") as file:
        head = file.read(_LONGEST_HEAD)
    for kind, body in _boxes(head):
        at = body.find(b"colrnclx") if kind == b"meta" else -1
        if at >= 0 and at + 12 <= len(body):
            return _of_codes(path, *struct.unpack(">HH", body[at + 8 : at + 12]))
    return None


def _boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(content):
        length, kind = struct.unpack(">L4s", content[at : at + 8])
        if length < 8:
            return
        yield kind, content[at + 8 : at + length]
        at += length


@cache
def rgb_profile(primaries: Chromaticities, gamma: float | None) -> bytes:
    """An ICC profile of RGB with these primaries; ``gamma`` ``None`` is sRGB's curve."""
    import numpy as np

    def light(x: float, y: float) -> list[float]:
        return [x / y, 1.0, (1 - x - y) / y]

    white = np.array(light(*primaries[0]))
    columns = np.array([light(*pair) for pair in primaries[1:]]).T
    matrix = _adapted(white) @ (columns * np.linalg.solve(columns, white))
    curve = _curve(gamma)
    tags = [(name + b"XYZ", _xyz(matrix[:, i])) for i, name in enumerate((b"r", b"g", b"b"))]
    return _profile(b"RGB ", [*tags, *((name + b"TRC", curve) for name in (b"r", b"g", b"b"))])


@cache
def grey_profile(gamma: float) -> bytes:
    """An ICC profile of grey with this power."""
    return _profile(b"GRAY", [(b"kTRC", _curve(gamma))])


_D50 = (0.9642, 1.0, 0.8249)
_BRADFORD = ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))


def _adapted(white):
    """The matrix that turns light under ``white`` into what looks alike under D50, as profiles have it."""
    import numpy as np

    cones = np.array(_BRADFORD)
    return np.linalg.inv(cones) @ np.diag((cones @ np.array(_D50)) / (cones @ white)) @ cones


def _profile(space: bytes, colours: list[tuple[bytes, bytes]]) -> bytes:
    name = b"as the file states\0"
    tags = [
        (b"desc", b"desc\0\0\0\0" + struct.pack(">L", len(name)) + name + bytes(78)),
        (b"cprt", b"text\0\0\0\0no copyright\0"),
        (b"wtpt", _xyz(_D50)),
        *colours,
    ]
    at = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">L", len(tags)), b""
    for tag, data in tags:
        table += tag + struct.pack(">LL", at + len(body), len(data))
        body += data + b"\0" * (-len(data) % 4)
    head = struct.pack(">L4sL4s4s4s", at + len(body), b"", 0x02400000, b"mntr", space, b"XYZ ")
    head += struct.pack(">6H", 2023, 1, 1, 0, 0, 0) + b"acsp"
    head = head.ljust(68, b"\0") + b"".join(map(_fixed, _D50))
    return head.ljust(128, b"\0") + table + body


def _curve(gamma: float | None) -> bytes:
    if gamma is not None:
        return b"para\0\0\0\0" + struct.pack(">HH", 0, 0) + _fixed(gamma)
    srgb = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    return b"para\0\0\0\0" + struct.pack(">HH", 3, 0) + b"".join(map(_fixed, srgb))


def _xyz(values) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(map(_fixed, values))


def _fixed(value: float) -> bytes:
    return struct.pack(">l", round(float(value) * 65536))
