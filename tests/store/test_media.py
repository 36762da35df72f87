"""The media library and artifacts."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from mirror_realm.core.errors import Code, ErrorRecord, RealmError
from mirror_realm.core.status import InstanceStatus

PATH = "/nas/照片 1.jpg"


@pytest.fixture
def original(store):
    def original(sha256="a" * 64, path=PATH, **more):
        return store.media.record_original(
            "default", path, "照片 1.jpg", "image/jpeg", 5 << 32, sha256, **more
        )

    return original


def test_an_original(store, original, accept):
    instance = accept()
    exif = {"GPS": {"lat": 31.2}, "Maker\x00Note": "x\x00"}
    found = original(instance_id=instance.id, exif=exif, metadata={"width": 4000})
    assert (found.status, found.version, found.size, found.original_id) == ("raw", 1, 5 << 32, None)
    assert found.exif == {"GPS": {"lat": 31.2}, "Maker\\u0000Note": "x\\u0000"}
    assert found.workflow_instance_id == instance.id
    assert store.media.get(found.id) == found


def test_the_same_content_is_the_same_file(original):
    first = original()
    assert original() == first
    second = original("b" * 64)
    assert (second.version, second.id != first.id) == (2, True)
    assert original("a" * 64, path="/nas/copy.jpg").version == 1


def test_recording_at_once_makes_one_version_each(store, original):
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda n: original("ab"[n % 2] * 64), range(8)))
    assert {one.sha256[0] for one in made} == {"a", "b"}
    assert len(store.media.list()) >= 2
    assert len({one.version for one in store.media.list()}) == len(store.media.list())


def test_what_was_made_of_it(store, original):
    found = original()
    analysis = {"quality": 0.9, "objects": ["猫"]}
    made = store.media.record_processed(
        found.id, "s3://archive/2026/a.jpg", "a.jpg", "image/jpeg", 9, "c" * 64, ai_analysis=analysis
    )
    assert (made.original_id, made.status, made.ai_analysis) == (found.id, "processed", analysis)
    assert made.processed_at is not None
    assert store.media.get(found.id).status == "processed"
    again = store.media.record_processed(
        found.id, "s3://archive/2026/a.jpg", "a.jpg", "image/jpeg", 9, "c" * 64, ai_analysis={"quality": 1}
    )
    assert (again.id, again.ai_analysis) == (made.id, {"quality": 1})
    assert store.media.list(original_id=found.id) == [again]
    with pytest.raises(RealmError) as caught:
        store.media.record_processed("media-none", "x", "x", "image/jpeg", 9, "c" * 64)
    assert caught.value.code is Code.NOT_FOUND


def test_versions_and_what_was_made_of_them_are_one_family(store, original):
    first = original()
    made = store.media.record_processed(first.id, "/out/1.jpg", "1.jpg", "image/jpeg", 9, "c" * 64)
    second = original("b" * 64)
    again = store.media.record_processed(second.id, "/out/1.jpg", "1.jpg", "image/jpeg", 9, "d" * 64)
    original("e" * 64, path="/nas/other.jpg")
    family = [first.id, made.id, second.id, again.id]
    for member in family:
        assert [file.id for file in store.media.lineage(member)] == family
    found = store.media.by_contents(["b" * 64, "c" * 64, "f" * 64])
    assert {sha[0]: file.id for sha, file in found.items()} == {"b": second.id, "c": made.id}


def test_tags(store, original):
    found = original()
    store.media.add_tags(found.id, [])
    store.media.add_tags(found.id, [("object", "猫", 0.4, "clip"), ("scene", "户外", 0.8, "clip")])
    store.media.add_tags(found.id, [("object", "猫", 0.5, "clip"), ("object", "猫", 0.9, "person")])
    tags = [(tag.tag_type, tag.tag_value, tag.confidence, tag.source) for tag in store.media.tags(found.id)]
    assert tags == [("object", "猫", 0.9, "person"), ("scene", "户外", 0.8, "clip")]
    assert store.media.list(tag="猫") == [found]
    assert store.media.list(tag="狗") == []
    with pytest.raises(RealmError):
        store.media.add_tags(found.id, [("object", "狗", 1.5, "clip")])
    with pytest.raises(RealmError) as caught:
        store.media.add_tags("media-none", [("object", "狗", 0.5, "clip")])
    assert caught.value.code is Code.NOT_FOUND


def test_likeness_is_stored_once_for_a_pair(store, original):
    one, other = original(), original(path="/nas/b.jpg")
    store.media.set_similarity(one.id, other.id, "phash", 0.7)
    store.media.set_similarity(other.id, one.id, "phash", 0.8)
    assert store.media.similar(one.id) == [(other.id, "phash", 0.8)]
    assert store.media.similar(other.id) == [(one.id, "phash", 0.8)]
    assert store.media.similar(one.id, at_least=0.9) == []


def test_tasks(store, original):
    found = original()
    done = store.media.record_task(
        found.id, "enhance", {"scale": 2}, worker_id="w", input_path=PATH, output_path="/out/a.jpg"
    )
    assert done.id.startswith("pt-")
    assert (done.status, done.parameters, done.output_path) == ("completed", {"scale": 2}, "/out/a.jpg")
    error = ErrorRecord(Code.NOT_FOUND, "gone")
    failed = store.media.record_task(found.id, "analyze", status="failed", error=error)
    assert failed.error == error.to_dict()
    assert store.media.tasks(found.id) == [done, failed]


def test_statuses_of_files(store, original):
    found = original()
    store.media.set_status(found.id, "processing")
    assert [one.id for one in store.media.list(status="processing")] == [found.id]
    with pytest.raises(RealmError):
        store.media.set_status(found.id, "odd")


def test_artifacts(store, accept):
    instance = accept(InstanceStatus.RUNNING)
    execution = store.executions.begin(instance.id, "preprocess-01", "image/preprocess", attempt=1)
    reference = {
        "uri": "file:///a/%E7%85%A7.jpg",
        "sha256": "d" * 64,
        "size": 7,
        "media_type": "image/jpeg",
        "name": "照片 1.jpg",
        "width": 4,
    }
    for _ in range(2):
        store.artifacts.record(instance.id, execution.id, [reference, {**reference, "name": "b.jpg"}])
    store.artifacts.record(instance.id, None, [])
    found = store.artifacts.for_instance(instance.id)
    assert [one.name for one in found] == ["b.jpg", "照片 1.jpg"]
    assert (found[0].execution_id, found[0].size, found[0].uri) == (execution.id, 7, reference["uri"])
