"""What a finished run leaves in the media library, whichever way it ended."""

import json
from pathlib import Path

from mirror_realm.compiler import analyze
from mirror_realm.core.settings import settings
from mirror_realm.deployments.run import run_workflow
from mirror_realm.flows import control
from mirror_realm.flows.media_report import media_report
from mirror_realm.flows.rerun import plan_rerun
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


# -- pictures inside constructs ---------------------------------------------------------------------------

EACH = """
name: folder
nodes:
  - node_id: each
    type: control/foreach
    parameters: {items: "{{ input.photos }}", max_concurrent: 2, on_item_error: collect}
    body:
      nodes:
        - {node_id: prepare, type: image/preprocess, parameters: {format: jpeg, max_size: 64x64}}
        - {node_id: analyze, type: ai/image-analyze}
        - {node_id: keep, type: storage/minio, parameters: {bucket: photos, path_template: "{filename}"}}
      edges:
        - {source: prepare, target: analyze}
        - {source: analyze, target: keep}
"""

FORK = """
name: fork
nodes:
  - {node_id: prepare, type: image/preprocess, parameters: {format: jpeg, max_size: 64x64}}
  - node_id: both
    type: control/parallel
    branches:
      measured:
        nodes:
          - {node_id: analyze, type: ai/image-analyze}
      kept:
        nodes:
          - {node_id: keep, type: storage/minio, parameters: {bucket: photos, path_template: "{filename}"}}
edges:
  - {source: prepare, target: both}
"""


async def run_each(folder: Path, definition: str, photos_given: list[Path], **more):
    path = folder / "flow.yaml"
    path.write_text(definition, encoding="utf-8")
    given = [{"file_path": str(photo)} for photo in photos_given]
    return await run_workflow(path, input={"photos": given, **more}, engine="local")


async def test_each_picture_of_a_foreach_is_in_the_library(tmp_path, home):
    good = [photos.photo(tmp_path / f"{n}.jpg", picture=photos.detailed(90, 70, seed=n)) for n in range(3)]
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(good[0].read_bytes()[:300])
    result = await run_each(tmp_path, EACH, [*good, broken])
    assert result["status"] == "completed"
    with Store.open(settings().database) as store:
        files = store.media.list(limit=100)
        originals = {file.filename: file for file in files if file.original_id is None}
        assert set(originals) == {"0.jpg", "1.jpg", "2.jpg"}, "what cannot be read is not a picture"
        for name, original in originals.items():
            assert (original.path, original.status) == (str(tmp_path / name), "archived")
            (made,) = store.media.list(original_id=original.id)
            assert made.ai_analysis["phash"]
            assert [task.task_type for task in store.media.tasks(original.id)] == [
                "image/preprocess", "ai/image-analyze", "storage/minio",
            ]  # fmt: skip
            assert store.media.tags(original.id)
        report = media_report(store, settings(), title="all")
        assert report.pictures == 3
        assert all(name in report.html for name in originals)


async def test_an_item_that_fails_on_the_way_marks_its_original(tmp_path, home):
    photo = photos.photo(tmp_path / "a.jpg")
    broken = EACH.replace(
        "type: ai/image-analyze}", "type: script/python, parameters: {function: 'no:where'}}"
    )
    await run_each(tmp_path, broken, [photo])
    with Store.open(settings().database) as store:
        (original,) = store.media.list(limit=100)
        assert original.status == "failed"


async def test_branches_write_of_an_original_that_was_found_before_them(tmp_path, home):
    photo = photos.photo(tmp_path / "a.jpg")
    result = await run(tmp_path, photo, FORK)
    assert result["status"] == "completed"
    with Store.open(settings().database) as store:
        (original,) = (file for file in store.media.list(limit=100) if file.original_id is None)
        assert original.status == "archived", "the other branch and the run, which end later, do not undo it"
        steps = sorted(task.task_type for task in store.media.tasks(original.id))
        assert steps == ["ai/image-analyze", "image/preprocess", "storage/minio"], "each once"
        assert store.media.tags(original.id)


async def test_a_run_that_is_carried_on_records_each_step_once(lab, tmp_path):
    """The second photo is broken the first time; mended and retried, the first is not recorded again."""
    first, second = (
        photos.photo(tmp_path / f"{n}.jpg", picture=photos.detailed(90, 70, seed=n)) for n in (1, 2)
    )
    whole = second.read_bytes()
    second.write_bytes(whole[:300])
    given = json.dumps([{"file_path": str(photo)} for photo in (first, second)])
    text = EACH.partition("\n")[2].replace('"{{ input.photos }}"', given)
    text = "\n".join(text.splitlines()[1:]).replace("max_concurrent: 2", "max_concurrent: 1")
    text = text.replace("on_item_error: collect", "on_item_error: fail")
    failed = await lab(text)
    assert failed["status"] == "failed"
    second.write_bytes(whole)
    rows = lab.store.executions.for_instance(failed["instance_id"])
    analysis = analyze("test.yaml", text="name: test\n" + text)
    control.retry(lab.store, failed["instance_id"], plan_rerun(rows, analysis))
    again = await lab(text, instance_id=failed["instance_id"])
    assert again["status"] == "completed"
    originals = [file for file in lab.store.media.list(limit=100) if file.original_id is None]
    assert {file.filename for file in originals} == {"1.jpg", "2.jpg"}
    assert {len(lab.store.media.tasks(file.id)) for file in originals} == {3}
