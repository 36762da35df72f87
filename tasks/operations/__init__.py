"""Operations on lists of items, which ``control/transform`` and ``data/transform`` carry out one after the other.

One class each, linear in the number of items (a sort but for its logarithm): :mod:`.rows`, :mod:`.filtering`,
:mod:`.grouping`, :mod:`.joining`; :mod:`.reading` is what they read items with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from ...core.errors import Code, RealmError
from ..context import NodeContext
from .filtering import Filter
from .grouping import Aggregate
from .joining import Join
from .reading import Operation, Reader, as_list, prefixed
from .rows import Distinct, Flatten, Limit, Map, Pick, Rename, Sort, Template

AnyOperation = Annotated[
    Map | Filter | Sort | Aggregate | Join | Flatten | Distinct | Limit | Pick | Rename | Template,
    Field(discriminator="op"),
]
"""Every operation."""

StructuredOperation = Annotated[
    Filter | Sort | Aggregate | Join | Flatten | Distinct | Limit | Pick | Rename, Field(discriminator="op")
]
"""Those that need no expressions over items."""

__all__ = ["AnyOperation", "StructuredOperation", "carry_out"]


def carry_out(operations: Sequence[Operation], data: Any, context: NodeContext) -> Any:
    """What the operations make of ``data``, a list, which is left as it is. An error says at which operation."""
    reader = Reader(context)
    found: Any = as_list(data, "data")
    for number, operation in enumerate(operations, 1):
        context.check_canceled()
        try:
            found = operation.apply(as_list(found, "what comes before"), reader)
        except RealmError as error:
            if error.code in (Code.CANCELLED, Code.NODE_EXECUTION_TIMEOUT):
                raise
            name = type(operation).__name__.lower()
            raise prefixed(f"operation {number} ({name})", error) from None
    return found
