"""script/python: a function by its import path, allowed by prefix, given the input, returning JSON."""

from __future__ import annotations

import pytest

from mirror_realm.core.errors import Code
from mirror_realm.core.settings import settings
from mirror_realm.tasks import script
from tests.running import Node

call = Node(script, "script/python")

MODULE = """
import os
from os.path import join
import json as helper

def score(input, weight=1):
    return {"score": input["n"] * weight}

def number(input):
    return 7

def told(input, *, context):
    context.note("seen", context.node_id)
    return {"folder": context.workdir.is_dir()}

async def later(input):
    return {"later": True}

def fails(input):
    raise KeyError("thing")

def unserializable(input):
    return {"x": object()}

class Callable:
    pass
"""


@pytest.fixture(autouse=True)
def package(tmp_path, monkeypatch):
    folder = tmp_path / "code" / "user_scripts_for_test"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "scoring.py").write_text(MODULE)
    (folder / "broken.py").write_text("import no_such_dependency\n")
    (tmp_path / "code" / "user_scripts_for_test_evil.py").write_text("def score(input): return {}\n")
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    monkeypatch.setenv("MIRROR_REALM_PYTHON_ALLOW", "user_scripts_for_test")
    settings.cache_clear()


def at(name: str) -> str:
    return f"user_scripts_for_test.scoring:{name}"


def test_a_function_gets_the_input_and_its_arguments():
    assert call({"function": at("score"), "arguments": {"weight": 3}}, {"n": 2}) == {"score": 6}
    assert call({"function": at("number")}) == {"result": 7}
    assert call({"function": at("later")}) == {"later": True}
    outcome = call.outcome({"function": at("told")})
    assert (outcome.output, outcome.notes) == ({"folder": True}, {"seen": "node-01"})


@pytest.mark.parametrize(
    "function",
    [
        "os:system",
        "subprocess:run",
        "builtins:eval",
        "user_scripts_for_test_evil:score",
        "user_scripts_for_test.scoring:join",
    ],
)
def test_what_is_not_allowed_is_not_called(function):
    record = call.error({"function": function})
    assert record.code is Code.PERMISSION_DENIED


def test_the_refusal_says_how_to_allow():
    assert "MIRROR_REALM_PYTHON_ALLOW=user_scripts_for_test,os" in (
        call.error({"function": "os:system"}).hint or ""
    )


def test_nothing_is_allowed_by_default(monkeypatch):
    monkeypatch.delenv("MIRROR_REALM_PYTHON_ALLOW")
    settings.cache_clear()
    assert call.error({"function": at("score")}).code is Code.PERMISSION_DENIED


def test_one_function_can_be_allowed(monkeypatch):
    monkeypatch.setenv("MIRROR_REALM_PYTHON_ALLOW", at("number"))
    settings.cache_clear()
    assert call({"function": at("number")}) == {"result": 7}
    assert call.error({"function": at("score")}, {"n": 1}).code is Code.PERMISSION_DENIED


@pytest.mark.parametrize(
    ("function", "code", "words"),
    [
        ("scoring", Code.INVALID_ARGUMENT, "not an import path"),
        ("user_scripts_for_test.scoring:score()", Code.INVALID_ARGUMENT, "not an import path"),
        ("user_scripts_for_test.nothing:score", Code.NOT_FOUND, "no module"),
        (at("scroe"), Code.NOT_FOUND, "no function"),
        (at("helper"), Code.NOT_FOUND, "no function"),
        (at("Callable"), Code.NOT_FOUND, "no function"),
        ("user_scripts_for_test.broken:f", Code.FAILED_PRECONDITION, "no_such_dependency"),
        (at("fails"), Code.INTERNAL_ERROR, "KeyError"),
        (at("unserializable"), Code.INTERNAL_ERROR, "not JSON"),
    ],
)
def test_faults_are_told(function, code, words):
    record = call.error({"function": function})
    assert record.code is code
    assert words in record.message


def test_wrong_arguments_are_the_definitions_fault():
    record = call.error({"function": at("score"), "arguments": {"wieght": 3}}, {"n": 2})
    assert record.code is Code.INVALID_ARGUMENT
    assert "wieght" in record.message
