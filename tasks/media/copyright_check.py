"""``media/copyright-check``: ask a copyright service whether pictures may be used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from time import sleep
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from ...core.errors import Code, RealmError
from ...core.references import FileRef, ImageRef
from ...core.resources import Resources
from ..image.models import ImageInput, ResolvedImage, file_effects, passed_on, resolve_image
from ..sdk import Effects, node_type
from ..variables import read_variable
from .copyright_rules import (
    MOST_MATCHES,
    SEVERITY,
    Answer,
    Match,
    Rights,
    RiskLevel,
    Suggestion,
    Usage,
    assess,
    usage_of,
)

if TYPE_CHECKING:
    from ..context import NodeContext
    from ..imaging.fingerprint import Fingerprint
    from .copyright_service import AnswerCache, Endpoint

REPORT_VERSION = "1.0"
MOST_PICTURES = 200
MOST_MATCHES_OF_MANY = 3
"""Matches of each picture in the output where there are several pictures; the report has more."""
FAILURES_IN_A_ROW = 3
"""After these the service is taken for down, and the other pictures are not sent."""
_FINAL = frozenset(
    {
        *(Code.CANCELLED, Code.NODE_EXECUTION_TIMEOUT),
        *(Code.PERMISSION_DENIED, Code.UNAUTHENTICATED, Code.NOT_FOUND),
    }
)
"""What ends the node: it must end anyway, or the configuration is wrong and the next picture would meet the same."""


class UsageParameters(BaseModel):
    """A use to verify."""

    model_config = ConfigDict(extra="forbid")

    purpose: str = Field(min_length=1, description="As the service names purposes: commercial, editorial …")
    region: str = Field(min_length=1, description="As the service names regions: CN, EU …")


class CopyrightParameters(BaseModel):
    """The service, and what to do with its answer."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(
        min_length=1, description="Of the service; pictures' hashes are sent to url/v1/check-copyright"
    )
    token_from: str | None = Field(default=None, description="Environment variable with the service's token")
    timeout: float = Field(default=10.0, gt=0, le=300, description="Seconds that one answer may take")
    similarity_threshold: float = Field(
        default=0.85, ge=0, le=1, description="From which similarity on a work's rights holders are named"
    )
    cache_ttl: float = Field(
        default=86_400, ge=0, description="Seconds that an answer is kept on this machine; 0 keeps none"
    )
    batch_size: int = Field(default=10, ge=1, le=100, description="Pictures asked about on one connection")
    pause: float = Field(default=0.1, ge=0, le=60, description="Seconds between two questions")
    metadata: dict[str, JsonValue] = Field(default_factory=dict, description="Sent beside the hash, as it is")
    usage: UsageParameters | None = Field(default=None, description="A use that the rights must cover")
    on_violation: Literal["report", "fail"] = Field(
        default="report",
        description="fail ends the node with COPYRIGHT_VIOLATION when a picture is not allowed",
    )
    on_error: Literal["report", "fail"] = Field(
        default="report",
        description="Without an answer: report says `status: error`, fail ends the node (it is tried again)",
    )


class CopyrightInput(ImageInput):
    """One picture, or several."""

    images: list[ImageRef] = Field(
        default_factory=list, max_length=MOST_PICTURES, description="Pictures to check together"
    )


class CheckReport(BaseModel):
    """What is known of one picture."""

    name: str
    sha256: str
    status: Literal["success", "error"]
    compliant: bool = Field(description="Never true without the service's answer")
    allowed: bool = Field(description="compliant, and the use, where one is named, is covered")
    risk_level: RiskLevel = Field(
        description="critical from a similarity of 0.95 on, high from 0.85, medium from 0.7; unknown without an answer"
    )
    max_similarity: float | None = None
    phash: str
    matches: list[Match] = Field(default_factory=list, description=f"The {MOST_MATCHES} most similar")
    match_count: int = 0
    rights: Rights | None = None
    usage: Usage | None = None
    suggestions: list[Suggestion]
    message: str | None = Field(default=None, description="Why there is no answer")
    error_code: str | None = None
    cached: bool = False
    remarks: list[str] = Field(default_factory=list)


