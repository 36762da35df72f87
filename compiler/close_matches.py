"""Did you mean: what a wrong word was probably meant to be."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

_SHORTEST = 4
"""Letters of a word of which another one can be told to be a slip."""


class Hint(str):
    """A hint that asks about words: what it says, and the ``words`` that were probably meant, best first. More text may
    be added behind it."""

    words: tuple[str, ...]

    def __new__(cls, text: str, words: Iterable[str] = ()) -> Hint:
        """``text``, which asks about ``words``."""
        hint = super().__new__(cls, text)
        hint.words = tuple(words)
        return hint

    def __add__(self, more: str) -> Hint:
        """The hint and what is said behind it."""
        return Hint(str(self) + more, self.words)


def asked(*words: str) -> Hint:
    """The question whether ``words`` were meant.

    >>> hint = asked("enhance-01", "b") + " They are nodes"
    >>> hint, hint.words
    ("did you mean 'enhance-01' or 'b'? They are nodes", ('enhance-01', 'b'))
    """
    return Hint(f"did you mean {' or '.join(map(repr, words))}?", words)


def words_of(hint: str | None) -> tuple[str, ...]:
    """The words that a hint asks about; none, where it is only text."""
    return hint.words if isinstance(hint, Hint) else ()


def closest(word: str, known: Iterable[str], synonyms: Mapping[str, str] | None = None) -> str | None:
    """The one known word that ``word`` most likely means, or ``None``.

    >>> closest("dependsOn", ["next", "depends_on"]), closest("x", ["y"])
    ('depends_on', None)
    >>> closest("cpu", ["gpu", "cpu_millis"])
    'cpu_millis'
    >>> closest("params", ["type"], {"params": "type"})
    'type'
    """
    words = tuple(known)
    plain = _plain(word)
    for candidate in words:
        if candidate.lower().replace("-", "_") == plain:
            return candidate
    if synonyms and (meant := synonyms.get(plain)) in words:
        return meant
    longer = [candidate for candidate in words if candidate.startswith(f"{plain}_")]
    if len(longer) == 1 and len(plain) > 2:
        return longer[0]
    found = _matches(plain[:64], words, 1)
    return found[0] if found else None


def did_you_mean(word: str, known: Iterable[str], limit: int = 3) -> Hint | None:
    """A question with the closest matches, best first, or ``None`` where nothing is close.

    >>> did_you_mean("enhance-1", ["enhance-01", "archive-01"])
    "did you mean 'enhance-01'?"
    """
    found = _matches(word[:128], tuple(known), limit)
    return asked(*found) if found else None


def slip_of(word: str, known: Iterable[str]) -> str | None:
    """The one known word of which ``word`` surely is a slip, or ``None``: spelt the same but for case and hyphens, or
    with one letter wrong, missing, too many or in its neighbour's place. What may well be a word of its own is none: a
    short one, a plural, another number.

    >>> slip_of("totla", ["total", "label"]), slip_of("chargedAt", ["charged_at"])
    ('total', 'charged_at')
    >>> slip_of("items", ["item"]), slip_of("line_1", ["line_2"]), slip_of("id", ["ie"])
    (None, None, None)
    """
    plain = _plain(word)
    found = [one for one in known if (other := _plain(one)) == plain or _is_slip(plain, other)]
    return found[0] if len(found) == 1 else None


def listed(words: Iterable[str], limit: int = 12) -> str:
    """Words in a row, cut off where there are many.

    >>> listed("abc", 2)
    'a, b, …'
    """
    all_words = list(words)
    return ", ".join(all_words[:limit]) + (", …" if len(all_words) > limit else "")


def _plain(word: str) -> str:
    return _CAMEL.sub("_", word).lower().replace("-", "_").replace(" ", "_")


def _is_slip(word: str, other: str) -> bool:
    start = 0
    while start < min(len(word), len(other)) and word[start] == other[start]:
        start += 1
    end = 0
    while end < min(len(word), len(other)) - start and word[-1 - end] == other[-1 - end]:
        end += 1
    wrong, right = word[start : len(word) - end], other[start : len(other) - end]
    if min(len(word), len(other)) < _SHORTEST or any(letter.isdigit() for letter in wrong + right):
        return False
    if wrong + right == "s" and not end:
        return False
    return max(len(wrong), len(right)) == 1 or (len(wrong) == 2 and wrong == right[::-1])


def _matches(word: str, known: tuple[str, ...], limit: int) -> list[str]:
    # The same slip is often made on every line of a generated file; long vocabularies are not kept.
    return list((_remembered if len(known) <= 200 else _computed)(word, known, limit))


def _computed(word: str, known: tuple[str, ...], limit: int) -> tuple[str, ...]:
    return tuple(difflib.get_close_matches(word, known, n=limit, cutoff=0.6))


_remembered = lru_cache(maxsize=512)(_computed)
