"""Calling other services over HTTP: bounded, guarded, and answered in the error taxonomy."""

from __future__ import annotations

import re
from collections.abc import Mapping
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

from ..core.errors import Code, RealmError
from ..core.http_status import code_of_http_status
from ..core.references import FileRef
from ..core.resources import Resources
from .context import NodeContext
from .http_answer import answer_fields, jmespath_of, retry_after, shown
from .redact import redact, secret_values
from .sdk import Effects, node_type
from .variables import read_variable

if TYPE_CHECKING:
    import httpx

UNSAFE_METHODS = ("POST", "PUT", "PATCH", "DELETE")
MAX_REDIRECTS = 5
SNIPPET = 500
"""Characters of an error answer that go into the error's details."""

_SAFE_HEADERS = {
    "accept",
    "accept-language",
    "accept-encoding",
    "user-agent",
    "content-type",
    "content-length",
    "host",
}

Scalar = str | int | float | bool


class Auth(BaseModel):
    """Who asks. ``*_from`` names an environment variable of the worker, so that no secret stands in the
    definition."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["basic", "bearer"] = Field(description="basic: user name and password; bearer: a token")
    username: str | None = Field(default=None, description="User name (basic)")
    password: str | None = Field(default=None, repr=False, description="Password (basic)")
    password_from: str | None = Field(default=None, description="Environment variable with the password")
    token: str | None = Field(default=None, repr=False, description="Token (bearer)")
    token_from: str | None = Field(default=None, description="Environment variable with the token")

    @model_validator(mode="after")
    def _complete(self) -> Auth:
        if self.type == "basic" and self.username is None:
            raise ValueError("basic authentication needs username")
        if self.type == "bearer" and not (self.token or self.token_from):
            raise ValueError("bearer authentication needs token or token_from")
        return self


class RequestParameters(BaseModel):
    """The request."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    url: str = Field(min_length=1, description="http:// or https:// URL; expressions in it are filled in")
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"] = Field(
        default="GET", description="The method"
    )
    headers: dict[str, str] = Field(default_factory=dict, description="Headers to send")
    params: dict[str, Scalar | list[Scalar] | None] = Field(
        default_factory=dict, description="Query parameters to add to the URL; null leaves one out"
    )
    json_body: JsonValue = Field(default=None, alias="json", description="Body to send as JSON")
    form: dict[str, Scalar] | None = Field(default=None, description="Body to send as a form")
    text: str | None = Field(default=None, description="Body to send as text")
    body: JsonValue = Field(default=None, description="Body to send: text as it is, anything else as JSON")
    auth: Auth | None = Field(default=None, description="Who asks")
    timeout: float = Field(
        default=30.0, gt=0, le=3600, description="Seconds for the whole exchange, redirects included"
    )
    expected_status: list[int] | int | None = Field(
        default=None, description="Status or statuses that count as success; default 200 to 299"
    )
    response: Literal["auto", "json", "xml", "text", "file"] = Field(
        default="auto",
        description="How to take the answer; auto goes by its Content-Type; file stores it as a file",
    )
    output_mapping: dict[str, str] = Field(
        default_factory=dict,
        description="Output field (dotted) ← JMESPath over status_code, headers, url and body, as in $.body.data.id",
    )
    follow_redirects: bool = Field(
        default=True, description=f"Follow up to {MAX_REDIRECTS} redirects, each checked anew"
    )
    max_bytes: int = Field(default=64 << 20, ge=1, description="Limit of the answer's body")

    @field_validator("method", mode="before")
    @classmethod
    def _upper(cls, value: Any) -> Any:
        return value.upper() if isinstance(value, str) else value

    @field_validator("output_mapping")
    @classmethod
    def _readable(cls, mapping: dict[str, str]) -> dict[str, str]:
        import jmespath

        for target, source in mapping.items():
            try:
                jmespath.compile(jmespath_of(source))
            except ValueError as error:
                raise ValueError(f"{target}: {source!r} is not JMESPath: {error}") from None
        return mapping

    @field_validator("headers")
    @classmethod
    def _clean(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name) or re.search(r"[\r\n\0]", value):
                raise ValueError(
                    f"header {name!r} cannot be sent: names are plain words, values have no line breaks"
                )
        return headers

    @model_validator(mode="after")
    def _one_body(self) -> RequestParameters:
        given = [n for n in ("json_body", "form", "text", "body") if getattr(self, n) is not None]
        if len(given) > 1:
            raise ValueError(
                f"give one body, not {' and '.join(n.replace('json_body', 'json') for n in given)}"
            )
        return self


