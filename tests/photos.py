"""Real photographs for tests: every format, orientation, depth, profile and fault, made on the spot.

``from tests.photos import photo, scene`` (tests are run with ``python -m pytest``). Everything takes a path
and returns it; the format follows the suffix. The picture is never square and has another colour in every
corner, so that a wrong rotation cannot pass unseen: upright, the corners are red (top left), green (top
right), blue (bottom left) and yellow (bottom right).

    photo(tmp_path / "a.jpg", orientation=6)          # EXIF, GPS, camera, XMP, ICC; upright 120 × 80
    photo(tmp_path / "照片 1.heic", size=(400, 300))
    empty(tmp_path / "b.jpg"); truncated(tmp_path / "c.jpg"); text(tmp_path / "d.jpg")
    bomb(tmp_path / "e.png")                          # 300 megapixels in 37 kB

EXIF blocks, XMP and ICC profiles alone are in :mod:`tests.photo_metadata`.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .photo_metadata import SIZE, exif, srgb_icc, xmp

CORNERS = {"top left": (220, 40, 40), "top right": (40, 190, 60), "bottom left": (40, 60, 210)}
CORNERS["bottom right"] = (230, 210, 50)


# -- pictures ---------------------------------------------------------------------------------------------


def scene(width: int = SIZE[0], height: int = SIZE[1]) -> np.ndarray:
    """The upright picture: RGB uint8, a smooth gradient with one patch of colour in each corner."""
    y, x = np.mgrid[0:height, 0:width]
    u, v = x / max(width - 1, 1), y / max(height - 1, 1)
    picture = np.stack([90 + 90 * u, 110 + 70 * v, 150 - 60 * u * v], axis=-1)
    half = (max(width // 3, 1), max(height // 3, 1))
    for corner, colour in CORNERS.items():
        rows = slice(0, half[1]) if "top" in corner else slice(height - half[1], height)
        columns = slice(0, half[0]) if "left" in corner else slice(width - half[0], width)
        picture[rows, columns] = colour
    return picture.round().astype(np.uint8)


def detailed(width: int, height: int, seed: int = 7) -> np.ndarray:
    """A picture with texture at all scales (sharp, colourful), for quality measures and timings."""
    generator = np.random.default_rng(seed)
    total = np.zeros((height, width, 3))
    for octave in range(2, 9):
        cells = 2**octave
        grid = generator.random((cells + 1, cells + 1, 3))
        rows = np.linspace(0, cells - 1e-6, height).astype(int)
        columns = np.linspace(0, cells - 1e-6, width).astype(int)
        total += grid[rows][:, columns] / octave
    total -= total.min()
    return (total / total.max() * 255).astype(np.uint8)


def scene16(width: int = SIZE[0], height: int = SIZE[1]) -> np.ndarray:
    """The scene in 16 bits per channel, with low bytes that 8 bits cannot hold."""
    fine = np.arange(width, dtype=np.uint16) % 200
    return scene(width, height).astype(np.uint16) * 257 // 256 * 256 + fine[None, :, None]


def stored_as(upright: np.ndarray, orientation: int) -> np.ndarray:
    """The pixels a camera stores so that EXIF ``orientation`` turns them into ``upright``."""
    return np.ascontiguousarray(
        {
            1: lambda a: a,
            2: lambda a: a[:, ::-1],
            3: lambda a: a[::-1, ::-1],
            4: lambda a: a[::-1],
            5: lambda a: a.swapaxes(0, 1),
            6: lambda a: np.rot90(a, 1),
            7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
            8: lambda a: np.rot90(a, -1),
        }[orientation](upright)
    )


def corners(picture: np.ndarray) -> dict[str, tuple[int, ...]]:
    """The colour near each corner of a decoded picture."""
    height, width = picture.shape[:2]
    rows = {"top": height // 8, "bottom": height - 1 - height // 8}
    columns = {"left": width // 8, "right": width - 1 - width // 8}
    return {
        f"{r} {c}": tuple(int(v) for v in picture[rows[r], columns[c]][:3]) for r in rows for c in columns
    }


def psnr(a: np.ndarray, b: np.ndarray, peak: float = 255.0) -> float:
    """Peak signal-to-noise ratio in dB; infinite for equal pictures."""
    assert a.shape == b.shape, f"{a.shape} is not {b.shape}"
    error = float(np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2))
    return float("inf") if error == 0 else 10 * float(np.log10(peak * peak / error))


# -- ordinary photographs ---------------------------------------------------------------------------------


def photo(
    path: Path,
    *,
    orientation: int = 1,
    size: tuple[int, int] = SIZE,
    picture: np.ndarray | None = None,
    icc: bytes | None = None,
    quality: int = 95,
    metadata: bool = True,
    **details,
) -> Path:
    """A photograph in the format of the suffix (.jpg .png .webp .tif .heic), upright ``size``.

    ``picture`` replaces the scene (RGB, RGBA or grey uint8, upright); ``details`` go to :func:`exif`. Lossy
    formats are written without chroma subsampling, WebP without loss.
    """
    from PIL import Image

    upright = scene(*size) if picture is None else picture
    pixels = stored_as(upright, orientation)
    image = Image.fromarray(pixels)
    icc = srgb_icc() if icc is None else icc
    block, packet = b"", b""
    if metadata:
        block = exif(orientation, size=(pixels.shape[1], pixels.shape[0]), **details)
        packet = xmp(orientation)
    suffix = path.suffix.lower()
    if suffix in (".jpg", ".jpeg"):
        options = (
            {"quality": quality, "subsampling": 0, "xmp": packet}
            if packet
            else {"quality": quality, "subsampling": 0}
        )
        image.save(path, "JPEG", exif=b"Exif\0\0" + block if block else b"", icc_profile=icc, **options)
    elif suffix == ".png":
        image.save(
            path, "PNG", icc_profile=icc, **({"exif": block, "pnginfo": _png_xmp(packet)} if block else {})
        )
    elif suffix == ".webp":
        image.save(path, "WEBP", lossless=True, exact=True, exif=block, xmp=packet, icc_profile=icc)
    elif suffix in (".tif", ".tiff"):
        image.save(path, "TIFF", icc_profile=icc, **({"exif": block} if block else {}))
    elif suffix in (".heic", ".heif"):
        import pillow_heif

        pillow_heif.register_heif_opener()
        image.save(
            path, "HEIF", quality=quality, chroma=444, exif=block or None, xmp=packet or None, icc_profile=icc
        )
    else:
        raise ValueError(f"no photograph of type {suffix}")
    return path


def _png_xmp(packet: bytes):
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", packet.decode())
    return info


def thumbnail(width: int = 40, height: int = 30) -> bytes:
    """A small JPEG to embed as the EXIF thumbnail."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(scene(width, height)).save(buffer, "JPEG")
    return buffer.getvalue()


