"""media/deduplicate: three verdicts, one keeper for each group, the same answer in any order."""

from __future__ import annotations

import json
import os
import shutil
from threading import Event

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from mirror_realm.core.errors import Code, RealmError
from mirror_realm.core.references import local_path
from mirror_realm.tasks.ai.analyze import image_analyze
from mirror_realm.tasks.imaging.duplicates import ALL, Candidate, group
from mirror_realm.tasks.media import media_deduplicate
from tests import photos
from tests.photo_context import context_in, run
from tests.running import artifact


@pytest.fixture
def context(tmp_path):
    return context_in(tmp_path)


@pytest.fixture
def library(tmp_path):
    """A lake in four versions, a forest in two, a plain red and a plain blue page, and what is no picture."""
    folder = tmp_path / "照片"
    (folder / "sub").mkdir(parents=True)
    lake, forest = photos.detailed(600, 400, seed=1), photos.detailed(600, 400, seed=2)
    photos.photo(folder / "lake.png", picture=lake, captured="2020:01:01 00:00:00")
    shutil.copy(folder / "lake.png", folder / "lake (1).png")
    photos.photo(folder / "sub" / "湖.jpg", picture=lake, orientation=6, quality=80)
    Image.fromarray(lake).resize((300, 200)).save(folder / "small.webp")
    photos.photo(folder / "forest.jpg", picture=forest)
    shutil.copy(folder / "forest.jpg", folder / "sub" / "copy.jpg")
    Image.new("RGB", (64, 64), "red").save(folder / "red.png")
    Image.new("RGB", (64, 64), "blue").save(folder / "blue.png")
    photos.truncated(folder / "broken.jpg")
    (folder / ".hidden.jpg").write_bytes(b"")
    (folder / "@eaDir").mkdir()
    shutil.copy(folder / "forest.jpg", folder / "@eaDir" / "thumb.jpg")
    return folder


def names(output) -> dict[str, list[tuple[str, str]]]:
    return {g.keeper.name: [(c.name, c.verdict) for c in g.copies] for g in output.groups}


def test_a_folder_with_copies_of_every_kind(library, context):
    output = run(media_deduplicate, context, {}, folder=str(library))
    assert names(output) == {
        "lake.png": [("lake (1).png", "exact"), ("湖.jpg", "same-picture"), ("small.webp", "same-picture")],
        "forest.jpg": [("copy.jpg", "exact")],
    }
    assert (output.pictures, output.copies, output.group_count) == (8, 4, 2)
    assert (output.exact, output.same_picture, output.similar) == (2, 2, 0)
    assert output.reclaimable_bytes == sum(g.reclaimable_bytes for g in output.groups)
    (failure,) = output.failures
    assert (os.path.basename(failure.name), failure.code) == ("broken.jpg", "DATA_CORRUPTED")
    report = json.loads(local_path(output.report.uri).read_text(encoding="utf-8"))
    assert len(report["groups"]) == 2
    assert not output.truncated
    everything = {p.name for p in library.rglob("*") if p.is_file()}
    assert len(everything) >= 10, "nothing is deleted"


def test_only_bytes_when_only_bytes_are_asked_for(library, context):
    output = run(media_deduplicate, context, {}, folder=str(library), compare=["exact"])
    assert names(output) == {"lake.png": [("lake (1).png", "exact")], "forest.jpg": [("copy.jpg", "exact")]}
    assert output.failures == [], "broken pictures have bytes too"


def test_without_the_folders_in_it(library, context):
    output = run(media_deduplicate, context, {}, folder=str(library), recursive=False)
    assert set(names(output)) == {"lake.png"}


def test_links_are_counted_and_not_followed(library, context):
    before = run(media_deduplicate, context, {}, folder=str(library))
    (library / "link.png").symlink_to(library / "lake.png")
    (library / "elsewhere").symlink_to(library, target_is_directory=True)
    (library / "a note.txt").symlink_to(library / "lake.png")
    output = run(media_deduplicate, context, {}, folder=str(library))
    assert names(output) == names(before)
    assert (before.links, output.links) == (0, 2)
    assert run(media_deduplicate, context, {}, folder=str(library), recursive=False).links == 1


@pytest.mark.parametrize(
    ("keep", "keeper"), [("best", "a.png"), ("largest", "a.png"), ("oldest", "c.jpg"), ("newest", "b.jpg")]
)
def test_the_keeper_is_chosen_by_rule(tmp_path, context, keep, keeper):
    picture = photos.detailed(600, 400)
    photos.photo(tmp_path / "a.png", picture=picture, captured="2021:01:01 00:00:00")
    photos.photo(tmp_path / "b.jpg", picture=picture, captured="2022:01:01 00:00:00", quality=90)
    photos.photo(tmp_path / "c.jpg", picture=picture, captured="2019:01:01 00:00:00", quality=60)
    paths = [{"file_path": str(tmp_path / name)} for name in ("a.png", "b.jpg", "c.jpg")]
    found = {
        tuple(names(run(media_deduplicate, context, {"items": order}, keep=keep)))
        for order in (paths, paths[::-1])
    }
    assert found == {(keeper,)}
    first = run(media_deduplicate, context, {"items": paths[1:] + paths[:1]}, keep="first")
    assert tuple(names(first)) == ("b.jpg",)


def test_groups_are_the_same_every_time(library, context):
    once = run(media_deduplicate, context, {}, folder=str(library))
    paths = [
        {"file_path": str(p)} for p in sorted(library.rglob("*.*"), reverse=True) if p.parent.name != "@eaDir"
    ]
    again = run(media_deduplicate, context, {"items": [p for p in paths if ".hidden" not in p["file_path"]]})
    assert again.groups == once.groups


