"""The photo library, with a model: every photo is found by words, and nothing is embedded twice.

The model is real but tiny, with random weights: that all photos are found is proven, not which comes first.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from mirror_realm.cli.app import run
from mirror_realm.core.settings import settings
from tests import clip_models

EXAMPLE = Path(__file__).parent.parent / "examples" / "photo-library"


@pytest.fixture
def library(tmp_path, monkeypatch, home):
    """A copy of the example, and a model to search with."""
    folder = tmp_path / "照片库"
    shutil.copytree(EXAMPLE, folder)
    monkeypatch.chdir(folder)
    clip_models.make(settings().model_folder)
    return folder


def index(capsys, path: Path) -> dict:
    arguments = ["--input", f"file_path={path}", "--set", "understand.model=tiny"]
    code = run(["run", "workflow.yaml", "--engine", "local", "--json", *arguments])
    result = json.loads(capsys.readouterr().out)
    assert code == 0, result["error"]
    return result


def found(capsys, *arguments: str) -> dict[str, float]:
    assert run(["media", "search", *arguments, "--json"]) == 0
    return {one["name"]: one["similarity"] for one in json.loads(capsys.readouterr().out)}


def test_a_folder_is_found_by_words_and_by_pictures(library, capsys):
    photos = sorted((library / "photos").iterdir())
    assert [index(capsys, photo)["output"]["searchable"] for photo in photos] == [True] * 3
    names = {photo.name for photo in photos}
    assert found(capsys, "red car").keys() == names
    assert len(found(capsys, "red car", "--limit", "1")) == 1
    assert found(capsys, "--image", "photos/car.jpg").keys() == names - {"car.jpg"}

    photos[0].rename(moved := photos[0].with_name("改名.jpg"))
    again = index(capsys, moved)["nodes"]
    assert again["understand"]["output"]["cached"]
    assert again["prepare"]["cached"]
    assert len(found(capsys, "red car")) == 3
    assert run(["media", "report"]) == 0
    assert "改名.jpg" in (library / "media-report.html").read_text(encoding="utf-8")


def test_the_library_is_looked_after_by_night(library, capsys):
    """Photos that were indexed without a model get their vectors; without anything new nothing is done again."""
    for photo in sorted((library / "photos").iterdir()):
        arguments = ["--input", f"file_path={photo}", "--set", "understand.model=ViT-B/32"]
        assert run(["run", "workflow.yaml", "--engine", "local", "--json", *arguments]) == 0
        assert not json.loads(capsys.readouterr().out)["output"]["searchable"]
    (library / "photos" / "lake.jpg").write_bytes(b"gone bad")

    def upkeep() -> dict:
        arguments = ["--set", "index.model=tiny", "--set", "divide.clusters=2"]
        assert run(["run", "upkeep.yaml", "--engine", "local", "--json", *arguments]) == 0
        return json.loads(capsys.readouterr().out)

    first, second = upkeep(), upkeep()
    assert first["output"] == {"embedded": 2, "unreadable": 1, "searchable": 2, "clusters": 1}
    assert second["output"] == {"embedded": 0, "unreadable": 1, "searchable": 2, "clusters": 0}
    assert second["nodes"]["divide"]["status"] == "skipped"
    assert len(found(capsys, "red car")) == 2


def test_a_folder_that_was_there_before_is_taken_in_page_by_page(library, capsys):
    """Every photo once, a damaged one told and left, and nothing done twice when it is started again."""
    (library / "photos" / "再" / "@eaDir").mkdir(parents=True)
    (library / "photos" / "再" / "damaged.jpg").write_bytes(b"\xff\xd8 gone bad")
    (library / "photos" / "再" / "@eaDir" / "thumb.jpg").write_bytes(b"")
    shutil.copy(library / "photos" / "lake.jpg", library / "photos" / "再" / "lake again.jpg")

    def backfill() -> dict:
        arguments = ["--set", "index.model=tiny", "--input", "folder=photos", "--input", "page=2"]
        code = run(["run", "backfill.yaml", "--engine", "local", "--json", *arguments])
        result = json.loads(capsys.readouterr().out)
        assert code == 0, result["error"]
        return result

    first = backfill()
    assert first["output"] == {"photos": 5, "unreadable": 1, "searchable": 3}
    assert first["rounds"]["pages/photos/measure"] == {"completed": 4}
    assert len(found(capsys, "red car")) == 3
    again = backfill()
    assert again["output"] == first["output"]
    assert again["nodes"]["index"]["output"]["embedded"] == 0
    measured = [row for label, row in again["nodes"].items() if label.startswith("pages/photos/measure[")]
    assert len(measured) == 4
    assert all(row["cached"] for row in measured)
