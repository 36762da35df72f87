"""What expressions are evaluated in, and how they fail."""

import pytest

from mirror_realm.compiler.expressions import ExpressionError, render
from mirror_realm.core.errors import Code

SCOPE = {
    "input": {
        "score": 60,
        "half": 0.5,
        "name": "照片",
        "none": None,
        "items": [1, 2.5, 3],
        "map": {"a": 1},
        "rows": [{"a": 1, "名": "x"}, {"a": None}, {}],
        "max-size": 3,
        "big": 2**40,
        "loop": 7,
    },
    "trigger": {"payload": {}},
    "nodes": {"pre-01": {"width": 100, "height": 75}, "质检": {"x": 1}, "skipped": {}, "a_b-c": {"y": 2}},
    "vars": {"q": 92},
}


def value(expression, scope=SCOPE):
    return render("{{" + expression + "}}", scope)


def fault(expression, scope=SCOPE):
    with pytest.raises(ExpressionError) as caught:
        value(expression, scope)
    assert caught.value.code is Code.INVALID_ARGUMENT
    return caught.value
