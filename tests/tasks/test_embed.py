"""Embeddings: the model's own preprocessing, batches, tags, and a node that computes nothing twice."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from mirror_realm.core.errors import Code, RealmError
from mirror_realm.core.references import FileRef, ImageRef, local_path
from mirror_realm.core.settings import settings
from mirror_realm.store import Store
from mirror_realm.store.media_stages import StageKey
from mirror_realm.tasks.ai import ai_embed
from mirror_realm.tasks.ai.analyze import image_analyze
from mirror_realm.tasks.image import image_preprocess
from mirror_realm.tasks.inference import embedder as module
from mirror_realm.tasks.inference.catalogue import known_model
from mirror_realm.tasks.inference.embedder import Embedder, identity_of, open_embedder, unit
from mirror_realm.tasks.inference.tagger import CANDIDATES, Tagger, tagger
from tests import clip_models, photos
from tests.clip_models import DIMENSION, SIDE
from tests.photo_context import context_in, run


def opened(folder, name="tiny") -> Embedder:
    model = known_model(name, folder)
    return open_embedder(model, folder / model.weights.file)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    clip_models.make(folder)
    return opened(folder)


def gradient(width: int, height: int) -> Image.Image:
    """A picture that is different everywhere, so that a wrong crop or squash shows."""
    down, across = np.mgrid[0:height, 0:width]
    rgb = np.stack([across * 255 / width, down * 255 / height, (across + down) % 256], axis=-1)
    return Image.fromarray(rgb.astype(np.uint8))


# -- preprocessing ----------------------------------------------------------------------------------------


def by_hand(module, image: Image.Image, mean, std, *, squash: bool) -> np.ndarray:
    """What the configuration says, done with Pillow and numpy alone."""
    width, height = image.size
    if squash:
        small = image.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    else:
        scale = SIDE / min(width, height)
        size = (SIDE, int(SIDE * height / width)) if width <= height else (int(SIDE * width / height), SIDE)
        assert min(size) == SIDE
        assert scale <= 1
        resized = image.resize(size, Image.Resampling.BICUBIC)
        left, top = round((size[0] - SIDE) / 2), round((size[1] - SIDE) / 2)
        small = resized.crop((left, top, left + SIDE, top + SIDE))
    pixels = (np.asarray(small, np.float32) / 255 - np.float32(mean)) / np.float32(std)
    with torch.inference_mode():
        raw = module.encode_image(torch.from_numpy(pixels.transpose(2, 0, 1))[None]).numpy()
    return raw / np.linalg.norm(raw)


@pytest.mark.parametrize("size", [(300, 90), (90, 300), (64, 64)])
@pytest.mark.parametrize("squash", [False, True])
def test_pictures_of_any_shape_are_prepared_as_the_model_says(tmp_path, size, squash):
    mean, std = [0.2, 0.5, 0.7], [0.3, 0.2, 0.1]
    mode = "squash" if squash else "shortest"
    clip_models.make(tmp_path, mean=mean, std=std, resize_mode=mode, interpolation="bicubic")
    embedder = opened(tmp_path)
    image = gradient(*size)
    expected = by_hand(embedder.module, image, mean, std, squash=squash)
    np.testing.assert_allclose(embedder.images([image]), expected, atol=1e-5)
    wrong = by_hand(embedder.module, image, mean, std, squash=not squash)
    assert np.abs(wrong - expected).max() > 1e-3 or size == (64, 64)


# -- the embedder -----------------------------------------------------------------------------------------


def test_vectors_are_unit_float32_whatever_the_batch(tiny):
    images = [gradient(50 + 10 * n, 40) for n in range(5)]
    together = tiny.images(images, batch=5)
    assert together.dtype == np.float32
    assert together.shape == (5, DIMENSION)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(tiny.images(images, batch=2), together, atol=1e-5)
    assert tiny.images([]).shape == (0, DIMENSION)


def test_grey_and_transparent_pictures_are_seen(tiny):
    for mode in ("L", "RGBA", "P"):
        assert np.isfinite(tiny.images([gradient(40, 40).convert(mode)])).all()


def test_texts_also_long_and_chinese(tiny):
    vectors = tiny.texts(["a cat", "一只猫在沙发上", "long " * 200], batch=2)
    assert vectors.shape == (3, DIMENSION)
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-3


def test_identity_changes_with_the_weights(tmp_path, tiny):
    weights = clip_models.make(tmp_path, seed=1)
    other = identity_of(known_model("tiny", tmp_path), weights)
    assert other.startswith("tiny@")
    assert other != tiny.identity


def test_between_two_batches_it_can_be_stopped(tiny):
    calls: list[int] = []

    def check():
        calls.append(1)
        if len(calls) == 2:
            raise RealmError(Code.CANCELLED, "stop")

    with pytest.raises(RealmError, match="stop"):
        tiny.images([gradient(40, 40)] * 4, batch=2, check=check)


def test_weights_of_another_network_are_refused(tmp_path):
    weights = clip_models.make(tmp_path)
    config = tmp_path / "tiny" / "open_clip_config.json"
    changed = json.loads(config.read_text())
    changed["model_cfg"]["embed_dim"] = 24
    config.write_text(json.dumps(changed))
    with pytest.raises(RealmError, match="does not hold tiny") as caught:
        open_embedder(known_model("tiny", tmp_path), weights)
    assert caught.value.code is Code.INVALID_ARGUMENT


def test_a_tokenizer_that_is_not_here_is_said(tmp_path):
    weights = clip_models.make(tmp_path)
    config = tmp_path / "tiny" / "open_clip_config.json"
    changed = json.loads(config.read_text())
    changed["model_cfg"]["text_cfg"]["hf_tokenizer_name"] = "xlm-roberta-base"
    config.write_text(json.dumps(changed))
    model = known_model("tiny", tmp_path)
    assert model.capabilities["languages"] == "any"
    with pytest.raises(RealmError, match="open_clip cannot build") as caught:
        open_embedder(model, weights)
    assert caught.value.code is Code.DEPENDENCY_FAILURE


def test_vectors_without_a_direction_are_refused():
    for wrong in (np.zeros((1, 4)), np.full((1, 4), np.nan), np.full((1, 4), np.inf)):
        with pytest.raises(RealmError) as caught:
            unit(wrong)
        assert caught.value.code is Code.DATA_CORRUPTED


def test_without_open_clip_the_extra_is_named(monkeypatch):
    find = module.importlib.util.find_spec
    monkeypatch.setattr(
        module.importlib.util, "find_spec", lambda name: None if name == "open_clip" else find(name)
    )
    with pytest.raises(RealmError, match="open-clip-torch") as caught:
        module.require_open_clip()
    assert caught.value.code is Code.DEPENDENCY_FAILURE
    assert "mirror-realm[ai]" in (caught.value.hint or "")


# -- tags -------------------------------------------------------------------------------------------------


class Known(Embedder):
    """An embedder whose texts are chosen: a sentence's vector is along the axis of its word."""

    WORDS = ("cat", "dog")

    def texts(self, texts, *, batch=32, check=lambda: None):
        rows = np.zeros((len(texts), 4), np.float32)
        for row, text in zip(rows, texts, strict=True):
            axis = next((n for n, word in enumerate(self.WORDS) if word in text), 3)
            row[axis] = 1
        return rows


