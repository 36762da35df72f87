"""The node-author SDK: the guide's own example, what the decorator refuses, and how node types are found."""

import re
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel

from mirror_realm.core.errors import Code, RealmError
from mirror_realm.core.settings import settings
from mirror_realm.tasks import node_type, registry
from mirror_realm.tasks.registry import Registry
from mirror_realm.tasks.sdk import NodeType

GUIDE = (Path(__file__).parents[2] / "docs" / "node-authors.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The guide's module, importable from a folder of its own."""
    folder = tmp_path / "nodes"
    folder.mkdir()
    (folder / "wordcount.py").write_text(BLOCKS[0], encoding="utf-8")
    monkeypatch.syspath_prepend(folder)
    yield folder
    sys.modules.pop("wordcount", None)


def test_the_guide_is_true(module, tmp_path, monkeypatch):
    (tmp_path / "notes.txt").write_text("one two\nthree x\n")
    monkeypatch.chdir(tmp_path)
    import wordcount

    exec(compile(BLOCKS[1], "docs/node-authors.md", "exec"), {"word_count": wordcount.word_count})


def test_a_module_of_the_setting_is_in_the_registry_and_the_compiler_knows_it(module, monkeypatch):
    from mirror_realm.compiler import analyze

    monkeypatch.setenv("MIRROR_REALM_NODES", "wordcount")
    settings.cache_clear()
    registry.cache_clear()
    assert registry()["text/word-count"].summary == "Count the words of a text file."
    text = (
        "name: w\ntriggers: []\nnodes:\n  - {node_id: n, type: text/word-count, parameters: {minimun: 2}}\n"
    )
    (found,) = analyze("w.yaml", text=text).errors
    assert (found.code, found.line, found.hint) == ("MR121", 4, "did you mean 'minimum'?")


def test_an_installed_package_is_found_by_its_entry_point(module, monkeypatch):
    info = module / "wordcount-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: wordcount\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[mirror_realm.nodes]\nwordcount = wordcount\n")
    registry.cache_clear()
    assert "text/word-count" in registry()


def test_a_module_that_is_not_there(monkeypatch):
    monkeypatch.setenv("MIRROR_REALM_NODES", "no_such_module")
    settings.cache_clear()
    registry.cache_clear()
    with pytest.raises(RealmError, match="no_such_module"):
        registry()


class Model(BaseModel):
    pass


def declare(function, name="t/x"):
    return node_type(name, version="1.0.0")(function)


class TestDeclaring:
    def test_a_complete_one(self):
        def one(parameters: Model, input: Model, context) -> Model:
            """Do one thing.

            And say more about it.
            """
            return Model()

        made = declare(one)
        assert isinstance(made, NodeType)
        assert (made.summary, made.description, made.family) == (
            "Do one thing.",
            "And say more about it.",
            "t",
        )
        assert made(Model(), Model(), None) == Model()

    @pytest.mark.parametrize("name", ["shout", "Text/Shout", "text/", "/x", "text/a b", "a/b/c"])
    def test_a_name_is_family_slash_name(self, name):
        with pytest.raises(TypeError, match="family/name"):
            node_type(name, version="1.0.0")

    def test_a_docstring_is_needed(self):
        def one(parameters: Model, input: Model, context) -> Model:
            return Model()

        with pytest.raises(TypeError, match="docstring"):
            declare(one)

    def test_models_are_needed(self):
        def one(parameters: Model, input: dict, context) -> Model:
            """Do it."""
            return Model()

        with pytest.raises(TypeError, match="annotate input of one"):
            declare(one)

    def test_the_three_arguments(self):
        def one(input: Model) -> Model:
            """Do it."""
            return Model()

        with pytest.raises(TypeError, match=r"\(parameters, input, context\)"):
            declare(one)


def _typed(name):
    def one(parameters: Model, input: Model, context) -> Model:
        """Do it."""
        return Model()

    return declare(one, name)


class TestRegistry:
    def test_two_of_one_name(self):
        with pytest.raises(RealmError, match="'t/x'"):
            Registry([_typed("t/x"), _typed("t/x")])

    def test_an_unknown_name_has_close_matches(self):
        known = Registry([_typed("image/preprocess"), _typed("storage/s3")])
        with pytest.raises(RealmError) as caught:
            known["image/preproces"]
        assert caught.value.code is Code.NOT_FOUND
        assert caught.value.hint == "did you mean 'image/preprocess'?"
        assert known.close_matches("photos/preprocess") == ["image/preprocess"]
        assert [t.name for t in known.plus([_typed("a/b")])] == ["a/b", "image/preprocess", "storage/s3"]
