"""Make the samples of the examples: a 16-bit photograph, a film, a report, two pictures for the copyright gate.

    python -m examples.make_samples        # from the root of the repository; writes into the examples' folders

All are painted by arithmetic or written by hand, so nobody's privacy or copyright is in them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from PIL import Image

from examples.make_sample_photo import picture
from mirror_realm.tasks.imaging.colour import srgb_profile
from mirror_realm.tasks.imaging.tiff import write_tiff
from tests.documents import pdf
from tests.photo_metadata import exif

HERE = Path(__file__).parent
RATE = 24

XMP = """<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""
 xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
 xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" xmp:Rating="5" photoshop:City="Mirror Lake">
<dc:title><rdf:Alt><rdf:li xml:lang="x-default">Evening at the lake 镜湖之夜</rdf:li></rdf:Alt></dc:title>
<dc:creator><rdf:Seq><rdf:li>Li Lei</rdf:li></rdf:Seq></dc:creator>
<dc:rights><rdf:Alt><rdf:li xml:lang="x-default">© 2023 Li Lei</rdf:li></rdf:Alt></dc:rights>
<dc:subject><rdf:Bag><rdf:li>lake</rdf:li><rdf:li>mountains</rdf:li><rdf:li>湖</rdf:li></rdf:Bag></dc:subject>
</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>"""

PAGES = [
    "Quarterly report 季度报告\n\nMirror Realm processed 1,204,331 photos.\n镜界处理了一百二十万张照片。\n\n"
    "1. Figures\n2. Outlook",
    "1. Figures\n\nPhotos a day: 13,381\nRuns that failed: 0.2 %\nRuns that were resumed: 41",
    "2. Outlook\n\nFilms and documents go the same way:\na definition, a flow, an archive.\n文档与视频走同一条路。",
]


def main() -> None:
    """Write every sample."""
    lake = picture()
    deep_photo(lake, HERE / "professional-photo-processing" / "sample.tif")
    film(lake, HERE / "video-thumbnail-generation" / "sample.mp4")
    report = HERE / "document-processing-pipeline" / "sample.pdf"
    pdf(report, PAGES, title="Quarterly report 季度报告", size=(420, 595))
    gate = HERE / "copyright-gate"
    lake.resize((600, 800), Image.Resampling.LANCZOS).save(gate / "lake.jpg", quality=82)
    own(gate / "own.jpg")
    print("written; their expected.json may have to follow")


def deep_photo(image: Image.Image, path: Path) -> None:
    """A 16-bit TIFF with EXIF, XMP and a colour profile, as a raw developer writes it."""
    wide = np.asarray(image.convert("RGB").resize((360, 480), Image.Resampling.LANCZOS)).astype(np.float32)
    smooth = np.clip(wide + np.linspace(-0.4, 0.4, wide.shape[1])[None, :, None], 0, 255)
    # Three bits below 8 suffice to be deep, and compress.
    array = (np.rint(smooth * 8) * (65535 / (255 * 8))).astype(np.uint16)
    block = exif(1, size=(360, 480), captured="2023:06:15 19:42:10", offset=None)
    write_tiff(path, array, exif=block, icc=srgb_profile(), xmp=XMP.encode(), dpi=(300, 300))


def film(image: Image.Image, path: Path) -> None:
    """Eight seconds held upright by a phone: out of the black, a slow pan over the lake, and into the black."""
    with av.open(str(path), "w") as output:
        output.metadata["title"] = "Mirror lake 镜湖"
        stream = output.add_stream("libx264", rate=RATE, options={"crf": "30", "preset": "slow"})
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        stream.set_display_rotation(-90)
        for picture in _pan(image):
            stored = np.ascontiguousarray(np.rot90(picture))
            for packet in stream.encode(av.VideoFrame.from_ndarray(stored, format="rgb24")):
                output.mux(packet)
        for packet in stream.encode():
            output.mux(packet)


def _pan(image: Image.Image) -> Iterator[np.ndarray]:
    base = image.convert("RGB").resize((270, 360), Image.Resampling.LANCZOS)
    count = 8 * RATE
    for index in range(count):
        left, top = round(30 * index / count), round(40 * (1 - index / count))
        light = min(1.0, index / RATE, (count - 1 - index) / RATE)
        yield (np.asarray(base.crop((left, top, left + 240, top + 320))) * light).astype(np.uint8)


def own(path: Path) -> None:
    """A picture that nobody has registered."""
    y, x = np.mgrid[0:480, 0:640] / 480
    rings = np.sin(28 * np.hypot(x - 0.4, y - 0.6)) * np.cos(9 * (x + y))
    colours = np.stack([150 + 90 * rings, 120 + 70 * np.roll(rings, 60, 1), 160 - 80 * rings], axis=-1)
    Image.fromarray(np.clip(colours, 0, 255).astype(np.uint8)).save(path, quality=85)


if __name__ == "__main__":
    main()
