"""Spaces and embeddings: generations tell every change, ids are never given twice, a new model swaps in."""

import threading

import numpy as np
import pytest

from mirror_realm.core.errors import Code, RealmError
from mirror_realm.store import Store
from mirror_realm.store.media_vectors import NewEmbedding


def vector(*numbers: float) -> bytes:
    return np.array(numbers or (1.0, 0.0), "<f4").tobytes()


def new(number: int, *numbers: float, source: int | None = None) -> NewEmbedding:
    return NewEmbedding(
        sha256=f"{number:064x}",
        source_sha256=f"{number if source is None else source:064x}",
        vector=vector(*numbers),
        name=f"照片 {number}.jpg",
    )


@pytest.fixture
def space(store):
    return store.vectors.open_space("ViT-B/32@abc", 2)


def test_the_first_space_is_active_and_the_next_is_built_beside(store, space):
    assert (space.status, space.generation) == ("active", 0)
    other = store.vectors.open_space("ViT-L/14@def", 3)
    assert other.status == "building"
    assert store.vectors.open_space("ViT-B/32@abc", 2) == space
    assert store.vectors.space() == space
    assert store.vectors.activate(other.id).status == "active"
    assert [(s.model, s.status) for s in store.vectors.spaces()] == [
        ("ViT-L/14@def", "active"),
        ("ViT-B/32@abc", "retired"),
    ]
    assert store.vectors.space().id == other.id
    with pytest.raises(RealmError, match="2 dimensions"):
        store.vectors.open_space("ViT-B/32@abc", 3)


def test_embeddings_by_content(store, space):
    assert store.vectors.add(space.id, [new(1, 0.6, 0.8), new(2)]) == 2
    assert store.vectors.add(space.id, [new(1), new(3)]) == 1
    found = store.vectors.get(space.id, f"{1:064x}")
    assert np.frombuffer(found.vector, "<f4").tolist() == pytest.approx([0.6, 0.8])
    assert found.name == "照片 1.jpg"
    assert store.vectors.living(space.id) == 3
    assert store.vectors.by_ids(space.id, [found.id, 999]) == {found.id: found}
    assert store.vectors.add(space.id, []) == 0


def test_a_vector_of_another_size_is_refused_and_nothing_changes(store, space):
    with pytest.raises(RealmError, match="3 numbers, not 2") as caught:
        store.vectors.add(space.id, [new(1), new(2, 1, 2, 3)])
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert store.vectors.living(space.id) == 0
    assert store.vectors.space().generation == 0


def test_generations_tell_every_change(store, space):
    store.vectors.add(space.id, [new(1), new(2)])
    seen = store.vectors.changes(space.id, 0)
    at = seen[-1].generation
    assert [(e.sha256[-1], e.vector is None) for e in seen] == [("1", False), ("2", False)]
    store.vectors.add(space.id, [new(3)])
    assert store.vectors.remove(space.id, [f"{1:064x}"]) == 1
    later = store.vectors.changes(space.id, at)
    assert [(e.sha256[-1], e.vector is None) for e in later] == [("3", False), ("1", True)]
    assert store.vectors.changes(space.id, later[-1].generation) == []
    assert store.vectors.get(space.id, f"{1:064x}") is None


def test_a_page_of_changes_never_ends_within_a_generation(store, space):
    store.vectors.add(space.id, [new(n) for n in range(5)])
    store.vectors.add(space.id, [new(9)])
    first = store.vectors.changes(space.id, 0, limit=2)
    assert len(first) == 5
    assert len(store.vectors.changes(space.id, first[-1].generation, limit=2)) == 1


def test_what_comes_back_gets_a_new_id(store, space):
    store.vectors.add(space.id, [new(1)])
    before = store.vectors.get(space.id, f"{1:064x}")
    store.vectors.remove(space.id, [f"{1:064x}"])
    store.vectors.add(space.id, [new(1)])
    after = store.vectors.get(space.id, f"{1:064x}")
    assert after.id > before.id
    assert store.vectors.living(space.id) == 1


def test_removing_by_the_original(store, space):
    store.vectors.add(space.id, [new(1), new(2, source=1), new(3)])
    assert store.vectors.find(space.id, f"{1:064x}").sha256 == f"{1:064x}"
    assert store.vectors.remove(space.id, [f"{1:064x}"]) == 2
    store.vectors.add(space.id, [new(2, source=1)])
    assert store.vectors.find(space.id, f"{1:064x}").sha256 == f"{2:064x}"
    assert store.vectors.find(space.id, f"{8:064x}") is None


def test_missing_are_the_originals_without_an_embedding(store, space):
    def original(number, mime="image/jpeg"):
        return store.media.record_original(
            "default", f"/nas/{number}.jpg", f"{number}.jpg", mime, 1, f"{number:064x}"
        )

    first, second = original(1), original(2)
    original(3, "video/mp4")
    store.media.record_processed(first.id, "/out/1.jpg", "1.jpg", "image/jpeg", 1, "f" * 64)
    assert store.vectors.missing(space.id) == [first.id, second.id]
    store.vectors.add(space.id, [new(7, source=1)])
    assert store.vectors.missing(space.id) == [second.id]
    assert store.vectors.missing(space.id, limit=0) == []


def test_writers_at_once_get_generations_of_their_own(database_url, store, space):
    def work(first):
        with Store.open(database_url) as own:
            for number in range(first, first + 10):
                own.vectors.add(space.id, [new(number)])

    threads = [threading.Thread(target=work, args=(start,)) for start in (0, 100, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    seen = store.vectors.changes(space.id, 0)
    assert [e.generation for e in seen] == list(range(1, 31))
    assert store.vectors.space().generation == 30
    assert len({e.id for e in seen}) == 30


def test_there_is_one_active_space_also_when_two_open_the_first(database_url, store):
    def work(model):
        with Store.open(database_url) as own:
            own.vectors.open_space(model, 2)

    threads = [threading.Thread(target=work, args=(f"m{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(s.status for s in store.vectors.spaces()) == ["active", *["building"] * 3]


def test_an_unknown_space(store):
    with pytest.raises(RealmError) as caught:
        store.vectors.add("space-none", [new(1)])
    assert caught.value.code is Code.NOT_FOUND
