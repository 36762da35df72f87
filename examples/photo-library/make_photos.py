"""Paint the three photos of this example: ``python make_photos.py``."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw

PHOTOS = Path(__file__).parent / "photos"
SIZE = (480, 320)


def car() -> Image.Image:
    """A red car on a grey road under a blue sky."""
    image = Image.new("RGB", SIZE, (150, 195, 235))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 210, 480, 320), fill=(95, 95, 100))
    draw.polygon([(150, 175), (190, 120), (310, 120), (355, 175)], fill=(170, 15, 20))
    draw.rounded_rectangle((90, 170, 400, 235), 22, fill=(205, 22, 28))
    draw.polygon([(172, 172), (200, 130), (245, 130), (245, 172)], fill=(205, 228, 240))
    draw.polygon([(255, 172), (255, 130), (302, 130), (330, 172)], fill=(205, 228, 240))
    for middle in (155, 335):
        draw.ellipse((middle - 32, 205, middle + 32, 269), fill=(25, 25, 28))
        draw.ellipse((middle - 14, 223, middle + 14, 251), fill=(180, 180, 185))
    return image


def lake() -> Image.Image:
    """Two mountains behind a lake."""
    image = Image.new("RGB", SIZE, (200, 220, 240))
    draw = ImageDraw.Draw(image)
    draw.polygon([(0, 190), (130, 60), (270, 190)], fill=(95, 120, 105))
    draw.polygon([(190, 190), (340, 40), (480, 190)], fill=(75, 100, 95))
    draw.rectangle((0, 190, 480, 320), fill=(60, 110, 160))
    for row in range(205, 320, 16):
        draw.line((40 + row % 60, row, 240 + row % 90, row), fill=(120, 165, 205), width=3)
    return image


def night() -> Image.Image:
    """A moon and stars over dark hills."""
    image = Image.new("RGB", SIZE, (12, 16, 40))
    draw = ImageDraw.Draw(image)
    for number in range(70):
        x, y = number * 97 % 480, number * 61 % 190
        draw.ellipse((x, y, x + 2, y + 2), fill=(225, 225, 240))
    draw.ellipse((350, 40, 410, 100), fill=(240, 235, 205))
    draw.polygon([(0, 320), (0, 240), (140, 190), (300, 250), (480, 200), (480, 320)], fill=(5, 8, 16))
    return image


def main() -> None:
    """Write them."""
    PHOTOS.mkdir(exist_ok=True)
    for paint in (car, lake, night):
        paint().save(PHOTOS / f"{paint.__name__}.jpg", quality=88)


if __name__ == "__main__":
    main()
