"""media/probe and media/video-thumbnail on films made for the purpose."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from threading import Event

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from mirror_realm.core.errors import Code, RealmError
from mirror_realm.core.references import local_path
from mirror_realm.tasks.media import media_probe, media_video_thumbnail, tonemap
from tests import documents, films, photos
from tests.photo_context import context_in, run

GREY = np.full((120, 160, 3), 128, np.uint8)
BLACK = np.zeros((120, 160, 3), np.uint8)


@pytest.fixture
def context(tmp_path):
    return context_in(tmp_path)


def opened(reference) -> Image.Image:
    image = Image.open(local_path(reference.uri))
    image.load()
    return image.convert("RGB")


def corners(reference) -> dict[str, tuple[int, ...]]:
    return photos.corners(np.asarray(opened(reference)))


def shows_the_scene(reference, tolerance: int = 25) -> None:
    assert corners(reference) == {c: pytest.approx(v, abs=tolerance) for c, v in photos.CORNERS.items()}


# -- probe ------------------------------------------------------------------------------------------------


def test_a_film(tmp_path, context):
    path = films.film(tmp_path / "电影.mp4", sound=True, title="镜湖", rotation=90, aspect=Fraction(3, 2))
    output = run(media_probe, context, path)
    assert (output.kind, output.media_type) == ("video", "video/mp4")
    assert output.duration == pytest.approx(3, abs=0.1)
    assert (output.width, output.height, output.rotation) == (120, 240, 90)
    assert (output.video_codec, output.audio_codec, output.frame_rate) == ("h264", "aac", films.RATE)
    assert output.tags["title"] == "镜湖"
    assert [s.type for s in output.streams] == ["video", "audio"]
    assert (output.streams[1].sample_rate, output.streams[1].channels) == (44_100, 1)
    assert output.file.name == "电影.mp4"
    assert output.original.sha256 == output.file.sha256
    again = run(media_probe, context, {"file": output.file.model_dump()})
    assert again.original is None
    assert again.streams == output.streams


@pytest.mark.parametrize(
    ("suffix", "codec", "media_type"),
    [
        (".mov", "libx264", "video/mp4"),
        (".mkv", "libx264", "video/x-matroska"),
        (".webm", "libvpx-vp9", "video/x-matroska"),
        (".avi", "mpeg4", "video/x-msvideo"),
        (".ts", "libx264", "video/mp2t"),
        (".mpg", "mpeg2video", "video/mpeg"),
        (".flv", "libx264", "video/x-flv"),
    ],
)
def test_containers_are_known_by_their_content(tmp_path, context, suffix, codec, media_type):
    path = films.film(tmp_path / f"a{suffix}", codec=codec, seconds=1)
    path = path.rename(tmp_path / "named-wrongly.jpg")
    output = run(media_probe, context, path)
    assert (output.kind, output.media_type) == ("video", media_type)
    assert (output.width, output.height) == (160, 120)
    thumbnail = run(media_video_thumbnail, context, path, candidates=2)
    shows_the_scene(thumbnail.image, 30)


@pytest.mark.parametrize("suffix", [".wav", ".mp3", ".flac", ".m4a", ".aac"])
def test_recordings(tmp_path, context, suffix):
    output = run(media_probe, context, films.recording(tmp_path / f"a{suffix}"))
    assert output.kind == "audio"
    assert output.media_type.startswith("audio/")
    assert (output.streams[0].sample_rate, output.width) == (44_100, None)
    with pytest.raises(RealmError, match="without pictures") as caught:
        run(media_video_thumbnail, context, tmp_path / f"a{suffix}")
    assert caught.value.code is Code.UNSUPPORTED_FILE_TYPE


def test_a_picture(tmp_path, context):
    output = run(media_probe, context, photos.photo(tmp_path / "a.heic", orientation=6))
    assert (output.kind, output.format, output.width, output.height) == ("image", "heic", *photos.SIZE)
    assert (output.orientation, output.rotation, output.frames) == (6, 90, 1)
    assert (output.image.width, output.image.sha256) == (photos.SIZE[0], output.file.sha256)
    assert output.image.captured_at is not None


def test_documents(tmp_path, context):
    output = run(media_probe, context, documents.pdf(tmp_path / "a.pdf", ["x", "y"], title="报告"))
    assert (output.kind, output.pages, output.page_width, output.tags["title"]) == (
        "document",
        2,
        200,
        "报告",
    )
    locked = run(media_probe, context, documents.pdf(tmp_path / "b.pdf", ["x"], password="horse"))
    assert (locked.locked, locked.pages) == (True, None)
    (tmp_path / "a.md").write_text("# 镜界", encoding="utf-8")
    assert run(media_probe, context, tmp_path / "a.md").media_type == "text/markdown"


def test_anything_else_is_other_unless_that_is_not_accepted(tmp_path, context):
    (tmp_path / "a.bin").write_bytes(b"\x7fELF" + bytes(100))
    assert run(media_probe, context, tmp_path / "a.bin").kind == "other"
    with pytest.raises(RealmError, match="a program") as caught:
        run(media_probe, context, tmp_path / "a.bin", accept=["image", "video"])
    assert caught.value.code is Code.UNSUPPORTED_FILE_TYPE


@pytest.mark.parametrize(
    "text",
    [
        "Good morning " * 40,
        "The wide road",
        "FORM OF A LETTER",
        "RIFF RAFF AVI",
        "ID3 is a tag",
        "镜界" * 200,
    ],
)
def test_no_text_is_taken_for_a_film(tmp_path, context, text):
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    assert run(media_probe, context, tmp_path / "a.txt").format == "text"


PLAYLISTS = [
    "#EXTM3U\n#EXTINF:10,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n",
    "ffconcat version 1.0\nfile /etc/hostname\n",
    '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>',
]


@pytest.mark.parametrize("content", PLAYLISTS)
def test_a_playlist_is_a_text(tmp_path, context, content):
    (tmp_path / "a.mp4").write_text(content, encoding="utf-8")
    assert run(media_probe, context, tmp_path / "a.mp4").kind == "document"
    with pytest.raises(RealmError) as caught:
        run(media_video_thumbnail, context, tmp_path / "a.mp4")
    assert caught.value.code is Code.UNSUPPORTED_FILE_TYPE


# -- video-thumbnail --------------------------------------------------------------------------------------


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_every_turn_comes_out_upright(tmp_path, context, rotation):
    stored = np.rot90(photos.scene(160, 120), rotation // 90)
    path = films.film(tmp_path / "a.mp4", [stored], rotation=rotation, seconds=1)
    output = run(media_video_thumbnail, context, path)
    assert (output.width, output.height, output.rotation) == (160, 120, rotation)
    shows_the_scene(output.image)
    assert output.image.source_sha256 == output.file.sha256 == output.original.sha256


def test_pixels_that_are_not_square(tmp_path, context):
    output = run(
        media_video_thumbnail, context, films.film(tmp_path / "a.mp4", aspect=Fraction(2, 1), seconds=1)
    )
    assert (output.width, output.height) == (320, 120)
    shows_the_scene(output.image)


def test_the_chosen_frame_is_of_the_film_and_not_of_its_black(tmp_path, context):
    detail = photos.detailed(160, 120)
    path = films.film(tmp_path / "a.mp4", [BLACK, GREY, detail, BLACK], seconds=8)
    output = run(media_video_thumbnail, context, path)
    assert 4 <= output.time < 6
    assert np.asarray(opened(output.image)).std() > 20
    assert {c.score for c in output.candidates if c.time < 1.9} == {0.0}
    assert output.scenes == 4
    assert output.duration == pytest.approx(8, abs=0.2)


def test_of_two_scenes_the_longer_one_stands_for_the_film(tmp_path, context):
    long, short = photos.scene(160, 120), 255 - photos.scene(160, 120)
    path = films.film(tmp_path / "a.mp4", [short, long, long, long, long], seconds=5)
    output = run(media_video_thumbnail, context, path)
    assert output.scenes == 2
    shows_the_scene(output.image)


@pytest.mark.parametrize(("at", "time"), [("50%", 1.5), ("00:00:02", 2.0), (0.5, 0.5), ("1s", 1.0)])
def test_a_moment_may_be_named(tmp_path, context, at, time):
    shades = [np.full((120, 160, 3), 8 * i, np.uint8) for i in range(30)]
    output = run(media_video_thumbnail, context, films.film(tmp_path / "a.mp4", shades), at=at)
    assert output.time == pytest.approx(time, abs=0.051)
    assert opened(output.image).getpixel((80, 60))[0] == pytest.approx(80 * time, abs=10)
    assert output.candidates == []


def test_moments_that_make_no_sense(tmp_path, context):
    path = films.film(tmp_path / "a.mp4", seconds=1)
    for at in ("soon", "200%"):
        with pytest.raises(ValidationError, match="no moment"):
            run(media_video_thumbnail, context, path, at=at)
    with pytest.raises(RealmError) as caught:
        run(media_video_thumbnail, context, path, at=60)
    assert caught.value.code is Code.OUT_OF_RANGE


def test_a_strip(tmp_path, context):
    colours = [np.full((120, 160, 3), c, np.uint8) for c in ((200, 0, 0), (0, 200, 0), (0, 0, 200))]
    path = films.film(tmp_path / "a.mp4", colours)
    output = run(media_video_thumbnail, context, path, strip_frames=6, strip_columns=4, strip_size=80)
    assert (output.strip.width, output.strip.height) == (320, 120)
    assert len(output.strip_times) == 6
    assert output.files == [output.image, output.strip]
    strip = opened(output.strip)
    found = [np.argmax(strip.getpixel((40 + 80 * (i % 4), 30 + 60 * (i // 4)))) for i in range(6)]
    assert found == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.avi", "a.flv"])
@pytest.mark.parametrize("gop", [1, 7, 250])
def test_every_frame_is_found_wherever_the_key_frames_are(tmp_path, context, name, gop):
    def shade(index: int) -> np.ndarray:
        return np.full((32, 48, 3), 10 + 6 * index, np.uint8)

    codec = "mpeg4" if name.endswith("avi") else "libx264"
    path = films.film(tmp_path / name, shade, seconds=4, codec=codec, options={"g": str(gop)})
    output = run(
        media_video_thumbnail, context, path, strip_frames=10, strip_columns=10, strip_size=48, format="png"
    )
    strip = np.asarray(opened(output.strip))[16, 24::48, 1]
    assert strip.tolist() == [pytest.approx(10 + 60 * time, abs=7) for time in output.strip_times]
    assert output.strip_times == sorted(set(output.strip_times))
    assert output.strip_times[-1] == pytest.approx(3.8, abs=0.11)


def test_the_box_and_the_format(tmp_path, context):
    path = films.film(tmp_path / "a.mkv", seconds=1)
    output = run(media_video_thumbnail, context, path, max_size=64, format="webp")
    assert (output.width, output.height, output.image.media_type) == (64, 48, "image/webp")


def hdr_film(path, transfer: int, levels: list[float]):
    """Vertical bars of these levels (0–1), neutral; the codec keeps every bit."""
    bars = np.repeat(np.array(levels), 160 // len(levels))
    picture = np.round(np.broadcast_to(bars[None, :, None], (120, len(bars), 3)) * 65535).astype(np.uint16)
    return films.film(path, [picture], transfer=transfer, codec="ffv1", seconds=0.5)


@pytest.mark.parametrize(("transfer", "name"), [(16, "pq"), (18, "hlg")])
def test_hdr_is_brought_into_a_screens_range(tmp_path, context, transfer, name):
    white = float(tonemap.light_to_pq(np.array([tonemap.WHITE]))[0]) if name == "pq" else 0.75
    path = hdr_film(tmp_path / "a.mkv", transfer, [0.0, 0.3, white, 1.0])
    assert run(media_probe, context, path).hdr == name
    output = run(media_video_thumbnail, context, path, format="png")
    assert output.hdr == name
    row = np.asarray(opened(output.image))[60, 20::40].astype(int)
    assert row.std(axis=1).max() < 2, "neutral stays neutral"
    dark, middle, paper, peak = row[:, 1]
    assert dark <= 2
    assert 20 < middle < paper
    assert 200 < paper < 245
    assert peak >= 253


def test_the_curves_are_those_of_the_standards():
    light = np.array([0.0, 0.1, 1.0, 100.0, 203.0, 1000.0, 10_000.0])
    values = tonemap.light_to_pq(light)
    assert values[[3, 5, 6]] == pytest.approx([0.5081, 0.7518, 1.0], abs=1e-4)
    assert tonemap.pq_to_light(values) == pytest.approx(light, rel=1e-5, abs=1e-4)
    white = tonemap.hlg_to_light(np.full((1, 1, 3), 0.75))
    assert white == pytest.approx(203, abs=1)
    rolled = tonemap.rolled_off(np.linspace(0, 1000, 400))
    assert (np.diff(rolled) > 0).all()
    assert rolled[-1] == pytest.approx(tonemap.WHITE, rel=1e-3)
    assert rolled[10] == pytest.approx(np.linspace(0, 1000, 400)[10], rel=1e-3)


# -- faults -----------------------------------------------------------------------------------------------


def test_a_film_that_is_cut_short_still_gives_what_is_there(tmp_path, context):
    path = films.film(tmp_path / "a.ts", seconds=3)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    shows_the_scene(run(media_video_thumbnail, context, path).image, 30)


def test_damage(tmp_path, context):
    path = films.film(tmp_path / "a.mp4", seconds=1)
    whole = path.read_bytes()
    index = whole.index(b"moov")
    for content in (b"", whole[: index - 4], whole[:60]):
        path.write_bytes(content)
        for node in (media_probe, media_video_thumbnail):
            with pytest.raises(RealmError) as caught:
                run(node, context, path)
            assert caught.value.code is Code.DATA_CORRUPTED
    noise = bytearray(whole)
    start = whole.index(b"mdat") + 4
    noise[start : index - 8] = bytes(len(noise[start : index - 8]))
    path.write_bytes(noise)
    with pytest.raises(RealmError, match="no frame") as caught:
        run(media_video_thumbnail, context, path)
    assert caught.value.code is Code.DATA_CORRUPTED


def test_a_codec_that_nobody_knows(tmp_path, context):
    path = films.film(tmp_path / "a.mp4", seconds=1)
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz"))
    assert run(media_probe, context, path).streams[0].codec == "unknown"
    with pytest.raises(RealmError) as caught:
        run(media_video_thumbnail, context, path)
    assert caught.value.code is Code.UNSUPPORTED_FILE_TYPE


def test_frames_that_are_too_large(tmp_path):
    path = films.film(tmp_path / "a.mp4", seconds=1)
    small = context_in(tmp_path, limits={"max_pixels": 1000})
    for node in (media_probe, media_video_thumbnail):
        with pytest.raises(RealmError) as caught:
            run(node, small, path)
        assert caught.value.code is Code.OUT_OF_RANGE


def test_a_cancelled_attempt_ends(tmp_path):
    canceled = Event()
    canceled.set()
    path = films.film(tmp_path / "a.mp4", seconds=1)
    with pytest.raises(RealmError) as caught:
        run(media_video_thumbnail, context_in(tmp_path, canceled=canceled), path)
    assert caught.value.code is Code.CANCELLED


def test_progress_only_grows(tmp_path):
    seen: list[float] = []
    context = context_in(tmp_path, report=lambda fraction, message: seen.append(fraction))
    run(media_video_thumbnail, context, films.film(tmp_path / "a.mp4"), strip_frames=4)
    assert seen == sorted(seen)
    assert len(seen) > 10


def test_declaring_is_light_and_the_way_out_is_said(tmp_path):
    heavy = ["av", "PIL", "numpy", "cv2", "pypdfium2"]
    code = f"import sys, mirror_realm.tasks.media; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    code = (
        "import sys; sys.modules['av'] = None; from pathlib import Path\n"
        "from mirror_realm.tasks.kinds import FileKind\n"
        "from mirror_realm.tasks.media.containers import open_container\n"
        "try:\n    open_container(Path('a'), FileKind('moving', 'mov', '', ''), 'a').__enter__()\n"
        "except Exception as e: print(e.code, e.hint)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "DEPENDENCY_FAILURE install it with: pip install 'mirror-realm[media]'\n"
