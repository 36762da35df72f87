"""Registering workflows: versions, hashes, close matches, races."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from mirror_realm.core.errors import Code, RealmError
from mirror_realm.store.workflows import next_patch, precedence


def register(store, hash="h1", version=None, name="照片处理", **more):
    definition = {"name": name, "nodes": [hash]}
    return store.workflows.register(definition, name=name, version=version, hash=hash, **more)


def test_the_first_version(store):
    made, created = register(
        store, display_name="照片", description="d", tags=["nas"], source_text="name: x\n"
    )
    assert created
    assert (made.version, made.status, made.tags, made.source_text) == (
        "1.0.0",
        "active",
        ["nas"],
        "name: x\n",
    )
    assert made.id.startswith("ver-")
    assert made.workflow_id.startswith("wf-")
    assert made.created_at.utcoffset().total_seconds() == 0
    assert store.workflows.get("照片处理") == made
    assert store.workflows.list() == [made]


def test_the_same_content_is_registered_once(store):
    first, _ = register(store)
    again, created = register(store)
    assert (again, created) == (first, False)
    again, created = register(store, version="1.0.0")
    assert (again, created) == (first, False)


def test_another_content_is_the_next_patch(store):
    register(store)
    second, created = register(store, "h2")
    assert (second.version, created) == ("1.0.1", True)
    assert store.workflows.get("照片处理").version == "1.0.1"
    assert store.workflows.get("照片处理", "1.0.0").hash == "h1"
    assert [one.version for one in store.workflows.versions("照片处理")] == ["1.0.1", "1.0.0"]


def test_an_older_content_again_is_a_new_version(store):
    register(store)
    register(store, "h2")
    third, created = register(store, "h1")
    assert (third.version, created) == ("1.0.2", True)


def test_versions_never_change(store):
    register(store, version="1.10.0")
    register(store, "h2", version="1.9.0")
    with pytest.raises(RealmError) as caught:
        register(store, "h3", version="1.9.0")
    assert caught.value.code is Code.ALREADY_EXISTS
    assert "1.10.1" in (caught.value.hint or "")
    assert store.workflows.get("照片处理").version == "1.10.0"  # the highest, not the last


def test_an_old_version_with_its_own_content_is_found(store):
    first, _ = register(store)
    register(store, "h2")
    assert register(store, "h1", version="1.0.0") == (first, False)


def test_an_unknown_name_says_what_is_near(store):
    register(store, name="nas-photo-processing")
    with pytest.raises(RealmError) as caught:
        store.workflows.get("nas-foto-processing")
    assert caught.value.code is Code.NOT_FOUND
    assert "nas-photo-processing" in (caught.value.hint or "")
    with pytest.raises(RealmError, match="has no version 9") as caught:
        store.workflows.get("nas-photo-processing", "9")
    assert "1.0.0" in (caught.value.hint or "")


def test_statuses(store):
    register(store, name="a")
    register(store, name="b")
    store.workflows.set_status("a", "inactive")
    assert [one.name for one in store.workflows.list()] == ["b"]
    assert [one.name for one in store.workflows.list("inactive")] == ["a"]
    assert [one.name for one in store.workflows.list(None)] == ["a", "b"]
    assert store.workflows.get("a").status == "inactive"
    register(store, "h2", name="a")
    assert store.workflows.get("a").status == "inactive"
    store.workflows.set_status("a", "deleted")
    with pytest.raises(RealmError):
        store.workflows.get("a")
    again, created = register(store, "h2", name="a")
    assert (again.status, again.version, created) == ("active", "1.0.1", False)
    with pytest.raises(RealmError, match="not a status"):
        store.workflows.set_status("a", "asleep")
    with pytest.raises(RealmError, match="no workflow"):
        store.workflows.set_status("nothing", "active")


def test_registering_at_once_makes_one_version(store):
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda _: register(store), range(8)))
    assert sum(created for _, created in made) == 1
    assert len({version.id for version, _ in made}) == 1


def test_registering_different_contents_at_once_gives_each_a_version(store):
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda n: register(store, f"h{n}"), range(6)))
    assert sorted(version.version for version, _ in made) == [f"1.0.{n}" for n in range(6)]


@pytest.mark.parametrize(
    ("version", "following"), [("1.0.9", "1.0.10"), ("2.0.0-rc.1", "2.0.0"), ("x", "1.0.0")]
)
def test_next_patch(version, following):
    assert next_patch(version) == following


def test_precedence_is_semver():
    ordered = ["draft", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta.2", "1.0.0-beta.11"]
    ordered += ["1.0.0-rc.1", "1.0.0", "1.2.0", "1.10.0"]
    assert sorted(set(ordered), key=precedence) == ordered
