"""Telling people: e-mail, chat, webhooks and the other services that Apprise knows."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ..core.errors import Code, RealmError
from ..core.resources import Resources
from .context import NodeContext
from .redact import redact, secret_values
from .sdk import Effects, Shown, node_type
from .variables import read_variable

_SHOWN = Shown("a notification")


class SendParameters(BaseModel):
    """What to tell whom. A body that an expression makes a number is sent as text."""

    model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True)

    urls: list[str] | str = Field(
        default_factory=list,
        description="Apprise URLs, such as mailto://user:password@host, slack://…, json://host/path",
    )
    urls_from: str | None = Field(
        default=None,
        description="Environment variable of the worker that holds URLs, separated by spaces, so that no secret "
        "stands in the definition; MIRROR_REALM_ENV_ALLOW must name it",
    )
    body: Annotated[str, _SHOWN] = Field(
        min_length=1, description="The message; expressions in it are filled in"
    )
    title: Annotated[str, _SHOWN] = Field(default="", description="The subject")
    type: Literal["info", "success", "warning", "failure"] = Field(
        default="info", description="What kind of news it is"
    )
    format: Literal["text", "markdown", "html"] = Field(default="text", description="How the body is written")

    @model_validator(mode="after")
    def _somebody(self) -> SendParameters:
        if not self.urls and not self.urls_from:
            raise ValueError("there is nobody to tell: give urls or urls_from")
        return self


class SendInput(BaseModel):
    """Any input, passed through."""

    model_config = ConfigDict(extra="allow")


class SendOutput(BaseModel):
    """The input, and who was told."""

    model_config = ConfigDict(extra="allow")

    sent: int = Field(description="How many services took the message")
    services: list[str] = Field(description="Those services, their secrets masked")


@node_type(
    "notify/send",
    version="1.0.0",
    resources=Resources(cpu_millis=100, memory_mb=128),
    side_effects=True,
    effects=lambda parameters, input: Effects(adds=["notification"]),
    timeout=60.0,
    passes_on=True,
)
def send(parameters: SendParameters, input: SendInput, context: NodeContext) -> SendOutput:
    """Send a message through Apprise: e-mail, chat, webhook, push. The input is passed through.

    Every service is tried; when one does not take the message, the error is DEPENDENCY_FAILURE with the
    services' names and reasons. The retry sends to all of them again. Secrets in URLs are never shown.
    """
    services = [_service(url, index) for index, url in enumerate(_urls(parameters, context))]
    secrets = secret_values(context.settings)
    told: list[str] = []
    failed: dict[str, str] = {}
    for service in services:
        context.check_canceled()
        reason = _notify(service, parameters)
        name = redact(service.url(privacy=True).partition("?")[0], secrets)
        if reason is None:
            told.append(name)
        else:
            failed[name] = redact(reason, secrets)
    if failed:
        name, reason = next(iter(failed.items()))
        raise RealmError(
            Code.DEPENDENCY_FAILURE,
            f"{name} did not take the message: {reason}",
            hint=f"{len(told)} of {len(services)} services took it; check the address and what the service says",
            details={"failed": failed, "told": told},
        )
    return SendOutput.model_validate({**(input.model_extra or {}), "sent": len(told), "services": told})


def _urls(parameters: SendParameters, context: NodeContext) -> list[str]:
    urls = [parameters.urls] if isinstance(parameters.urls, str) else list(parameters.urls)
    if parameters.urls_from is None:
        return urls
    return urls + read_variable(parameters.urls_from, context).split()


def _service(url: str, index: int) -> Any:
    """The service behind an URL; INVALID_ARGUMENT names the URL by its place and scheme only, for it may be
    all secret."""
    import apprise

    with _log_lines() as lines:
        service = apprise.Apprise.instantiate(url)
    if service is None:
        scheme = url.partition("://")[0] if "://" in url else "no scheme"
        raise RealmError(
            Code.INVALID_ARGUMENT,
            f"URL {index + 1} ({scheme}) is not one that Apprise understands",
            hint="the forms are listed in Apprise's documentation, for example json://host:port/path or mailto://…",
            details={"reasons": [line.replace(url, f"{scheme}://***") for line in lines]},
        )
    return service


def _notify(service: Any, parameters: SendParameters) -> str | None:
    """Send through one service; the reason when it did not take the message."""
    import apprise

    with _log_lines() as lines:
        taken = service.notify(
            body=parameters.body,
            title=parameters.title,
            notify_type=apprise.NotifyType(parameters.type),
            body_format=apprise.NotifyFormat(parameters.format),
        )
    return None if taken else (" ".join(lines) or "it gave no reason")


@contextmanager
def _log_lines() -> Iterator[list[str]]:
    """What Apprise logs in this thread meanwhile: it tells reasons to its log only."""
    lines: list[str] = []
    thread = threading.get_ident()

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.thread == thread:
                lines.append(record.getMessage())

    logger = logging.getLogger("apprise")
    collector = Collector(logging.WARNING)
    logger.addHandler(collector)
    try:
        yield lines
    finally:
        logger.removeHandler(collector)
