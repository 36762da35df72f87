"""Networks compiled by torch for the shapes of tiles that they see, where an operator asks for it.

Tiles have few shapes, for which a compiled network saves launches and passes over memory; each shape costs seconds to
a minute once in a process. Whether that pays is a question of the device and of how many pictures there are.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from .compat import require_torch
from .memory import ran_out

log = logging.getLogger(__name__)


class Compiled:
    """Calls ``module`` compiled; plainly from the first failure to compile on, which is logged, since the result is
    the same. Lack of memory is no such failure."""

    def __init__(self, module: Any) -> None:
        self._module = module
        # Not for any shape at once: what is known of a shape is what makes it fast.
        self._call = require_torch().compile(module, dynamic=False)

    def __call__(self, batch: Any) -> Any:
        """What ``module`` makes of ``batch``."""
        if self._call is not self._module:
            try:
                return self._call(batch)
            except (
                Exception
            ) as error:  # Compilers fail in many ways; a fault of the module comes again below.
                if ran_out(error):
                    raise
                log.warning("torch.compile failed, the network runs as it is: %s", _first_line(error))
                self._call = self._module
        return self._module(batch)

    def parameters(self) -> Iterator[Any]:
        """The module's own."""
        return self._module.parameters()

    def buffers(self) -> Iterator[Any]:
        """The module's own."""
        return self._module.buffers()


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
