"""What a node that runs in the flow evaluates its deferred expressions with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ScopeEvaluator:
    """Evaluates in ``scope``, what expressions at the node see; see :class:`~mirror_realm.tasks.context.Evaluator`."""

    scope: Mapping[str, Any]

    def render(self, value: Any, names: Mapping[str, Any]) -> Any:
        """``value`` with its templates evaluated; ``names`` come before the scope's."""
        from ..compiler.expressions import render

        return render(value, {**self.scope, **names})
