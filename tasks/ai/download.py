"""A file from its publisher: continued where it was broken off, checked, and there only when it is complete.

Several processes may want the same file at once: one fetches it, the others wait and find it there.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ...core.errors import Code, RealmError, jittered
from ...core.http_status import code_of_http_status
from ..inference.weights import PIN_SUFFIX, pinned_digest

if TYPE_CHECKING:
    import httpx

Progress = Callable[[int, int | None], None]
"""Called with the bytes there are and the bytes in all, ``None`` where the server does not say."""

Check = Callable[[], None]
"""Called often; raises where the work should end."""

DELAYS = (0.5, 1.0, 2.0, 4.0)
"""Seconds before each further try of a transfer that broke without having moved on."""

JITTER = 0.1
"""By which share the delays are spread."""

TIMEOUT = 30.0
"""Seconds that the server may keep one read waiting."""

_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})


def fetch(
    url: str,
    target: Path,
    *,
    sha256: str | None = None,
    progress: Progress = lambda done, total: None,
    check: Check = lambda: None,
    delays: tuple[float, ...] = DELAYS,
) -> str:
    """Bring ``url`` to ``target`` and return its sha256. Nothing is done when ``target`` is there.

    Without ``sha256`` the first digest seen is recorded beside the file, and from then on expected. DATA_CORRUPTED
    when the bytes are others (they are removed), RESOURCE_EXHAUSTED when the disk lacks room, DEPENDENCY_FAILURE when
    the server cannot give the file; what came is kept, and the next call goes on from there.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(target, check):
        if target.is_file():
            return digest_of(target)
        part = target.with_name(target.name + ".part")
        _transfer(url, part, progress, check, delays)
        return publish(part, target, sha256, source=urlsplit(url).hostname or url)


def publish(part: Path, target: Path, sha256: str | None, *, source: str) -> str:
    """Make ``part`` the file ``target`` if its bytes are right, record its digest, and return it."""
    digest = digest_of(part)
    pinned = pinned_digest(target)
    expected = sha256 or pinned
    if expected and digest != expected.lower():
        _discard(part)
        hint = "try again later; nothing was kept"
        if not sha256:
            hint = (
                f"it was {expected} when first fetched; remove {target}{PIN_SUFFIX} if you trust the new one"
            )
        raise RealmError(
            Code.DATA_CORRUPTED,
            f"{target.name} from {source} has sha256 {digest}, not {expected.lower()}",
            hint=hint,
        )
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    # The pin first: a file that is there is never without one.
    target.with_name(target.name + PIN_SUFFIX).write_text(f"{digest}  {target.name}\n", encoding="utf-8")
    part.replace(target)
    _validator_file(part).unlink(missing_ok=True)
    return digest


def digest_of(path: Path) -> str:
    """The sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def one_at_a_time(target: Path, check: Check = lambda: None) -> Iterator[None]:
    """Hold the right to make ``target``, against every process that shares its folder."""
    from filelock import FileLock, Timeout

    lock = FileLock(target.with_name(f".{target.name}.lock"))
    while True:
        check()
        try:
            lock.acquire(timeout=0.2)
            break
        except Timeout:
            continue
    try:
        yield
    finally:
        lock.release()


def _transfer(url: str, part: Path, progress: Progress, check: Check, delays: tuple[float, ...]) -> None:
    """Fill ``part``, over as many connections as it takes while each brings something."""
    import httpx

    failures = 0
    with httpx.Client(follow_redirects=True, timeout=TIMEOUT) as client:
        while True:
            before = _size(part)
            try:
                return _receive(client, url, part, progress, check)
            except (httpx.TransportError, _Unready) as error:
                failures = 0 if _size(part) > before else failures + 1
                if failures > len(delays):
                    raise _unreachable(url, part, error) from None
            _sleep(jittered(delays[max(0, failures - 1)], JITTER) if delays else 0.0, check)


def _receive(client: httpx.Client, url: str, part: Path, progress: Progress, check: Check) -> None:
    """One connection: from where ``part`` ends to the end."""
    start, validator = _resume_point(part)
    headers = {"Accept-Encoding": "identity"}
    if start:
        headers |= {"Range": f"bytes={start}-", "If-Range": validator}
    with client.stream("GET", url, headers=headers) as response:
        if url.startswith("https:") and response.url.scheme != "https":
            raise RealmError(Code.PERMISSION_DENIED, f"{url} leads to an address without encryption")
        if response.status_code == 416:
            if response.headers.get("content-range", "") == f"bytes */{start}":
                return  # it was complete; only the end of the work was missed
            _discard(part)
            raise _Unready("the file is another one now")
        if response.status_code in _RETRIED:
            raise _Unready(f"HTTP {response.status_code}")
        if response.status_code not in (200, 206):
            raise _refused(url, response.status_code)
        goes_on = response.status_code == 206 and _begins_at(response, start)
        done = start if goes_on else 0
        length = response.headers.get("content-length")
        total = done + int(length) if length and length.isdigit() else None
        _require_room(part, (total or 0) - done)
        if not goes_on:
            _discard(part)
            _remember(part, response)
        with part.open("ab") as file:
            progress(done, total)
            for (
                chunk
            ) in response.iter_raw():  # as it comes: what a chunker gathers is lost when the line breaks
                check()
                file.write(chunk)
                done += len(chunk)
                progress(done, total)


class _Unready(Exception):
    """The server may give the file later."""


def _begins_at(response: httpx.Response, start: int) -> bool:
    match = re.match(r"bytes (\d+)-", response.headers.get("content-range", ""))
    if match is None or int(match[1]) != start:
        raise _Unready("the server sent another part than the one asked for")
    return True


def _resume_point(part: Path) -> tuple[int, str]:
    """How much there is, and what the server called that version; nothing counts without the latter."""
    try:
        validator = _validator_file(part).read_text(encoding="utf-8")
    except OSError:
        return 0, ""
    return (_size(part), validator) if validator else (0, "")


def _remember(part: Path, response: httpx.Response) -> None:
    etag = response.headers.get("etag", "")
    validator = etag if etag and not etag.startswith("W/") else response.headers.get("last-modified", "")
    if validator:
        _validator_file(part).write_text(validator, encoding="utf-8")


def _discard(part: Path) -> None:
    _validator_file(part).unlink(missing_ok=True)
    part.unlink(missing_ok=True)


def _validator_file(part: Path) -> Path:
    return part.with_name(part.name + ".version")


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _require_room(part: Path, needed: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if needed > free:
        raise RealmError(
            Code.RESOURCE_EXHAUSTED,
            f"{part.parent} has {free >> 20} MiB free; {needed >> 20} MiB are needed",
            hint="make room, or name another folder in MIRROR_REALM_MODELS",
        )


def _sleep(seconds: float, check: Check) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        check()
        time.sleep(min(left, 0.2))


def _refused(url: str, status: int) -> RealmError:
    code = code_of_http_status(status)
    return RealmError(
        Code.DEPENDENCY_FAILURE,
        f"{urlsplit(url).hostname} answered {status} for {url}",
        hint="fetch the file by other means and put it into the models folder",
        details={"status": status, "meaning": code.value},
    )


def _unreachable(url: str, part: Path, error: Exception) -> RealmError:
    there = _size(part)
    again = f"try again: it goes on after the {there} bytes that came" if there else "try again later"
    return RealmError(
        Code.DEPENDENCY_FAILURE,
        f"{url} could not be fetched: {str(error) or type(error).__name__}",
        hint=f"{again}, or put the file into the models folder",
        details={"bytes": there},
    )
