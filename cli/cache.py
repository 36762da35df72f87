"""``realm cache``: results that nodes use again."""

from __future__ import annotations

from cyclopts import App

from . import faults
from .terminal import terminal

cache = App(name="cache", help="Results that nodes use again: forget them.", help_format="plaintext")


@cache.command
def clear(*, workflow: str | None = None, node_type: str | None = None, json: bool = False) -> int:
    """Forget cached results, so that they are computed again. All of them, unless told which.

    Parameters
    ----------
    workflow
        Only those that this workflow was the first to compute.
    node_type
        Only those of this node type, as ai/image-analyze.
    json
        As JSON.
    """
    from ..core.settings import settings
    from ..store import Store

    with Store.open(settings().database) as store:
        forgotten = store.cache.clear(workflow=workflow, node_type=node_type)
    out = terminal()
    if json:
        out.write_json({"cleared": forgotten})
    else:
        out.write(f"{forgotten} cached result{'' if forgotten == 1 else 's'} forgotten")
    return faults.OK
