"""CEL's own conformance cases (``fixtures/cel/``), each run through our engine: it passes, or stands under a rule.

A rule of ``listed.yaml`` says why its cases do not hold here; one that begins to hold must leave the list. What an
expression gives is compared as the JSON that definitions see: bytes as base64, keys as text. What has no JSON form
(types, NaN, infinity) is compared inside the language.
"""

import json
import math
import re
from collections import Counter
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from mirror_realm.compiler.expressions import ExpressionError
from mirror_realm.compiler.expressions.engine import compile_expression

HERE = Path(__file__).parent
FOLDER = HERE / "fixtures" / "cel"
CASES = [
    (path.stem, json.loads(line))
    for path in sorted(FOLDER.glob("*.jsonl"))
    for line in path.read_text(encoding="utf-8").splitlines()
]
RULES = YAML(typ="safe").load(FOLDER / "listed.yaml")


def rule_of(suite, case):
    """The first rule that a case stands under."""
    for rule in RULES:
        if suite in rule.get("suites", [suite]) and re.search(rule["expr"], case["expr"]):
            return rule["id"]
    return None


def as_json(value):
    """A value of the cases as definitions see it."""
    if not isinstance(value, dict):
        return value
    ((kind, content),) = list(value.items())[:1]
    match kind:
        case "int" | "uint" | "bytes":
            return content
        case "double":
            return float(content)
        case "list":
            return [as_json(item) for item in content]
        case "map":
            pairs = [(as_json(key), as_json(item)) for key, item in content]
            return {key if isinstance(key, str) else json.dumps(key): item for key, item in pairs}
    raise ValueError(f"{kind} has no JSON form")


def question(case):
    """The expression to evaluate and what it must give."""
    expression, value = case["expr"], case.get("value")
    if isinstance(value, dict) and "type" in value:
        name = value["type"].removeprefix("google.protobuf.")
        example = {"Timestamp": "type(timestamp(0))", "Duration": "type(duration(0))"}.get(name, name)
        return f"({expression}) == {example}", True
    wanted = as_json(value)
    if isinstance(wanted, float) and math.isnan(wanted):
        return f"({expression}) != ({expression})", True
    if isinstance(wanted, float) and math.isinf(wanted):
        return f"({expression}) == double('{wanted}')", True
    return expression, wanted


def same(one, other):
    """Equal, and of the same kind throughout."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return type(one) is type(other) and one == other


def shortcoming(case):
    """What is wrong with our answer, or nothing."""
    try:
        expression, wanted = question(case)
        scope = {name: as_json(value) for name, value in case.get("bindings", {}).items()}
        found = compile_expression(expression).evaluate(scope)
    except ExpressionError as error:
        return None if "error" in case else str(error)
    except ValueError as error:
        return str(error)
    if "error" in case:
        return f"gave {found!r} where CEL fails: {case['error']}"
    return None if same(found, wanted) else f"gave {found!r}, not {wanted!r}"


@pytest.mark.parametrize(
    ("suite", "case"),
    CASES,
    ids=[
        f"{suite}/{case['section']}/{case['name']}".encode("unicode_escape").decode() for suite, case in CASES
    ],
)
def test_case(suite, case):
    rule, problem = rule_of(suite, case), shortcoming(case)
    if rule is None:
        assert problem is None, f"{case['expr']}: {problem}"
    elif "error" in case and rule != "equal-keys":
        assert problem is None, f"{case['expr']}: {problem}"  # An error too, if for a reason of our own.
    else:
        assert problem is not None, f"{case['expr']} holds: take it from the rule {rule!r} of listed.yaml"


def test_the_documentation_counts_them():
    listed = Counter(rule_of(suite, case) for suite, case in CASES)
    passed = listed.pop(None)
    assert set(listed) == {rule["id"] for rule in RULES}
    text = (HERE.parents[1] / "docs" / "expressions.md").read_text(encoding="utf-8")
    assert f"{len(CASES):,} cases, {passed:,} pass, {sum(listed.values())} do not hold" in text
    for rule in RULES:
        assert f"| {rule['reason']} | {listed[rule['id']]} |" in text
