"""The report over the library: what is on it, and that a batch's run has one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mirror_realm.cli.app import run as realm
from mirror_realm.core.references import local_path
from mirror_realm.core.settings import settings
from mirror_realm.deployments.run import run_workflow
from mirror_realm.flows.media_report import media_report, stored_report
from mirror_realm.store import Store
from mirror_realm.store.media_people import NewFace
from tests import photos

DEFINITION = """
name: library
nodes:
  - {node_id: prepare, type: image/preprocess, parameters: {format: jpeg, max_size: 64x64}}
  - {node_id: analyze, type: ai/image-analyze}
  - {node_id: keep, type: storage/minio, parameters: {bucket: photos, path_template: "{filename}"}}
edges:
  - {source: prepare, target: analyze}
  - {source: analyze, target: keep}
"""


@pytest.fixture
async def library(tmp_path, home):
    """Two photos archived, and the path of each."""
    (tmp_path / "flow.yaml").write_text(DEFINITION, encoding="utf-8")
    first = photos.photo(tmp_path / "照片 1.jpg", orientation=6)
    second = photos.photo(tmp_path / "<b>two.png", size=(200, 100))
    for path in (first, second):
        done = await run_workflow(tmp_path / "flow.yaml", input={"file_path": str(path)}, engine="local")
        assert done["status"] == "completed"
    return first, second


async def test_a_page_with_before_after_tags_scores_and_faces(library, home):
    with Store.open(settings().database) as store:
        original = next(one for one in store.media.list(limit=9) if one.path == str(library[0]))
        store.media.add_tags(original.id, [("subject", "湖", 0.9, "clip")])
        face = NewFace(
            sha256="a" * 64, source_sha256=original.sha256, detector="test", ordinal=0, x=0.1, y=0.2, width=0.3,
            height=0.4, confidence=0.9, vector=b"\0\0\0\0" * 4, name="照片 1.jpg",
        )  # fmt: skip
        (seen,) = store.people.record("m", [face])
        store.people.rename(str(seen.person_id), "Wang & Li")
        made = media_report(store, settings(), title="一批")
    assert (made.pictures, made.html.count("<article>"), made.html.count("data:image/jpeg")) == (2, 2, 6)
    assert "same-picture" in made.html, "both photos show the same scene"
    for part in (
        "照片 1.jpg",
        "&lt;b&gt;two.png",
        "湖",
        "Wang &amp; Li",
        "quality",
        "left:10.00%",
        "archived",
    ):
        assert part in made.html, part
    assert "<b>two" not in made.html


async def test_copies_are_groups(library, tmp_path, home):
    copy = tmp_path / "copy.jpg"
    copy.write_bytes(library[0].read_bytes())
    await run_workflow(tmp_path / "flow.yaml", input={"file_path": str(copy)}, engine="local")
    with Store.open(settings().database) as store:
        made = media_report(store, settings(), title="t")
    assert (made.pictures, made.groups) == (3, 1)
    assert "exact, 100.0% alike" in made.html


async def test_since_contents_and_files_that_are_gone(library, home):
    with Store.open(settings().database) as store:
        assert (
            media_report(store, settings(), title="t", since=datetime.now(UTC) + timedelta(hours=1)).pictures
            == 0
        )
        one = store.media.list(limit=1)[0]
        sha256 = store.media.get(one.original_id).sha256 if one.original_id else one.sha256
        assert media_report(store, settings(), title="t", contents=[sha256]).pictures == 1
        library[0].unlink()
        assert "class=gone" in media_report(store, settings(), title="t").html


async def test_the_command_writes_one_file(library, tmp_path, home, capsys):
    target = tmp_path / "out" / "报告.html"
    assert realm(["media", "report", "--output", str(target)]) == 1
    assert "--output" in capsys.readouterr().err
    target.parent.mkdir()
    assert realm(["media", "report", "--since", "1h", "--output", str(target)]) == 0
    assert str(target) in capsys.readouterr().out
    assert target.read_text(encoding="utf-8").count("<article>") == 2
    assert list(target.parent.iterdir()) == [target]
    assert realm(["media", "report", "--since", "yesterday"]) == 1
    assert "2026-11-21" in capsys.readouterr().err


async def test_the_artifact_of_a_run_is_a_page_in_the_store(library, home):
    with Store.open(settings().database) as store:
        contents = [one.sha256 for one in store.media.list(limit=9)]
        uri = stored_report(store, settings(), contents, "run")
    page = Path(local_path(uri))
    assert page.suffix == ".html"
    assert page.read_text(encoding="utf-8").count("<article>") == 2
