"""Words for a picture from its vector alone: zero-shot classification and tagging (Radford et al. 2021, §3.1).

A tag is several sentences whose vectors are averaged. *Classification* asks which of the candidates fits best: the
softmax of the model's own logits, which sum to 1. *Tagging* asks of each candidate whether it fits: a model trained
with a sigmoid (SigLIP) answers that itself; for one trained with a softmax, the candidate is weighed against sentences
that say nothing ("a photo"), under the model's own temperature. Neither was fitted to labelled photos.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from .embedder import Embedder, unit
from .kept import Kept

TEMPLATES = ("a photo of {}", "a picture of {}", "a photo showing {}")
NEUTRAL = ("a photo", "a picture", "an image", "a photo of something")

CANDIDATES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "portrait": ("a portrait photo of a person", "a close portrait of a face", "a headshot"),
        "landscape": ("a photo of a landscape", "a scenic view of the land", "a wide landscape photo"),
        "architecture": ("a photo of a building", "a photo of architecture", "a photo of a city street"),
        "food": ("a photo of food", "a photo of a meal", "a dish on a plate"),
        "animal": ("a photo of an animal", "a photo of a pet", "a photo of wildlife"),
        "vehicle": ("a photo of a vehicle", "a photo of a car", "a photo of a train, a ship or a plane"),
        "nature": ("a photo of nature", "a photo of plants and trees", "a photo of the wilderness"),
        "people": ("a photo of people", "a photo of a group of people", "a photo with persons in it"),
        "event": ("a photo of an event", "a photo of a party or a ceremony", "a photo of a concert"),
        "product": ("a product photo", "a photo of an object for sale", "an object on a plain background"),
        "indoor": ("a photo taken indoors", "an interior", "a photo of a room"),
        "outdoor": ("a photo taken outdoors", "an outdoor scene", "a photo under the open sky"),
        "sunset": ("a photo of a sunset", "a photo of the sun near the horizon", "an orange evening sky"),
        "night": ("a photo taken at night", "a night scene", "a dark scene with lights"),
        "daytime": ("a photo taken in daylight", "a scene in daytime", "a bright day"),
        "close-up": ("a close-up photo", "a photo taken from very near", "a close view of a thing"),
        "macro": ("a macro photo", "a macro photo of a small thing", "an insect or flower, greatly enlarged"),
        "aerial": ("an aerial photo", "a photo taken from a plane", "a view from high above"),
        "black and white": ("a black and white photo", "a monochrome photo", "a photo without colour"),
        "color": ("a colour photo", "a colourful photo", "a photo in colour"),
    }
)
"""The specification's candidates (001 §3.2.3), each with what to ask for."""


@dataclass(frozen=True, slots=True)
class TagScore:
    """A tag, how sure the model is (0–1), and the cosine under that."""

    tag: str
    confidence: float
    similarity: float


class Tagger:
    """Candidates as one embedder sees them. A candidate without sentences of its own gets the templates."""

    def __init__(self, embedder: Embedder, candidates: Mapping[str, Sequence[str]] = CANDIDATES) -> None:
        self.tags = tuple(candidates)
        sentences = [prompts(tag, candidates[tag]) for tag in self.tags]
        counts = [len(each) for each in sentences]
        rows = embedder.texts([*(s for each in sentences for s in each), *NEUTRAL])
        groups = np.split(rows, np.cumsum(counts))
        self._tags = unit(np.stack([group.mean(axis=0) for group in groups[:-1]]))
        self._neutral = unit(groups[-1].mean(axis=0))
        self._scale, self._bias = embedder.scale, embedder.bias

    def similarities(self, vectors: np.ndarray) -> np.ndarray:
        """Cosines (n, tags) of pictures with every tag."""
        return np.atleast_2d(vectors) @ self._tags.T

    def confidences(self, vectors: np.ndarray) -> np.ndarray:
        """For each picture and tag, how likely the tag fits, each by itself: (n, tags) within 0–1."""
        cosines = self.similarities(vectors)
        if self._bias is not None:
            return _sigmoid(self._scale * cosines + self._bias)
        plain = np.atleast_2d(vectors) @ self._neutral
        return _sigmoid(self._scale * (cosines - plain[:, None]))

    def shares(self, vectors: np.ndarray) -> np.ndarray:
        """For each picture, how the candidates share it: (n, tags), rows that sum to 1."""
        logits = self._scale * self.similarities(vectors)
        raised = np.exp(logits - logits.max(axis=1, keepdims=True))
        return raised / raised.sum(axis=1, keepdims=True)

    def tag(self, vector: np.ndarray, *, top: int = 5, least: float = 0.5) -> list[TagScore]:
        """The surest tags of one picture, at most ``top``, none below ``least``."""
        return self._best(self.confidences(vector)[0], vector, top, least)

    def classify(self, vector: np.ndarray, *, top: int = 5) -> list[TagScore]:
        """The best fitting candidates of one picture, at most ``top``; ``confidence`` is the share."""
        return self._best(self.shares(vector)[0], vector, top, 0.0)

    def _best(self, scores: np.ndarray, vector: np.ndarray, top: int, least: float) -> list[TagScore]:
        cosines = self.similarities(vector)[0]
        order = np.argsort(-scores, kind="stable")[:top]
        return [
            TagScore(self.tags[i], round(float(scores[i]), 4), round(float(cosines[i]), 4))
            for i in order
            if scores[i] >= least
        ]


_taggers: Kept[Tagger] = Kept(limit=8)


def tagger(embedder: Embedder, candidates: Sequence[str] = ()) -> Tagger:
    """The tagger of ``candidates`` (the specification's where none are given), from the process's cache."""
    wanted = {tag: CANDIDATES.get(tag, ()) for tag in candidates} or CANDIDATES
    key = (embedder.identity, embedder.device, tuple(wanted))
    return _taggers.get(key, lambda: Tagger(embedder, wanted))


def prompts(tag: str, sentences: Sequence[str] = ()) -> tuple[str, ...]:
    """What to ask the model for ``tag``.

    >>> prompts("a red bicycle")[0]
    'a photo of a red bicycle'
    """
    return tuple(sentences) or tuple(template.format(tag) for template in TEMPLATES)


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(logits / 2))