def known(scale=10.0, bias=None) -> Known:
    nothing = lambda *_: None  # noqa: E731
    return Known("known@1", 4, "cpu", "en", scale, bias, None, nothing, nothing)


def test_tags_are_weighed_against_sentences_that_say_nothing():
    tags = Tagger(known(), {"cat": (), "dog": ()})
    cat = unit(np.array([[0.9, 0.1, 0.0, 0.3]]))
    confident = tags.confidences(cat)[0]
    cosines = cat[0]
    assert confident == pytest.approx(1 / (1 + np.exp(-10 * (cosines[:2] - cosines[3]))), abs=1e-5)
    assert [t.tag for t in tags.tag(cat[0])] == ["cat"]
    assert tags.tag(cat[0], least=0.0, top=1)[0].similarity == pytest.approx(cosines[0], abs=1e-4)
    # What is only like everything is like nothing in particular.
    assert tags.confidences(unit(np.array([[0.5, 0.5, 0.0, 0.5]])))[0] == pytest.approx(0.5, abs=1e-6)


def test_a_model_with_a_bias_says_it_itself():
    tags = Tagger(known(bias=-5.0), {"cat": ()})
    vector = unit(np.array([[0.6, 0.0, 0.8, 0.0]]))
    assert tags.confidences(vector)[0, 0] == pytest.approx(1 / (1 + np.exp(-(10 * 0.6 - 5))), abs=1e-5)


def test_shares_sum_to_one():
    tags = Tagger(known(), {"cat": (), "dog": ()})
    shares = tags.shares(unit(np.random.default_rng(0).normal(size=(5, 4))))
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-6)
    assert [t.tag for t in tags.classify(np.float32([0, 1, 0, 0]))] == ["dog", "cat"]


