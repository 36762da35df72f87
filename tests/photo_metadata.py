"""EXIF blocks, XMP packets and colour profiles, written byte by byte so that tests know what is in them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

SIZE = (120, 80)
LATITUDE, LONGITUDE, ALTITUDE = 31.230416, 121.473701, 12.5
CAPTURED = "2023:06:15 10:30:45"
OFFSET = "+08:00"
MAKER_NOTE = b"MirrorNote\x00\x01" + bytes(range(64))
MAKE, MODEL, LENS = "Mirror", "Realm One", "MR 35mm F1.8"


# -- metadata ---------------------------------------------------------------------------------------------


def exif(
    orientation: int | None = 1,
    *,
    size: tuple[int, int] = SIZE,
    captured: str | None = CAPTURED,
    offset: str | None = OFFSET,
    gps: bool = True,
    maker_note: bool = True,
    thumbnail: bytes | None = None,
    big_endian: bool = False,
) -> bytes:
    """An EXIF block without the ``Exif\\0\\0`` header. ``size`` is that of the stored pixels."""
    mark = ">" if big_endian else "<"
    photo_ifd: list[tuple[int, int, Any]] = [
        (0x829A, 5, [(1, 250)]),
        (0x829D, 5, [(18, 10)]),
        (0x8827, 3, [200]),
        (0x920A, 5, [(35, 1)]),
        (0xA002, 4, [size[0]]),
        (0xA003, 4, [size[1]]),
        (0xA434, 2, LENS),
    ]
    if captured:
        photo_ifd.append((0x9003, 2, captured))
        photo_ifd.append((0x9291, 2, "123"))
    if offset:
        photo_ifd.append((0x9011, 2, offset))
    if maker_note:
        photo_ifd.append((0x927C, 7, MAKER_NOTE))
    gps_ifd = [
        (0, 1, bytes([2, 3, 0, 0])),
        (1, 2, "N"),
        (2, 5, _degrees(LATITUDE)),
        (3, 2, "E"),
        (4, 5, _degrees(LONGITUDE)),
        (5, 1, bytes([0])),
        (6, 5, [(int(ALTITUDE * 10), 10)]),
    ]
    main: list[tuple[int, int, Any]] = [(0x010F, 2, MAKE), (0x0110, 2, MODEL), (0x0131, 2, "tests/photos.py")]
    if orientation is not None:
        main.append((0x0112, 3, [orientation]))
    return _tiff(mark, main, photo_ifd, gps_ifd if gps else [], thumbnail)


def _degrees(value: float) -> list[tuple[int, int]]:
    minutes = (value - int(value)) * 60
    return [(int(value), 1), (int(minutes), 1), (round((minutes - int(minutes)) * 60 * 10000), 10000)]


def _tiff(mark: str, main: list, photo_ifd: list, gps_ifd: list, thumbnail: bytes | None) -> bytes:
    """A TIFF structure: values after their directory, sub-directories and the thumbnail at the end."""
    subs = [(0x8769, photo_ifd)] + ([(0x8825, gps_ifd)] if gps_ifd else [])
    main = main + [(tag, 4, [0]) for tag, _ in subs]
    head = 8
    main_size = len(_directory(mark, main, head, 0))
    blocks, at, places = [], head + main_size, {}
    for tag, entries in subs:
        places[tag] = at
        block = _directory(mark, entries, at, 0)
        blocks.append(block)
        at += len(block)
    following = 0
    if thumbnail is not None:
        following = at
        entries = [(0x0103, 3, [6]), (0x0201, 4, [0]), (0x0202, 4, [len(thumbnail)])]
        start = at + len(_directory(mark, entries, at, 0))
        entries[1] = (0x0201, 4, [start])
        blocks += [_directory(mark, entries, at, 0), thumbnail]
    main = [(tag, kind, [places[tag]] if tag in places else value) for tag, kind, value in main]
    magic = b"II*\0" if mark == "<" else b"MM\0*"
    return magic + struct.pack(mark + "L", head) + _directory(mark, main, head, following) + b"".join(blocks)


def _directory(mark: str, entries: Sequence[tuple], at: int, following: int) -> bytes:
    entries = sorted(entries, key=lambda entry: entry[0])
    tail_at = at + 2 + 12 * len(entries) + 4
    body, tail = struct.pack(mark + "H", len(entries)), b""
    for tag, kind, value in entries:
        data, count = _value(mark, kind, value)
        if len(data) > 4:
            body += struct.pack(mark + "HHLL", tag, kind, count, tail_at + len(tail))
            tail += data + b"\0" * (len(data) % 2)
        else:
            body += struct.pack(mark + "HHL", tag, kind, count) + data.ljust(4, b"\0")
    return body + struct.pack(mark + "L", following) + tail


def _value(mark: str, kind: int, value) -> tuple[bytes, int]:
    if kind == 2:
        data = value.encode() + b"\0"
        return data, len(data)
    if kind in (1, 7):
        return bytes(value), len(value)
    if kind == 5:
        return b"".join(struct.pack(mark + "LL", *pair) for pair in value), len(value)
    return b"".join(struct.pack(mark + {3: "H", 4: "L"}[kind], number) for number in value), len(value)


def xmp(orientation: int = 1) -> bytes:
    """An XMP packet with an orientation and a title."""
    return (
        '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
        'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/" '
        f'tiff:Orientation="{orientation}" dc:source="镜界"/></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()


# -- colour profiles --------------------------------------------------------------------------------------

_SRGB = (
    (0.4360747, 0.3850649, 0.1430804),
    (0.2225045, 0.7168786, 0.0606169),
    (0.0139322, 0.0971045, 0.7141733),
)
_P3 = (
    (0.5151187, 0.2919778, 0.1571035),
    (0.2411892, 0.6922441, 0.0665668),
    (-0.0010505, 0.0418791, 0.7840713),
)


def srgb_icc() -> bytes:
    """An sRGB ICC profile (matrix and curve, version 4), the same bytes every time."""
    return _rgb_icc("sRGB test", _SRGB)


def display_p3_icc() -> bytes:
    """A Display P3 ICC profile (matrix and curve, version 4)."""
    return _rgb_icc("Display P3 test", _P3)


def cmyk_icc() -> bytes:
    """A CMYK printer profile (lut8, version 2) whose inks are duller than the naive 255 − ink."""
    grid = 9
    steps = np.linspace(0, 1, grid)
    c, m, y, k = np.meshgrid(steps, steps, steps, steps, indexing="ij")
    paper = np.array([95.0, 0.0, -2.0])
    inks = [
        np.array(v) for v in ([55.0, -37.0, -50.0], [48.0, 74.0, -3.0], [89.0, -5.0, 93.0], [16.0, 0.0, 0.0])
    ]
    lab = np.broadcast_to(paper, (*c.shape, 3)).copy()
    for amount, ink in zip((c, m, y, k), inks, strict=True):
        covered = lab * (ink[0] / paper[0]) * np.array([1, 0.6, 0.6]) + np.array([0, ink[1], ink[2]])
        lab = lab * (1 - amount[..., None]) + covered * amount[..., None]
    table = np.stack([lab[..., 0] * 255 / 100, lab[..., 1] + 128, lab[..., 2] + 128], axis=-1)
    ramp = bytes(range(256))
    matrix = struct.pack(">9l", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    lut = b"mft1" + bytes(4) + bytes([4, 3, grid, 0]) + matrix + ramp * 4
    lut += table.round().clip(0, 255).astype(np.uint8).tobytes() + ramp * 3
    tags = {
        b"desc": _desc("CMYK test"),
        b"cprt": b"text\0\0\0\0CC0\0",
        b"wtpt": _xyz(0.9642, 1.0, 0.8249),
        b"A2B0": lut,
    }
    return _profile(b"prtr", b"CMYK", b"Lab ", tags, version=0x02400000)


def _rgb_icc(name: str, matrix: Sequence[Sequence[float]]) -> bytes:
    curve = b"para\0\0\0\0" + struct.pack(">HH", 3, 0)
    curve += b"".join(_fixed(v) for v in (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045))
    tags = {b"desc": _mluc(name), b"cprt": _mluc("CC0"), b"wtpt": _xyz(0.9642, 1.0, 0.8249)}
    for index, colour in enumerate((b"r", b"g", b"b")):
        tags[colour + b"XYZ"] = _xyz(*(row[index] for row in matrix))
        tags[colour + b"TRC"] = curve
    return _profile(b"mntr", b"RGB ", b"XYZ ", tags, version=0x04300000)


def _profile(kind: bytes, space: bytes, pcs: bytes, tags: dict[bytes, bytes], version: int) -> bytes:
    at = 128 + 4 + 12 * len(tags)
    table, data = struct.pack(">L", len(tags)), b""
    for tag, content in tags.items():
        content += b"\0" * (-len(content) % 4)
        table += tag + struct.pack(">LL", at + len(data), len(content))
        data += content
    head = struct.pack(">L4sL4s4s4s", at + len(data), b"\0\0\0\0", version, kind, space, pcs)
    head += (
        struct.pack(">6H", 2023, 6, 15, 0, 0, 0)
        + b"acsp"
        + bytes(28)
        + _fixed(0.9642)
        + _fixed(1.0)
        + _fixed(0.8249)
    )
    return head.ljust(128, b"\0") + table + data


def _fixed(value: float) -> bytes:
    return struct.pack(">l", round(value * 65536))


def _xyz(x: float, y: float, z: float) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(x) + _fixed(y) + _fixed(z)


def _mluc(text: str) -> bytes:
    data = text.encode("utf-16-be")
    return b"mluc\0\0\0\0" + struct.pack(">LL2s2sLL", 1, 12, b"en", b"US", len(data), 28) + data


def _desc(text: str) -> bytes:
    data = text.encode() + b"\0"
    return b"desc\0\0\0\0" + struct.pack(">L", len(data)) + data + bytes(4 + 4 + 2 + 1 + 67)
