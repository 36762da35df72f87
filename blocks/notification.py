"""Prefect block: whom to tell. Works in flows, and as the block of Prefect's own notification automations."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from prefect.blocks.abstract import NotificationBlock, NotificationError
from pydantic import Field, SecretStr, field_validator

from ..core.errors import Code, RealmError


class Notification(NotificationBlock):
    """Services that take messages (mail, chat, webhooks, …), by their Apprise URLs."""

    _block_type_name: ClassVar[str | None] = "Mirror Realm notification"
    _block_type_slug: ClassVar[str | None] = "mirror-realm-notification"
    _description: ClassVar[str | None] = "Sends messages to people and services through Apprise."
    _code_example: ClassVar[str | None] = (
        "```python\nfrom mirror_realm.blocks.notification import Notification\n\n"
        'Notification.load("on-call").send("Archive full", "Free space on the NAS.")\n```'
    )

    urls: list[SecretStr] = Field(
        min_length=1,
        description="Apprise URLs, such as mailto://user:password@host or json://host/path",
        examples=[["json://localhost:8080/hook"]],
    )

    @field_validator("urls")
    @classmethod
    def _have_schemes(cls, urls: list[SecretStr]) -> list[SecretStr]:
        for number, url in enumerate(urls, 1):
            if (
                not url.get_secret_value().partition("://")[0].isalnum()
                or "://" not in url.get_secret_value()
            ):
                raise ValueError(f"URL {number} has no scheme: write scheme://…")
        return urls

    def send(self, title: str, body: str) -> None:
        """Tell all services. Each is tried; DEPENDENCY_FAILURE names those that did not take the message by place
        and scheme only, for the URLs are secret. INVALID_ARGUMENT for a URL that Apprise does not know."""
        import apprise

        refused: list[str] = []
        services = [(f"URL {n} ({_scheme(url)})", url) for n, url in enumerate(self.urls, 1)]
        made = [(name, apprise.Apprise.instantiate(url.get_secret_value())) for name, url in services]
        for name, service in made:
            if service is None:
                raise RealmError(Code.INVALID_ARGUMENT, f"{name} is not one that Apprise understands")
        for name, service in made:
            if not service.notify(body=body, title=title):  # pyright: ignore[reportOptionalMemberAccess]
                refused.append(name)
        if refused:
            raise RealmError(Code.DEPENDENCY_FAILURE, f"the message was not taken by {', '.join(refused)}")

    async def notify(self, body: str, subject: str | None = None) -> None:
        """What Prefect calls: :meth:`send`, in a thread. A failure is logged, or raised where Prefect asks for it."""
        try:
            await asyncio.to_thread(self.send, subject or "", body)
        except RealmError as error:
            if self._raise_on_failure:
                raise NotificationError(str(error)) from error
            self.logger.warning("%s", error)


def _scheme(url: SecretStr) -> str:
    return url.get_secret_value().partition("://")[0]
