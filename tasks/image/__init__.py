"""The ``image/`` family: node types that take a picture and give a picture.

:mod:`.models` has the input model that every picture-taking node type of any family shares, and
:func:`resolve_image`, which finds the picture an input means. The work itself is in ``tasks/imaging``.
"""

from .models import ImageInput, ResolvedImage, resolve_image
from .preprocess import image_preprocess

__all__ = ["ImageInput", "ResolvedImage", "image_preprocess", "resolve_image"]
