"""Clusters: what gathers is found, a new picture is placed without training, labels come from tags."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mirror_realm.cli.app import run as realm
from mirror_realm.core.errors import Code, RealmError
from mirror_realm.core.settings import settings
from mirror_realm.store import Store
from mirror_realm.store.media_vectors import NewEmbedding
from mirror_realm.tasks.ai import ai_cluster
from mirror_realm.tasks.ai.analyze import image_analyze
from mirror_realm.tasks.ai.library import EmbeddingModel, pack
from mirror_realm.tasks.inference.clusters import VARIANCE, Clusters, train_clusters
from mirror_realm.tasks.inference.tagger import CANDIDATES
from tests import clip_models, photos
from tests.clip_models import DIMENSION
from tests.photo_context import context_in, run


def groups(sizes=(60, 40, 20), dimension=DIMENSION, seed=0) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors around as many centres, and which is whose."""
    random = np.random.default_rng(seed)
    whose = np.repeat(np.arange(len(sizes)), sizes)
    vectors = random.normal(size=(len(sizes), dimension))[whose] + 0.15 * random.normal(
        size=(len(whose), dimension)
    )
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), whose


def test_what_gathers_is_one_cluster_the_largest_first():
    vectors, whose = groups()
    trained = train_clusters(vectors, 3)
    numbers, distances = trained.place(vectors)
    assert (numbers == whose).all()
    assert (distances >= 0).all()


def test_training_is_repeatable_and_survives_storing():
    vectors, _ = groups()
    trained = train_clusters(vectors, 3)
    again = Clusters.from_bytes(train_clusters(vectors, 3).to_bytes())
    np.testing.assert_array_equal(trained.place(vectors)[0], again.place(vectors)[0])
    np.testing.assert_allclose(trained.centres, again.centres, atol=1e-5)


def test_the_components_keep_the_variance():
    vectors, _ = groups(dimension=40)
    trained = train_clusters(vectors, 3)
    standard = (vectors - vectors.mean(axis=0)) / vectors.std(axis=0)
    kept = trained.reduce(vectors).var(axis=0).sum() / standard.var(axis=0).sum()
    assert VARIANCE <= kept <= 1
    assert trained.components.shape[1] < 40


@pytest.mark.parametrize(("count", "clusters"), [(1, 1), (4, 1), (12, 2)])
def test_few_pictures_fill_few_clusters(count, clusters):
    vectors, _ = groups((count,))
    assert len(train_clusters(vectors, 50)) == clusters


def test_vectors_that_do_not_differ():
    same = np.tile(groups((1,))[0], (20, 1))
    numbers, distances = train_clusters(same, 3).place(same)
    assert len(set(numbers.tolist())) == 1
    assert distances == pytest.approx(0, abs=1e-4)


# -- the node ---------------------------------------------------------------------------------------------


@pytest.fixture
def context(tmp_path):
    clip_models.make(settings().model_folder)
    return context_in(tmp_path)


@pytest.fixture
def library(context):
    """Three groups of pictures, embedded by the model that is here."""
    vectors, _ = groups()
    with Store.open(settings().database) as store:
        space = EmbeddingModel(settings(), "tiny").space(store)
        rows = [
            NewEmbedding(sha256=f"{n:064x}", source_sha256=f"{n:064x}", vector=pack(v), name=f"{n}.jpg")
            for n, v in enumerate(vectors)
        ]
        store.vectors.add(space.id, rows)
        yield store


def test_training_names_clusters_and_counts_versions(library, context):
    output = run(ai_cluster, context, {}, action="train", clusters=3)
    assert [c.size for c in output.clusters] == [60, 40, 20]
    assert all(set(c.label.split(", ")) <= set(CANDIDATES) for c in output.clusters)
    assert (output.version, output.remarks) == (1, [])
    assert run(ai_cluster, context, {}, action="train", clusters=3).version == 2
    own = run(ai_cluster, context, {}, action="train", clusters=3, candidates=["猫", "狗"])
    assert {word for c in own.clusters for word in c.label.split(", ")} == {"猫", "狗"}
    capped = run(ai_cluster, context, {}, action="train", clusters=50)
    assert "24 clusters, not 50" in capped.remarks[0]


def test_a_picture_is_placed_and_stays(library, context, tmp_path):
    path = photos.photo(tmp_path / "a.jpg")
    with pytest.raises(RealmError, match="never divided") as caught:
        run(ai_cluster, context, path)
    assert caught.value.code is Code.FAILED_PRECONDITION
    analysis = run(image_analyze, context, path, tasks=["clustering"], model="tiny")
    assert "realm media cluster" in analysis.unavailable["clustering"]
    run(ai_cluster, context, {}, action="train", clusters=3)
    placed = run(ai_cluster, context, path)
    assert placed.cluster.number in (0, 1, 2)
    assert run(ai_cluster, context, path).cluster == placed.cluster
    analysis = run(image_analyze, context, path, tasks=["clustering"], model="tiny")
    assert (analysis.category, analysis.cluster_id) == (placed.cluster.label, placed.cluster.number)


def test_without_the_models_weights_clusters_are_numbers(library, context):
    clip_models.make(settings().model_folder, seed=5)
    output = run(ai_cluster, context, {}, action="train", clusters=3)
    assert [c.label for c in output.clusters] == ["Cluster 0", "Cluster 1", "Cluster 2"]
    assert "no names" in output.remarks[0]


def test_an_empty_library(context):
    with pytest.raises(RealmError) as caught:
        run(ai_cluster, context, {}, action="train")
    assert caught.value.code is Code.NOT_FOUND


def test_realm_media_cluster(library, capsys):
    assert realm(["media", "cluster", "--clusters", "3", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [c["size"] for c in shown["clusters"]] == [60, 40, 20]
    assert realm(["media", "cluster"]) == 0
    shown = capsys.readouterr()
    assert len(shown.out.splitlines()) == 24
    assert "24 clusters, not 50" in shown.err
