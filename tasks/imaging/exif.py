"""EXIF as bytes: read, corrected in place, taken out of and put into TIFF files.

A block is corrected by overwriting single values, never by writing it anew: maker notes hold offsets into the
block that only their maker understands, and stay valid this way. Values are carried as raw bytes.

Source: CIPA DC-008 (Exif 2.32) and TIFF 6.0.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

ORIENTATION = 0x0112
IMAGE_WIDTH, IMAGE_LENGTH = 0x0100, 0x0101
PHOTO_IFD, GPS_IFD, INTEROP_IFD = 0x8769, 0x8825, 0xA005
PIXEL_X, PIXEL_Y = 0xA002, 0xA003
THUMBNAIL_AT, THUMBNAIL_LENGTH = 0x0201, 0x0202

SHORT, LONG = 3, 4

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_BIG_SIZES = _SIZES | {16: 8, 18: 8}
_MAGIC = {b"II*\0": "<", b"MM\0*": ">"}
_BIG_MAGIC = {b"II+\0": "<", b"MM\0+": ">"}
_MOST_ENTRIES = 2000
_MOST_BYTES = 64 << 20
"""Of a directory's values together: entries may all point at the same place, and a file of them would fill memory."""

_OF_THE_FILE = {
    *range(0x00FE, 0x010D), 0x0111, *range(0x0115, 0x011A), 0x011C, *range(0x0120, 0x0126), 0x012D, 0x013D,
    *range(0x0140, 0x0146), 0x014A, 0x014C, 0x014E, 0x0150, *range(0x0152, 0x0157), 0x015B, *range(0x0200, 0x020A),
    *range(0x0211, 0x0215), 0x02BC, 0x8649, 0x8773,
}  # fmt: skip
"""Tags of a TIFF's first directory that describe how its pixels are stored rather than the photograph."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One tag: its type, its count, its raw value, and where in the block that value lies."""

    kind: int
    count: int
    data: bytes
    at: int


Directory = dict[int, Entry]


@dataclass(slots=True)
class Exif:
    """A parsed block. ``mark`` is ``<`` or ``>``, as :mod:`struct` writes byte orders."""

    mark: str
    main: Directory = field(default_factory=dict)
    photo: Directory = field(default_factory=dict)
    gps: Directory = field(default_factory=dict)
    interop: Directory = field(default_factory=dict)
    thumbnail: Directory = field(default_factory=dict)
    thumbnail_link: int = 0
    """Where the pointer to the thumbnail's directory lies; 0 when there is none."""

    def number(self, entry: Entry | None) -> int | None:
        """The first value of a SHORT or LONG entry."""
        if entry is None or entry.count < 1 or entry.kind not in (SHORT, LONG, 13):
            return None
        return struct.unpack(
            self.mark + ("H" if entry.kind == SHORT else "L"), entry.data[: _SIZES[entry.kind]]
        )[0]

    @property
    def orientation(self) -> int | None:
        """1–8, or ``None`` when it is missing or nonsense."""
        value = self.number(self.main.get(ORIENTATION))
        return value if value is not None and 1 <= value <= 8 else None


def without_header(block: bytes | None) -> bytes | None:
    """The block without ``Exif\\0\\0`` before it; ``None`` for nothing."""
    while block and block.startswith(b"Exif\0\0"):
        block = block[6:]
    return block or None


def parse(block: bytes, *, file: bool = False) -> Exif | None:
    """The directories of a block (or of a memory-mapped TIFF ``file``, which may be a BigTIFF); ``None`` when it is
    not one.

    Damaged entries are left out; a loop of directories is not followed.
    """
    head = bytes(block[:16])
    mark = _MAGIC.get(head[:4])
    if mark is None or len(head) < 8:
        return _parse_big(block, head) if file and len(head) == 16 else None
    start = struct.unpack(mark + "L", head[4:8])[0]
    result = Exif(mark)
    result.main, link = _directory(block, mark, start)
    if not link:
        return None
    result.photo = _sub(block, result, result.main.get(PHOTO_IFD))
    result.gps = _sub(block, result, result.main.get(GPS_IFD))
    result.interop = _sub(block, result, result.photo.get(INTEROP_IFD))
    following = struct.unpack(mark + "L", bytes(block[link : link + 4]).ljust(4, b"\0"))[0]
    if following and following != start and len(block) >= link + 4:
        result.thumbnail, found = _directory(block, mark, following)
        result.thumbnail_link = link if found else 0
    return result


def _parse_big(block: bytes, head: bytes) -> Exif | None:
    """A BigTIFF's directories, as a classic one would hold them. Its thumbnail is of no interest."""
    mark = _BIG_MAGIC.get(head[:4])
    if mark is None or struct.unpack(mark + "HH", head[4:8]) != (8, 0):
        return None
    result = Exif(mark)
    result.main = _big_directory(block, mark, struct.unpack(mark + "Q", head[8:])[0])
    for tag, name in ((PHOTO_IFD, "photo"), (GPS_IFD, "gps")):
        if at := result.number(result.main.get(tag)):
            setattr(result, name, _big_directory(block, mark, at))
    return result if result.main else None