# -- depth, colour models, transparency -------------------------------------------------------------------


def deep(
    path: Path, *, orientation: int = 1, picture: np.ndarray | None = None, icc: bytes | None = None
) -> Path:
    """16 bits per channel: RGB, RGBA or grey; .png, .tif, or .heic (10 bits)."""
    import cv2

    pixels = stored_as(scene16() if picture is None else picture, orientation)
    if path.suffix.lower() in (".heic", ".heif"):
        import pillow_heif

        mode = {2: "L;16", 3: "RGB;16"}.get(pixels.ndim, "RGB;16")
        block = exif(orientation, size=(pixels.shape[1], pixels.shape[0]))
        pillow_heif.encode(
            mode,
            pixels.shape[1::-1],
            pixels.tobytes(),
            path,
            quality=-1,
            chroma=444,
            exif=block,
            icc_profile=icc,
        )
        return path
    order = pixels if pixels.ndim == 2 else pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]
    ok, data = cv2.imencode(path.suffix.lower(), np.ascontiguousarray(order))
    assert ok
    content = data.tobytes()
    if path.suffix.lower() == ".png":
        chunks = [(b"eXIf", exif(orientation, size=(pixels.shape[1], pixels.shape[0])))]
        if icc:
            chunks.insert(0, (b"iCCP", b"ICC Profile\0\0" + zlib.compress(icc)))
        content = png_with(content, chunks)
    elif orientation != 1:
        content = _tiff_oriented(content, orientation)
    path.write_bytes(content)
    return path


def png_with(content: bytes, chunks: Sequence[tuple[bytes, bytes]]) -> bytes:
    """A PNG with ``chunks`` inserted right after its header."""
    return content[:33] + b"".join(_png_chunk(*chunk) for chunk in chunks) + content[33:]


def _tiff_oriented(content: bytes, orientation: int) -> bytes:
    """The TIFF with an Orientation, its directory rewritten at the end."""
    mark = "<" if content[:2] == b"II" else ">"
    at = struct.unpack(mark + "L", content[4:8])[0]
    count = struct.unpack(mark + "H", content[at : at + 2])[0]
    entries = [content[at + 2 + 12 * i : at + 14 + 12 * i] for i in range(count)]
    entries = [e for e in entries if struct.unpack(mark + "H", e[:2])[0] != 0x0112]
    entries.append(struct.pack(mark + "HHLHH", 0x0112, 3, 1, orientation, 0))
    entries.sort(key=lambda e: struct.unpack(mark + "H", e[:2])[0])
    content += b"\0" * (len(content) % 2)
    directory = struct.pack(mark + "H", len(entries)) + b"".join(entries) + struct.pack(mark + "L", 0)
    return content[:4] + struct.pack(mark + "L", len(content)) + content[8:] + directory


def cmyk(path: Path, *, adobe: bool = True, icc: bytes | None = None, inks: np.ndarray | None = None) -> Path:
    """A CMYK JPEG (or TIFF): with Adobe's marker its samples are inverted, without it they are plain ink."""
    from PIL import Image, ImageChops

    image = Image.fromarray(ink_scene() if inks is None else inks, "CMYK")
    if path.suffix.lower() in (".tif", ".tiff"):
        image.save(path, "TIFF", icc_profile=icc)
        return path
    if not adobe:
        image = ImageChops.invert(image)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=98, subsampling=0, icc_profile=icc)
    content = buffer.getvalue()
    path.write_bytes(content if adobe else _without_segment(content, 0xEE))
    return path


