"""What a model says a picture means: the part of ``ai/image-analyze`` that needs an embedder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...core.errors import Code, RealmError
from .embed import embed_picture
from .library import EmbeddingModel, Picture, open_library, unpack

if TYPE_CHECKING:
    from ..inference.tagger import TagScore
    from .cluster import ClusterFound
    from .searching import Match

TASKS = frozenset({"classification", "tagging", "similarity", "clustering"})
"""What cannot be found out without an embedder."""

ABSENT = frozenset({Code.DEPENDENCY_FAILURE, Code.UNAVAILABLE})
"""Failures that mean that the model is not here. Any other is one of the analysis."""


@dataclass
class Meaning:
    """What was found out; ``unavailable`` says of each task that was not done why."""

    tags: list[TagScore] = field(default_factory=list)
    classification: list[TagScore] = field(default_factory=list)
    similar: list[Match] = field(default_factory=list)
    cluster: ClusterFound | None = None
    model: str | None = None
    unavailable: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


def find_meaning(
    picture: Picture,
    model: EmbeddingModel,
    tasks: Iterable[str],
    *,
    candidates: Sequence[str] = (),
    top: int = 5,
    least: float = 0.5,
) -> Meaning:
    """Do those of ``tasks`` that need the model. Without it, nothing is done and everything is said.

    The vector is recorded in the library, and taken from there when it is known.
    """
    wanted = TASKS.intersection(tasks)
    if not wanted:
        return Meaning()
    try:
        return _found(picture, model, wanted, candidates, top, least)
    except RealmError as error:
        if error.code not in ABSENT:
            raise
        reason = f"needs the CLIP model {model.name}: {error.record.message}"
        return Meaning(unavailable=dict.fromkeys(sorted(wanted), f"{reason} ({error.hint})"))


def _found(
    picture: Picture,
    model: EmbeddingModel,
    wanted: frozenset[str],
    candidates: Sequence[str],
    top: int,
    least: float,
) -> Meaning:
    from ..inference.tagger import tagger
    from .cluster import place
    from .searching import nearest

    meaning = Meaning(model=model.identity)
    with open_library(model.settings) as store:
        recorded, _ = embed_picture(store, model, picture)
        vector = unpack(recorded.vector or b"")
        if "similarity" in wanted:
            space = model.space(store)
            meaning.similar = nearest(store, model.settings, space, vector, k=top, but=picture.original)
        if "clustering" in wanted:
            try:
                _, meaning.cluster = place(store, model.space(store), picture.content, vector)
            except RealmError as error:
                if error.code is not Code.FAILED_PRECONDITION:
                    raise
                meaning.unavailable["clustering"] = f"{error.record.message} ({error.hint})"
    if wanted & {"classification", "tagging"}:
        words = tagger(model.embedder, tuple(candidates))
        if "tagging" in wanted:
            meaning.tags = words.tag(vector, top=top, least=least)
        if "classification" in wanted:
            meaning.classification = words.classify(vector, top=top)
        meaning.remarks += _language(model, candidates)
    return meaning


def _language(model: EmbeddingModel, texts: Sequence[str]) -> list[str]:
    foreign = [text for text in texts if not text.isascii()]
    if not foreign or model.embedder.languages != "en":
        return []
    return [f"{model.name} was trained on English; {', '.join(foreign[:5])} may mean nothing to it"]
