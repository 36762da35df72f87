"""Path templates: every name comes out safe, short and recognisable."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror_realm.core.errors import RealmError
from mirror_realm.core.references import FileRef, ImageRef
from mirror_realm.tasks.path_template import check_template, expand, safe_segment, with_suffix

NOW = datetime(2026, 11, 21, 10, 30, tzinfo=UTC)


def file(name: str, media_type: str = "application/octet-stream") -> FileRef:
    return FileRef(uri="file:///x", sha256="0123456789abcdef" * 4, size=1, name=name, media_type=media_type)


def image(name: str, captured_at: datetime | None = None, media_type: str = "image/jpeg") -> ImageRef:
    return ImageRef(
        **{**file(name).model_dump(), "media_type": media_type}, width=30, height=20, captured_at=captured_at
    )


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("year={year}/month={month}/{filename}", "year=2026/month=11/IMG.jpg"),
        ("{year}-{month}-{day}T{hour}/{stem}.{ext}", "2026-11-21T10/IMG.jpg"),
        ("{sha8}/{sha256}", "01234567/" + "0123456789abcdef" * 4),
        ("{width}x{height}/{name}", "30x20/IMG.jpg"),
        ("a//b/{filename}", "a/b/IMG.jpg"),
    ],
)
def test_fields(template, expected):
    assert expand(template, image("IMG.jpg"), now=NOW) == expected


def test_the_cameras_clock_decides_the_year():
    new_year = datetime(2024, 1, 1, 0, 30, tzinfo=timezone(timedelta(hours=8)))
    assert expand("{year}", image("a.jpg", new_year), now=NOW) == "2024"
    assert expand("{year}", image("a.jpg", new_year.replace(tzinfo=None)), now=NOW) == "2024"


@pytest.mark.parametrize(
    ("name", "media_type", "expected"),
    [
        ("IMG_1.HEIC", "image/jpeg", "IMG_1.jpg"),
        ("IMG_1.JPEG", "image/jpeg", "IMG_1.JPEG"),
        ("scan", "image/png", "scan.png"),
        ("notes.md", "text/markdown", "notes.md"),
        ("C:\\photos\\a.jpg", "image/jpeg", "a.jpg"),
    ],
)
def test_an_images_extension_says_what_it_is(name, media_type, expected):
    assert expand("{filename}", image(name, media_type=media_type)) == expected


@pytest.mark.parametrize(
    "template", ["{nodes}", "../{filename}", "/{filename}", "a/{filename", "a}", "a/", "", "   "]
)
def test_bad_templates_are_refused(template):
    with pytest.raises(ValueError):
        check_template(template)
    with pytest.raises(RealmError, match="INVALID_ARGUMENT"):
        expand(template, file("a"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("..", "_"),
        ("...", "_"),
        ("a/b", "a_b"),
        ("CON", "_CON"),
        ("com1.txt", "_com1.txt"),
        ("a\x00\x1b\u202eb.jpg", "ab.jpg"),
        ("e\u0301.jpg", "é.jpg"),
        ("lone\ud800.jpg", "lone.jpg"),
        ('x:<>"|?*.jpg', "x_______.jpg"),
    ],
)
def test_segments_are_safe(name, expected):
    assert safe_segment(name) == expected


@given(st.text(max_size=400))
def test_any_name_becomes_one_safe_segment(name):
    segment = safe_segment(name)
    assert 0 < len(segment.encode()) <= 255
    assert segment not in (".", "..")
    assert not any(c in '/\\<>:"|?*' or unicodedata.category(c) == "Cc" for c in segment)
    assert not segment.endswith((".", " "))
    assert segment == unicodedata.normalize("NFC", segment)
    assert safe_segment(segment) == segment
    assert len(with_suffix(segment, "01234567").encode()) <= 255


def test_long_names_keep_their_extension_and_stay_different():
    first, second = safe_segment("照" * 200 + "a.jpg"), safe_segment("照" * 200 + "b.jpg")
    assert first != second
    assert first.endswith(".jpg")
    with pytest.raises(RealmError, match="longer than 1024"):
        expand("/".join(["{filename}"] * 6).lstrip("/"), file("x" * 250))
