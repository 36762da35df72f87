"""Open a file that claims to be a picture, bounded and suspicious, and decode it once."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from ...core.errors import Code, RealmError
from .codepoints import stated_profile
from .deep import deep_grey, deep_pixels, rawmode
from .exif import surely_upright
from .formats import READABLE, Format, sniff
from .metadata import Metadata, metadata_of
from .raster import REDUCING_GAP, Raster
from .unread import layout_refused, variant

if TYPE_CHECKING:
    from PIL import Image

MAX_FILE_BYTES = 2 << 30
MAX_RATIO = 300
"""Decoded bytes per byte of the file, beyond which a picture of more than RATIO_FLOOR decoded bytes is
refused."""
RATIO_FLOOR = 256 << 20

_FAULTS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    TypeError,
    KeyError,
    IndexError,
    OverflowError,
    RuntimeError,
    struct.error,
    zlib.error,
)
"""What Pillow's decoders and libheif raise on damaged content (each was met)."""

_PILLOW_LIMIT = Lock()


@dataclass(slots=True)
class Source:
    """An opened picture: its header is read, its pixels are not."""

    path: Path
    name: str
    format: Format
    image: Image.Image
    metadata: Metadata
    size: tuple[int, int]
    """(width, height) as it should be seen, upright."""
    orientation: int
    """EXIF orientation that :meth:`decode` leaves to be applied, 1–8."""
    stated_orientation: int
    """The orientation that the file states, whoever applies it."""
    frames: int
    surely_upright: bool = True
    """Whether no reader would turn the pixels for what the metadata says, however it reads nonsense."""
    remarks: list[str] = field(default_factory=list)

    @property
    def stored_size(self) -> tuple[int, int]:
        """(width, height) of the pixels that :meth:`decode` gives, without a goal."""
        return self.size if self.orientation < 5 else (self.size[1], self.size[0])

    def decode(self, goal: tuple[int, int] | None = None, *, gap: float = REDUCING_GAP) -> Raster:
        """The first frame's pixels, as stored. With ``goal`` (width, height as stored), a JPEG may come smaller
        than stored, though never smaller than ``gap`` times ``goal``: decoding at 1/2, 1/4 or 1/8 costs much
        less.

        Raises DATA_CORRUPTED when the file is cut short or damaged.
        """
        with _faults_of(self.name, self.format):
            if (deep := deep_pixels(self)) is not None:
                return deep
            if goal is not None:
                box = (round(goal[0] * gap), round(goal[1] * gap))
                self.image.draft(None, box)
            self.image.load()
        if self.image.mode in ("I", "F"):
            raise _unsupported(
                self.name, f"a {self.format.name.upper()} with 32-bit samples", "8 and 16 bits are"
            )
        return _plain_ink(self.image) if self.image.mode == "CMYK" else _eight_bit_modes(self.image)


@contextmanager
def open_picture(path: Path, *, name: str | None = None, max_pixels: int) -> Iterator[Source]:
    """Open the picture at ``path``, whatever its suffix.

    Raises DATA_CORRUPTED (empty, unreadable header), UNSUPPORTED_FILE_TYPE (not a picture we read, saying
    what it is), OUT_OF_RANGE (more than ``max_pixels``, or an absurd compression ratio), before any pixel is
    decoded.
    """
    name = name or path.name
    length = path.stat().st_size
    kind = _kind(path, name, length)
    if kind.name == "heic":
        import pillow_heif

        pillow_heif.register_heif_opener()
    with path.open("rb") as file:
        try:
            image = _opened(file, kind, name)
        except RealmError as error:
            if error.code is Code.DATA_CORRUPTED and (what := variant(path, kind.name)) is not None:
                raise _unsupported(
                    name, what, "save it with 8 or 16 bits per channel, as RGB or grey"
                ) from error
            raise
        with image:
            _check_bounds(image.size, _bytes_per_pixel(image), length, name, max_pixels)
            with _faults_of(name, kind):
                source = _source(path, name, kind, image)
            yield source


def _kind(path: Path, name: str, length: int) -> Format:
    if length == 0:
        raise RealmError(Code.DATA_CORRUPTED, f"{name} is empty (0 bytes)", hint="copy the original again")
    with path.open("rb") as file:
        kind, what = sniff(file.read(4096))
    if kind is None:
        raise _unsupported(name, what, f"pictures are read as {READABLE}")
    if length > MAX_FILE_BYTES:
        raise RealmError(Code.OUT_OF_RANGE, f"{name} has {length / 2**30:.1f} GiB; at most 2 GiB are read")
    return kind


def _unsupported(name: str, what: str, hint: str) -> RealmError:
    return RealmError(
        Code.UNSUPPORTED_FILE_TYPE,
        f"{name} is not a picture that can be read: its content is {what}",
        hint=hint,
    )


def _opened(file, kind: Format, name: str) -> Image.Image:
    from PIL import Image

    # Pillow's own limit (a module variable, 179 megapixels) would come before ours, with another message. It
    # is out of force only while a header is read; pixels are checked right after.
    with _PILLOW_LIMIT, _faults_of(name, kind):
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(file, formats=kind.pillow)
        finally:
            Image.MAX_IMAGE_PIXELS = limit


