"""Node types: one module per family, the registry, and the node-author SDK.

A node type is one function with Pydantic models, decorated with :func:`node_type`. This room imports ``core``,
``blocks`` and ``store``; a family's module imports light, its libraries are imported inside the executor, so
that the compiler reads every specification in milliseconds. Start reading at :mod:`.sdk`, then :mod:`.image`.
"""

from .context import NodeContext
from .registry import Registry, registry
from .sdk import Effects, NodeType, node_type

__all__ = ["Effects", "NodeContext", "NodeType", "Registry", "node_type", "registry"]
