"""Nothing twice: a folder that was processed is not processed again, whatever its files are called by then."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from PIL import Image

from mirror_realm.core.settings import settings
from mirror_realm.deployments.run import run_workflow
from mirror_realm.flows.runners import ThreadRunner
from mirror_realm.flows.stages import weights_signature
from mirror_realm.store import Store
from tests import photos

DEFINITION = """
name: library
nodes:
  - {node_id: prepare, type: image/preprocess, parameters: {format: jpeg, max_size: 64x64}}
  - {node_id: enhance, type: ai/image-enhance, parameters: {backend: classical}}
  - {node_id: analyze, type: ai/image-analyze}
  - {node_id: keep, type: storage/minio, parameters: {bucket: photos, path_template: "{filename}"}}
edges:
  - {source: prepare, target: enhance}
  - {source: enhance, target: analyze}
  - {source: analyze, target: keep}
"""
NODES = ("prepare", "enhance", "analyze", "keep")
PHOTOS = 30


@pytest.fixture
def folder(tmp_path):
    """Thirty different photos."""
    place = tmp_path / "照片"
    place.mkdir()
    generator = np.random.default_rng(3)
    for number in range(PHOTOS):
        pixels = generator.integers(0, 256, (24, 36, 3), np.uint8)
        Image.fromarray(pixels).save(place / f"{number:02}.jpg")
    return place


@pytest.fixture
def calls(monkeypatch):
    """Every call that reached an executor."""
    seen = []
    real = ThreadRunner.run

    async def run(self, call, *args, **options):
        seen.append((call.node_id, call.input.get("file_path")))
        return await real(self, call, *args, **options)

    monkeypatch.setattr(ThreadRunner, "run", run)
    return seen


async def process(tmp_path, files, definition=DEFINITION):
    (tmp_path / "flow.yaml").write_text(definition, encoding="utf-8")
    runs = (
        run_workflow(tmp_path / "flow.yaml", input={"file_path": str(path)}, engine="local") for path in files
    )
    results = await asyncio.gather(*runs)
    assert [one["status"] for one in results] == ["completed"] * len(files)
    return results


async def test_thirty_photos_twice_and_renamed(folder, tmp_path, home, calls):
    first = await process(tmp_path, sorted(folder.iterdir()))
    assert len(calls) == PHOTOS * len(NODES)
    calls.clear()
    again = await process(tmp_path, sorted(folder.iterdir()))
    assert calls == []
    uris = [[r["nodes"][name]["output"]["image"]["uri"] for name in NODES] for r in first]
    assert [[r["nodes"][name]["output"]["image"]["uri"] for name in NODES] for r in again] == uris
    assert not again[0]["nodes"]["keep"]["output"]["created"]
    assert all(again[0]["nodes"][name]["cached"] for name in NODES)

    for path in sorted(folder.iterdir()):
        path.rename(path.with_name(f"改名 {path.name}"))
    renamed = await process(tmp_path, sorted(folder.iterdir()))
    assert calls == []
    found = renamed[0]["nodes"]["prepare"]["output"]["original"]
    assert (found["name"], found["file_path"]) == ("改名 00.jpg", str(folder / "改名 00.jpg"))
    with Store.open(settings().database) as store:
        archived = [one for one in store.media.list(limit=500) if one.original_id is not None]
        assert len(archived) == PHOTOS
        moved = next(one for one in store.media.list(limit=500) if one.filename == "改名 00.jpg")
        assert moved.status == "archived"
        assert store.media.tasks(moved.id) == [], "no step was made"


async def test_what_changed_is_done_again_and_only_that(tmp_path, home, calls):
    photo = photos.photo(tmp_path / "a.jpg")
    await process(tmp_path, [photo])
    calls.clear()
    await process(tmp_path, [photo], DEFINITION.replace("bucket: photos", "bucket: others"))
    assert [node for node, _ in calls] == ["keep"]
    calls.clear()
    await process(tmp_path, [photos.photo(photo, size=(90, 50))])
    assert len(calls) == len(NODES)
    calls.clear()
    models = settings().model_folder
    models.mkdir(parents=True, exist_ok=True)
    (models / "new.pth").write_bytes(b"weights")
    await process(tmp_path, [photo])
    assert [node for node, _ in calls] == ["enhance", "analyze"]


async def test_what_is_gone_is_made_again(tmp_path, home, calls):
    photo = photos.photo(tmp_path / "a.jpg")
    (first,) = await process(tmp_path, [photo])
    archived = next((settings().object_folder / "photos").rglob("a.jpg"))
    archived.unlink()
    calls.clear()
    await process(tmp_path, [photo])
    assert [node for node, _ in calls] == ["keep"]
    assert archived.is_file()
    assert first["nodes"]["keep"]["output"]["created"]


async def test_a_result_that_lacks_something_is_not_kept(tmp_path, home, calls):
    photo = photos.photo(tmp_path / "a.jpg")
    definition = DEFINITION.replace("backend: classical", "fallback: classical")
    (first,) = await process(tmp_path, [photo], definition)
    assert first["nodes"]["enhance"]["output"]["degraded"]
    calls.clear()
    await process(tmp_path, [photo], definition)
    assert [node for node, _ in calls] == ["enhance"]


async def test_it_can_be_switched_off(tmp_path, home, calls, monkeypatch):
    monkeypatch.setenv("MIRROR_REALM_REUSE", "false")
    settings.cache_clear()
    photo = photos.photo(tmp_path / "a.jpg")
    await process(tmp_path, [photo])
    await process(tmp_path, [photo])
    assert len(calls) == 2 * len(NODES)


def test_weights_are_told_apart_at_a_glance(tmp_path):
    before = weights_signature(tmp_path / "none")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "a.pth").write_bytes(b"a")
    assert weights_signature(tmp_path) != before
    assert weights_signature(tmp_path / "none", str(tmp_path / "own" / "a.pth")) != before
