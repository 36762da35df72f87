"""Open a file that claims to be a picture, bounded and suspicious, and decode it once."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from ...core.errors import Code, RealmError
from .exif import ORIENTATION, parse
from .formats import READABLE, Format, sniff
from .metadata import Metadata, metadata_of
from .raster import REDUCING_GAP, Raster, turned

if TYPE_CHECKING:
    import numpy as np
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
            if (deep := _deep(self)) is not None:
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
        image = _opened(file, kind, name)
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
    wide = 2 if image.mode.startswith("I;16") or _rawmode(image).find(";16") >= 0 else 1
    return max(1, len(image.getbands())) * wide


def _rawmode(image: Image.Image) -> str:
    tiles = getattr(image, "tile", None) or []
    if not tiles:
        return ""
    details = tiles[0][3]
    return str(details[0] if isinstance(details, tuple) and details else details)


def _source(path: Path, name: str, kind: Format, image: Image.Image) -> Source:
    if kind.name == "tiff" and _is_raw(image):
        raise _unsupported(name, "a camera raw file", "develop it to JPEG or TIFF first")
    metadata = metadata_of(image, path)
    stated = metadata.orientation or 1
    if kind.name == "heic":
        # HEIF turns by its own properties, which libheif applies; EXIF's value is informative (ISO/IEC
        # 23008-12).
        stated, pending = int(image.info.get("original_orientation") or 1), 1
    elif kind.name == "tiff":
        # Pillow turns a TIFF as it loads; our 16-bit path does so too.
        stated, pending = int(image.tag_v2.get(0x0112, 1) or 1), 1  # pyright: ignore
        stated = stated if 1 <= stated <= 8 else 1
    else:
        pending = stated
    size = image.size if pending < 5 else (image.size[1], image.size[0])
    source = Source(
        path, name, kind, image, metadata, size, pending, stated, frames=getattr(image, "n_frames", 1)
    )
    if source.frames > 1:
        source.remarks.append(f"{source.frames} frames: only the first is used")
    return source


def _is_raw(image: Image.Image) -> bool:
    """DNG, NEF, ARW, … are TIFFs whose first picture is a thumbnail: taking that for the photograph is a
    trap."""
    tags = image.tag_v2  # pyright: ignore
    return 50706 in tags or (bool(int(tags.get(254, 0) or 0) & 1) and 330 in tags)


def _eight_bit_modes(image: Image.Image) -> Raster:
    import numpy as np

    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16)
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


def _deep(source: Source) -> Raster | None:
    """The pixels where they have more than 8 bits in colour, which Pillow would cut off; else ``None``."""
    image = source.image
    if source.format.name == "heic":
        return _deep_heic(source) if image.info.get("bit_depth", 8) > 8 and image.mode != "I;16" else None
    if image.mode not in ("RGB", "RGBA", "LA", "La", "RGBa") or ";16" not in _rawmode(image):
        return None
    import cv2
    import numpy as np

    data, turn = _as_stored(source)
    array = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    if array is None:
        raise ValueError("its 16-bit pixels cannot be decoded")
    if array.dtype != np.uint16 or array.shape[:2] not in (image.size[::-1], image.size):
        return None
    if array.ndim == 3:
        order = [2, 1, 0, 3] if array.shape[2] == 4 else [2, 1, 0]
        array = array[..., order]
        if image.mode in ("LA", "La"):
            array = array[..., [0, 3]]
    return turned(np.ascontiguousarray(array), turn)


def _as_stored(source: Source) -> tuple[np.ndarray, int]:
    """The file's bytes for OpenCV, and the orientation to apply to what it makes of them.

    OpenCV turns a TIFF by its tag even when told to leave it; so the tag is set to 1 in the copy, and we turn.
    """
    import numpy as np

    data = np.fromfile(source.path, np.uint8)
    if source.format.name != "tiff":
        return data, 1
    parsed = parse(data.data)  # pyright: ignore[reportArgumentType] - a memoryview is sliced like bytes
    tag = parsed.main.get(ORIENTATION) if parsed else None
    if parsed is None or tag is None:
        return data, 1
    data[tag.at : tag.at + 2] = np.frombuffer(struct.pack(parsed.mark + "H", 1), np.uint8)
    return data, source.stated_orientation


def _deep_heic(source: Source) -> Raster:
    import numpy as np
    import pillow_heif

    heif = pillow_heif.open_heif(source.path, convert_hdr_to_8bit=False)
    picture = heif[heif.primary_index]
    array = np.asarray(picture)
    width, height = picture.size
    array = np.ascontiguousarray(array[:height, :width]).astype(np.uint16)
    # libheif shifts 10 bits to 16, which leaves white short of 65535: fill the low bits with the high ones.
    return array | (array >> int(source.image.info["bit_depth"]))