@contextmanager
def _faults_of(name: str, kind: Format) -> Iterator[None]:
    from PIL.Image import DecompressionBombError

    try:
        yield
    except DecompressionBombError as error:  # frames and tiles that outgrow what the header said
        raise RealmError(
            Code.OUT_OF_RANGE, f"{name} decodes to more than its header says: {error}"
        ) from error
    except _FAULTS as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk or the network, not the picture
        raise RealmError(
            Code.DATA_CORRUPTED,
            f"{name} is damaged or cut short: {_sentence(error, kind)}",
            hint="copy the original again; a file that is still being written looks like this too",
        ) from error


def _sentence(error: BaseException, kind: Format) -> str:
    text = str(error).strip() or type(error).__name__
    if "cannot identify" in text:
        return f"it begins like a {kind.name.upper()} but its header cannot be read"
    return text[:200]


def _check_bounds(size: tuple[int, int], depth: int, length: int, name: str, max_pixels: int) -> None:
    width, height = size
    pixels = width * height
    if pixels > max_pixels:
        raise RealmError(
            Code.OUT_OF_RANGE,
            f"{name} is {width}×{height}, {pixels / 1e6:.0f} megapixels; the limit is {max_pixels / 1e6:g}",
            hint="raise MIRROR_REALM_MAX_PIXELS if such pictures are meant to be processed",
            details={"width": width, "height": height, "max_pixels": max_pixels},
        )
    decoded = pixels * depth
    if decoded > RATIO_FLOOR and decoded > MAX_RATIO * length:
        raise RealmError(
            Code.OUT_OF_RANGE,
            f"{name} would grow from {length} bytes to {decoded / 2**20:.0f} MiB when decoded, as no photograph does",
            hint="this looks like a decompression bomb; convert it by hand if it is not",
        )


def _bytes_per_pixel(image: Image.Image) -> int:
    wide = 2 if image.mode.startswith("I;16") or rawmode(image).find(";16") >= 0 else 1
    return max(1, len(image.getbands())) * wide


def _source(path: Path, name: str, kind: Format, image: Image.Image) -> Source:
    if kind.name == "tiff" and _is_raw(image):
        raise _unsupported(name, "a camera raw file", "develop it to JPEG or TIFF first")
    if kind.name == "tiff" and (found := layout_refused(image)) is not None:
        raise _unsupported(name, *found)
    metadata = metadata_of(image, path)
    if metadata.icc is None:
        grey = image.mode in ("1", "L", "LA", "La") or image.mode.startswith("I;16")
        metadata = replace(metadata, icc=stated_profile(path, kind.name, grey=grey))
    stated = metadata.orientation or 1
    tag = None
    if kind.name == "heic":
        # HEIF turns by its own properties, which libheif applies; EXIF's value is informative (ISO/IEC
        # 23008-12).
        stated, pending = int(image.info.get("original_orientation") or 1), 1
    elif kind.name == "tiff":
        # Pillow turns a TIFF as it loads, by its tag or else by XMP; our 16-bit path does so too.
        tag, pending = image.tag_v2.get(0x0112), 1  # pyright: ignore
        if tag is not None:
            stated = tag if isinstance(tag, int) and 1 <= tag <= 8 else 1
    else:
        pending = stated
    # Pillow states a TIFF's size upright by its tag, though not by XMP.
    lying = pending >= 5 or (kind.name == "tiff" and tag is None and stated >= 5)
    size = (image.size[1], image.size[0]) if lying else image.size
    source = Source(
        path, name, kind, image, metadata, size, pending, stated, frames=getattr(image, "n_frames", 1)
    )
    source.surely_upright = surely_upright(metadata.exif) if kind.name != "tiff" else tag in (None, 1)
    if source.frames > 1:
        source.remarks.append(f"{source.frames} frames: only the first is used")
    return source


def _is_raw(image: Image.Image) -> bool:
    """DNG, NEF, ARW, … are TIFFs whose first picture is a thumbnail: taking that for the photograph is a
    trap."""
    tags = image.tag_v2  # pyright: ignore
    return 50706 in tags or (bool(int(tags.get(254, 0) or 0) & 1) and 330 in tags)


def _eight_bit_modes(image: Image.Image) -> Raster:
    if image.mode.startswith("I;16"):
        return deep_grey(image)
    if image.mode in ("LAB", "HSV", "YCbCr"):
        return _from_lab(image) if image.mode == "LAB" else image.convert("RGB")
    return image


def _from_lab(image: Image.Image) -> Image.Image:
    from PIL import ImageCms

    transform = ImageCms.buildTransform(
        ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB"
    )
    converted = ImageCms.applyTransform(image, transform)
    assert converted is not None  # only in-place conversion returns None
    return converted


def _plain_ink(image: Image.Image) -> Image.Image:
    """255 = full ink. Pillow takes every CMYK JPEG for Adobe's inverted kind; without that marker it is
    not."""
    if image.format in ("JPEG", "MPO") and "adobe" not in image.info:
        from PIL import ImageChops

        return ImageChops.invert(image)
    return image
