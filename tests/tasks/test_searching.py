"""The index and the record agree, whatever happens in between; search by text, picture and id."""

from __future__ import annotations

import json
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from mirror_realm.cli.app import run as realm
from mirror_realm.core.errors import Code, RealmError
from mirror_realm.core.settings import Settings, settings
from mirror_realm.store import Store
from mirror_realm.store.media_vectors import NewEmbedding
from mirror_realm.tasks.ai import ai_embed, ai_index, ai_search
from mirror_realm.tasks.ai.analyze import image_analyze
from mirror_realm.tasks.ai.library import EmbeddingModel, pack
from mirror_realm.tasks.ai.reindex import reindex
from mirror_realm.tasks.ai.searching import LibraryIndex, _indexes, index_file, library_index, nearest
from tests import clip_models, photos
from tests.photo_context import context_in, run
from tests.postgres import fresh_database

DIMENSION = 8


def vector(seed: int, dimension: int = DIMENSION) -> np.ndarray:
    found = np.random.default_rng(seed).normal(size=dimension)
    return (found / np.linalg.norm(found)).astype(np.float32)


def new(number: int, source: int | None = None) -> NewEmbedding:
    return NewEmbedding(
        sha256=f"{number:064x}",
        source_sha256=f"{number if source is None else source:064x}",
        vector=pack(vector(number)),
        name=f"{number}.jpg",
    )


def living(store: Store, space) -> set[int]:
    return {row.id for row in store.vectors.changes(space.id, 0) if row.vector is not None}


@pytest.fixture
def store():
    with Store.open(settings().database) as store:
        yield store


@pytest.fixture
def space(store):
    return store.vectors.open_space("m@1", DIMENSION)


@pytest.fixture
def library(space):
    return LibraryIndex(index_file(settings(), space), space, flat_below=50)


# -- agreement --------------------------------------------------------------------------------------------


def test_each_process_takes_in_what_changed(store, space, library):
    other = LibraryIndex(library.path, space)
    store.vectors.add(space.id, [new(n) for n in range(10)])
    assert len(library.refresh(store)) == 10
    store.vectors.remove(space.id, [f"{3:064x}"])
    store.vectors.add(space.id, [new(99)])
    for each in (library, other):
        assert each.refresh(store).ids == living(store, space)
    assert not library.path.exists()
    library.refresh(store, save=True)
    assert LibraryIndex(library.path, space).refresh(store).ids == living(store, space)


def test_the_file_is_written_only_when_enough_changed(store, space, library):
    store.vectors.add(space.id, [new(n) for n in range(300)])
    library.refresh(store)
    written = library.path.stat().st_mtime_ns
    store.vectors.add(space.id, [new(1000)])
    library.refresh(store)
    assert library.path.stat().st_mtime_ns == written


def test_the_record_may_be_on_postgresql():
    with fresh_database() as url, Store.open(url) as store:
        space = store.vectors.open_space("m@1", DIMENSION)
        library = LibraryIndex(index_file(settings(), space), space, flat_below=20)
        store.vectors.add(space.id, [new(n) for n in range(30)])
        assert library.refresh(store, save=True).kind == "hnsw"
        store.vectors.remove(space.id, [f"{n:064x}" for n in range(0, 30, 2)])
        store.vectors.add(space.id, [new(4)])
        assert library.refresh(store).ids == living(store, space)
        assert [m.name for m in nearest(store, settings(), space, vector(4), k=1)] == ["4.jpg"]


@pytest.mark.parametrize("harm", ["torn", "lost", "another space", "another model"])
def test_a_file_that_cannot_be_used_is_built_from_the_record(store, space, library, harm, caplog):
    caplog.set_level(logging.INFO)
    store.vectors.add(space.id, [new(n) for n in range(60)])
    library.refresh(store, save=True)
    if harm == "torn":
        library.path.write_bytes(library.path.read_bytes()[:-700])
    elif harm == "lost":
        library.path.unlink()
    else:
        wrong = store.vectors.open_space("other@2", DIMENSION if harm == "another space" else 4)
        LibraryIndex(library.path, wrong).rebuild(store)
        shutil.copy(library.path, library.path.with_suffix(".kept"))
    fresh = LibraryIndex(library.path, space)
    assert fresh.refresh(store, save=True).ids == living(store, space)
    assert any("built" in record.message for record in caplog.records)
    assert LibraryIndex(library.path, space).refresh(store).ids == living(store, space)