def _big_directory(block: bytes, mark: str, at: int) -> Directory:
    """As :func:`_directory`; 64-bit numbers become LONGs where they fit, and are left out where they do not."""
    if at < 16 or at + 8 > len(block):
        return {}
    count = struct.unpack(mark + "Q", bytes(block[at : at + 8]))[0]
    if count > _MOST_ENTRIES:
        return {}
    found: Directory = {}
    left = _MOST_BYTES
    for place in range(at + 8, at + 8 + 20 * count, 20):
        raw = bytes(block[place : place + 20])
        if len(raw) < 20:
            break
        tag, kind, number, offset = struct.unpack(mark + "HHQQ", raw)
        size = _BIG_SIZES.get(kind, 0) * number
        value_at = place + 12 if size <= 8 else offset
        if not size or value_at + size > len(block) or size > left:
            continue
        left -= size
        data = bytes(block[value_at : value_at + size])
        if kind in (16, 18):
            values = struct.unpack(f"{mark}{number}Q", data)
            if max(values) > 0xFFFFFFFF:
                continue
            kind, data = LONG, struct.pack(f"{mark}{number}L", *values)
        found.setdefault(tag, Entry(kind, number, data, value_at))
    return found


def _sub(block: bytes, exif: Exif, pointer: Entry | None) -> Directory:
    at = exif.number(pointer)
    return _directory(block, exif.mark, at)[0] if at else {}


def _directory(block: bytes, mark: str, at: int) -> tuple[Directory, int]:
    """The entries of the directory at ``at``, and where its link to the next lies (0: no directory there)."""
    if at < 8 or at + 2 > len(block):
        return {}, 0
    count = struct.unpack(mark + "H", bytes(block[at : at + 2]))[0]
    if count > _MOST_ENTRIES:
        return {}, 0
    found: Directory = {}
    left = _MOST_BYTES
    for place in range(at + 2, at + 2 + 12 * count, 12):
        raw = bytes(block[place : place + 12])
        if len(raw) < 12:
            break
        tag, kind, number, offset = struct.unpack(mark + "HHLL", raw)
        size = _SIZES.get(kind, 0) * number
        value_at = place + 8 if size <= 4 else offset
        if size and value_at + size <= len(block) and size <= left:
            left -= size
            found.setdefault(tag, Entry(kind, number, bytes(block[value_at : value_at + size]), value_at))
    return found, at + 2 + 12 * count


def corrected(block: bytes, size: tuple[int, int], *, orientation: int | None = 1) -> bytes | None:
    """The block for upright pixels of ``size``: orientation reset, dimensions set, the old thumbnail gone.

    ``orientation`` ``None`` leaves that tag alone. Everything else keeps its bytes and its place. ``None``
    when the block cannot be parsed: nobody can say what orientation a reader would find in it.
    """
    exif = parse(block)
    if exif is None:
        return None
    result = bytearray(block)
    if orientation is not None:
        for place in _orientations(block, exif.mark):
            struct.pack_into(exif.mark + "HHLHH", result, place, ORIENTATION, SHORT, 1, orientation, 0)
    width, height = size
    for directory, tag, value in (
        (exif.photo, PIXEL_X, width),
        (exif.photo, PIXEL_Y, height),
        (exif.main, IMAGE_WIDTH, width),
        (exif.main, IMAGE_LENGTH, height),
    ):
        if tag in directory:
            _put(result, exif, directory[tag], value)
    return _without_thumbnail(result, exif)


def _orientations(block: bytes, mark: str) -> list[int]:
    """Where entries of the first directory state an orientation, of whatever type, and how often: readers differ in
    which they believe."""
    at = struct.unpack(mark + "L", bytes(block[4:8]))[0]
    count = struct.unpack(mark + "H", bytes(block[at : at + 2]))[0]
    tag = struct.pack(mark + "H", ORIENTATION)
    places = range(at + 2, min(at + 2 + 12 * count, len(block) - 11), 12)
    return [place for place in places if bytes(block[place : place + 2]) == tag]


def surely_upright(block: bytes | None) -> bool:
    """Whether no reader would turn the pixels for what the block says: it states nothing, or 1 as the standard has it.

    >>> surely_upright(only_orientation(1)), surely_upright(only_orientation(9))
    (True, False)
    """
    mark = _MAGIC.get(block[:4]) if block else None
    if block is None or mark is None:
        return True
    if parse(block) is None:
        return False
    plain = struct.pack(mark + "HHLH", ORIENTATION, SHORT, 1, 1)
    return all(block[place : place + 10] == plain for place in _orientations(block, mark))


def _put(block: bytearray, exif: Exif, entry: Entry, value: int) -> None:
    if entry.kind == SHORT and entry.count == 1 and value <= 0xFFFF:
        struct.pack_into(exif.mark + "H", block, entry.at, value)
    elif _SIZES[entry.kind] * entry.count <= 4:
        # The value lies in the entry itself: its type and count stand in the six bytes before.
        struct.pack_into(exif.mark + "HLL", block, entry.at - 6, LONG, 1, value)


