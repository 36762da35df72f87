"""When a string needs quotes, and how it is then written: by YAML 1.2's core schema, as our own reader reads it."""

from __future__ import annotations

import re

from ..source_yaml import reads_as_text

_UNPRINTABLE = re.compile("[^ -~\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
"""What a reader refuses or takes for a line break: controls, tabs, NEL, LS, PS, byte order marks, half pairs."""
_INDICATORS = frozenset("-?:,[]{}#&*!|>'\"%@`")
_ENDS = re.compile(r":(?: |$)| #|^---|^\.\.\.|^<<$")
_FLOW_ENDS = re.compile(r"[,\[\]{}?]")
_ESCAPES = {
    "\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r", "\0": "\\0", "\x1b": "\\e", "\x85": "\\N",
    "\u2028": "\\L", "\u2029": "\\P",
}  # fmt: skip
_ELSEWHERE = re.compile(
    r"(?:y|n|yes|no|on|off)|[-+]?[0-9][0-9_,.:]*(?:e[-+]?[0-9]+)?|[-+]?0b[01_]+|0x[0-9a-f_]+"
    r"|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}.*",
    re.IGNORECASE | re.ASCII,
)


def is_plain(text: str, *, flow: bool = False) -> bool:
    """Whether a string can be written without quotes; ``flow`` when it stands inside brackets.

    >>> [is_plain(text) for text in ("image/preprocess", "no", "照片 1", "1e3", "a: b", "- x", " x", "")]
    [True, True, True, False, False, False, False, False]
    >>> is_plain("a, b"), is_plain("a, b", flow=True)
    (True, False)
    """
    if not text or text != text.strip() or _UNPRINTABLE.search(text):
        return False  # other blanks than a space would be read right, and seen by nobody
    if text[0] in _INDICATORS and not (text[0] == "-" and text[1:2] not in ("", " ", *_INDICATORS)):
        return False
    return not (_ENDS.search(text) or (flow and _FLOW_ENDS.search(text))) and reads_as_text(text)


def spell(text: str, *, flow: bool = False, quoted: bool = False) -> str:
    r"""A string on one line: without quotes where they are not needed, else in those that need fewer escapes.

    >>> print(spell("a b"), spell("{{ x }}"), spell('{{ n["a"] }}'), spell("tab\t"), spell("no", quoted=True))
    a b "{{ x }}" '{{ n["a"] }}' "tab\t" "no"
    """
    if not quoted and is_plain(text, flow=flow):
        return text
    if not _UNPRINTABLE.search(text) and text.count("'") < text.count('"') + text.count("\\"):
        return "'" + text.replace("'", "''") + "'"
    return '"' + re.sub(rf'["\\]|{_UNPRINTABLE.pattern}', _escape, text) + '"'


def read_otherwise_elsewhere(text: str) -> bool:
    """Whether another reader (YAML 1.1) takes the plain text for a number, a date or a boolean.

    >>> [read_otherwise_elsewhere(text) for text in ("no", "1:30", "2026-01-01", "1_000", "none", "v1")]
    [True, True, True, True, False, False]
    """
    return _ELSEWHERE.fullmatch(text) is not None


def block_lines(text: str) -> tuple[str, tuple[str, ...]] | None:
    r"""The header and the lines of a literal block scalar that holds ``text``; ``None`` where none can.

    >>> block_lines("two\nlines\n"), block_lines(" x\n y"), block_lines("\n")
    (('|', ('two', 'lines')), ('|2-', (' x', ' y')), None)
    """
    body = text.rstrip("\n")
    if not body.strip() or _UNPRINTABLE.search(body.replace("\n", "").replace("\t", "")):
        return None
    breaks = len(text) - len(body)
    lines = (*body.split("\n"), *[""] * (breaks - 1))
    return f"|{indicator(lines)}{'-' if breaks == 0 else '' if breaks == 1 else '+'}", lines


def indicator(lines: tuple[str, ...]) -> str:
    """``2`` where a block scalar must say its indentation, since its text begins with blanks."""
    for line in lines:
        if line[:1] in (" ", "\t"):
            return "2"
        if line:
            break
    return ""


def reads_well_as_block(text: str) -> bool:
    r"""Whether a string is better shown as lines: it has several, and an editor that trims lines leaves it whole.

    >>> [reads_well_as_block(text) for text in ("a\nb", "a", "a \nb", "\na", "a\nb\n\n")]
    [True, False, False, False, False]
    """
    if "\n" not in text or text.startswith("\n") or text.endswith("\n\n"):
        return False
    return all(line == line.rstrip() for line in text.split("\n")) and block_lines(text) is not None


def _escape(match: re.Match[str]) -> str:
    character = match.group()
    if character in _ESCAPES:
        return _ESCAPES[character]
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