def test_a_record_from_a_backup_is_believed(store, space, library, caplog):
    store.vectors.add(space.id, [new(n) for n in range(5)])
    backup = settings().home / "backup.db"
    store.close()
    shutil.copy(settings().home / "realm.db", backup)
    with Store.open(settings().database) as later:
        later.vectors.add(space.id, [new(n) for n in range(10, 20)])
        library.refresh(later, save=True)
    with Store.open(f"sqlite:///{backup}") as restored:
        index = LibraryIndex(library.path, space).refresh(restored)
        assert index.ids == living(restored, space)
    assert any("older" in record.message for record in caplog.records)


def test_an_older_index_never_replaces_a_newer_file(store, space, library):
    store.vectors.add(space.id, [new(1)])
    old = LibraryIndex(library.path, space)
    index = old.refresh(store)
    store.vectors.add(space.id, [new(2)])
    library.refresh(store, save=True)
    old._save(index)
    assert library._is_newer_than(index)


@contextmanager
def saving(database: str, path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that changes the record and saves the index without end."""
    program = f"""
import sys
from pathlib import Path
from mirror_realm.store import Store
from mirror_realm.store.media_vectors import NewEmbedding
from mirror_realm.tasks.ai.searching import LibraryIndex
import numpy as np
with Store.open({database!r}) as store:
    space = store.vectors.open_space("m@1", {DIMENSION})
    index = LibraryIndex(Path({str(path)!r}), space)
    print("ready", flush=True)
    for n in range(10**9):
        sha = f"{{n % 500:064x}}"
        if store.vectors.get(space.id, sha):
            store.vectors.remove(space.id, [sha])
        else:
            v = np.random.default_rng(n).normal(size={DIMENSION})
            v = (v / np.linalg.norm(v)).astype("<f4").tobytes()
            store.vectors.add(space.id, [NewEmbedding(sha256=sha, source_sha256=sha, vector=v, name="x")])
        index.refresh(store, save=True)
"""
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        yield child
    finally:
        child.kill()
        child.wait(30)


def test_killed_while_it_saves_the_index_still_agrees(store, space, library):
    chance = random.Random(3)
    for _ in range(2):
        with saving(settings().database, library.path) as child:
            deadline = time.monotonic() + 60
            before = library.path.stat().st_mtime_ns if library.path.exists() else 0
            while not (library.path.exists() and library.path.stat().st_mtime_ns > before):
                assert time.monotonic() < deadline
                assert child.poll() is None
            time.sleep(chance.random() * 0.05)  # anywhere in its work, the middle of a save included
            os.kill(child.pid, signal.SIGKILL)
            child.wait(30)
        fresh = LibraryIndex(library.path, space)
        assert fresh._load().generation > 0, "the file is whole"
        assert fresh.refresh(store, save=True).ids == living(store, space)
    assert [file.suffix for file in library.path.parent.iterdir() if file.suffix == ".part"] == []


class Agreement(RuleBasedStateMachine):
    """Inserts, deletes, restarts and lost files in any order: the index is what the record says."""

    folder: Path

    def __init__(self) -> None:
        super().__init__()
        self.home = self.folder / f"home-{time.monotonic_ns()}"
        self.store = Store.open(f"sqlite:///{self.home / 'realm.db'}")
        self.space = self.store.vectors.open_space("m@1", DIMENSION)
        self.path = self.home / "index.npz"
        self.restart()

    @rule()
    def restart(self) -> None:
        self.index = LibraryIndex(self.path, self.space, flat_below=12)

    @rule(numbers=st.lists(st.integers(0, 40), min_size=1, max_size=12))
    def add(self, numbers) -> None:
        self.store.vectors.add(self.space.id, [new(n) for n in numbers])

    @rule(numbers=st.lists(st.integers(0, 40), min_size=1, max_size=8))
    def remove(self, numbers) -> None:
        self.store.vectors.remove(self.space.id, [f"{n:064x}" for n in numbers])

    @rule()
    def save(self) -> None:
        self.index.refresh(self.store, save=True)

    @rule(keep=st.integers(0, 2000))
    def tear(self, keep) -> None:
        assume(self.path.exists())
        self.path.write_bytes(self.path.read_bytes()[:keep])

    @rule(number=st.integers(0, 40))
    def look(self, number) -> None:
        index = self.index.refresh(self.store)
        rows = {row.id: row for row in self.store.vectors.changes(self.space.id, 0) if row.vector}
        found = index.search(vector(number)[None], 5)[0]
        assert len(found) == min(5, len(rows))
        for hit in found:
            stored = np.frombuffer(rows[hit.id].vector, "<f4")
            assert hit.similarity == pytest.approx(float(stored @ vector(number)), abs=1e-4)

    @invariant()
    def agrees(self) -> None:
        assert self.index.refresh(self.store).ids == living(self.store, self.space)

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.home)


def test_index_and_record_agree_whatever_happens(tmp_path):
    machine = type("Machine", (Agreement,), {"folder": tmp_path})
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
    run_state_machine_as_test(
        machine,
        settings=hypothesis_settings(
            max_examples=8, stateful_step_count=16, deadline=None, suppress_health_check=checks
        ),
    )


# -- finding ----------------------------------------------------------------------------------------------


def test_each_original_is_found_once_and_the_one_asked_with_never(store, space):
    store.vectors.add(space.id, [new(1), new(2, source=1), new(3), new(4, source=1)])
    configured = settings()
    found = nearest(store, configured, space, vector(1), k=10)
    assert sorted(match.source_sha256[-1] for match in found) == ["1", "3"]
    assert found[0].similarity == pytest.approx(1, abs=1e-3)
    without = nearest(store, configured, space, vector(1), k=1, but=f"{1:064x}")
    assert [match.source_sha256[-1] for match in without] == ["3"]
    assert nearest(store, configured, space, vector(1), k=5, least=0.999)[0].name == "1.jpg"


@pytest.mark.parametrize("k", [1, 5, 12])
def test_k_originals_are_found_however_many_copies_each_has(store, space, k):
    store.vectors.add(space.id, [new(n, source=n % 12) for n in range(120)])
    found = nearest(store, settings(), space, vector(0), k=k)
    assert len({match.source_sha256 for match in found}) == k


# -- the nodes --------------------------------------------------------------------------------------------


@pytest.fixture
def context(tmp_path):
    clip_models.make(settings().model_folder)
    _indexes.clear()
    return context_in(tmp_path)


@pytest.fixture
def three(tmp_path, context):
    """Three different photos, indexed; their paths."""
    paths = []
    for number in range(3):
        picture = np.random.default_rng(number).integers(0, 255, (60, 90, 3)).astype(np.uint8)
        path = photos.photo(tmp_path / f"照片{number}.png", picture=picture, metadata=False)
        run(ai_index, context, path, model="tiny")
        paths.append(path)
    return paths


def recorded(store: Store, path: Path) -> str:
    """The photo as a run of a workflow would leave it in the library; its id."""
    from mirror_realm.tasks.artifacts import sha256_file

    size = path.stat().st_size
    return store.media.record_original(
        "default", str(path), path.name, "image/png", size, sha256_file(path)
    ).id


def test_indexing_is_idempotent_and_can_be_undone(three, context):
    again = run(ai_index, context, three[0], model="tiny")
    assert (again.changed, again.size, again.kind) == (0, 3, "flat")
    gone = run(ai_index, context, three[0], model="tiny", action="remove")
    assert (gone.changed, gone.size) == (1, 2)
    assert run(ai_index, context, three[0], model="tiny").size == 3


def test_search_by_text_is_what_brute_force_finds(three, context):
    output = run(ai_search, context, {"text": "a cat"}, k=3)
    model = EmbeddingModel(settings(), "tiny")
    with Store.open(settings().database) as store:
        rows = store.vectors.changes(store.vectors.space().id, 0)
    asked = model.embedder.texts(["a cat"])[0]
    expected = sorted(((float(np.frombuffer(r.vector, "<f4") @ asked), r.name) for r in rows), reverse=True)
    assert [r.name for r in output.results] == [name for _, name in expected]
    assert [r.similarity for r in output.results] == pytest.approx([s for s, _ in expected], abs=1e-3)
    assert output.searched == 3


def test_search_by_picture_and_by_id(three, context, store):
    by_picture = run(ai_search, context, three[0], k=5)
    assert len(by_picture.results) == 2
    assert three[0].name not in [r.name for r in by_picture.results]
    id = recorded(store, three[0])
    for known in (id, by_picture.image.sha256):
        assert run(ai_search, context, {"image_id": known}, k=5).results == by_picture.results
    ids = {recorded(store, path): str(path) for path in three[1:]}
    named = run(ai_search, context, {"image_id": id}, k=5).results
    assert {r.image_id: r.path for r in named} == ids


def test_what_cannot_be_searched_is_said(tmp_path, context):
    with pytest.raises(RealmError, match="no picture of this library") as caught:
        run(ai_search, context, {"text": "a cat"})
    assert caught.value.code is Code.NOT_FOUND
    run(ai_embed, context, photos.photo(tmp_path / "a.jpg"), model="tiny")
    with pytest.raises(RealmError) as caught:
        run(ai_search, context, {"image_id": "f" * 64})
    assert caught.value.code is Code.NOT_FOUND
    clip_models.make(settings().model_folder, seed=9)
    with pytest.raises(RealmError, match="the weights here are") as caught:
        run(ai_search, context, {"text": "a cat"})
    assert caught.value.code is Code.FAILED_PRECONDITION


def test_analysis_names_similar_pictures(three, context):
    output = run(image_analyze, context, three[0], tasks=["similarity"], model="tiny")
    assert output.unavailable == {}
    assert len(output.similar_images) == 2


# -- the whole library ------------------------------------------------------------------------------------


def test_a_new_model_is_built_beside_and_swaps(three, context, store):
    for path in three:
        recorded(store, path)
    clip_models.make(settings().model_folder, "better", seed=11)
    model = EmbeddingModel(settings(), "better")
    kept = reindex(store, model, swap="never")
    assert (kept.embedded, kept.active, kept.lacking) == (3, False, 0)
    assert store.vectors.space().model.startswith("tiny@")
    done = reindex(store, model)
    assert (done.embedded, done.swapped, done.size) == (0, True, 3)
    assert run(ai_search, context, {"text": "x"}).model.startswith("better@")


def test_a_model_that_lacks_pictures_waits(three, context, store):
    ids = [recorded(store, path) for path in three]
    three[0].unlink()
    three[1].write_bytes(three[2].read_bytes())
    clip_models.make(settings().model_folder, "better", seed=11)
    model = EmbeddingModel(settings(), "better")
    done = reindex(store, model)
    assert (done.embedded, done.failed, done.lacking, done.active) == (1, 2, 2, False)
    assert reindex(store, model).waiting == 2
    assert reindex(store, model, retry=True).failed == 2
    assert store.vectors.missing(model.space(store).id) == ids[:2]
    assert reindex(store, model, swap="now").active


def test_realm_media(three, store, capsys):
    for path in three:
        recorded(store, path)
    assert realm(["media", "index", "--model", "tiny"]) == 0
    assert "3 pictures can be found" in capsys.readouterr().out
    assert realm(["media", "index", "--model", "tiny", "--rebuild", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["size"] == 3
    assert realm(["media", "search", "海边", "-n", "2", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 2
    assert realm(["media", "search", "--image", str(three[0])]) == 0
    shown = capsys.readouterr().out
    assert str(three[1]) in shown
    assert str(three[0]) not in shown
    for wrong in (
        ["media", "search"],
        ["media", "search", "a", "--like", "b"],
        ["media", "search", "--like", "x"],
    ):
        assert realm(wrong) == 1
        assert "Traceback" not in capsys.readouterr().err


def test_the_library_index_of_a_process_is_one(store, space):
    configured = Settings(home=settings().home)
    assert library_index(configured, space) is library_index(settings(), space)
