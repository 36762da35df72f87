"""Names of files: which belong to nobody's photos, and which are text."""

from __future__ import annotations

import fnmatch
import re
from functools import cache

IGNORED = (
    ".*",  # hidden, and rsync's and Syncthing's unfinished files
    "*.part",
    "*.partial",
    "*.tmp",
    "*.temp",
    "*.crdownload",
    "*.download",
    "*~",
    "~$*",
    "@eaDir",
    "@Recycle",
    "#recycle",
    "#snapshot",
    "$RECYCLE.BIN",
    "System Volume Information",
    "lost+found",
    "Thumbs.db",
    "desktop.ini",
)
"""Names that are never taken and never descended into: unfinished downloads, and what NAS systems keep aside."""


@cache
def any_of(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """What matches a whole name that one of the glob patterns does, whatever its case.

    >>> bool(any_of(("*.jpg", "*.heic")).match("IMG_1.JPG")), bool(any_of(()).match("x"))
    (True, False)
    """
    return re.compile("|".join(map(fnmatch.translate, patterns)) or r"(?!)", re.IGNORECASE)


def is_ignored(name: str) -> bool:
    """Whether a file or folder of that name is never taken."""
    return any_of(IGNORED).match(name) is not None


def is_text(name: str) -> bool:
    """Whether a file name, as Python decodes it, has no bytes in it that are not UTF-8.

    >>> is_text("照片.jpg"), is_text("\\udcff.jpg")
    (True, False)
    """
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
