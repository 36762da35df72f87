"""Whether a Prefect server answers, and where its pages are. Without Prefect, which takes a second to import."""

from __future__ import annotations

import base64
import os
import ssl
import urllib.error
import urllib.request
from http.client import HTTPResponse
from urllib.parse import urlsplit

from ..core.errors import Code, RealmError

_TRUE = frozenset({"1", "true", "yes", "on"})


def base_of(url: str) -> str:
    """An API URL without its ``/api``: where an open-source server has its pages."""
    return url.rstrip("/").removesuffix("/api")


def ui_of(url: str) -> str:
    """Where a person sees the runs of the server at an API URL (Prefect Cloud has its own place for that)."""
    if given := os.environ.get("PREFECT_UI_URL"):
        return given
    if "api.prefect.cloud" in url:
        page = url.replace("https://api.", "https://app.").replace("/api", "", 1)
        return page.replace("/accounts/", "/account/").replace("/workspaces/", "/workspace/")
    return base_of(url)


def healthy(url: str, timeout: float = 2.0) -> bool:
    """Whether the server at a loopback API URL answers its health route."""
    try:
        with _open(f"{url.rstrip('/')}/health", timeout) as answer:
            return answer.status == 200
    except (OSError, ValueError):  # URLError is an OSError
        return False


def check_health(url: str, timeout: float = 5.0) -> None:
    """Raise UNAVAILABLE, UNAUTHENTICATED or INVALID_ARGUMENT unless the configured server answers us."""
    if urlsplit(url).scheme not in ("http", "https"):
        raise RealmError(
            Code.INVALID_ARGUMENT,
            f"PREFECT_API_URL={url!r} is not an http(s) URL",
            hint="write for example http://127.0.0.1:4200/api, or unset it for an embedded server",
        )
    try:
        with _open(f"{url.rstrip('/')}/health", timeout):
            return
    except urllib.error.HTTPError as error:
        raise _refused(url, error.code) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise RealmError(
            Code.UNAVAILABLE,
            f"no Prefect server answers at PREFECT_API_URL={url} ({reason})",
            hint="start it, correct the variable, or unset it for an embedded server",
        ) from None


def _refused(url: str, status: int) -> RealmError:
    if status in (401, 403):
        return RealmError(
            Code.UNAUTHENTICATED,
            f"the Prefect server at {url} refuses our credentials (HTTP {status})",
            hint="set PREFECT_API_KEY (Cloud) or PREFECT_API_AUTH_STRING (a server of your own)",
        )
    if status == 404:
        return RealmError(
            Code.UNAVAILABLE,
            f"what answers at PREFECT_API_URL={url} is not a Prefect API (HTTP 404)",
            hint="the URL of an open-source server ends in /api",
        )
    return RealmError(
        Code.UNAVAILABLE,
        f"the Prefect server at {url} is not healthy (HTTP {status})",
        hint="see its log; unset PREFECT_API_URL for an embedded server",
    )


def _open(url: str, timeout: float) -> HTTPResponse:
    request = urllib.request.Request(url)  # noqa: S310 - the scheme is checked by the callers
    if key := os.environ.get("PREFECT_API_KEY"):
        request.add_header("Authorization", f"Bearer {key}")
    elif auth := os.environ.get("PREFECT_API_AUTH_STRING"):
        request.add_header("Authorization", "Basic " + base64.b64encode(auth.encode()).decode())
    handlers: list[urllib.request.BaseHandler] = [urllib.request.HTTPSHandler(context=_context())]
    if urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1"):
        handlers.append(urllib.request.ProxyHandler({}))  # a proxy has no business on the loopback
    return urllib.request.build_opener(*handlers).open(request, timeout=timeout)


def _context() -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=os.environ.get("PREFECT_API_SSL_CERT_FILE") or None)
    if os.environ.get("PREFECT_API_TLS_INSECURE_SKIP_VERIFY", "").lower() in _TRUE:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
