"""Faces and people: ids that stay, names, merges and splits that hold."""

import numpy as np
import pytest

from mirror_realm.core.errors import Code, RealmError
from mirror_realm.store.media_people import NewFace

MODEL = "clip@abc"


def face(picture: int, ordinal: int = 0, person: str | None = None, vector=(1.0, 0.0), **more) -> NewFace:
    values = {
        "sha256": f"{picture:064x}",
        "source_sha256": f"{picture:064x}",
        "detector": "opencv",
        "ordinal": ordinal,
        "x": 0.1,
        "y": 0.2,
        "width": 0.3,
        "height": 0.4,
        "confidence": 0.9,
        "vector": np.array(vector, "<f4").tobytes(),
        "name": f"照片 {picture}.jpg",
        "person_id": person,
        "distance": 0.1,
    }
    return NewFace(**{**values, **more})


def means(store, model=MODEL) -> dict[str, tuple[list[float], int]]:
    known = store.people.known(model)
    return {p.person_id: (np.frombuffer(p.mean, "<f4").tolist(), p.faces) for p in known}


@pytest.fixture
def two(store):
    """Two people; the first in two pictures."""
    one, other = store.people.record(MODEL, [face(1), face(1, 1, vector=(0.0, 1.0))])
    store.people.record(MODEL, [face(2, person=one.person_id, vector=(0.0, 1.0))])
    return one.person_id, other.person_id


def test_ids_have_the_seeds_form_and_means_are_of_all_faces(store, two):
    one, other = two
    assert one.startswith("face-")
    assert len(one) == 13
    assert means(store) == {one: ([0.5, 0.5], 2), other: ([0.0, 1.0], 1)}
    assert [(p.id, p.faces) for p in store.people.people()] == [(one, 2), (other, 1)]


def test_recording_again_changes_nothing(store, two):
    before = means(store)
    again = store.people.record(MODEL, [face(1, person=two[1])])
    assert again[0].person_id == two[0]
    assert means(store) == before


def test_a_new_model_sees_the_same_people(store, two):
    store.people.record("new@1", [face(1, vector=(1.0, 0.0, 0.0)), face(2, vector=(0.0, 1.0, 0.0))])
    assert means(store, "new@1") == {two[0]: ([0.5, 0.5, 0.0], 2)}
    assert len(store.people.people()) == 2


def test_names(store, two):
    store.people.rename(two[0], "小明")
    assert store.people.find("小明").id == two[0]
    assert [p.id for p in store.people.people(named=True)] == [two[0]]
    store.people.rename(two[1], "小明")
    with pytest.raises(RealmError, match="2 people are named"):
        store.people.find("小明")
    store.people.rename(two[1], "")
    assert [p.id for p in store.people.people(named=False)] == [two[1]]
    for wrong in (lambda: store.people.find("谁"), lambda: store.people.rename("face-00000000", "x")):
        with pytest.raises(RealmError) as caught:
            wrong()
        assert caught.value.code is Code.NOT_FOUND


def test_two_faces_of_one_picture_are_two_people_unless_a_person_says_so(store, two):
    with pytest.raises(RealmError, match=r"照片 1\.jpg") as caught:
        store.people.merge(*two)
    assert caught.value.code is Code.FAILED_PRECONDITION
    assert store.people.merge(*two, force=True) == 1
    assert means(store) == {two[0]: (pytest.approx([1 / 3, 2 / 3]), 3)}


def test_a_merged_id_leads_to_who_it_became(store, two):
    (third,) = store.people.record(MODEL, [face(9)])
    store.people.rename(two[1], "小红")
    assert store.people.merge(third.person_id, two[1]) == 1
    assert store.people.find(two[1]).id == third.person_id
    assert store.people.find("小红").id == third.person_id
    assert store.people.merge(two[0], third.person_id, force=True) == 2
    assert store.people.find(two[1]).id == two[0]
    assert {f.assigned_by for f in store.people.faces(two[0])} == {"auto", "person"}
    with pytest.raises(RealmError):
        store.people.merge(two[0], two[0])
    with pytest.raises(RealmError):
        store.people.merge(two[0], "face-00000000")


def test_splitting(store, two):
    faces = store.people.faces(two[0])
    made = store.people.split(two[0], [faces[0].id])
    assert made.id not in two
    assert len(means(store)) == 3
    assert store.people.find(two[0]).faces == 1
    assert {f.assigned_by for f in store.people.faces(two[0])} == {"person"}
    with pytest.raises(RealmError, match="at least one"):
        store.people.split(two[0], [faces[1].id])
    with pytest.raises(RealmError, match="not a face of"):
        store.people.split(two[0], [faces[0].id])


def test_removing_contents(store, two):
    store.people.rename(two[0], "小明")
    assert store.people.remove([f"{1:064x}", f"{2:064x}"]) == 3
    assert [(p.id, p.faces) for p in store.people.people()] == [(two[0], 0)]
    assert means(store) == {}


def test_faces_in_a_content_by_detector(store, two):
    found = store.people.faces_in(f"{1:064x}", "opencv")
    assert [f.ordinal for f in found] == [0, 1]
    assert store.people.faces_in(f"{1:064x}", "other") == []
    with store.people.deciding():
        assert len(store.people.known(MODEL)) == 2
