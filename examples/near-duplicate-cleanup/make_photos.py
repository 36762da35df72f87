"""Paint the photos of this example: ``python make_photos.py``. Two motifs with copies, and one without."""

from __future__ import annotations

import shutil
from pathlib import Path

from PIL import Image, ImageDraw

PHOTOS = Path(__file__).parent / "photos"
SIZE = (480, 320)


def harbour() -> Image.Image:
    """Two boats before a lighthouse."""
    image = Image.new("RGB", SIZE, (185, 215, 235))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 200, 480, 320), fill=(45, 95, 130))
    draw.polygon([(390, 200), (402, 70), (428, 70), (440, 200)], fill=(235, 235, 230))
    for top in (95, 145):
        draw.rectangle((394, top, 436, top + 24), fill=(190, 40, 40))
    for left, sail in ((60, (250, 245, 225)), (215, (225, 120, 60))):
        draw.polygon([(left, 225), (left + 120, 225), (left + 95, 255), (left + 25, 255)], fill=(90, 55, 40))
        draw.polygon([(left + 58, 90), (left + 58, 220), (left + 8, 220)], fill=sail)
    return image


def orchard() -> Image.Image:
    """Three trees on a hill."""
    image = Image.new("RGB", SIZE, (215, 230, 245))
    draw = ImageDraw.Draw(image)
    draw.ellipse((-120, 180, 620, 520), fill=(120, 165, 80))
    for x, height in ((90, 120), (230, 150), (370, 115)):
        draw.rectangle((x - 8, 220 - height // 3, x + 8, 240), fill=(100, 70, 45))
        draw.ellipse((x - 48, 230 - height - 40, x + 48, 230 - height // 3), fill=(60, 115, 55))
        draw.ellipse((x + 10, 200 - height // 2, x + 22, 212 - height // 2), fill=(205, 50, 45))
    return image


def lamp() -> Image.Image:
    """A street lamp at night."""
    image = Image.new("RGB", SIZE, (18, 20, 38))
    draw = ImageDraw.Draw(image)
    draw.polygon([(250, 95), (120, 320), (380, 320)], fill=(70, 66, 50))
    draw.rectangle((244, 90, 256, 320), fill=(10, 10, 12))
    draw.ellipse((228, 62, 272, 106), fill=(255, 235, 170))
    return image


def main() -> None:
    """Write them."""
    (PHOTOS / "2024").mkdir(parents=True, exist_ok=True)
    harbour().save(PHOTOS / "harbour.jpg", quality=92)
    shutil.copyfile(PHOTOS / "harbour.jpg", PHOTOS / "harbour (1).jpg")
    harbour().resize((240, 160)).save(PHOTOS / "2024" / "harbour-small.jpg", quality=85)
    orchard().save(PHOTOS / "orchard.jpg", quality=94)
    orchard().save(PHOTOS / "2024" / "orchard-mail.jpg", quality=40)
    lamp().save(PHOTOS / "lamp.jpg", quality=90)


if __name__ == "__main__":
    main()
