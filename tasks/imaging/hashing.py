"""Hashes by which copies of one picture are found, whatever their format and size."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

BITS = 64


def perceptual_hash(image: Image.Image) -> str:
    """The 64-bit pHash of an upright picture as 16 hex digits: grey, 64×64, then ``imagehash.phash``.

    Source: platform specification, copyright service; https://www.hackerfactor.com/blog/?/archives/432.
    """
    import imagehash
    from PIL.Image import Resampling

    return str(imagehash.phash(image.convert("L").resize((64, 64), Resampling.LANCZOS)))


def similarity(first: str, second: str) -> float:
    """1 − d/64, where d is the number of bits in which two hashes differ.

    >>> similarity("ffffffffffffffff", "fffffffffffffff0")
    0.9375
    """
    return 1 - (int(first, 16) ^ int(second, 16)).bit_count() / BITS
