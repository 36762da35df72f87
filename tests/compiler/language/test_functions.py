"""What is said of functions, and that the examples in the docstrings hold."""

import doctest
import importlib
import pkgutil

import pytest

from mirror_realm.compiler import language
from mirror_realm.compiler.expressions.functions import GLOBAL_NAMES, METHOD_NAMES
from mirror_realm.compiler.language.functions import FUNCTIONS, METHODS

MODULES = [
    "mirror_realm.compiler.close_matches",
    *(f"{language.__name__}.{one.name}" for one in pkgutil.iter_modules(language.__path__)),
]


def test_every_function_is_explained():
    assert set(FUNCTIONS) == GLOBAL_NAMES
    assert set(METHODS) == METHOD_NAMES


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_in_docstrings(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0
