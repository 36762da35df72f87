"""What a finished run leaves in the media library, whichever way it ended."""

from pathlib import Path

from mirror_realm.core.settings import settings
from mirror_realm.deployments.run import run_workflow
from mirror_realm.store import Store
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


async def run(folder: Path, photo: Path, definition: str = DEFINITION):
    path = folder / "flow.yaml"
    path.write_text(definition, encoding="utf-8")
    return await run_workflow(path, input={"file_path": str(photo)}, engine="local")


async def test_original_processed_steps_and_tags(tmp_path, home):
    photo = photos.photo(tmp_path / "照片 1.jpg", orientation=6)
    result = await run(tmp_path, photo)
    assert result["status"] == "completed"
    with Store.open(settings().database) as store:
        (original,) = store.media.list(sha256=result["nodes"]["prepare"]["output"]["original"]["sha256"])
        assert (original.filename, original.path, original.status) == ("照片 1.jpg", str(photo), "archived")
        (made,) = store.media.list(original_id=original.id)
        assert made.path == result["nodes"]["keep"]["output"]["uri"]
        assert made.ai_analysis["quality_score"] == result["nodes"]["analyze"]["output"]["quality_score"]
        assert [(t.task_type, t.status) for t in store.media.tasks(original.id)] == [
            ("image/preprocess", "completed"), ("ai/image-analyze", "completed"), ("storage/minio", "completed"),
        ]  # fmt: skip
        shown = {tag["tag"] for tag in result["nodes"]["analyze"]["output"]["tags"]}
        assert {tag.tag_value for tag in store.media.tags(original.id)} == shown


async def test_the_same_photo_again_is_the_same_file(tmp_path, home):
    photo = photos.photo(tmp_path / "a.jpg")
    await run(tmp_path, photo)
    again = await run(tmp_path, photo)
    assert again["nodes"]["keep"]["output"]["created"] is False
    with Store.open(settings().database) as store:
        assert len(store.media.list(limit=100)) == 2


async def test_a_run_that_failed_on_the_way_marks_its_original(tmp_path, home):
    photo = photos.photo(tmp_path / "a.jpg")
    broken = DEFINITION.replace(
        "type: ai/image-analyze}", "type: script/python, parameters: {function: 'no:where'}}"
    )
    result = await run(tmp_path, photo, broken)
    assert result["status"] == "failed"
    with Store.open(settings().database) as store:
        (original,) = store.media.list(limit=100)
        assert original.status == "failed"


async def test_a_run_without_pictures_leaves_nothing(tmp_path, home):
    (tmp_path / "flow.yaml").write_text(
        "name: x\nnodes:\n  - {node_id: s, type: control/set, parameters: {values: {a: 1}}}\n"
    )
    await run_workflow(tmp_path / "flow.yaml", engine="local")
    with Store.open(settings().database) as store:
        assert store.media.list(limit=100) == []
