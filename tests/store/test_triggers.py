"""What triggers remember."""

import pytest

from mirror_realm.core.status import InstanceStatus

SHA = "a" * 64


def test_trigger_state(store):
    assert store.triggers.get("photos", "files") is None
    store.triggers.put("photos", "files", {"cursor": 1, "目录": "/nas"})
    store.triggers.put("photos", "files", {"cursor": 2})
    store.triggers.put("photos", "cron", {"last": "x"})
    assert store.triggers.get("photos", "files") == {"cursor": 2}


def test_known_files(store, accept):
    instance = accept()
    assert store.triggers.known_file("photos", "/nas/a.jpg") is None
    store.triggers.remember_file("photos", "/nas/a.jpg", 10, 1_700_000_000_123_456_789, SHA, instance.id)
    known = store.triggers.known_file("photos", "/nas/a.jpg")
    assert (known.size, known.mtime_ns, known.sha256, known.instance_id) == (
        10,
        1_700_000_000_123_456_789,
        SHA,
        instance.id,
    )
    assert store.triggers.known_file("other", "/nas/a.jpg") is None
    store.triggers.remember_file("photos", "/nas/a.jpg", 11, 2, "b" * 64, instance.id)
    assert store.triggers.known_file("photos", "/nas/a.jpg").size == 11


def test_content_is_recognised_wherever_it_lies(store):
    assert store.triggers.seen("photos", SHA) is None
    store.triggers.remember_file("photos", "/nas/a.jpg", 1, 1, SHA, None)
    store.triggers.remember_file("photos", "/nas/copy.jpg", 1, 2, SHA, None)
    assert store.triggers.seen("photos", SHA).path == "/nas/a.jpg"
    assert store.triggers.seen("other", SHA) is None


@pytest.mark.parametrize(
    "names", [("\udcff.jpg", "\udcfe.jpg"), ("照片 1.jpg", "照片 2.jpg"), ("长" * 1300, "长" * 1301)]
)
def test_any_path_is_remembered_for_itself(store, names):
    """Undecodable names, and paths longer than an index row of PostgreSQL."""
    for size, name in enumerate(names):
        store.triggers.remember_file("photos", f"/nas/{name}", size, 1, SHA, None)
    assert [store.triggers.known_file("photos", f"/nas/{name}").size for name in names] == [0, 1]


def test_accepting_a_file_is_all_or_nothing(store, accept):
    def take():
        with store.transaction():
            instance = accept(idempotency_key=SHA)
            store.triggers.remember_file("photos", "/nas/a.jpg", 1, 1, SHA, instance.id)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        take()
    assert store.instances.count() == 0
    assert store.triggers.seen("photos", SHA) is None
    assert accept(idempotency_key=SHA).status is InstanceStatus.PENDING
