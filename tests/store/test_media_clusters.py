"""Clusterings: versions beside each other, the newest counts."""

import pytest

from mirror_realm.store.media_clusters import VERSIONS_KEPT, Cluster, Member


@pytest.fixture
def space(store):
    return store.vectors.open_space("m", 2)


def save(store, space, label="海滩, 日落"):
    clusters = [Cluster(number=0, label=label, size=2), Cluster(number=1, label="猫", size=1)]
    places = [("a", 0, 0.2), ("b", 0, 0.1), ("c", 1, 0.0)]
    members = [Member(sha256=s * 64, number=n, distance=d) for s, n, d in places]
    return store.clusters.save(space.id, {"k": 2}, b"\x00state", clusters, members)


def test_the_newest_version_counts_and_a_few_are_kept(store, space):
    assert store.clusters.latest(space.id) is None
    first = save(store, space)
    assert (first.version, first.state, first.parameters) == (1, b"\x00state", {"k": 2})
    for _ in range(VERSIONS_KEPT):
        newest = save(store, space, "x" * 300)
    assert store.clusters.latest(space.id) == newest
    assert newest.version == VERSIONS_KEPT + 1
    assert store.clusters.clusters(first.id) == []
    assert [(c.number, c.size) for c in store.clusters.clusters(newest.id)] == [(0, 2), (1, 1)]


def test_members_the_most_typical_first(store, space):
    saved = save(store, space)
    assert [m.sha256[0] for m in store.clusters.members(saved.id, 0)] == ["b", "a"]
    assert store.clusters.place_of(saved.id, "c" * 64).number == 1
    assert store.clusters.place_of(saved.id, "d" * 64) is None
    store.clusters.place(saved.id, Member(sha256="d" * 64, number=1, distance=0.5))
    store.clusters.place(saved.id, Member(sha256="c" * 64, number=0, distance=0.5))
    assert store.clusters.place_of(saved.id, "d" * 64).number == 1
    assert store.clusters.place_of(saved.id, "c" * 64).number == 1