def test_the_seeds_candidates_by_default_and_ones_own(tiny):
    assert len(CANDIDATES) == 20
    assert tagger(tiny).tags == tuple(CANDIDATES)
    assert tagger(tiny, ["红色自行车", "food"]).tags == ("红色自行车", "food")
    assert tagger(tiny) is tagger(tiny)


# -- the node ---------------------------------------------------------------------------------------------


@pytest.fixture
def context(tmp_path):
    clip_models.make(settings().model_folder)
    return context_in(tmp_path)


def vector_of(reference: FileRef) -> np.ndarray:
    return np.load(local_path(reference.uri), allow_pickle=False)


def test_a_picture_is_embedded_once(tmp_path, context, monkeypatch):
    prepared = run(image_preprocess, context, photos.photo(tmp_path / "照片.jpg", orientation=6))
    first = run(ai_embed, context, {"image": prepared.image}, model="tiny")
    assert (first.cached, first.dimension, first.image) == (False, DIMENSION, prepared.image)
    assert np.linalg.norm(vector_of(first.vector)) == pytest.approx(1, abs=1e-5)
    monkeypatch.setattr(Embedder, "images", None)
    again = run(ai_embed, context, {"image": prepared.image}, model="tiny")
    assert again.cached
    assert again.vector == first.vector
    with Store.open(settings().database) as store:
        key = StageKey.of(prepared.image.sha256, "embed", first.model)
        assert store.stages.get(key).status == "done"
        embedding = store.vectors.get(store.vectors.space().id, prepared.image.sha256)
        assert embedding.source_sha256 == prepared.image.source_sha256


def test_other_weights_embed_beside_the_old(tmp_path, context):
    path = photos.photo(tmp_path / "a.jpg")
    first = run(ai_embed, context, path, model="tiny")
    clip_models.make(settings().model_folder, seed=9)
    second = run(ai_embed, context, path, model="tiny")
    assert not second.cached
    assert first.model != second.model
    with Store.open(settings().database) as store:
        assert [s.status for s in store.vectors.spaces()] == ["active", "building"]


def test_a_text(context):
    output = run(ai_embed, context, {"text": "海边的日落"}, model="tiny")
    assert output.image is None
    assert vector_of(output.vector).shape == (DIMENSION,)
    with pytest.raises(ValueError, match="empty"):
        run(ai_embed, context, {"text": "  "}, model="tiny")


def test_a_model_that_is_not_here_names_the_command(tmp_path, context):
    with pytest.raises(RealmError) as caught:
        run(ai_embed, context, photos.photo(tmp_path / "a.jpg"))
    assert caught.value.code is Code.DEPENDENCY_FAILURE
    assert "realm models pull ViT-B/32" in (caught.value.hint or "")
    with pytest.raises(RealmError) as caught:
        run(ai_embed, context, photos.photo(tmp_path / "a.jpg"), model="ViT-B33")
    assert caught.value.code is Code.NOT_FOUND


def test_a_damaged_picture_is_remembered(tmp_path, context):
    path = photos.photo(tmp_path / "a.jpg")
    stored = context.artifacts.put(path, name="a.jpg", media_type="image/jpeg")
    broken = local_path(stored.uri)
    broken.write_bytes(path.read_bytes()[:2000])
    torn = context.artifacts.put(broken, name="torn.jpg", media_type="image/jpeg")
    with pytest.raises(RealmError) as caught:
        run(ai_embed, context, {"image": ImageRef(**torn.model_dump(), width=1, height=1)}, model="tiny")
    assert caught.value.code is Code.DATA_CORRUPTED
    with Store.open(settings().database) as store:
        assert store.stages.counts("embed") == {"failed": 1}


def test_the_specification_reads_without_torch():
    assert ai_embed.name == "ai/embed"
    assert "torch" in sys.modules  # of this test; that importing the registry needs none is held elsewhere


def test_analysis_tags_with_the_model(tmp_path, context):
    path = photos.photo(tmp_path / "a.jpg")
    wanted = ["classification", "tagging"]
    output = run(image_analyze, context, path, tasks=wanted, model="tiny", thresholds={"tag": 0.0})
    assert output.unavailable == {}
    found = [tag for tag in output.tags if tag.source == "clip"]
    assert 0 < len(found) <= 5
    assert output.classification[0].tag in CANDIDATES
    assert sum(tag.confidence for tag in output.classification) <= 1.001
    own = run(image_analyze, context, path, tasks=wanted, model="tiny", candidates=["猫", "狗"], top=1)
    assert len(own.classification) == 1
    assert own.classification[0].tag in ("猫", "狗")
    assert any("English" in remark for remark in own.remarks)
