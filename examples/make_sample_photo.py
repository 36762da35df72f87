"""Make the sample photograph of the demo: an evening at a mountain lake, painted by arithmetic.

    python examples/make_sample_photo.py [mirror-lake.jpg]

Stored as a camera held upright stores it: 1600 × 1200 pixels lying on their side with EXIF orientation 6,
camera, exposure, time with its zone, GPS and an sRGB profile. The same bytes every time (with the same
Pillow).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from mirror_realm.tasks.imaging.colour import srgb_profile

WIDTH, HEIGHT = 1200, 1600
HORIZON, SHORE = 0.555, 0.80
SUN = (0.69, 0.47)

Colour = tuple[float, float, float]
WARM: Colour = (255, 196, 132)
HAZE: Colour = (224, 178, 152)


def main(arguments: list[str]) -> None:
    """Write the photograph to the path given, or to mirror-lake.jpg here."""
    path = Path(arguments[0] if arguments else "mirror-lake.jpg")
    path.parent.mkdir(parents=True, exist_ok=True)
    save(picture(), path)
    print(path)


def picture(seed: int = 20230615) -> Image.Image:
    """The upright picture."""
    generator = np.random.default_rng(seed)
    canvas = sky(generator)
    mountains(canvas, generator)
    lake(canvas, generator)
    image = Image.fromarray(np.clip(canvas, 0, 255).astype(np.uint8))
    pines(image, generator)
    meadow(image, generator)
    return developed(image, generator)


def clouds_of(
    generator: np.random.Generator, width: int, height: int, cells: tuple[int, int], octaves: int
) -> np.ndarray:
    """Fractal noise 0–1 with ``cells`` (across, down) features in its coarsest octave."""
    total = np.zeros((height, width), np.float32)
    weight, sum_of_weights = 1.0, 0.0
    for octave in range(octaves):
        across, down = cells[0] * 2**octave, cells[1] * 2**octave
        grid = generator.random((min(down, height) + 3, min(across, width) + 3)).astype(np.float32)
        total += weight * np.asarray(Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC))
        sum_of_weights += weight
        weight *= 0.52
    total /= sum_of_weights
    return (total - total.min()) / (total.max() - total.min())


def blend(under: np.ndarray, over: np.ndarray | Colour, amount: np.ndarray | float) -> np.ndarray:
    """``over`` laid on ``under``; ``amount`` 0–1 per pixel."""
    amount = np.asarray(amount, np.float32)[..., None]
    return under * (1 - amount) + np.asarray(over, np.float32) * amount


def gradient(stops: list[tuple[float, Colour]], positions: np.ndarray) -> np.ndarray:
    """Colours between ``stops`` at ``positions``."""
    at = [stop for stop, _ in stops]
    return np.stack([np.interp(positions, at, [colour[i] for _, colour in stops]) for i in range(3)], axis=-1)


def sky(generator: np.random.Generator) -> np.ndarray:
    """Sky, sun and clouds over the whole canvas."""
    v, u = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    v, u = v / HEIGHT, u / WIDTH
    stops: list[tuple[float, Colour]] = [
        (0.0, (38, 72, 132)),
        (0.2, (92, 130, 180)),
        (0.36, (186, 190, 198)),
        (0.46, (250, 206, 160)),
        (0.56, (255, 178, 118)),
    ]
    canvas = gradient(stops, v)
    distance = np.hypot((u - SUN[0]) * WIDTH / HEIGHT, v - SUN[1])
    canvas = blend(canvas, (255, 224, 176), np.exp(-((distance / 0.16) ** 2)) * 0.75)
    veil = clouds_of(generator, WIDTH, HEIGHT, (2, 9), 7)
    billow = clouds_of(generator, WIDTH, HEIGHT, (3, 7), 8)
    cover = np.clip((0.55 * veil + 0.45 * billow - 0.47) * 4.2, 0, 1) * np.clip((0.5 - v) * 6, 0, 1)
    lit = np.clip(1.15 - distance * 1.5, 0, 1)[..., None]
    shade = np.clip((np.roll(billow, -14, axis=0) - billow) * 3 + 0.5, 0, 1)[..., None]
    body = np.array([142, 146, 172]) * (1 - shade) + np.array([252, 226, 212]) * shade
    canvas = blend(canvas, body * (1 - lit * 0.6) + np.array([255, 190, 138]) * lit * 0.6, cover * 0.85)
    return blend(canvas, (255, 250, 232), np.clip((0.021 - distance) * 260, 0, 1))


def ridge(
    generator: np.random.Generator, base: float, height: float, cells: int, octaves: int = 8
) -> np.ndarray:
    """A ridge line: for every column the row (in pixels) at which the mountain begins."""
    line = clouds_of(generator, WIDTH, 8, (cells, 1), octaves)[4]
    folded = 1 - np.abs(line * 2 - 1)
    return HEIGHT * (base - height * (0.45 * line + 0.55 * folded))


def mountains(canvas: np.ndarray, generator: np.random.Generator) -> None:
    """Six ridges, the far ones pale and snowy, the near ones dark and wooded."""
    rows = np.arange(HEIGHT, dtype=np.float32)[:, None]
    layers: list[tuple[float, float, int, Colour, float]] = [
        (0.50, 0.115, 3, (150, 152, 176), 0.66),
        (0.52, 0.125, 4, (112, 122, 152), 0.50),
        (0.535, 0.085, 5, (84, 100, 126), 0.36),
        (0.548, 0.065, 4, (58, 80, 92), 0.22),
        (0.556, 0.038, 5, (38, 62, 58), 0.10),
    ]
    for index, (base, height, cells, colour, haze) in enumerate(layers):
        top = ridge(generator, base, height, cells)
        wooded = index >= 3
        if wooded:
            top = top - forest(generator, 8 + 5 * (index - 2))
        inside = np.clip(rows - top[None, :] + 0.5, 0, 1)
        inside[rows[:, 0] > HEIGHT * HORIZON + 4] = 0
        rock = clouds_of(generator, WIDTH, HEIGHT, (26, 34), 6)
        light = np.clip((rock - np.roll(rock, (3, 5), (0, 1))) * (7 if wooded else 11) + 0.5, 0, 1)
        depth = np.clip((rows - top[None, :]) / (HEIGHT * 0.09), 0, 1)
        body = np.asarray(colour, np.float32) * (0.62 + 0.7 * light[..., None])
        if index < 2:
            snow = np.clip((0.55 - depth + (rock - 0.5) * 1.3) * 4, 0, 1) * np.clip(light * 1.6, 0.25, 1)
            body = blend(body, (250, 232, 226), snow * 0.9)
        body = blend(body, HAZE, np.clip(haze * (0.55 + 0.75 * depth), 0, 0.92))
        canvas[:] = blend(canvas, body, inside)
    glow = np.exp(-(((rows / HEIGHT - HORIZON) / 0.03) ** 2)) * 0.32
    canvas[:] = blend(canvas, WARM, np.broadcast_to(glow, canvas.shape[:2]) * (rows < HEIGHT * HORIZON))


def forest(generator: np.random.Generator, tallest: float) -> np.ndarray:
    """Tree tops along a ridge: for every column how far they stand out, in pixels."""
    line = np.zeros(WIDTH, np.float32)
    columns = np.arange(WIDTH)
    for centre in generator.uniform(0, WIDTH, 620):
        height = tallest * generator.uniform(0.35, 1.0)
        reach = height * 0.3 + 1.2
        line = np.maximum(line, height * np.clip(1 - np.abs(columns - centre) / reach, 0, 1))
    return line


def lake(canvas: np.ndarray, generator: np.random.Generator) -> None:
    """Still water below the horizon: what is above it mirrored, broken by ripples, with the sun's path."""
    first, last = int(HEIGHT * HORIZON), HEIGHT
    depth = (np.arange(first, last, dtype=np.float32) - first) / (last - first)
    ripples = clouds_of(generator, WIDTH, last - first, (5, 90), 5) - 0.5
    fine = clouds_of(generator, WIDTH, last - first, (60, 300), 3) - 0.5
    near = depth[:, None]
    columns = np.arange(WIDTH)[None, :] + ripples * (5 + 46 * near)
    mirrored = (
        first - 1 - (np.arange(last - first)[:, None] * 0.93 + (ripples * 30 + fine * 14) * (0.12 + near))
    )
    source = canvas[np.clip(mirrored, 0, first - 1).astype(int), np.clip(columns, 0, WIDTH - 1).astype(int)]
    water = source * (0.86 - 0.3 * near[..., None]) + np.array([4, 14, 24]) * (0.4 + near[..., None])
    path = np.exp(-(((np.arange(WIDTH)[None, :] / WIDTH - SUN[0]) / (0.025 + 0.07 * near)) ** 2))
    sparkle = np.clip((fine + ripples * 0.6 - 0.1) * 7, 0, 1) * path * (1 - near * 0.75)
    water = blend(water, (255, 226, 176), np.clip(sparkle, 0, 0.95))
    canvas[first:last] = water
    shore = np.exp(-(((np.arange(HEIGHT) - first) / 3.0) ** 2))[:, None] * np.ones((1, WIDTH))
    canvas[:] = blend(canvas, (64, 66, 62), shore * 0.55)


