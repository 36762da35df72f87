"""Environment variables that a node may read: secrets that stand in no definition and no journal."""

from __future__ import annotations

import os

from ..core.errors import Code, RealmError
from .context import NodeContext


def read_variable(name: str, context: NodeContext) -> str:
    """The value of a variable of this worker. PERMISSION_DENIED unless the setting ``env_allow`` names it,
    FAILED_PRECONDITION when it is not set or empty."""
    allowed = context.settings.env_allow
    if name not in allowed:
        raise RealmError(
            Code.PERMISSION_DENIED,
            f"the environment variable {name} may not be read",
            hint=f"allow it: MIRROR_REALM_ENV_ALLOW={','.join((*allowed, name))}",
        )
    if not (value := os.environ.get(name)):
        raise RealmError(
            Code.FAILED_PRECONDITION, f"the environment variable {name} is not set on this worker"
        )
    return value
