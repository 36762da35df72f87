"""What a copyright service answers, and what follows from it. Source: platform specification, compliance §6.2.1.

Only an answer that says ``status: success`` counts; no other one, and no missing one, makes a picture compliant.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

RiskLevel = Literal["low", "medium", "high", "critical", "unknown"]

LEVELS: tuple[tuple[float, RiskLevel], ...] = ((0.95, "critical"), (0.85, "high"), (0.7, "medium"))
"""From which similarity on a match is of which level; below all of them it is low."""
FORBIDDING: frozenset[RiskLevel] = frozenset({"high", "critical", "unknown"})
SEVERITY: tuple[RiskLevel, ...] = ("low", "medium", "high", "unknown", "critical")
"""From harmless to worst. What is not known may be anything but a proven copy."""
MOST_MATCHES = 20
MOST_NAMES = 50


class Match(BaseModel):
    """A protected work that looks like the picture."""

    model_config = ConfigDict(extra="ignore")

    id: str | None = Field(default=None, max_length=500)
    title: str | None = Field(default=None, max_length=500)
    similarity: float = Field(ge=0, le=1, allow_inf_nan=False, description="1 − d/64 of the two hashes")
    rights_holders: list[str] = Field(default_factory=list, max_length=MOST_NAMES)


class Rights(BaseModel):
    """What may be done with the picture."""

    model_config = ConfigDict(extra="ignore")

    allowed_purposes: list[str] = Field(
        default_factory=list, max_length=200, description="`any` allows every one"
    )
    allowed_regions: list[str] = Field(
        default_factory=list, max_length=300, description="`global` allows every one"
    )
    attribution_required: bool = False
    licensing_required: bool = False


class Answer(BaseModel):
    """The service's answer to one picture."""

    model_config = ConfigDict(extra="ignore")

    status: Literal["success"]
    compliant: bool | None = Field(default=None, description="The service's own verdict; false is believed")
    matches: list[Match] = Field(default_factory=list, max_length=10_000)
    rights: Rights = Field(default_factory=Rights)


class Suggestion(BaseModel):
    """What to do or to know."""

    type: Literal["info", "warning", "action", "detail", "error"]
    message: str


class Usage(BaseModel):
    """Whether one use of the picture, in one region, is covered."""

    authorized: bool
    purpose: str
    region: str
    purpose_allowed: bool
    region_allowed: bool
    attribution_required: bool
    licensing_required: bool
    message: str


class Assessment(BaseModel):
    """What an answer means."""

    compliant: bool
    risk_level: RiskLevel
    max_similarity: float | None = None
    suggestions: list[Suggestion]


def risk_of(similarity: float | None) -> RiskLevel:
    """The level of the most similar match; low when there is none.

    >>> [risk_of(s) for s in (None, 0.69, 0.7, 0.85, 0.95)]
    ['low', 'low', 'medium', 'high', 'critical']
    """
    for least, level in LEVELS:
        if similarity is not None and similarity >= least:
            return level
    return "low"


def assess(answer: Answer, *, holders_from: float = 0.85) -> Assessment:
    """The risk of a picture by its matches, and what to do; holders of matches from ``holders_from`` on are named."""
    if not answer.matches:
        refused = answer.compliant is False
        return Assessment(
            compliant=not refused,
            risk_level="low",
            suggestions=[
                Suggestion(type="warning", message="the service calls it not compliant, and names no match")
                if refused
                else Suggestion(type="info", message="no protected work looks like it")
            ],
        )
    highest = max(match.similarity for match in answer.matches)
    level = risk_of(highest)
    suggestions = _advice(level, _holders(answer.matches, holders_from))
    count = len(answer.matches)
    looks = "work looks" if count == 1 else "works look"
    suggestions.append(
        Suggestion(
            type="detail",
            message=f"{count} {looks} like it; the most similar by {highest:.2%}",
        )
    )
    return Assessment(
        compliant=level not in FORBIDDING and answer.compliant is not False,
        risk_level=level,
        max_similarity=highest,
        suggestions=suggestions,
    )


def _advice(level: RiskLevel, holders: Sequence[str]) -> list[Suggestion]:
    if level == "medium":
        words = "moderately similar: look at how it will be used, and whether fair use covers that"
        return [Suggestion(type="info", message=words)]
    if level == "low":
        return []
    first = (
        Suggestion(type="action", message=f"ask for a licence: {', '.join(holders)}")
        if holders
        else Suggestion(type="warning", message="very similar to a protected work whose holder is not known")
    )
    return [first, Suggestion(type="action", message="use another picture, or get a licence")]


def _holders(matches: Sequence[Match], least: float) -> list[str]:
    names = {name.strip() for match in matches if match.similarity >= least for name in match.rights_holders}
    return sorted(name for name in names if name)[:MOST_NAMES]


def usage_of(rights: Rights, compliant: bool, *, purpose: str, region: str) -> Usage:
    """Whether ``purpose`` in ``region`` is covered. What is not compliant is never authorized."""
    purposes = {allowed.casefold() for allowed in rights.allowed_purposes}
    regions = {allowed.casefold() for allowed in rights.allowed_regions}
    purpose_allowed = bool(purposes & {purpose.casefold(), "any"})
    region_allowed = bool(regions & {region.casefold(), "global"})
    missing = [
        word for word, allowed in (("purpose", purpose_allowed), ("region", region_allowed)) if not allowed
    ]
    if not compliant:
        message = "the picture is not compliant"
    elif missing:
        message = f"the rights do not cover this {' and '.join(missing)}"
    else:
        message = "the rights cover it"
    return Usage(
        authorized=compliant and not missing,
        purpose=purpose,
        region=region,
        purpose_allowed=purpose_allowed,
        region_allowed=region_allowed,
        attribution_required=rights.attribution_required,
        licensing_required=rights.licensing_required,
        message=message,
    )
