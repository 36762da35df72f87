"""How ``http/request`` connects: to judged addresses only, and never past its deadline. Imported by the
executor only."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from time import monotonic
from typing import Any

import httpcore
import httpx

from ..core.errors import Code, RealmError
from .http_guard import permitted_addresses


class GuardedTransport(httpx.BaseTransport):
    """A transport of httpx over httpcore's connection pool with a guarded network underneath.

    The guard sits where the connection is made, so redirects pass it too. Certificates are checked against
    the URL's host, not the address. ``deadline`` is on the ``time.monotonic`` clock and bounds the whole
    exchange.
    """

    def __init__(self, allow: Sequence[str], deadline: float) -> None:
        self._deadline = deadline
        backend = _GuardedBackend(allow, deadline)
        self._pool = httpcore.ConnectionPool(ssl_context=_tls(), network_backend=backend)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """One exchange; the response's body is still to be read."""
        assert isinstance(request.stream, httpx.SyncByteStream)
        outgoing = httpcore.Request(
            method=request.method,
            url=httpcore.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        try:
            response = self._pool.handle_request(outgoing)
        except _NETWORK_ERRORS as error:
            raise explained(error, request.url, self._deadline) from error
        assert isinstance(response.stream, Iterable)
        return httpx.Response(
            status_code=response.status,
            headers=response.headers,
            stream=_Body(response.stream, request.url, self._deadline),
            extensions=response.extensions,
        )

    def close(self) -> None:
        """Close its connections."""
        self._pool.close()


def explained(error: Exception, url: httpx.URL, deadline: float) -> RealmError:
    """What a network failure means."""
    place = f"{url.scheme}://{url.host}" + (f":{url.port}" if url.port else "")
    if isinstance(error, httpcore.TimeoutException):
        if monotonic() >= deadline - 0.01:
            return RealmError(
                Code.DEADLINE_EXCEEDED,
                f"{place} did not answer in time",
                hint="raise the parameter `timeout`",
            )
        return RealmError(Code.UNAVAILABLE, f"{place} did not answer in time")
    if isinstance(error, httpcore.LocalProtocolError):
        return RealmError(Code.INVALID_ARGUMENT, f"the request to {place} is not valid HTTP: {error}")
    if isinstance(error.__context__, ssl.SSLCertVerificationError) or "certificate verify failed" in str(
        error
    ):
        return RealmError(Code.DEPENDENCY_FAILURE, f"the certificate of {place} is not trusted: {error}")
    return RealmError(Code.UNAVAILABLE, f"{place} cannot be reached: {error or type(error).__name__}")


_NETWORK_ERRORS = (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError)


class _Body(httpx.SyncByteStream):
    def __init__(self, stream: Iterable[bytes], url: httpx.URL, deadline: float) -> None:
        self._stream = stream
        self._url = url
        self._deadline = deadline

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._stream
        except _NETWORK_ERRORS as error:
            raise explained(error, self._url, self._deadline) from error

    def close(self) -> None:
        if hasattr(self._stream, "close"):
            self._stream.close()  # pyright: ignore[reportAttributeAccessIssue]


class _GuardedBackend(httpcore.NetworkBackend):
    def __init__(self, allow: Sequence[str], deadline: float) -> None:
        self._allow = allow
        self._deadline = deadline
        self._backend = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = permitted_addresses(host, port, self._allow, timeout=_left(self._deadline))
        problem: Exception | None = None
        for address in addresses:
            try:
                stream = self._backend.connect_tcp(
                    address, port, _left(self._deadline, timeout), local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                problem = error  # the next address may answer
            else:
                return _BoundedStream(stream, self._deadline)
        assert problem is not None
        raise problem

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.NetworkStream:
        raise RealmError(Code.PERMISSION_DENIED, "http/request does not use Unix sockets")


class _BoundedStream(httpcore.NetworkStream):
    """A stream whose every wait ends at the deadline: a server that drips a byte a second gains nothing."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(self._deadline, timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(self._deadline, timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        secured = self._stream.start_tls(ssl_context, server_hostname, _left(self._deadline, timeout))
        return _BoundedStream(secured, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left(deadline: float, timeout: float | None = None) -> float:
    """Seconds that may still be waited, at most ``timeout``; a socket takes 0 for «do not wait», so a little
    more."""
    left = max(deadline - monotonic(), 0.001)
    return left if timeout is None else min(left, timeout)


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """Loading the certificate authorities takes 30 ms; once is enough."""
    return httpx.create_ssl_context(trust_env=True)
