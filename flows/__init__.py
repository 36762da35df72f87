"""The runtime that a compiled flow calls: declarations, :class:`Run`, engines, runners and the journal.

Imports ``compiler`` (expressions only), ``tasks``, ``store``, ``blocks`` and ``core``. Prefect, Dask and SQLAlchemy are
imported when a flow runs, not before. Start reading at :mod:`.run`; an emitted module needs only what is exported here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .declarations import Retry, edge, node, subworkflow, workflow

if TYPE_CHECKING:
    from .engines import flow
    from .run import Run

__all__ = ["Retry", "Run", "edge", "flow", "node", "subworkflow", "workflow"]

_LAZY = {"Run": ".run", "flow": ".engines"}


def __getattr__(name: str) -> Any:
    if (module := _LAZY.get(name)) is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(module, __name__), name)
