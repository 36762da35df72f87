"""Pixels of more than 8 bits, which Pillow would cut off: 16-bit PNG and TIFF, deep HEIC; as uint16 arrays."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from .exif import ORIENTATION, parse
from .raster import Raster, turned

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from .decode import Source

_PHOTOMETRIC, _BITS, _EXTRA_SAMPLES = 0x0106, 0x0102, 0x0152
_ASSOCIATED = 1


def deep_pixels(source: Source) -> Raster | None:
    """The first frame's pixels where they have more than 8 bits in colour; else ``None``.

    Raises ValueError for what cannot be decoded.
    """
    image = source.image
    if source.format.name == "heic":
        return _heic(source) if image.info.get("bit_depth", 8) > 8 and image.mode != "I;16" else None
    if image.mode not in ("RGB", "RGBA", "LA", "La", "RGBa") or ";16" not in rawmode(image):
        return None
    import numpy as np

    data, turn = _as_stored(source)
    array = _decoded(data)
    if array.dtype != np.uint16 or array.shape[:2] not in (image.size[::-1], image.size):
        return None
    if array.ndim == 3:
        order = [2, 1, 0, 3] if array.shape[2] == 4 else [2, 1, 0]
        array = array[..., order]
        if image.mode in ("LA", "La"):
            array = array[..., [0, 3]]
        if _tag(image, _EXTRA_SAMPLES) == _ASSOCIATED and array.shape[2] in (2, 4):
            array = _unmultiplied(array)
    return turned(np.ascontiguousarray(array), turn)


def deep_grey(image: Image.Image) -> np.ndarray:
    """The pixels of a decoded 16-bit grey image, black at 0 and white at 65535, with its transparent value as alpha."""
    import numpy as np

    array = np.asarray(image).astype(np.uint16)
    if _tag(image, _BITS) == 12:
        array = (array << 4) | (array >> 8)
    if _tag(image, _PHOTOMETRIC) == 0:
        array = 65535 - array
    key = image.info.get("transparency")
    if isinstance(key, int):
        return np.dstack([array, np.where(array == key, 0, 65535).astype(np.uint16)])
    return array


def rawmode(image: Image.Image) -> str:
    """How an opened, not yet decoded image lies in its file, as Pillow calls it."""
    tiles = getattr(image, "tile", None) or []
    if not tiles:
        return ""
    details = tiles[0][3]
    return str(details[0] if isinstance(details, tuple) and details else details)


def _tag(image: Image.Image, tag: int) -> Any:
    """The first value of a TIFF's tag; ``None`` where there is none."""
    value = getattr(image, "tag_v2", {}).get(tag)
    return value[0] if isinstance(value, tuple) and value else value


def _decoded(data: np.ndarray) -> np.ndarray:
    from ..opencv import cv2

    # What it has to say of a damaged file it says to stderr; we say it ourselves.
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        array = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    finally:
        cv2.utils.logging.setLogLevel(level)
    if array is None:
        raise ValueError("its 16-bit pixels cannot be decoded")
    return array


def _unmultiplied(array: np.ndarray) -> np.ndarray:
    """Colours that were stored multiplied by their alpha, as they are without."""
    import numpy as np

    alpha = array[..., -1:].astype(np.float32)
    colour = array[..., :-1] * (65535 / np.maximum(alpha, 1))
    return np.concatenate([np.clip(np.rint(colour), 0, 65535).astype(np.uint16), array[..., -1:]], axis=-1)


def _as_stored(source: Source) -> tuple[np.ndarray, int]:
    """The file's bytes for OpenCV, and the orientation to apply to what it makes of them.

    OpenCV turns a TIFF by its tag even when told to leave it; so the tag is set to 1 in the copy, and we turn.
    """
    import numpy as np

    data = np.fromfile(source.path, np.uint8)
    if source.format.name != "tiff":
        return data, 1
    parsed = parse(data.data, file=True)  # pyright: ignore[reportArgumentType] - a memoryview is sliced like bytes
    tag = parsed.main.get(ORIENTATION) if parsed else None
    if parsed is None or tag is None:
        return data, source.stated_orientation
    data[tag.at : tag.at + 2] = np.frombuffer(struct.pack(parsed.mark + "H", 1), np.uint8)
    return data, source.stated_orientation


def _heic(source: Source) -> np.ndarray:
    import numpy as np
    import pillow_heif

    heif = pillow_heif.open_heif(source.path, convert_hdr_to_8bit=False)
    picture = heif[heif.primary_index]
    array = np.asarray(picture)
    width, height = picture.size
    array = np.ascontiguousarray(array[:height, :width]).astype(np.uint16)
    # libheif shifts 10 bits to 16, which leaves white short of 65535: fill the low bits with the high ones.
    return array | (array >> int(source.image.info["bit_depth"]))
