"""The ``media/`` family: node types over files of any medium, one by one or many at once.

:mod:`~mirror_realm.tasks.kinds` tells what a file is; :mod:`.containers` is all that opens films (PyAV, of the extra
``media``), :mod:`.frames` makes pictures of their frames and :mod:`.tonemap` brings HDR into a screen's range.
"""

from .contact_sheet import media_contact_sheet
from .copyright_check import media_copyright_check
from .deduplicate import media_deduplicate
from .probe import media_probe
from .video_thumbnail import media_video_thumbnail

__all__ = [
    "media_contact_sheet",
    "media_copyright_check",
    "media_deduplicate",
    "media_probe",
    "media_video_thumbnail",
]
