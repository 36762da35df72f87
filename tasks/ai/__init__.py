"""The ``ai/`` family: node types that run models on pictures. The models' code is in ``tasks/inference``."""

from .analyze import image_analyze
from .enhance import image_enhance

__all__ = ["image_analyze", "image_enhance"]
