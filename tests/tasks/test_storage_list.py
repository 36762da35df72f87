"""storage/list: every file of a tree once, in order, page by page."""

from __future__ import annotations

import os
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirror_realm.core.errors import Code, RealmError
from mirror_realm.tasks.storage import list_files
from mirror_realm.tasks.storage_list import ListInput, ListParameters
from tests.photo_context import context_in


@pytest.fixture
def tree(tmp_path):
    place = tmp_path / "照片"
    for name in ("b/2.jpg", "b/1.JPG", "b.jpg", "a/z/9.jpg", "a.jpg", "a-1/3.jpg", "c/note.txt", "Z.jpg"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(name.encode())
    return place


@pytest.fixture
def context(tmp_path):
    return context_in(tmp_path, roots=(tmp_path,))


def page(context, folder, **parameters):
    return list_files(ListParameters(folder=str(folder), **parameters), ListInput(), context)


def names(output, folder):
    return [os.path.relpath(one.file_path, folder) for one in output.files]


def everything(context, folder, **parameters):
    """The files of all pages, and how many pages there were."""
    found, after, pages = [], None, 0
    while True:
        output = page(context, folder, after=after, **parameters)
        found += names(output, folder)
        pages += 1
        if not output.more:
            return found, pages
        after = output.last


ORDER = ["Z.jpg", "a/z/9.jpg", "a-1/3.jpg", "a.jpg", "b/1.JPG", "b/2.jpg", "b.jpg", "c/note.txt"]


def test_files_come_folder_by_folder_with_what_a_foreach_needs(tree, context):
    output = page(context, tree)
    assert names(output, tree) == ORDER
    assert (output.count, output.more, output.links, output.unreadable) == (8, False, 0, 0)
    first = output.files[0]
    assert (first.name, first.size) == ("Z.jpg", 5)
    assert first.modified.tzinfo is not None
    assert names(page(context, tree, pattern=["*.jpg"], recursive=False), tree) == ["Z.jpg", "a.jpg", "b.jpg"]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8, 9])
def test_pages_together_are_the_whole(tree, context, limit):
    assert everything(context, tree, limit=limit) == (ORDER, -(-8 // limit))
    # The last page says that it is, also where what follows is not wanted.
    found, pages = everything(context, tree, limit=7, pattern=["*.jpg"])
    assert (len(found), pages) == (7, 1)


words = st.text("ab.-é照", min_size=1, max_size=3).filter(
    lambda name: name not in (".", "..") and name[0] != "."
)


@given(st.sets(st.lists(words, min_size=1, max_size=3).map("/".join), max_size=25), st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_no_tree_loses_or_repeats_a_file(tmp_path_factory, paths, limit):
    root = tmp_path_factory.mktemp("tree")
    made = set()
    for path in sorted(paths, key=len, reverse=True):
        try:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            if not (root / path).exists():
                (root / path).write_bytes(b"")
                made.add(path)
        except (FileExistsError, NotADirectoryError):
            continue
    found, _ = everything(context_in(root, roots=(root,)), root, limit=limit)
    assert sorted(found) == sorted(made)
    assert found == sorted(found, key=lambda path: path.split("/"))


def test_what_nobody_wants_is_left_out_and_what_cannot_be_taken_is_counted(tree, context):
    for name in ("@eaDir/thumb.jpg", ".hidden.jpg", "#recycle/old.jpg", "half.part"):
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_bytes(b"")
    (tree / "link.jpg").symlink_to(tree / "a.jpg")
    (tree / "round").symlink_to(tree)
    with open(os.fsencode(tree) + b"/\xff.jpg", "wb"):
        pass
    output = page(context, tree)
    assert names(output, tree) == ORDER
    assert (output.links, output.unreadable) == (2, 1)


def test_between_pages_files_come_and_go(tree, context):
    first = page(context, tree, limit=4)
    (tree / "a.jpg").unlink()  # the very one after which it goes on
    (tree / "a").rename(tree / "0")
    (tree / "b" / "3.jpg").write_bytes(b"")
    second = page(context, tree, after=first.last)
    assert names(second, tree) == ["b/1.JPG", "b/2.jpg", "b/3.jpg", "b.jpg", "c/note.txt"]


def test_a_page_fits_into_what_a_node_may_give(tree, context):
    for number in range(200):
        (tree / f"{number:03}{'x' * 200}.jpg").write_bytes(b"")
    small = context_in(tree.parent, roots=(tree.parent,), limits={"max_payload_bytes": 20_000})
    found, pages = everything(small, tree)
    assert len(found) == 208
    assert pages > 5
    assert len(page(small, tree).model_dump_json()) < 10_000


def test_mistakes_are_said(tree, context, tmp_path):
    for parameters, code in (
        ({"folder": tree / "none"}, Code.NOT_FOUND),
        ({"folder": tree / "a.jpg"}, Code.INVALID_ARGUMENT),
        ({"folder": "/etc"}, Code.PERMISSION_DENIED),
        ({"folder": tree, "after": "/etc/passwd"}, Code.INVALID_ARGUMENT),
    ):
        with pytest.raises(RealmError) as caught:
            page(context, **parameters)
        assert caught.value.code is code
    assert page(context, tree, pattern=["*.none"]).last is None


def test_a_large_tree_can_be_canceled(tmp_path, monkeypatch):
    for number in range(30):
        (tmp_path / f"{number}.jpg").write_bytes(b"")
    monkeypatch.setattr("mirror_realm.tasks.storage_list.LOOKS", 10)
    canceled = threading.Event()
    canceled.set()
    with pytest.raises(RealmError) as caught:
        page(context_in(tmp_path, roots=(tmp_path,), canceled=canceled), tmp_path)
    assert caught.value.code is Code.CANCELLED


def test_a_folder_that_went_is_no_empty_folder(tree, context, monkeypatch):
    real = os.scandir

    def scandir(place):
        if place == tree:
            raise OSError(5, "Input/output error")
        return real(place)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(RealmError, match="cannot be read: Input/output error") as caught:
        page(context, tree)
    assert caught.value.code is Code.UNAVAILABLE


def test_what_is_not_listed_is_counted_once_over_all_pages(tree, context):
    for name in ("a.b.jpg", "a.c.jpg", "zz.jpg"):
        (tree / name).symlink_to(tree / "a.jpg")
    output, links, after = None, 0, None
    while output is None or output.more:
        output = page(context, tree, after=after, limit=1)
        links, after = links + output.links, output.last
    assert links == 3
