"""The ``ai/`` family: node types that run models on pictures. The models' code is in ``tasks/inference``."""

from .analyze import image_analyze
from .cluster import ai_cluster
from .embed import ai_embed
from .enhance import image_enhance
from .faces import ai_faces
from .index import ai_index
from .reindex import ai_reindex
from .search import ai_search

__all__ = [
    "ai_cluster",
    "ai_embed",
    "ai_faces",
    "ai_index",
    "ai_reindex",
    "ai_search",
    "image_analyze",
    "image_enhance",
]
