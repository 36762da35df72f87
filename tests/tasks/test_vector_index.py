"""The vector index: it finds what is nearest, never what is dead, and a file of it is whole or not used."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirror_realm.core.errors import Code, RealmError
from mirror_realm.tasks.inference import vectors as module
from mirror_realm.tasks.inference.vectors import DEAD_SHARE, Unusable, VectorIndex, read_meta

SPACE = "space-1"


def rows(count: int, dimension: int = 8, seed: int = 0, clusters: int = 0) -> np.ndarray:
    """Unit vectors; with ``clusters`` they gather, as pictures do."""
    random = np.random.default_rng(seed)
    found = random.normal(size=(count, dimension))
    if clusters:
        found = random.normal(size=(clusters, dimension))[random.integers(clusters, size=count)] + 0.7 * found
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def exact(data: np.ndarray, query: np.ndarray, k: int) -> list[int]:
    return np.argsort(-(data @ query), kind="stable")[:k].tolist()


def test_the_nearest_come_first_with_their_cosine():
    data = rows(50)
    index = VectorIndex(SPACE, 8)
    index.add(range(100, 150), data)
    hits = index.search(data[:1], 3)[0]
    assert [hit.id - 100 for hit in hits] == exact(data, data[0], 3)
    assert hits[0].similarity == pytest.approx(1, abs=1e-5)
    assert hits[1].similarity == pytest.approx(float(data[0] @ data[hits[1].id - 100]), abs=1e-5)
    assert len(index.search(data[:1], 500)[0]) == 50


def test_an_empty_index_finds_nothing():
    index = VectorIndex(SPACE, 8)
    assert index.search(rows(2), 5) == [[], []]
    index.add([], np.empty((0, 8), np.float32))
    index.remove([1])
    assert len(index) == 0


def test_ids_are_stable_and_a_second_time_changes_nothing():
    data = rows(4)
    index = VectorIndex(SPACE, 8)
    index.add([5, 6], data[:2])
    index.add([6, 7], data[2:])
    assert index.ids == {5, 6, 7}
    assert index.search(data[1:2], 1)[0][0].id == 6


@pytest.mark.parametrize("flat_below", [10_000, 10])
def test_the_dead_are_not_found_and_leave_when_they_are_many(flat_below):
    data = rows(100, clusters=5)
    index = VectorIndex(SPACE, 8, flat_below=flat_below)
    index.add(range(100), data)
    index.remove(range(10))
    assert index.dead == 10
    for query in data[:10]:
        found = index.search(query[None], 90)[0]
        assert {hit.id for hit in found} == set(range(10, 100))
    index.remove(range(10, 10 + int(100 * DEAD_SHARE)))
    assert index.dead == 0
    assert index.ids == set(range(30, 100))
    assert index.search(data[50:51], 1)[0][0].id == 50


def test_a_large_index_is_a_graph_and_a_small_one_exact():
    index = VectorIndex(SPACE, 8, flat_below=100)
    data = rows(150)
    index.add(range(90), data[:90])
    assert index.kind == "flat"
    index.add(range(90, 150), data[90:])
    assert index.kind == "hnsw"
    assert index._index.hnsw.efConstruction == 128
    assert index.search(data[3:4], 1)[0][0].id == 3
    index.remove(range(80))
    assert index.kind == "flat"


def test_recall_of_20000():
    data = rows(20_000, 64, clusters=200)
    index = VectorIndex(SPACE, 64)
    index.add(range(20_000), data)
    assert index.kind == "hnsw"
    queries = data[::200] + 0.05 * rows(100, 64, seed=1)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    found = index.search(queries, 10)
    shared = [
        len({hit.id for hit in hits} & set(exact(data, query, 10)))
        for hits, query in zip(found, queries, strict=True)
    ]
    assert sum(shared) / 1000 >= 0.95


# -- files ------------------------------------------------------------------------------------------------


@pytest.fixture
def saved(tmp_path):
    index = VectorIndex(SPACE, 8, generation=7, flat_below=20)
    index.add(range(40), rows(40))
    index.remove([3])
    path = tmp_path / "index.npz"
    with path.open("wb") as file:
        index.save(file)
    return path, index


def test_a_file_gives_the_same_index(saved):
    path, index = saved
    loaded = VectorIndex.load(path, SPACE, 8, flat_below=20)
    assert (loaded.ids, loaded.dead, loaded.generation, loaded.kind) == (index.ids, 1, 7, "hnsw")
    assert loaded.search(rows(5, seed=2), 5) == index.search(rows(5, seed=2), 5)
    loaded.add([99], rows(1, seed=3))
    assert 99 in loaded


def test_a_file_of_another_space_is_not_used(saved):
    for space, dimension in (("space-2", 8), (SPACE, 16)):
        with pytest.raises(Unusable):
            VectorIndex.load(saved[0], space, dimension)


@given(st.data())
@settings(deadline=None, max_examples=60)
def test_a_damaged_file_is_not_used(tmp_path_factory, data):
    index = VectorIndex(SPACE, 8)
    index.add(range(10), rows(10))
    path = tmp_path_factory.mktemp("index") / "index.npz"
    with path.open("wb") as file:
        index.save(file)
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        path.write_bytes(whole[:place])
    else:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
    try:
        loaded = VectorIndex.load(path, SPACE, 8)
    except Unusable:
        return
    # Only what is no part of the data (padding, a date) may differ and pass.
    assert loaded.ids == index.ids
    assert loaded.search(rows(3, seed=1), 3) == index.search(rows(3, seed=1), 3)


@pytest.mark.parametrize("text", [b"", b"no index", b"PK\x03\x04"])
def test_what_is_no_index(tmp_path, text):
    (tmp_path / "x").write_bytes(text)
    with pytest.raises(Unusable):
        read_meta(tmp_path / "x")
    with pytest.raises(Unusable):
        read_meta(tmp_path / "gone")


def test_without_faiss_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RealmError, match="faiss-cpu") as caught:
        VectorIndex(SPACE, 8)
    assert caught.value.code is Code.DEPENDENCY_FAILURE
