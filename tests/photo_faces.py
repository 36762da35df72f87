"""A drawn face that face detectors take for one, for tests without a person's picture; and one real portrait, of NASA
and in the public domain, which scikit-image ships."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np

SKIN, HAIR, LIP = (224, 180, 150), (60, 40, 30), (165, 75, 75)


def face(side: int = 200, ground: tuple[int, int, int] = (110, 130, 120)) -> np.ndarray:
    """A frontal face, RGB, ``side`` × ``side``."""
    from PIL import Image, ImageDraw, ImageFilter

    image = Image.new("RGB", (side, side), ground)
    draw = ImageDraw.Draw(image)

    def oval(x: float, y: float, across: float, down: float, fill: tuple[int, int, int]) -> None:
        draw.ellipse(
            [side * (x - across), side * (y - down), side * (x + across), side * (y + down)], fill=fill
        )

    oval(0.5, 0.48, 0.36, 0.45, HAIR)
    oval(0.5, 0.54, 0.29, 0.38, SKIN)
    oval(0.5, 0.36, 0.2, 0.08, (236, 196, 168))
    for x in (0.38, 0.62):
        oval(x, 0.47, 0.095, 0.055, (150, 105, 85))
        oval(x, 0.475, 0.06, 0.028, (240, 235, 230))
        oval(x, 0.475, 0.028, 0.028, (40, 30, 25))
        brow = [side * (x - 0.085), side * 0.395, side * (x + 0.085), side * 0.425]
        draw.rounded_rectangle(brow, radius=side * 0.012, fill=HAIR)
        oval(x + (0.02 if x > 0.5 else -0.02), 0.62, 0.07, 0.06, (236, 190, 165))
    oval(0.5, 0.52, 0.03, 0.1, (240, 200, 172))
    oval(0.5, 0.62, 0.055, 0.03, (205, 155, 130))
    for x in (0.475, 0.525):
        oval(x, 0.635, 0.014, 0.01, (120, 80, 65))
    oval(0.5, 0.75, 0.1, 0.035, LIP)
    draw.line(
        [side * 0.41, side * 0.75, side * 0.59, side * 0.75], fill=(110, 45, 45), width=max(1, side // 90)
    )
    oval(0.5, 0.86, 0.12, 0.03, (205, 160, 132))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(side / 90)))


def portrait(
    width: int = 600, height: int = 400, at: tuple[int, int] = (60, 120), side: int = 200
) -> np.ndarray:
    """A plain picture with one face whose square has its upper left corner ``at``."""
    picture = np.full((height, width, 3), (110, 130, 120), np.uint8)
    picture[at[1] : at[1] + side, at[0] : at[0] + side] = face(side)
    return picture


ASTRONAUT = ((204.7, 101.3), (247.6, 103.8), (225.2, 129.0), (202.7, 139.9), (245.6, 142.2))
"""Eyes, nose and corners of the mouth in :func:`astronaut`, within 2 pixels; the face is 90 pixels wide."""


def astronaut() -> np.ndarray:
    """A portrait with one face that smiles, 512 × 512."""
    from PIL import Image

    spec = find_spec("skimage")
    assert spec, "scikit-image comes with the extra restore"
    assert spec.origin
    with Image.open(Path(spec.origin).parent / "data" / "astronaut.png") as image:
        return np.asarray(image.convert("RGB"))


def turned(picture: np.ndarray, degrees: float, middle: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """The picture turned clockwise, and the 2 × 3 matrix that did it."""
    import cv2

    matrix = cv2.getRotationMatrix2D(middle, -degrees, 1)
    height, width = picture.shape[:2]
    return cv2.warpAffine(picture, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE), matrix
