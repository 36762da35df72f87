"""The contact sheet: complete, readable without a network, and deaf to what its texts try to be."""

from __future__ import annotations

import base64
import io
from html.parser import HTMLParser

import pytest
from PIL import Image

from mirror_realm.core.errors import Code, RealmError
from mirror_realm.tasks.imaging import contact_sheet as sheets
from mirror_realm.tasks.imaging.contact_sheet import contact_sheet
from tests import photos

VOID = {"meta", "img", "br"}
EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


class Page(HTMLParser):
    """The page as a browser's parser sees it: elements with attributes, texts, and whether they are closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"style", "title"} & set(self.open):
            self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return " ".join(self.texts)


def page(records, **options) -> Page:
    parsed = Page(contact_sheet(records, title=options.pop("title", "镜湖"), max_pixels=10**7, **options))
    assert parsed.open == []
    return parsed


def test_before_and_after_with_everything(tmp_path):
    before = photos.photo(tmp_path / "照片.jpg", orientation=6)
    after = photos.photo(tmp_path / "after.png", size=(240, 160))
    record = {
        "name": "照片.jpg",
        "before": before,
        "after": after,
        "facts": {"size": "240 × 160", "taken": None},
        "tags": [("lake", 0.9), ("湖", 0.4)],
        "scores": {"sharpness": 0.875, "noise": float("nan")},
        "faces": [{"x": 0.25, "y": 0.1, "width": 0.9, "height": 0.2, "label": "face-1"}],
        "remarks": ["degraded"],
    }
    found = page([record])
    pictures = found.all("img")
    assert [(i["alt"], i["width"], i["height"]) for i in pictures] == [
        ("照片.jpg", "120", "80"),
        ("after.png", "240", "160"),
    ]
    for one in pictures:
        head, _, data = (one["src"] or "").partition(",")
        assert head == "data:image/jpeg;base64"
        assert Image.open(io.BytesIO(base64.b64decode(data))).size == (int(one["width"]), int(one["height"]))
    for words in (
        "照片.jpg",
        "240 × 160",
        "lake",
        "湖",
        "sharpness",
        "0.88",
        "0.00",
        "degraded",
        "1 picture",
    ):
        assert words in found.text
    assert "taken" not in found.text
    (face,) = found.all("i")
    assert face["style"] == "left:25.00%;top:10.00%;width:75.00%;height:20.00%"
    assert face["title"] == "face-1"


def test_texts_are_texts(tmp_path):
    evil_name = tmp_path / "x onerror=alert(1) '.jpg"
    photos.photo(evil_name)
    record = {
        "name": EVIL, "before": evil_name, "facts": {EVIL: EVIL}, "tags": [(EVIL, 1)], "scores": {EVIL: 1},
        "faces": [{"x": "expression(alert(1))", "label": EVIL}], "remarks": [EVIL],
    }  # fmt: skip
    copies = [{"title": EVIL, "pictures": [{"name": EVIL, "verdict": EVIL, "similarity": EVIL}]}]
    found = page([record], title=EVIL, groups=copies)
    assert {tag for tag, _ in found.elements} & {
        "script",
        "iframe",
        "object",
        "link",
        "base",
        "form",
    } == set()
    assert not [a for _, attributes in found.elements for a in attributes if a.startswith("on")]
    assert all((image["src"] or "").startswith("data:image/jpeg;base64,") for image in found.all("img"))
    assert "alert(1)" in found.text
    assert all("alert" not in (attributes.get("style") or "") for _, attributes in found.elements)
    policy = next(m["content"] or "" for m in found.all("meta") if "http-equiv" in m)
    assert "default-src 'none'" in policy


def test_nothing_is_loaded_from_anywhere(tmp_path):
    html = contact_sheet(
        [{"name": "a", "before": photos.photo(tmp_path / "a.jpg")}], title="a", max_pixels=10**6
    )
    assert "http://" not in html
    assert "https://" not in html
    assert "url(" not in html


def test_groups_of_copies(tmp_path):
    path = photos.photo(tmp_path / "a.jpg")
    pictures = [
        {"name": "a.jpg", "path": path},
        {"name": "b.jpg", "path": path, "verdict": "same-picture", "similarity": 0.96875},
    ]
    found = page([], groups=[{"title": "dup-1", "pictures": pictures}])
    assert "1 group of copies" in found.text
    assert "keep" in found.text
    assert "same-picture, 96.9% alike" in found.text
    assert len(found.all("img")) == 2


def test_a_picture_that_cannot_be_read_is_told_so(tmp_path):
    records = [
        {"name": "a", "before": photos.truncated(tmp_path / "a.jpg")},
        {"name": "b", "after": tmp_path / "gone.jpg"},
        {"name": "c", "after": photos.bomb(tmp_path / "c.png")},
        {"name": "d"},
    ]
    found = page(records)
    assert found.all("img") == []
    for words in ("damaged", "No such file", "megapixels", "d"):
        assert words in found.text


def test_lists_are_bounded_and_said_to_be(monkeypatch):
    monkeypatch.setattr(sheets, "MOST_RECORDS", 3)
    found = page([{"name": f"n{i}", "tags": [(f"t{j}", 0.5) for j in range(20)]} for i in range(10)])
    assert len(found.all("article")) == 3
    assert "and 7 more" in found.text
    assert "and 8 more" in found.text
    groups = [{"title": f"g{i}", "pictures": [{"name": "x"}] * 2} for i in range(4)]
    found = page([], groups=groups)
    assert len(found.all("figure")) == 3
    long = page([{"name": "长" * 10_000}])
    assert len(long.text) < 1000


def test_it_can_be_stopped():
    def stop(fraction: float, message: str) -> None:
        raise RealmError(Code.CANCELLED, message)

    with pytest.raises(RealmError):
        contact_sheet([{"name": "a"}], title="a", max_pixels=1, checkpoint=stop)
