"""A run over several pictures links to its contact sheet, as Prefect shows it."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from mirror_realm.core.references import local_path
from mirror_realm.deployments.run import run_workflow
from tests import photos

pytestmark = pytest.mark.slow

DEFINITION = """
name: pair
nodes:
  - {node_id: first, type: image/preprocess, input: {file_path: "{{ input.first }}"}}
  - {node_id: second, type: image/preprocess, input: {file_path: "{{ input.second }}"}}
"""


async def test_the_contact_sheet_is_linked_from_the_run(tmp_path, home, prefect):
    (tmp_path / "flow.yaml").write_text(DEFINITION, encoding="utf-8")
    given = {
        "first": str(photos.photo(tmp_path / "照片.jpg", orientation=6)),
        "second": str(photos.photo(tmp_path / "b.png", size=(90, 60))),
    }
    done = await run_workflow(tmp_path / "flow.yaml", input=given)
    assert done["status"] == "completed"
    of_run = {"artifacts": {"flow_run_id": {"any_": [done["flow_run_id"]]}}}
    artifacts = httpx.post(f"{prefect}/artifacts/filter", json=of_run, timeout=30).json()
    (link,) = [one["data"] for one in artifacts if one["key"] == "realm-contact-sheet"]
    assert str(link).startswith("[contact sheet](file:")
    page = Path(local_path(str(link).partition("(")[2].rstrip(")")))
    assert page.read_text(encoding="utf-8").count("<article>") == 2
