"""What a watch meets that a user would wonder about, said in the log: links, and names that are not text."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from enum import StrEnum

log = logging.getLogger(__name__)

FEW = 3
"""So many of a kind are named when many are found at once; the others are counted."""


class Remark(StrEnum):
    """What is remarkable about an entry of a folder; the value is what many of them are called."""

    LINK = "symbolic links"
    NAME = "names that are not UTF-8"

    def line(self, path: str) -> str:
        """What is said of ``path``: what it is, and the way out."""
        if self is Remark.LINK:
            return (
                f"{readable(path)}: a symbolic link ({_target(path)}), which is not followed: put the file itself "
                "there, or watch the folder that it points to"
            )
        return (
            f"{readable(path)}: a name that is not UTF-8, with which most nodes fail: rename it; an instance that it "
            "failed already goes on with `realm instances retry ID --input file_path=NEW_PATH`"
        )


class Remarks:
    """Says each remark once, for as long as what it is about is there."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._said: Mapping[str, Remark] = {}

    def say(self, found: Mapping[str, Remark]) -> None:
        """Log what is new among the remarks of a whole look at the folder; forget what is not there any more."""
        for remark in Remark:
            new = [
                path for path, what in found.items() if what is remark and self._said.get(path) is not remark
            ]
            for path in new[:FEW]:
                log.warning("%s", remark.line(path))
            if len(new) > FEW:
                log.warning("%s: %d more %s", readable(self._root), len(new) - FEW, remark)
        self._said = found


def readable(path: str) -> str:
    """A path for people to read, its bytes that are no text escaped.

    >>> print(readable("/nas/照\\udcff.jpg"))
    /nas/照\\xff.jpg
    """
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _target(path: str) -> str:
    try:
        return f"to {readable(os.readlink(path))}"
    except OSError:
        return "gone by now"
