"""The ``image/`` family: node types that take a picture and give a picture.

:mod:`.models` has the input model that every picture-taking node type of any family shares, and
:func:`resolve_image`, which finds the picture an input means. The work itself is in ``tasks/imaging``.
"""

from .convert import image_convert
from .metadata import image_metadata
from .models import ImageInput, ResolvedImage, resolve_image
from .preprocess import image_preprocess
from .thumbnail import image_thumbnail
from .watermark import image_watermark

__all__ = [
    "ImageInput",
    "ResolvedImage",
    "image_convert",
    "image_metadata",
    "image_preprocess",
    "image_thumbnail",
    "image_watermark",
    "resolve_image",
]
