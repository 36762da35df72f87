"""What an editor asks of a definition, answered without any protocol: hover, completion, definition, references,
rename, symbols, quick fixes.

Pure functions over a :class:`View` (an analysis, and what is derived from it for editors) and an offset in its text.
Offsets count characters from 0; what is given back are data classes of offsets and Markdown. Nothing here raises for
any text. Reading order: :mod:`.context` (where in the document an offset is, also of a broken one), :mod:`.fragments`
(which part of an expression), :mod:`.reach` (what expressions read there), :mod:`.view`, then one module per question.
"""

from __future__ import annotations

from .actions import Action, actions
from .completion import MOST_NODES, Item, complete, explain
from .formatting import formatted
from .hover import Hover, hover
from .navigation import Place, definition, references
from .related import Related, related
from .rename import Edit, Refused, renamable, rename
from .symbols import Symbol, symbols
from .view import View

__all__ = [
    "MOST_NODES",
    "Action",
    "Edit",
    "Hover",
    "Item",
    "Place",
    "Refused",
    "Related",
    "Symbol",
    "View",
    "actions",
    "complete",
    "definition",
    "explain",
    "formatted",
    "hover",
    "references",
    "related",
    "renamable",
    "rename",
    "symbols",
]
