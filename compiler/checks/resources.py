"""What a node asks of a worker."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from ...core.resources import Resources
from ..diagnostics import Diagnostic
from ..explain import explain
from .subject import Subject

_NEED_GPU = ("gpu_memory_mb", "gpu_count", "gpu_share", "accelerator")


def resources(subject: Subject) -> Iterator[Diagnostic]:
    """Overrides that the resource model refuses; GPU memory, count or model where no GPU is asked for."""
    for path, node in subject.nodes():
        given = node.get("resources")
        if not isinstance(given, dict) or not given:
            continue
        node_type = subject.node_type(node.get("type"))
        base: dict[str, Any] = node_type.resources.model_dump() if node_type else {}
        where = (*path, "resources")
        try:
            wanted = Resources.model_validate({**base, **given})
        except ValidationError as error:
            for one in error.errors(include_url=False):
                found = explain(one, str(one["loc"][-1]), tuple(Resources.model_fields))
                unknown = one["type"] == "extra_forbidden"
                yield subject.document.report(
                    found.code, found.message, (*where, *one["loc"]), hint=found.hint, key=unknown
                )
            continue
        if wanted.gpu == "none":
            for name in _NEED_GPU:
                if name in given:
                    message = f"{name} is given, but gpu is none: the node gets no GPU"
                    hint = "write gpu: required, or preferred where it can do without"
                    yield subject.document.report(
                        "MR401", message, (*where, name), hint=hint, key=True, severity="warning"
                    )