def _without_thumbnail(block: bytearray, exif: Exif) -> bytes:
    """Unlink the thumbnail, which shows the picture as it was, and remove its bytes (or zero them in the
    middle)."""
    if not exif.thumbnail_link:
        return bytes(block)
    struct.pack_into(exif.mark + "L", block, exif.thumbnail_link, 0)
    at, length = (exif.number(exif.thumbnail.get(tag)) for tag in (THUMBNAIL_AT, THUMBNAIL_LENGTH))
    if at and length and 8 <= at < len(block):
        end = min(at + length, len(block))
        if end >= len(block) - 4 and at > _end_of_values(exif):
            del block[at:]
        else:
            block[at:end] = bytes(end - at)
    return bytes(block)


def _end_of_values(exif: Exif) -> int:
    directories = (exif.main, exif.photo, exif.gps, exif.interop)
    return max((e.at + len(e.data) for d in directories for e in d.values()), default=8)


def from_tiff(file: bytes) -> bytes | None:
    """The EXIF block that describes the photograph in a TIFF file (bytes, or a memory map), or ``None``."""
    exif = parse(file, file=True)
    if exif is None:
        return None
    exif.main = {tag: e for tag, e in exif.main.items() if tag not in _OF_THE_FILE and tag != ORIENTATION}
    return build(exif) if exif.main else None


def shortened(block: bytes, most: int) -> bytes | None:
    """The block in at most ``most`` bytes, its largest values (maker notes, mostly) left out; ``None`` if
    hopeless."""
    if len(block) <= most:
        return block
    exif = parse(block)
    if exif is None:
        return None
    while len(result := build(exif)) > most:
        directory, tag = max(
            ((d, tag) for d in (exif.main, exif.photo, exif.gps, exif.interop) for tag in d),
            key=lambda place: len(place[0][place[1]].data),
        )
        del directory[tag]
    return result


def only_orientation(orientation: int) -> bytes:
    """A block that says nothing but how the pixels lie."""
    return build(Exif("<", {ORIENTATION: Entry(SHORT, 1, struct.pack("<H", orientation), 0)}))


def for_tiff(block: bytes | None) -> Exif:
    """The block as directories to be written in a TIFF beside the tags of its pixels."""
    exif = (parse(block) if block else None) or Exif("<")
    exif.main = {tag: e for tag, e in exif.main.items() if tag not in _OF_THE_FILE}
    return exif


def build(exif: Exif, *, extra: Iterable[tuple[int, int, int, bytes]] = (), start: int = 8) -> bytes:
    """A TIFF head and its directories (no thumbnail): ``exif``, with ``extra`` (tag, type, count, raw value)
    over it.

    ``start`` is where the first directory lies; what is between is left zero for the caller to fill.
    """
    main = dict(exif.main)
    for tag in (PHOTO_IFD, GPS_IFD):
        main.pop(tag, None)
    for tag, kind, count, data in extra:
        main[tag] = Entry(kind, count, data, 0)
    photo = {tag: e for tag, e in exif.photo.items() if tag != INTEROP_IFD}
    magic = b"II*\0" if exif.mark == "<" else b"MM\0*"
    pieces = [(magic + struct.pack(exif.mark + "L", start)).ljust(start, b"\0")]
    pointers: dict[int, int] = {}
    at = start + _length(main, sum(map(bool, (photo or exif.interop, exif.gps))))
    subs: list[bytes] = []
    if exif.interop:
        subs.append(_written(exif.mark, exif.interop, at, {}))
        interop_at, at = at, at + len(subs[-1])
        subs.append(_written(exif.mark, photo, at, {INTEROP_IFD: interop_at}))
        pointers[PHOTO_IFD], at = at, at + len(subs[-1])
    elif photo:
        subs.append(_written(exif.mark, photo, at, {}))
        pointers[PHOTO_IFD], at = at, at + len(subs[-1])
    if exif.gps:
        subs.append(_written(exif.mark, exif.gps, at, {}))
        pointers[GPS_IFD] = at
    pieces += [_written(exif.mark, main, start, pointers), *subs]
    return b"".join(pieces)


def _length(directory: Mapping[int, Entry], pointers: int) -> int:
    tail = sum(len(e.data) + len(e.data) % 2 for e in directory.values() if len(e.data) > 4)
    return 2 + 12 * (len(directory) + pointers) + 4 + tail


def _written(mark: str, directory: Mapping[int, Entry], at: int, pointers: Mapping[int, int]) -> bytes:
    entries = dict(directory)
    entries.update(
        {tag: Entry(LONG, 1, struct.pack(mark + "L", place), 0) for tag, place in pointers.items()}
    )
    body, tail = [struct.pack(mark + "H", len(entries))], b""
    tail_at = at + 2 + 12 * len(entries) + 4
    for tag, entry in sorted(entries.items()):
        head = struct.pack(mark + "HHL", tag, entry.kind, entry.count)
        if len(entry.data) <= 4:
            body.append(head + entry.data.ljust(4, b"\0"))
        else:
            body.append(head + struct.pack(mark + "L", tail_at + len(tail)))
            tail += entry.data + b"\0" * (len(entry.data) % 2)
    return b"".join(body) + struct.pack(mark + "L", 0) + tail
