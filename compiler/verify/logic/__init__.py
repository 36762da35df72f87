"""Logic over conditions: can this formula hold, and for which data?

Reading order: ``conditions.py`` (what is asked), ``prover.py`` (how it is answered), ``domains.py`` and ``uses.py``
(what values a reference may have), ``samples.py`` (trying), ``terms.py``, ``operators.py`` and ``values.py`` (proving;
these need z3, so :mod:`.prover` imports them only when they are needed).
"""

from __future__ import annotations

from .conditions import AtLeast, Condition, Formula, Is, every, read, some
from .domains import Domain, domain_of, listed
from .prover import Answer, Budget, Prover

__all__ = [
    "Answer",
    "AtLeast",
    "Budget",
    "Condition",
    "Domain",
    "Formula",
    "Is",
    "Prover",
    "domain_of",
    "every",
    "listed",
    "read",
    "some",
]
