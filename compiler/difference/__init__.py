"""What one definition changes of another, what each change means for who uses it, and what running instances keep.

``compare`` finds the changes (nodes by :mod:`.matching`, values by :mod:`.values`), ``meaning`` and ``schemas`` say how
far each reaches, ``keeping`` which journaled results stay true, ``bump`` which version that makes. Start reading at
:mod:`.compare`.
"""

from __future__ import annotations

from .changes import Bump, Change, Difference, Impact
from .compare import difference
from .text import render_text

__all__ = ["Bump", "Change", "Difference", "Impact", "difference", "render_text"]
