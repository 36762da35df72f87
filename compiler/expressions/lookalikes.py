"""Text that looks like an expression but is none, for the braces around it are others: ``${input.x}``, ``input.x``."""

from __future__ import annotations

import re
from collections.abc import Callable

from .typecheck import Finding

_ROOTS = r"(?:input|nodes|vars|trigger|execution|item|loop)"
_STEP = r"(?:\.[^\W\d]\w*|\[(?:\d+|'[^']*'|\"[^\"]*\")\])"
_BRACED = re.compile(rf"\$\{{\s*({_ROOTS}{_STEP}+)\s*\}}|(?<![{{$])\{{\s*({_ROOTS}{_STEP}+)\s*\}}(?!\}})")
_BARE = re.compile(rf"\s*({_ROOTS}{_STEP}+)\s*")
_BLOCK = re.compile(r"\{%-?\s*(?:if|for|else|elif|set|end\w+)\b.*?%\}", re.DOTALL)


def reads_something(text: str) -> bool:
    """Whether ``text`` is an expression that begins with what expressions read.

    >>> reads_something("input.size > 3"), reads_something("input"), reads_something("size > 3")
    (True, False, False)
    """
    return re.match(rf"\s*!?{_ROOTS}{_STEP}", text) is not None


def lookalike(text: str, is_known: Callable[[str], bool]) -> Finding | None:
    """What in ``text``, which has no template, was probably meant as one. A bare expression counts only where
    ``is_known`` says that there is what it reads."""
    if "{" in text:
        if block := _BLOCK.search(text):
            hint = "there are no blocks; write {{ condition ? a : b }}, or put a node for each way"
            return Finding("syntax", f"{block.group()} is taken as text", *block.span(), hint, "warning")
        if found := _BRACED.search(text):
            return _finding(found.group(1) or found.group(2), found)
    elif (found := _BARE.fullmatch(text)) and is_known(found.group(1)):
        return _finding(found.group(1), found)
    return None


def _finding(expression: str, found: re.Match[str]) -> Finding:
    message = f"{found.group().strip()} is taken as text, not as an expression"
    return Finding("syntax", message, *found.span(), f"write {{{{ {expression} }}}}", "warning")