class RequestInput(BaseModel):
    """Any input: what the request needs of it is named in the parameters by expressions."""

    model_config = ConfigDict(extra="allow")


class RequestOutput(BaseModel):
    """The answer, and the fields of ``output_mapping``."""

    model_config = ConfigDict(extra="allow")

    status_code: int = Field(description="The status")
    headers: dict[str, str] = Field(description="The headers, names in lower case")
    url: str = Field(description="The URL that answered, after redirects")
    body: Any = Field(
        default=None, description="The body: JSON, XML as nested objects, or text; null when it is a file"
    )
    file: FileRef | None = Field(
        default=None, description="The body as a file, where it is binary or too large"
    )
    elapsed_seconds: float = Field(description="How long it took")


def _effects(parameters: RequestParameters, input: Any) -> Effects:
    name = [f"http.{parameters.url}"]
    if parameters.method == "POST":
        return Effects(adds=name)
    return Effects(writes=name) if parameters.method in UNSAFE_METHODS else Effects(reads=name)


def _service(parameters: Mapping[str, Any]) -> tuple[str, str] | None:
    """The origin that a request goes to, and its method."""
    try:
        parts = urlsplit(str(parameters.get("url", "")))
        origin = f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
    except ValueError:
        return None
    return (origin, str(parameters.get("method", "GET")).upper()) if parts.hostname else None


@node_type(
    "http/request",
    version="1.0.0",
    resources=Resources(cpu_millis=100, memory_mb=256),
    side_effects=True,
    effects=_effects,
    timeout=300.0,
    service=_service,
)
def request(parameters: RequestParameters, input: RequestInput, context: NodeContext) -> RequestOutput:
    """Call a service over HTTP and take its answer.

    Only public addresses are reached; private ones by `MIRROR_REALM_HTTP_ALLOW` (hosts, or networks such as
    192.168.0.0/16). POST, PUT, PATCH and DELETE carry an `Idempotency-Key` that stays the same over retries.

    An unexpected status is an error: 429 and 503 UNAVAILABLE (with `retry_after`), other 5xx
    DEPENDENCY_FAILURE, 4xx by its meaning (404 NOT_FOUND, 401 UNAUTHENTICATED …). Answers that are binary or
    too large come as a file reference.
    """
    import httpx

    from .http_transport import GuardedTransport

    started = monotonic()
    remaining = context.remaining()
    limit = parameters.timeout if remaining is None else min(parameters.timeout, remaining)
    deadline = started + limit
    outgoing = _build(httpx, parameters, context)
    transport = GuardedTransport(context.settings.http_allow, deadline)
    with httpx.Client(transport=transport, trust_env=False, timeout=limit) as client:
        response = _exchange(client, outgoing, parameters, context)
        try:
            data = read_body(response, parameters.max_bytes, context)
        finally:
            response.close()
    _check_status(response, data, parameters, context)
    output = answer_fields(response, data, parameters.response, parameters.output_mapping, context)
    output["elapsed_seconds"] = round(monotonic() - started, 4)
    return RequestOutput.model_validate(output)