def test_what_is_known_is_not_computed_again(tmp_path, context):
    picture = run(image_analyze, context, photos.photo(tmp_path / "a.jpg", picture=photos.detailed(300, 200)))
    item = {"image": picture.image.model_dump(), "phash": picture.phash}
    gone = {"image": {**item["image"], "uri": "file:///nowhere", "sha256": "0" * 64}, "phash": picture.phash}
    output = run(media_deduplicate, context, {"items": [item, gone]})
    assert [c.verdict for c in output.groups[0].copies] == ["same-picture"]
    assert output.failures == []


def test_similar_by_vectors_of_one_model(tmp_path, context):
    def item(name: str, vector, model: str):
        path = photos.photo(tmp_path / name, picture=photos.detailed(300, 200, seed=len(name)))
        return {"file_path": str(path), "vector": vector, "model": model}

    np.save(tmp_path / "v.npy", np.array([1.0, 0.02, 0.0], np.float32))
    saved = artifact((tmp_path / "v.npy").read_bytes(), "v.npy", tmp_path)
    items = [
        item("a.jpg", [2.0, 0.0, 0.0], "clip"),
        item("bb.jpg", saved, "clip"),
        item("ccc.jpg", [0.0, 1.0, 0.0], "clip"),
        item("dddd.jpg", [1.0, 0.0, 0.0], "other"),
    ]
    output = run(media_deduplicate, context, {"items": items}, keep="first")
    (found,) = output.groups
    assert (found.keeper.name, [(c.name, c.verdict) for c in found.copies]) == (
        "a.jpg",
        [("bb.jpg", "similar")],
    )
    assert found.copies[0].similarity == pytest.approx(0.9998, abs=1e-4)


@pytest.mark.parametrize("vector", [[0.0, 0.0], [float("nan"), 1.0], []])
def test_vectors_that_are_none(tmp_path, context, vector):
    items = [{"file_path": str(photos.photo(tmp_path / "a.jpg")), "vector": vector}]
    assert run(media_deduplicate, context, {"items": items}).failures[0].code == "INVALID_ARGUMENT"


def test_a_pickle_is_not_a_vector(tmp_path, context):
    np.save(tmp_path / "v.npy", np.array([{"a": 1}], object), allow_pickle=True)
    saved = artifact((tmp_path / "v.npy").read_bytes(), "v.npy", tmp_path)
    items = [{"file_path": str(photos.photo(tmp_path / "a.jpg")), "vector": saved}]
    assert run(media_deduplicate, context, {"items": items}).failures[0].code == "DATA_CORRUPTED"


def test_a_mirrored_picture_is_another_one(tmp_path, context):
    image = Image.fromarray(photos.detailed(300, 200))
    image.save(tmp_path / "a.png")
    ImageOps.mirror(image).save(tmp_path / "b.png")
    assert run(media_deduplicate, context, {}, folder=str(tmp_path), recursive=False).groups == []


def test_limits_and_faults(library, tmp_path, context, tmp_path_factory):
    cases = [
        ({}, {}, Code.INVALID_ARGUMENT),
        ({"folder": str(library), "max_files": 3}, {}, Code.OUT_OF_RANGE),
        ({"folder": str(tmp_path / "none")}, {}, Code.NOT_FOUND),
        ({"folder": str(tmp_path_factory.mktemp("outside"))}, {}, Code.PERMISSION_DENIED),
    ]
    for parameters, input, code in cases:
        with pytest.raises(RealmError) as caught:
            run(media_deduplicate, context, input, **parameters)
        assert caught.value.code is code
    canceled = Event()
    canceled.set()
    with pytest.raises(RealmError) as caught:
        run(media_deduplicate, context_in(tmp_path, canceled=canceled), {}, folder=str(library))
    assert caught.value.code is Code.CANCELLED


def test_a_long_list_is_cut_and_the_report_is_whole(tmp_path, context, monkeypatch):
    monkeypatch.setattr("mirror_realm.tasks.media.deduplicate.MOST_LISTED", 3)
    for name in "abcde":
        shutil.copy(photos.photo(tmp_path / "x.jpg"), tmp_path / f"{name}.jpg")
    output = run(media_deduplicate, context, {}, folder=str(tmp_path), recursive=False)
    assert len(output.groups[0].copies) == 2
    assert output.truncated
    assert output.copies == 5
    assert (
        len(json.loads(local_path(output.report.uri).read_text(encoding="utf-8"))["groups"][0]["copies"]) == 5
    )


HASHES = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 255)), max_size=25)


@given(HASHES, st.sampled_from([1.0, 0.97, 0.9]))
def test_the_laws_of_groups(pictures, least):
    candidates = [Candidate(sha256=str(content), phash=looks) for content, looks in pictures]
    groups = group(candidates, same_picture=least)
    grouped = [i for g in groups for i in (g.keeper, *(m.index for m in g.members))]
    assert len(grouped) == len(set(grouped)), "each is in one group"
    for g in groups:
        assert g.members
        for member in g.members:
            assert member.index > g.keeper, "the keeper is the most preferred"
            same = candidates[member.index].sha256 == candidates[g.keeper].sha256
            assert (member.verdict == "exact") is same
            assert same or member.similarity >= least - 1e-3
    keepers = [candidates[g.keeper] for g in groups] + [
        c for i, c in enumerate(candidates) if i not in grouped
    ]
    alike = [
        (a, b)
        for n, a in enumerate(keepers)
        for b in keepers[n + 1 :]
        if a.sha256 == b.sha256 or 1 - ((a.phash or 0) ^ (b.phash or 0)).bit_count() / 64 >= least
    ]
    assert alike == [], "what is kept are no copies of each other"
    assert list(ALL) == ["exact", "same-picture", "similar"]
