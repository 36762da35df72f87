"""An HTTP answer as the output of ``http/request``."""

from __future__ import annotations

import email.utils
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ..core.references import FileRef
from .context import NodeContext
from .http_bodies import kind_of, media_type_of, parse
from .redact import redact

if TYPE_CHECKING:
    import httpx


def retry_after(header: str | None) -> float | None:
    """Seconds that a Retry-After header asks to wait (seconds or a date); ``None`` without a usable one.

    >>> retry_after("120"), retry_after(None), retry_after("soon")
    (120.0, None, None)
    """
    if header is None:
        return None
    if re.fullmatch(r"\d{1,9}", header.strip()):
        return float(header)
    try:
        moment = email.utils.parsedate_to_datetime(header)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, round((moment - datetime.now(UTC)).total_seconds(), 1))


def answer_fields(
    response: httpx.Response, data: bytes, wanted: str, mapping: Mapping[str, str], context: NodeContext
) -> dict[str, Any]:
    """The output's fields for an answer whose body is ``data``. A body that would not fit into a payload
    becomes a file, after the fields of ``mapping`` were taken from it."""
    media_type = media_type_of(response.headers.get("content-type", ""))
    kind = wanted if wanted != "auto" else kind_of(media_type)
    output: dict[str, Any] = {
        "status_code": response.status_code,
        "headers": {name.lower(): value for name, value in response.headers.items()},
        "url": shown(response.url),
        "body": None,
    }
    large = len(data) > context.settings.max_payload_bytes // 2
    as_file = bool(data) and (kind == "file" or large)
    if data and kind != "file" and (mapping or not large):
        output["body"] = parse(kind, data, response.charset_encoding)
    fields = _mapped(mapping, output)
    if as_file:
        output |= {"body": None, "file": _stored(response, data, media_type, context)}
    _set(fields, output)
    return output


def _stored(response: httpx.Response, data: bytes, media_type: str, context: NodeContext) -> FileRef:
    name = response.url.path.rpartition("/")[2] or "answer"
    path = context.workdir / "answer"
    path.write_bytes(data)
    return context.artifacts.put(path, name=name, media_type=media_type or "application/octet-stream")


def _mapped(mapping: Mapping[str, str], output: Mapping[str, Any]) -> dict[str, Any]:
    """What each JMESPath finds in the answer; null where it finds nothing. `response` is the body, as API
    orchestrations write it."""
    if not mapping:
        return {}
    import jmespath

    scope = {**output, "response": output["body"]}
    return {target: jmespath.search(jmespath_of(source), scope) for target, source in mapping.items()}


def _set(fields: Mapping[str, Any], output: dict[str, Any]) -> None:
    """Set each dotted target."""
    for target, value in fields.items():
        place = output
        *folders, last = target.split(".")
        for part in folders:
            inner = place.get(part)
            place[part] = inner if isinstance(inner, dict) else {}
            place = place[part]
        place[last] = value


def jmespath_of(source: str) -> str:
    """A source as definitions write it, in JMESPath.

    >>> jmespath_of("$.body.id"), jmespath_of("body.id"), jmespath_of("$")
    ('body.id', 'body.id', '@')
    """
    return "@" if source == "$" else source.removeprefix("$.")


def shown(url: httpx.URL) -> str:
    """The URL without passwords and tokens."""
    return redact(str(url))
