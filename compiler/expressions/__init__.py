"""The expression language of definitions: CEL in ``{{ … }}``, conditions, and JMESPath in edge mappings.

Reading order: ``templates.py`` (what a string means), ``rewrite.py`` (people's spelling → plain CEL), ``references.py``
(what is read from the scope), ``engine.py`` (evaluation), ``functions.py``, ``check/`` (what the compiler finds).
The language for users is in ``docs/expressions.md``.
"""

from __future__ import annotations

from .check import check
from .errors import ExpressionError
from .mapping import apply_mapping
from .references import SCOPE_NAMES, environment
from .templates import fields_read, holds, render

__all__ = [
    "SCOPE_NAMES",
    "ExpressionError",
    "apply_mapping",
    "check",
    "environment",
    "fields_read",
    "holds",
    "render",
]
