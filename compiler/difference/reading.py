"""Which names the texts of a definition read: ``nodes.x``, ``vars['y']``, ``loop``.

A reading that names nothing certain (``nodes[input.which]``, or the bare word) counts as reading all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ..document import walk_strings

_ROOTS = {
    root: re.compile(rf"\b{root}\b\s*(?:\.\s*([^\W\d]\w*)|\[\s*(?:'([^']*)'|\"([^\"]*)\")\s*\])?")
    for root in ("nodes", "vars")
}
_LOOP = re.compile(r"\bloop\b(?!\s*\.\s*(?:index|length)\b)")


@dataclass(frozen=True, slots=True)
class Reads:
    """The nodes and variables that some texts read; ``all_nodes`` and ``all_vars`` where that is uncertain."""

    nodes: frozenset[str] = frozenset()
    vars: frozenset[str] = frozenset()
    all_nodes: bool = False
    all_vars: bool = False


def reads(*values: Any) -> Reads:
    """What the strings in some JSON values read; node ids with underscores for hyphens.

    >>> found = reads({"a": "{{ nodes.pre_01.x + vars['limit'] }}"})
    >>> sorted(found.nodes), sorted(found.vars), found.all_nodes, reads("nodes[item]").all_nodes
    (['pre_01'], ['limit'], False, True)
    """
    texts = list(_texts(values))
    nodes, all_nodes = _names("nodes", texts)
    variables, all_vars = _names("vars", texts)
    return Reads(frozenset(map(spelled_id, nodes)), frozenset(variables), all_nodes, all_vars)


def spelled_id(node_id: str) -> str:
    """A node's id as expressions may spell it."""
    return node_id.replace("-", "_")


def reads_other_iterations(value: Any) -> bool:
    """Whether a loop's part reads more of the loop than its place in it, such as what came before."""
    return any(_LOOP.search(text) for text in _texts([value]))


def _names(root: str, texts: Iterable[str]) -> tuple[set[str], bool]:
    names: set[str] = set()
    uncertain = False
    for text in texts:
        if root not in text:
            continue
        for match in _ROOTS[root].finditer(text):
            name = next((group for group in match.groups() if group is not None), None)
            if name is None:
                uncertain = True
            else:
                names.add(name)
    return names, uncertain


def _texts(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        yield from (text for _, text in walk_strings(value))