def pines(image: Image.Image, generator: np.random.Generator) -> None:
    """A few firs on the near shore, at the left and at the right edge."""
    scale = 2
    layer = Image.new("RGBA", (WIDTH * scale, HEIGHT * scale), (0, 0, 0, 0))
    draw = ImageDraw.Draw(layer)
    trees = [(0.055, 0.87, 0.46), (0.165, 0.855, 0.31), (-0.03, 0.88, 0.36), (0.255, 0.845, 0.17)]
    trees += [(0.955, 0.865, 0.25), (1.02, 0.875, 0.37), (0.895, 0.845, 0.13)]
    for x, foot, height in trees:
        fir(draw, generator, x * WIDTH * scale, foot * HEIGHT * scale, height * HEIGHT * scale)
    image.paste(layer.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS).convert("RGB"), mask=layer.resize(
        (WIDTH, HEIGHT), Image.Resampling.LANCZOS).getchannel("A"))  # fmt: skip


def fir(
    draw: ImageDraw.ImageDraw, generator: np.random.Generator, x: float, foot: float, height: float
) -> None:
    """One fir: a trunk and whorls of drooping boughs, each with its needles; lit from the right."""
    draw.polygon(
        [(x - height * 0.012, foot), (x + height * 0.012, foot), (x, foot - height)], fill=(38, 30, 26, 255)
    )
    whorls = int(26 + height / 34)
    for whorl in range(whorls):
        up = (whorl / whorls) ** 0.92
        y = foot - height * (0.06 + 0.94 * up)
        reach = height * 0.19 * (1 - up) ** 0.85 + 3
        for side in (-1, 1):
            for _ in range(3):
                length = reach * generator.uniform(0.55, 1.06)
                droop = length * generator.uniform(0.22, 0.5)
                bough(draw, generator, (x, y + generator.normal(0, 4)), side * length, droop, lit=side > 0)


