"""The ``ai/`` family: node types that run models on pictures. The models' code is in ``tasks/inference``."""

from .enhance import image_enhance

__all__ = ["image_enhance"]
