"""docs/expressions.md is executed: every example on the page's own scope, and every function has one."""

import doctest
import importlib
import json
import re
from pathlib import Path

import pytest

from mirror_realm.compiler.expressions import ExpressionError, apply_mapping, render
from mirror_realm.compiler.expressions.functions import GLOBAL_NAMES, METHOD_NAMES
from mirror_realm.compiler.source import load

PAGE = (Path(__file__).parents[2] / "docs" / "expressions.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SCOPE = json.loads(next(body for kind, body in FENCE.findall(PAGE) if kind == "json"))


def examples():
    for kind, body in FENCE.findall(PAGE):
        if kind in ("cel", "template"):
            for line in body.splitlines():
                source, result = line.rsplit("→", 1)
                yield (
                    (source.strip() if kind == "template" else "{{ " + source.strip() + " }}"),
                    result.strip(),
                )


@pytest.mark.parametrize(("source", "result"), list(examples()))
def test_example(source, result):
    if result.startswith("error: "):
        with pytest.raises(ExpressionError) as caught:
            render(source, SCOPE)
        assert caught.value.problem == result.removeprefix("error: ")
    else:
        value, wanted = render(source, SCOPE), json.loads(result)
        assert (value, type(value)) == (wanted, type(wanted))


def test_every_function_and_method_is_on_the_page():
    named = set(re.findall(r"\w+", PAGE))
    assert set(GLOBAL_NAMES | METHOD_NAMES) - named == set()


def test_the_mapping_example():
    body = next(body for kind, body in FENCE.findall(PAGE) if kind == "yaml")
    document = load("mapping.yaml", text=body).document
    assert document is not None
    result = apply_mapping(document.tree["mapping"], {"image": 1, **SCOPE["nodes"]["detect"]}, SCOPE)
    assert result == {
        "image": 1,
        "report": {"best": 0.9, "names": ["Ann"], "by": "photos"},
        "kind": "photo",
    }


@pytest.mark.parametrize("name", ["errors", "references", "values", "mapping", "templates", "positions"])
def test_docstrings_are_true(name):
    module = importlib.import_module(f"mirror_realm.compiler.expressions.{name}")
    result = doctest.testmod(module)
    assert result.attempted
    assert result.failed == 0