class CopyrightOutput(BaseModel):
    """The picture, unchanged, and whether it may be used. Of several pictures the worst counts."""

    image: ImageRef | None = None
    images: list[ImageRef] = Field(default_factory=list)
    status: Literal["success", "error"] = Field(description="error when a picture got no answer")
    compliant: bool
    allowed: bool = Field(
        description="What a gate asks: an answer for every picture, compliant, the use covered"
    )
    risk_level: RiskLevel
    max_similarity: float | None = None
    suggestions: list[Suggestion]
    message: str | None = None
    checks: list[CheckReport] = Field(description="Picture by picture")
    report: FileRef = Field(description="The compliance report as JSON")


@node_type(
    "media/copyright-check",
    version="1.0.0",
    resources=Resources(cpu_millis=250, memory_mb=512),
    idempotent=True,
    effects=lambda parameters, input: Effects(
        reads=[*file_effects(input), f"http.{parameters.url}"], adds=["artifact"]
    ),
    timeout=900.0,
)
def media_copyright_check(
    parameters: CopyrightParameters, input: CopyrightInput, context: NodeContext
) -> CopyrightOutput:
    """Ask a copyright service about pictures: do protected works look like them, and do the rights cover a use?

    What is sent is the perceptual hash of the upright picture and `metadata`, never the picture. Answers are kept for
    `cache_ttl`, by hash and metadata. A service that is down, refuses, or answers nonsense gives `status: error`, risk
    `unknown` and `compliant: false`.

    Private addresses need `MIRROR_REALM_HTTP_ALLOW`, as for `http/request`.

    Errors: those of `image/preprocess`; COPYRIGHT_VIOLATION with `on_violation: fail`; UNAVAILABLE and others of the
    service with `on_error: fail`; always PERMISSION_DENIED, UNAUTHENTICATED and NOT_FOUND of the service, since the
    configuration is wrong then.
    """
    pictures = _pictures(input, context)
    checks = list(_checked(pictures, parameters, context))
    _fail_as_asked(checks, parameters)
    context.progress(0.95, "storing the report")
    worst = max(checks, key=lambda c: (not c.allowed, SEVERITY.index(c.risk_level), c.max_similarity or 0))
    images = [picture.image for picture in pictures]
    return CopyrightOutput(
        image=None if input.images else images[0],
        images=images if input.images else [],
        status="error" if any(c.status == "error" for c in checks) else "success",
        compliant=all(c.compliant for c in checks),
        allowed=all(c.allowed for c in checks),
        risk_level=SEVERITY[max(SEVERITY.index(c.risk_level) for c in checks)],
        max_similarity=max((c.max_similarity for c in checks if c.max_similarity is not None), default=None),
        suggestions=worst.suggestions,
        message=worst.message,
        checks=_shortened(checks),
        report=_stored(checks, parameters, context),
    )


class _Picture:
    """A picture, its looks, and the reference that is passed on."""

    def __init__(self, resolved: ResolvedImage, context: NodeContext) -> None:
        from ..imaging.fingerprint import fingerprint
        from ..imaging.formats import FORMATS

        limit = context.settings.max_pixels
        self.looks: Fingerprint = fingerprint(resolved.path, name=resolved.name, max_pixels=limit)
        self.name = resolved.name
        self.image = passed_on(
            resolved,
            context,
            media_type=FORMATS[self.looks.format].media_type,
            size=(self.looks.width, self.looks.height),
            captured_at=self.looks.captured_at,
        )


def _pictures(input: CopyrightInput, context: NodeContext) -> list[_Picture]:
    given = [ImageInput(image=image) for image in input.images] or [input]
    found: list[_Picture] = []
    for index, one in enumerate(given):
        context.check_canceled()
        context.progress(0.4 * index / len(given), "looking")
        found.append(_Picture(resolve_image(one, context), context))
    return found


def _checked(
    pictures: Sequence[_Picture], parameters: CopyrightParameters, context: NodeContext
) -> Iterator[CheckReport]:
    from .copyright_service import AnswerCache, Endpoint

    token = read_variable(parameters.token_from, context) if parameters.token_from else None
    endpoint = Endpoint(parameters.url, token, parameters.timeout)
    cache = AnswerCache(context.settings.home / "cache" / "copyright", parameters.cache_ttl)
    failures: list[RealmError] = []
    for start in range(0, len(pictures), parameters.batch_size):
        batch = pictures[start : start + parameters.batch_size]
        context.progress(0.4 + 0.5 * start / len(pictures), f"asked about {start} of {len(pictures)}")
        yield from _batch(batch, endpoint, cache, parameters, failures, context)