def _build(httpx: Any, parameters: RequestParameters, context: NodeContext) -> httpx.Request:
    from importlib.metadata import version

    headers = {
        "user-agent": f"mirror-realm/{version('mirror-realm')}",
        "accept-encoding": "gzip, deflate",
        **{name.lower(): value for name, value in parameters.headers.items()},
    }
    if parameters.method in UNSAFE_METHODS:
        headers.setdefault("idempotency-key", context.execution_key)
    content: dict[str, Any] = {}
    if parameters.text is not None or isinstance(parameters.body, str):
        content["content"] = (
            parameters.text if parameters.text is not None else str(parameters.body)
        ).encode()
        headers.setdefault("content-type", "text/plain; charset=utf-8")
    elif parameters.form is not None:
        content["data"] = parameters.form
    elif (body := parameters.json_body if parameters.json_body is not None else parameters.body) is not None:
        content["json"] = body
    if parameters.auth is not None:
        headers["authorization"] = _authorization(parameters.auth, context)
    try:
        urlsplit(parameters.url)  # finds brackets without their partner, which httpx takes for a name
        url = httpx.URL(parameters.url)
        query = {name: value for name, value in parameters.params.items() if value is not None}
        url = url.copy_merge_params(query) if query else url
    except (httpx.InvalidURL, ValueError) as error:
        raise RealmError(Code.INVALID_ARGUMENT, f"{redact(parameters.url)!r} is not a URL: {error}") from None
    check_url(url)
    return httpx.Request(parameters.method, url, headers=headers, **content)


def check_url(url: httpx.URL) -> None:
    """INVALID_ARGUMENT unless it is a whole http:// or https:// URL."""
    if url.scheme not in ("http", "https") or not url.host:
        raise RealmError(
            Code.INVALID_ARGUMENT,
            f"{redact(str(url))!r} is not an http:// or https:// URL",
            hint="write the whole URL, as in https://host/path",
        )


def _authorization(auth: Auth, context: NodeContext) -> str:
    import base64

    if auth.type == "bearer":
        return f"Bearer {auth.token or read_variable(auth.token_from or '', context)}"
    password = auth.password or (read_variable(auth.password_from, context) if auth.password_from else "")
    return "Basic " + base64.b64encode(f"{auth.username}:{password}".encode()).decode()


def _exchange(
    client: httpx.Client, outgoing: httpx.Request, parameters: RequestParameters, context: NodeContext
) -> httpx.Response:
    """Send, and follow redirects: each target is checked, and another origin gets none of our own headers."""
    for _ in range(MAX_REDIRECTS + 1):
        context.check_canceled()
        response = client.send(outgoing, stream=True)
        following = response.next_request
        if not parameters.follow_redirects or following is None:
            return response
        response.close()
        check_url(following.url)
        if _origin(following.url) != _origin(outgoing.url):
            for name in list(following.headers):
                if name not in _SAFE_HEADERS:
                    del following.headers[name]
        outgoing = following
    raise RealmError(
        Code.DEPENDENCY_FAILURE, f"more than {MAX_REDIRECTS} redirects, the last to {shown(outgoing.url)}"
    )


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port or {"http": 80, "https": 443}.get(url.scheme)


def read_body(response: httpx.Response, limit: int, context: NodeContext) -> bytes:
    """The body of an answer, read in pieces. OUT_OF_RANGE beyond ``limit`` bytes; CANCELLED as soon as that is so."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", "deflate", ""):
        # Encodings inside encodings multiply: a few kilobytes can become terabytes.
        raise RealmError(
            Code.DEPENDENCY_FAILURE, f"{shown(response.url)} answered in the encoding {encoding!r}"
        )
    data = bytearray()
    for chunk in response.iter_bytes(1 << 16):
        data += chunk
        if len(data) > limit:
            raise RealmError(
                Code.OUT_OF_RANGE,
                f"the answer of {shown(response.url)} is larger than {limit} bytes",
                hint="raise max_bytes, or ask for less",
            )
        context.check_canceled()
    return bytes(data)


def _check_status(
    response: httpx.Response, data: bytes, parameters: RequestParameters, context: NodeContext
) -> None:
    status = response.status_code
    expected = parameters.expected_status
    if status in ([expected] if isinstance(expected, int) else expected or range(200, 300)):
        return
    text = data[: SNIPPET * 4].decode(response.charset_encoding or "utf-8", errors="replace")[:SNIPPET]
    details: dict[str, Any] = {"status": status, "body": redact(text, secret_values(context.settings))}
    if (wait := retry_after(response.headers.get("retry-after"))) is not None:
        details["retry_after"] = wait
    code = code_of_http_status(status) if status >= 400 else Code.DEPENDENCY_FAILURE
    raise RealmError(
        code,
        f"{parameters.method} {shown(response.url)} answered {status} {response.reason_phrase}".rstrip(),
        hint=f"retry after {wait:g} s" if wait is not None else None,
        details=details,
    )
