"""Which pages are meant: ``1-3, 7, 10-``."""

from __future__ import annotations

import re

from ...core.errors import Code, RealmError

_PART = re.compile(r"\s*(\d{1,6})?\s*(-)?\s*(\d{1,6})?\s*")


def check_pages(text: str | None) -> str | None:
    """The text, when it is one that :func:`pages_of` takes; :class:`ValueError` with the accepted forms."""
    if text is not None:
        for part in text.split(","):
            match = _PART.fullmatch(part)
            numbers = [int(n) for n in (match[1], match[3]) if n] if match else []
            if match is None or not numbers or (len(numbers) == 2 and not match[2]) or 0 in numbers:
                raise ValueError(f"{text!r} names no pages; write 1-3, 7, 10-")
    return text


def pages_of(text: str | None, count: int, *, most: int) -> list[int]:
    """The pages that ``text`` means of a document of ``count``, in its order; ``None`` means all.

    Raises OUT_OF_RANGE for a page that is not there, and for more than ``most``.

    >>> pages_of("1-3, 7, 9-", 10, most=20), pages_of(None, 2, most=20), pages_of("3-1", 5, most=9)
    ([1, 2, 3, 7, 9, 10], [1, 2], [3, 2, 1])
    """
    found: list[int] = []
    for part in (text or "1-").split(","):
        match = _PART.fullmatch(part)
        assert match is not None, "checked by check_pages"
        first = int(match[1] or 1)
        last = int(match[3]) if match[3] else count if match[2] else first
        if max(first, last) > count:
            raise RealmError(
                Code.OUT_OF_RANGE, f"there is no page {max(first, last)}: the document has {count}"
            )
        found += range(first, last + 1) if first <= last else range(first, last - 1, -1)
        if len(found) > most:
            raise RealmError(
                Code.OUT_OF_RANGE,
                f"{len(found)} pages are more than the limit of {most}",
                hint="name fewer in pages, or raise max_pages",
            )
    return found
