"""Names that the run and its engines share."""

from __future__ import annotations

MARK = "node:"
"""What the keys of our tasks begin with on a Dask scheduler. Others there are left alone."""