def ink_scene(width: int = SIZE[0], height: int = SIZE[1]) -> np.ndarray:
    """CMYK amounts (255 = full ink): one ink in each corner on a light ground."""
    inks = np.zeros((height, width, 4), np.uint8)
    inks[..., 0] = np.linspace(20, 60, width, dtype=np.uint8)[None, :]
    third = (width // 3, height // 3)
    inks[: third[1], : third[0]] = (200, 10, 10, 0)
    inks[: third[1], -third[0] :] = (10, 200, 10, 0)
    inks[-third[1] :, : third[0]] = (10, 10, 200, 0)
    inks[-third[1] :, -third[0] :] = (0, 0, 0, 200)
    return inks


def _without_segment(content: bytes, marker: int) -> bytes:
    kept, at = content[:2], 2
    while content[at + 1] != 0xDA:
        end = at + 2 + struct.unpack(">H", content[at + 2 : at + 4])[0]
        if content[at + 1] != marker:
            kept += content[at:end]
        at = end
    return kept + content[at:]


def grey(path: Path, *, orientation: int = 1, size: tuple[int, int] = SIZE) -> Path:
    """An 8-bit grey photograph."""
    return photo(path, orientation=orientation, picture=scene(*size)[..., 0], icc=b"")


def palette(path: Path, *, transparent: bool = False) -> Path:
    """A palette PNG (or GIF), optionally with a transparent colour."""
    from PIL import Image

    image = Image.fromarray(scene()).quantize(32)
    options = {"transparency": 0} if transparent else {}
    image.save(path, path.suffix[1:].upper(), **options)
    return path


def alpha(path: Path, *, orientation: int = 1) -> Path:
    """RGBA: the left half opaque, the right half fading to nothing."""
    upright = np.dstack([scene(), np.full(SIZE[::-1], 255, np.uint8)])
    upright[:, SIZE[0] // 2 :, 3] = np.linspace(255, 0, SIZE[0] - SIZE[0] // 2).astype(np.uint8)
    return photo(path, orientation=orientation, picture=upright)


# -- several frames ---------------------------------------------------------------------------------------


def animated(path: Path, frames: int = 3) -> Path:
    """An animated GIF, WebP or PNG whose first frame is the scene and whose others are its negative."""
    from PIL import Image

    first = Image.fromarray(scene())
    rest = [Image.fromarray(255 - scene() // (i + 1)) for i in range(frames - 1)]
    options = {"lossless": True} if path.suffix == ".webp" else {}
    first.save(path, path.suffix[1:].upper(), save_all=True, append_images=rest, duration=100, **options)
    return path


def multi_picture(path: Path, *, orientation: int = 1) -> Path:
    """An MPO (a JPEG with a second picture, as stereo cameras and some phones write)."""
    from PIL import Image

    first = Image.fromarray(stored_as(scene(), orientation))
    second = Image.fromarray(255 - stored_as(scene(), orientation))
    first.save(
        path,
        "MPO",
        save_all=True,
        append_images=[second],
        quality=95,
        subsampling=0,
        exif=b"Exif\0\0" + exif(orientation),
    )
    return path


# -- faults and extremes ----------------------------------------------------------------------------------


def truncated(path: Path, keep: float = 0.5, **details) -> Path:
    """A photograph that ends in the middle."""
    photo(path, **details)
    content = path.read_bytes()
    path.write_bytes(content[: max(int(len(content) * keep), 1)])
    return path


def empty(path: Path) -> Path:
    """A file of no bytes."""
    path.write_bytes(b"")
    return path


def text(path: Path) -> Path:
    """A text file, whatever its name says."""
    path.write_text("Not a photograph, 不是照片.\n" * 20, encoding="utf-8")
    return path


def bomb(path: Path, size: tuple[int, int] = (20_000, 15_000), *, bits: int = 1) -> Path:
    """A valid PNG of 300 megapixels, all black, in a few kilobytes; ``bits`` 1 (grey) or 24 (RGB)."""
    width, height = size
    row = 1 + (width * bits + 7) // 8
    total = row * height
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = 1 << 20
    # After a full flush the compressor starts afresh, so the same bytes may be repeated.
    zeros = packer.compress(bytes(block)) + packer.flush(zlib.Z_FULL_FLUSH)
    last = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = b"\x78\xda" + zeros * (total // block) + last.compress(bytes(total % block)) + last.flush()
    data += struct.pack(">HH", total % 65521, 1)
    depth, kind = (1, 0) if bits == 1 else (8, 2)
    head = struct.pack(">LLBBBBB", width, height, depth, kind, 0, 0, 0)
    chunks = _png_chunk(b"IHDR", head) + _png_chunk(b"IDAT", data) + _png_chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    return path


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))


def pixel(path: Path) -> Path:
    """One pixel."""
    return photo(path, size=(1, 1))


def ribbon(path: Path) -> Path:
    """20000 × 40 pixels."""
    return photo(path, size=(20_000, 40))
