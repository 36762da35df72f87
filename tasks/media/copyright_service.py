"""The client of a copyright service: guarded, bounded, and asked once about each picture for as long as the answer
keeps."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ...blocks.atomic import atomic_file
from ...core.errors import Code, RealmError
from ...core.http_status import code_of_http_status
from ..exceptions import field_violations
from ..http import check_url, read_body
from ..http_answer import retry_after, shown
from .copyright_rules import Answer

if TYPE_CHECKING:
    from ..context import NodeContext

PATH = "/v1/check-copyright"
LARGEST_ANSWER = 4 << 20


class AnswerCache:
    """Answers on this machine's disk, by what was asked. Broken and old entries count as absent and are removed."""

    def __init__(self, folder: Path, ttl: float) -> None:
        self._folder = folder
        self._ttl = ttl

    def get(self, question: Mapping[str, Any]) -> Answer | None:
        """The answer to this very question, if it is not too old."""
        path = self._path(question)
        try:
            entry = json.loads(path.read_bytes())
            if 0 <= time.time() - float(entry["time"]) < self._ttl:
                return Answer.model_validate(entry["answer"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError):
            pass
        with suppress(OSError):
            path.unlink()
        return None

    def put(self, question: Mapping[str, Any], answer: Answer) -> None:
        """Keep an answer. A disk that cannot is no reason to fail: it will be asked again."""
        if self._ttl <= 0:
            return
        path = self._path(question)
        entry = {"time": time.time(), "answer": answer.model_dump(mode="json")}
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._remove_old(path.parent)
            with atomic_file(path) as file:
                file.write(json.dumps(entry, ensure_ascii=False).encode())

    def _path(self, question: Mapping[str, Any]) -> Path:
        key = hashlib.sha256(json.dumps(question, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
        return self._folder / key[:2] / f"{key}.json"

    def _remove_old(self, folder: Path) -> None:
        oldest = time.time() - self._ttl
        for path in folder.glob("*.json"):
            with suppress(OSError):
                if path.stat().st_mtime < oldest:
                    path.unlink()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the service is and how it is asked. ``timeout`` bounds each exchange, in seconds."""

    url: str
    token: str | None
    timeout: float


class CopyrightService:
    """A connection to the service for at most ``exchanges`` questions; use it in a ``with`` block.

    The addresses that it may reach are those of ``http/request``. Redirects are not followed: the token is for this
    service alone.
    """

    def __init__(self, endpoint: Endpoint, context: NodeContext, exchanges: int) -> None:
        import httpx

        from ..http_transport import GuardedTransport

        try:
            self._url = httpx.URL(endpoint.url.rstrip("/") + PATH)
        except httpx.InvalidURL as error:
            raise RealmError(Code.INVALID_ARGUMENT, f"{endpoint.url!r} is not a URL: {error}") from None
        check_url(self._url)
        remaining = context.remaining()
        limit = (
            endpoint.timeout * exchanges
            if remaining is None
            else min(endpoint.timeout * exchanges, remaining)
        )
        headers = {"accept": "application/json", "accept-encoding": "gzip, deflate"}
        if endpoint.token:
            headers["authorization"] = f"Bearer {endpoint.token}"
        self._context = context
        self._client = httpx.Client(
            transport=GuardedTransport(context.settings.http_allow, time.monotonic() + limit),
            headers=headers,
            timeout=endpoint.timeout,
            trust_env=False,
        )

    def __enter__(self) -> CopyrightService:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def ask(self, question: Mapping[str, Any]) -> Answer:
        """The answer to one question: ``image_hash`` and ``metadata``.

        Raises UNAVAILABLE and DEADLINE_EXCEEDED for a service that does not answer, the meaning of its status for one
        that refuses, DEPENDENCY_FAILURE for an answer that is none.
        """
        import httpx

        try:
            with self._client.stream("POST", self._url, json=dict(question)) as response:
                data = read_body(response, LARGEST_ANSWER, self._context)
        except httpx.HTTPError as error:
            raise RealmError(
                Code.DEPENDENCY_FAILURE, f"the answer of {shown(self._url)} cannot be read: {error}"
            ) from error
        if not 200 <= response.status_code < 300:
            status = response.status_code
            wait = retry_after(response.headers.get("retry-after"))
            raise RealmError(
                code_of_http_status(status) if status >= 400 else Code.DEPENDENCY_FAILURE,
                f"{shown(self._url)} answered {status} {response.reason_phrase}".rstrip(),
                hint=f"retry after {wait:g} s" if wait is not None else None,
                details={"status": status} | ({"retry_after": wait} if wait is not None else {}),
            )
        try:
            return Answer.model_validate_json(data)
        except ValidationError as error:
            first = field_violations(error)[0]
            raise RealmError(
                Code.DEPENDENCY_FAILURE,
                f"{shown(self._url)} gave no usable answer: {first['field']}: {first['description']}",
            ) from None
