"""``realm media report``: the library as a page that can be sent, kept and opened without a network."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ..core.durations import parse_duration
from ..core.errors import Code, RealmError
from . import faults
from .terminal import terminal


def report(
    *,
    since: str | None = None,
    output: Annotated[Path, Parameter(alias="-o")] = Path("media-report.html"),
    limit: Annotated[int, Parameter(alias="-n")] = 500,
    title: str = "Media report",
) -> int:
    """Write a contact sheet of the library: before and after, tags, scores, faces, copies. One HTML file.

    Parameters
    ----------
    since
        Only pictures found or worked on since then: a time (2026-11-21, 2026-11-21T08:00+01:00), or how long ago
        (2h, 7d).
    output
        The file to write; media-report.html unless told.
    limit
        How many pictures at most, the newest first; 500 unless told.
    title
        What stands above it.
    """
    from ..core.settings import settings
    from ..flows.media_report import media_report
    from ..store import Store

    begin = None if since is None else moment_of(since, datetime.now(UTC))
    configured = settings()
    with Store.open(configured.database) as store:
        made = media_report(store, configured, title=title, since=begin, limit=limit)
    write_whole(output, made.html)
    out = terminal()
    out.write(str(output))
    out.say(f"{made.pictures} pictures, {made.groups} groups of copies")
    return faults.OK


def moment_of(since: str, now: datetime) -> datetime:
    """The time that ``since`` means: itself, or so long before ``now``. A time without a zone is this machine's.

    >>> moment_of("2h", datetime(2026, 11, 21, 8, tzinfo=UTC)).isoformat()
    '2026-11-21T06:00:00+00:00'
    >>> moment_of("2026-11-20T08:00+00:00", datetime(2026, 11, 21, tzinfo=UTC)).isoformat()
    '2026-11-20T08:00:00+00:00'
    """
    try:
        return datetime.fromisoformat(since).astimezone(UTC)
    except ValueError:
        pass
    try:
        return now - timedelta(seconds=parse_duration(since))
    except (RealmError, ValueError, OverflowError):
        raise RealmError(
            Code.INVALID_ARGUMENT,
            f"--since {since!r} is neither a time nor a duration",
            hint="write 2026-11-21, 2026-11-21T08:00, 2h or 7d",
        ) from None


def write_whole(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` so that it is there whole or not at all; INVALID_ARGUMENT where it cannot be."""
    beside = path.with_name(f".{path.name}.part")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise RealmError(
            Code.INVALID_ARGUMENT,
            f"{path} cannot be written: {error.strerror or error}",
            hint="name another file with --output",
        ) from None