def bough(
    draw: ImageDraw.ImageDraw,
    generator: np.random.Generator,
    start: tuple[float, float],
    length: float,
    droop: float,
    *,
    lit: bool,
) -> None:
    """One bough, from ``start`` outwards."""
    steps = max(4, int(abs(length) / 7))
    for step in range(steps):
        along = step / steps
        x, y = start[0] + length * along, start[1] + droop * along**1.5
        needle = 5 + abs(length) * 0.16 * (1 - along * 0.6)
        tone = generator.uniform(0.7, 1.2) * (1.35 if lit and along > 0.45 else 0.95)
        shade = tuple(int(min(255, c * tone)) for c in ((34, 50, 38) if not lit else (46, 58, 38)))
        for _ in range(3):
            tip = (
                x + generator.normal(0, needle * 0.5),
                y + abs(generator.normal(0, needle * 0.55)) + needle * 0.2,
            )
            draw.line([(x, y), tip], fill=(*shade, 255), width=3)


def meadow(image: Image.Image, generator: np.random.Generator) -> None:
    """The near shore: ground, grass in rows from far to near, and flowers."""
    bank = HEIGHT * (SHORE + 0.035 * clouds_of(generator, WIDTH, 8, (3, 1), 6)[4] + 0.02)
    ground = Image.new("RGBA", (WIDTH, HEIGHT), (0, 0, 0, 0))
    draw = ImageDraw.Draw(ground)
    draw.polygon(
        [(0, HEIGHT), *[(x, float(bank[x])) for x in range(WIDTH)], (WIDTH, HEIGHT)], fill=(44, 50, 26, 255)
    )
    image.paste(ground.convert("RGB"), mask=ground.getchannel("A"))
    blades = 17_000
    depth = np.sort(generator.random(blades) ** 1.25)
    columns = generator.uniform(-10, WIDTH + 10, blades)
    patches = clouds_of(generator, WIDTH, HEIGHT, (7, 22), 4)
    brush = ImageDraw.Draw(image)
    for near, x in zip(depth, columns, strict=True):
        column = int(np.clip(x, 0, WIDTH - 1))
        y = bank[column] + (HEIGHT + 24 - bank[column]) * near
        blade(
            brush, generator, float(x), float(y), float(near), float(patches[min(int(y), HEIGHT - 1), column])
        )
        if generator.random() < 0.045 and near > 0.06:
            flower(brush, generator, float(x), float(y), float(near))


