"""``realm lsp``: the language server that editors start."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ..core.errors import Code, RealmError
from . import faults


def lsp(*, port: int | None = None, host: str = "127.0.0.1", log: Path | None = None) -> int:
    """Serve editors: diagnostics, completion, hover, definitions and renaming while a definition is written.

    An editor starts this itself and talks to it over standard input and output; docs/editors.md says how.

    Parameters
    ----------
    port
        Listen on this TCP port instead, for one editor.
    host
        The address to listen on.
    log
        A file for what is logged; else warnings go to standard error.
    """
    try:
        from .language_server import make_server
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("pygls", "lsprotocol", "cattrs"):
            raise
        raise RealmError(
            Code.FAILED_PRECONDITION,
            "the language server needs pygls, which is not installed",
            hint="pip install 'mirror-realm[lsp]'",
        ) from None
    _log_to(log)
    # An analysis in its thread hands over sooner than Python's 5 ms, so that answers while typing do not wait for it.
    sys.setswitchinterval(0.0005)
    server = make_server()
    if port is not None:
        server.start_tcp(host, port)
        return faults.OK
    # Nothing but the protocol may reach the editor: what a plugin prints goes where the log goes.
    sys.stdout.flush()
    protocol = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    server.start_io(stdout=protocol)
    return faults.OK


def _log_to(file: Path | None) -> None:
    import logging

    handler = logging.StreamHandler() if file is None else logging.FileHandler(file, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.WARNING if file is None else logging.INFO)
