"""The guide to the language is true: each of its definitions is accepted without a warning, and gives what it says."""

import json
import re
from pathlib import Path

import pytest

from mirror_realm.compiler import analyze

PAGE = (Path(__file__).parents[2] / "docs" / "definitions.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```\n\n```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def name(example):
    return re.search(r"^name: (.*)$", example[0], re.MULTILINE).group(1)


def test_there_are_as_many_as_the_page_shows():
    assert len(EXAMPLES) == PAGE.count("```yaml") >= 7


@pytest.mark.parametrize("example", EXAMPLES, ids=name)
async def test_an_example_gives_what_it_says(lab, example):
    text, shown = example
    analysis = analyze("guide.yaml", text=text)
    assert [d for d in analysis.diagnostics if d.severity != "info"] == []
    expected = json.loads(shown)
    result = await lab(text.partition("\n")[2], **expected["input"])
    assert result["status"] == "completed", result["error"]
    assert result["output"] == expected["output"]