def blade(
    draw: ImageDraw.ImageDraw, generator: np.random.Generator, x: float, y: float, near: float, patch: float
) -> None:
    """One blade of grass with its root at (x, y)."""
    length = (7 + 62 * near) * generator.uniform(0.5, 1.15)
    lean = generator.normal(0.12, 0.3) * length
    light = generator.uniform(0.55, 1.25) * (0.75 + 0.7 * patch) * (1.12 - 0.35 * near)
    green = np.array([104, 118, 44]) if generator.random() < 0.7 else np.array([150, 132, 62])
    colour = tuple(int(min(255, c * light)) for c in green)
    middle = (x + lean * 0.35, y - length * 0.6)
    width = 1 if near < 0.45 else 2
    draw.line([(x, y), middle, (x + lean, y - length)], fill=colour, width=width)


def flower(
    draw: ImageDraw.ImageDraw, generator: np.random.Generator, x: float, y: float, near: float
) -> None:
    """One flower above the grass."""
    kinds = [(246, 240, 226), (250, 204, 62), (176, 112, 196), (222, 70, 62)]
    petal = kinds[int(generator.choice(4, p=[0.4, 0.28, 0.22, 0.1]))]
    size = 1.3 + 5.2 * near * generator.uniform(0.7, 1.15)
    y -= (6 + 46 * near) * generator.uniform(0.7, 1.1)
    shade = generator.uniform(0.78, 1.04)
    colour = tuple(int(min(255, c * shade)) for c in petal)
    if size < 3:
        draw.ellipse([x - size, y - size * 0.7, x + size, y + size * 0.7], fill=colour)
        return
    for angle in np.linspace(0, 2 * np.pi, 7)[:-1] + generator.random():
        px, py = x + np.cos(angle) * size * 0.75, y + np.sin(angle) * size * 0.5
        draw.ellipse([px - size * 0.5, py - size * 0.36, px + size * 0.5, py + size * 0.36], fill=colour)
    draw.ellipse([x - size * 0.34, y - size * 0.26, x + size * 0.34, y + size * 0.26], fill=(206, 150, 40))


def developed(image: Image.Image, generator: np.random.Generator) -> Image.Image:
    """As a camera would give it: a little bloom, a tone curve, falling light in the corners, fine grain."""
    bloom = np.asarray(image.filter(ImageFilter.GaussianBlur(16)), np.float32)
    pixels = np.asarray(image, np.float32)
    pixels = 255 - (255 - pixels) * (255 - bloom * 0.14) / 255
    v, u = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j]
    pixels *= (1 - 0.16 * (u**2 + v**2) ** 1.3 / 2)[..., None]
    unit = np.clip(pixels / 255, 0, 1)
    unit = unit + 0.09 * np.sin((unit - 0.5) * 2 * np.pi) / np.pi
    grey = unit.mean(axis=-1, keepdims=True)
    unit = grey + (unit - grey) * 1.12
    grain = generator.normal(0, 1.3, (HEIGHT, WIDTH, 1))
    return Image.fromarray(np.clip(unit * 255 + grain, 0, 255).astype(np.uint8))


def save(upright: Image.Image, path: Path) -> None:
    """Write the picture as an upright-held camera does: turned a quarter to the left, with orientation 6."""
    stored = upright.transpose(Image.Transpose.ROTATE_90)
    stored.save(
        path,
        "JPEG",
        quality=84,
        subsampling="4:2:0",
        optimize=True,
        exif=metadata(stored.size),
        icc_profile=srgb_profile(),
    )


def metadata(size: tuple[int, int]) -> Image.Exif:
    """EXIF of an invented camera at a real lake."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "Mirror Realm", "Mirror One"
    exif[0x0112] = 6
    exif[0x011A] = exif[0x011B] = 72.0
    exif[0x0128] = 2
    exif[0x0131] = "make_sample_photo.py"
    exif[0x0132] = "2023:06:15 20:47:12"
    exif[0x8298] = "CC0"
    photo = exif.get_ifd(0x8769)
    photo.update({0x829A: 1 / 125, 0x829D: 5.6, 0x8827: 200, 0x9000: b"0232", 0x920A: 35.0, 0xA405: 35})
    photo.update({0x9003: "2023:06:15 20:47:12", 0x9004: "2023:06:15 20:47:12", 0x9010: "+08:00"})
    photo.update(
        {0x9011: "+08:00", 0x9012: "+08:00", 0x9291: "250", 0xA001: 1, 0xA002: size[0], 0xA003: size[1]}
    )
    photo[0xA434] = "MR 35mm F2"
    exif.get_ifd(0x8825).update(
        {
            0: b"\2\3\0\0",
            1: "N",
            2: (27.0, 42.0, 10.8),
            3: "E",
            4: (100.0, 46.0, 30.0),
            5: b"\0",
            6: 2690.0,
        }
    )
    return exif


if __name__ == "__main__":
    main(sys.argv[1:])
