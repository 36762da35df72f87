"""Texts as they are drawn: how wide they are, cut, and broken into lines."""

from __future__ import annotations

from ..snippets import width as cells

_ASCII = bytes.fromhex(
    "20282e54405f4e1b272732542024202240404040404040404040222254545435644445464d3f3a4d4b1d1d4238564b4f"
    "3c4f453f3d494463453d452722275432323d3f373f3e233f3f1c1c3a1c613f3d3f3f2934273f3b523b3b3440224054"
)
"""Widths of the characters from the space to the tilde, in hundredths of an em, in DejaVu Sans, the widest of
the usual sans-serif fonts: what fits in it fits in the others."""
_BOLD = 1.15
_LONGEST = 2000
"""Characters of a text that are looked at; nothing that is drawn is longer."""
_BREAKS = " -_/.,;:|&+=)]}"


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """Pixels that ``text`` takes at most, about, in a font of that size."""
    total = 0.0
    for character in text:
        if " " <= character <= "~":
            total += _ASCII[ord(character) - 32] / 100
        elif character > "\uffff":
            total += 1.25
        else:
            total += (0.0, 0.84, 1.0)[cells(character)]
    return total * size * (_BOLD if bold else 1.0)


def plain(text: str) -> str:
    """The beginning of ``text`` on one line; control characters become spaces."""
    return "".join(c if c.isprintable() else " " for c in text[:_LONGEST])


def clip(text: str, limit: int) -> str:
    """``text`` in at most ``limit`` cells, with an ellipsis where it was cut. Control characters become
    spaces."""
    text = plain(text)
    if sum(map(cells, text)) <= limit:
        return text
    return text[: _fitting(text, limit - 1)] + "…"


def wrapped(text: str, limit: int, lines: int) -> tuple[str, ...]:
    """``text`` in at most so many lines of ``limit`` cells, broken between words, between Chinese characters,
    else anywhere; the last line ends with an ellipsis where not all of it fits."""
    text = plain(text).strip()
    found = _broken(text, limit, lines)
    if len(found) > 1 and not found[-1].endswith("…"):
        # As short as the number of lines allows, so that no word is left alone in the last one.
        for less in range(sum(map(cells, text)) // len(found), limit):
            if len(shorter := _broken(text, less, lines)) == len(found) and not shorter[-1].endswith("…"):
                return shorter
    return found


def _broken(text: str, limit: int, lines: int) -> tuple[str, ...]:
    """``text`` broken line by line, each as full as may be."""
    found: list[str] = []
    while len(found) < lines - 1 and sum(map(cells, text)) > limit:
        end = _fitting(text, limit)
        spots = [i for i in range(end, end // 2, -1) if _may_break(text, i)] or [end]
        best = next((i for i in spots if text[i : i + 1] in ("", " ")), spots[0])
        found.append(text[:best].rstrip())
        text = text[best:].lstrip()
    return (*found, clip(text, limit))


def condition_text(condition: str | None) -> str:
    """A condition as a label: without braces, on one line."""
    text = " ".join((condition or "").split())
    if text.startswith("{{") and text.endswith("}}") and text.count("{{") == 1:
        text = text[2:-2].strip()
    return text


def _fitting(text: str, limit: int) -> int:
    """How many characters fit into so many cells, at least one."""
    used = 0
    for index, character in enumerate(text):
        used += cells(character)
        if used > limit:
            return max(index, 1)
    return len(text)


def _may_break(text: str, index: int) -> bool:
    """Whether a line may end before ``text[index]``."""
    if index >= len(text) or text[index] == " ":
        return True
    before = text[index - 1]
    return before in _BREAKS or cells(before) == 2 or cells(text[index]) == 2
