"""OpenCV, imported by one thread at a time: ``from ..opencv import cv2`` where it is used.

``import cv2`` replaces itself in the middle of its import, so that a thread that imports it meanwhile gets half of it
(``module 'cv2' has no attribute 'data'``). For this module Python's own import lock holds until all of it is there.
"""

import cv2

__all__ = ["cv2"]