def _batch(
    batch: Sequence[_Picture],
    endpoint: Endpoint,
    cache: AnswerCache,
    parameters: CopyrightParameters,
    failures: list[RealmError],
    context: NodeContext,
) -> Iterator[CheckReport]:
    """The reports of pictures that share a connection. ``failures`` are those in a row, over all batches."""
    from .copyright_service import CopyrightService

    with CopyrightService(endpoint, context, len(batch)) as service:
        asked = False
        for picture in batch:
            context.check_canceled()
            question = {"image_hash": picture.looks.phash, "metadata": parameters.metadata}
            remembered = {"url": endpoint.url, **question}
            if (answer := cache.get(remembered)) is not None:
                yield _report(picture, answer, parameters, cached=True)
                continue
            if len(failures) >= FAILURES_IN_A_ROW:
                yield _unanswered(picture, failures[-1])
                continue
            if asked:
                sleep(min(parameters.pause, context.remaining() or parameters.pause))
            asked = True
            try:
                answer = service.ask(question)
            except RealmError as error:
                if error.code in _FINAL:
                    raise
                failures.append(error)
                yield _unanswered(picture, error)
            else:
                failures.clear()
                cache.put(remembered, answer)
                yield _report(picture, answer, parameters, cached=False)


def _report(
    picture: _Picture, answer: Answer, parameters: CopyrightParameters, *, cached: bool
) -> CheckReport:
    found = assess(answer, holders_from=parameters.similarity_threshold)
    usage = None
    if parameters.usage is not None:
        wanted = parameters.usage
        usage = usage_of(answer.rights, found.compliant, purpose=wanted.purpose, region=wanted.region)
    plain = "the picture is of one plain colour: its hash says little" if picture.looks.plain else None
    return CheckReport(
        name=picture.name,
        sha256=picture.image.sha256,
        status="success",
        compliant=found.compliant,
        allowed=found.compliant and (usage is None or usage.authorized),
        risk_level=found.risk_level,
        max_similarity=found.max_similarity,
        phash=picture.looks.phash,
        matches=sorted(answer.matches, key=lambda m: -m.similarity)[:MOST_MATCHES],
        match_count=len(answer.matches),
        rights=answer.rights,
        usage=usage,
        suggestions=found.suggestions,
        cached=cached,
        remarks=[plain] if plain else [],
    )


def _unanswered(picture: _Picture, error: RealmError) -> CheckReport:
    message = error.record.message
    return CheckReport(
        name=picture.name,
        sha256=picture.image.sha256,
        status="error",
        compliant=False,
        allowed=False,
        risk_level="unknown",
        phash=picture.looks.phash,
        suggestions=[Suggestion(type="error", message=message)],
        message=message,
        error_code=error.code,
    )


def _fail_as_asked(checks: Sequence[CheckReport], parameters: CopyrightParameters) -> None:
    unanswered = [check for check in checks if check.status == "error"]
    if unanswered and parameters.on_error == "fail":
        first = unanswered[0]
        raise RealmError(
            Code(first.error_code or Code.UNAVAILABLE),
            f"{first.name} could not be checked: {first.message}",
            details={"unanswered": len(unanswered)},
        )
    forbidden = [check for check in checks if check.status == "success" and not check.allowed]
    if forbidden and parameters.on_violation == "fail":
        first = forbidden[0]
        reason = first.usage.message if first.usage and first.compliant else f"its risk is {first.risk_level}"
        raise RealmError(
            Code.COPYRIGHT_VIOLATION,
            f"{first.name} must not be used: {reason}",
            hint=next((s.message for s in first.suggestions if s.type == "action"), None),
            details={"risk_level": first.risk_level, "pictures": [check.name for check in forbidden[:50]]},
        )


def _shortened(checks: Sequence[CheckReport]) -> list[CheckReport]:
    if len(checks) == 1:
        return list(checks)
    return [check.model_copy(update={"matches": check.matches[:MOST_MATCHES_OF_MANY]}) for check in checks]


def _stored(checks: Sequence[CheckReport], parameters: CopyrightParameters, context: NodeContext) -> FileRef:
    import json

    content: dict[str, Any] = {
        "report_version": REPORT_VERSION,
        "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
        "service": parameters.url,
        "checks": [check.model_dump(mode="json") for check in checks],
    }
    path = context.workdir / "copyright-report.json"
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
    return context.artifacts.put(path, name=path.name, media_type="application/json")
