"""The node catalogue: complete, well-formed, and the committed page is what the declarations say now."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from mirror_realm.tasks.catalogue import builtin, catalogue_markdown, description_of

PAGE = Path(__file__).parents[2] / "docs" / "nodes.md"
TYPES = list(builtin())
HEAVY = (
    "prefect",
    "dask",
    "distributed",
    "torch",
    "sqlalchemy",
    "cv2",
    "PIL",
    "boto3",
    "httpx",
    "apprise",
    "jmespath",
)


def test_the_committed_page_is_current():
    assert PAGE.read_text(encoding="utf-8") == catalogue_markdown(builtin()), (
        "run: python -m mirror_realm.tasks.catalogue docs/nodes.md"
    )


def test_every_table_is_a_table():
    """Each row has as many cells as its header, whatever stands in the descriptions."""
    width = 0
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if not line.startswith("|"):
            width = 0
            continue
        cells = len(re.findall(r"(?<!\\)\|", line)) - 1
        width = width or cells
        assert cells == width, line


@pytest.mark.parametrize("node_type", TYPES, ids=lambda t: t.name)
def test_every_field_is_described(node_type):
    undescribed = [
        f"{title}.{name}"
        for title, model in (("parameters", node_type.parameters), ("input", node_type.input))
        for name in undescribed_fields(model)
    ]
    assert undescribed == []
    assert f"### {node_type.name}\n" in PAGE.read_text(encoding="utf-8")


def undescribed_fields(model: type[BaseModel]) -> list[str]:
    schema: dict[str, Any] = model.model_json_schema()
    fields, definitions = schema.get("properties", {}), schema.get("$defs", {})
    return [name for name, field in fields.items() if not description_of(field, definitions)]


def test_the_families_import_no_engine():
    program = "import sys, mirror_realm.tasks.catalogue as c; c.builtin();"
    program += f"print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
