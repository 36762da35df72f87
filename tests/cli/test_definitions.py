"""`realm validate`, `compile`, `graph`, `nodes`, `schema` on files of a person."""

from __future__ import annotations

import ast
import io
import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from mirror_realm.cli.app import run
from mirror_realm.cli.catalogue import type_of

EXAMPLE = Path(__file__).parents[2] / "examples" / "nas-photo-processing"
WRONG = "name: x\ntriggers: [{type: manual}]\nnodes:\n  - {node_id: 照片, type: image/preproces}\n"


@pytest.fixture
def wrong(tmp_path, monkeypatch):
    """A definition with one fault, in the working directory."""
    monkeypatch.chdir(tmp_path)
    Path("错.yaml").write_text(WRONG, encoding="utf-8")
    return "错.yaml"


@pytest.mark.parametrize("name", ["workflow.yaml", "workflow.json"])
def test_the_examples_are_right(name, capsys):
    assert run(["validate", str(EXAMPLE / name)]) == 0
    shown = capsys.readouterr()
    assert "ok, 4 nodes, 3 edges" in shown.err
    assert "error MR" not in shown.out
    # The seed's own spelling names a notification that does not exist yet; the commented one is clean.
    assert ("warning MR" in shown.out) == (name == "workflow.json")


def test_both_spellings_mean_the_same():
    from mirror_realm.compiler import analyze

    one, other = (analyze(EXAMPLE / name).definition for name in ("workflow.yaml", "workflow.json"))
    assert one is not None
    assert other is not None
    assert [n.document() if hasattr(n, "document") else n for n in one.nodes] == list(other.nodes)
    assert {(e.source, e.target) for e in one.edges} == {(e.source, e.target) for e in other.edges}
    assert one.triggers == other.triggers


def test_a_finding_has_its_place_and_the_way_out(wrong, capsys):
    assert run(["validate", wrong]) == 1
    shown = capsys.readouterr()
    assert "错.yaml:4:25: error MR120" in shown.out
    assert "image/preprocess" in shown.out
    carets = next(line for line in shown.out.splitlines() if "^" in line)
    text = next(line for line in shown.out.splitlines() if "image/preproces}" in line)
    # Two wide characters stand before the fault: its column on the terminal is two further than in the text.
    assert carets.index("^") == text.index("image/preproces") + 2
    assert "1 error" in shown.err


@pytest.mark.parametrize("arguments", [["--json"], ["--format", "json"], ["--format", "sarif"]])
def test_findings_as_data(wrong, arguments, capsys):
    assert run(["validate", wrong, *arguments]) == 1
    document = json.loads(capsys.readouterr().out)
    assert "MR120" in json.dumps(document)


def test_findings_for_github(wrong, capsys):
    assert run(["validate", wrong, "--format", "github"]) == 1
    assert capsys.readouterr().out.startswith("::error file=错.yaml,line=4")


def test_several_files_are_all_reported(wrong, capsys):
    assert run(["validate", str(EXAMPLE / "workflow.yaml"), wrong]) == 1
    shown = capsys.readouterr()
    assert "MR120" in shown.out
    assert "workflow.yaml: ok" in shown.err


def test_standard_input_is_a_file_too(monkeypatch, capsys):
    stdin = io.TextIOWrapper(io.BytesIO(WRONG.encode()), encoding="utf-8")
    monkeypatch.setattr("sys.stdin", stdin)
    assert run(["validate", "-"]) == 1
    assert "<stdin>:4" in capsys.readouterr().out


def test_strict_makes_warnings_count(tmp_path, capsys):
    file = tmp_path / "w.yaml"
    text = (EXAMPLE / "workflow.yaml").read_text(encoding="utf-8")
    file.write_text(f"{text}\nconcurrency: {{max_instances: 2}}\n", encoding="utf-8")
    assert run(["validate", str(file)]) == 0
    assert "warning" in capsys.readouterr().out
    assert run(["validate", "--strict", str(file)]) == 1


def test_a_file_that_is_not_there(capsys):
    assert run(["validate", "absent.yaml"]) == 1
    assert "absent.yaml" in capsys.readouterr().out


def test_the_flow_is_printed_or_written(tmp_path, capsys):
    assert run(["compile", str(EXAMPLE / "workflow.yaml")]) == 0
    source = capsys.readouterr().out
    assert "async def nas_photo_processing" in source
    ast.parse(source)
    target = tmp_path / "flow.py"
    assert run(["compile", str(EXAMPLE / "workflow.yaml"), "-o", str(target)]) == 0
    assert target.read_text(encoding="utf-8") == source


def test_what_is_wrong_is_not_compiled(wrong, tmp_path, capsys):
    target = tmp_path / "flow.py"
    assert run(["compile", wrong, "-o", str(target)]) == 1
    assert "MR120" in capsys.readouterr().err
    assert not target.exists()


def test_a_target_that_cannot_be_written(tmp_path, capsys):
    assert run(["compile", str(EXAMPLE / "workflow.yaml"), "-o", str(tmp_path / "no" / "flow.py")]) == 1
    error = capsys.readouterr().err
    assert "flow.py" in error
    assert "Traceback" not in error


def test_pictures(tmp_path, capsys):
    assert run(["graph", str(EXAMPLE / "workflow.yaml")]) == 0
    assert capsys.readouterr().out.startswith("flowchart")
    for ending in ("svg", "png", "mmd", "dot"):
        target = tmp_path / f"图.{ending}"
        assert run(["graph", str(EXAMPLE / "workflow.yaml"), "-o", str(target)]) == 0
        assert target.stat().st_size > 100
    assert ElementTree.parse(tmp_path / "图.svg").getroot().tag.endswith("svg")
    assert (tmp_path / "图.png").read_bytes().startswith(b"\x89PNG")
    assert run(["graph", str(EXAMPLE / "workflow.yaml"), "-o", "x.gif"]) == 1
    assert ".svg" in capsys.readouterr().err


def test_the_committed_picture_is_current(tmp_path):
    target = tmp_path / "now.svg"
    run(["graph", str(EXAMPLE / "workflow.yaml"), "-o", str(target)])
    committed = EXAMPLE.parents[1] / "docs" / "images" / "nas-photo-processing.svg"
    assert committed.read_text(encoding="utf-8") == target.read_text(encoding="utf-8")


def test_the_catalogue(capsys):
    assert run(["nodes"]) == 0
    assert "image/preprocess" in capsys.readouterr().out
    assert run(["nodes", "image/preprocess"]) == 0
    shown = capsys.readouterr().out
    for part in ("auto_rotate", "parameters", "output", "idempotent"):
        assert part in shown
    assert run(["nodes", "--family", "image", "--json"]) == 0
    assert {t["name"].partition("/")[0] for t in json.loads(capsys.readouterr().out)} == {"image"}
    assert run(["nodes", "image/preproces"]) == 1
    assert "image/preprocess" in capsys.readouterr().err
    assert run(["nodes", "--family", "nonsense"]) == 1


def test_the_schema_accepts_the_examples_and_refuses_a_typo(tmp_path, capsys):
    from jsonschema import Draft202012Validator
    from ruamel.yaml import YAML

    assert run(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    Draft202012Validator.check_schema(schema)
    check = Draft202012Validator(schema)
    example = YAML(typ="safe", pure=True).load((EXAMPLE / "workflow.yaml").read_text(encoding="utf-8"))
    assert list(check.iter_errors(example)) == []
    assert list(check.iter_errors(json.loads((EXAMPLE / "workflow.json").read_text(encoding="utf-8")))) == []
    example["nodes"][0]["parameters"]["auto_rotat"] = True
    assert list(check.iter_errors(example))
    assert run(["schema", "image/preprocess", "-o", str(tmp_path / "s.json")]) == 0
    assert "auto_rotate" in (tmp_path / "s.json").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "string"}, "string"),
        ({"type": "array", "items": {"type": "integer"}}, "list of integer"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "integer or null"),
        ({"$ref": "#/$defs/ImageRef"}, "ImageRef"),
        ({"const": 1}, "1"),
        ({}, "any"),
    ],
)
def test_types_in_words(schema, words):
    assert type_of(schema, {}) == words


def test_a_pool_that_a_definition_does_not_fit(tmp_path, capsys):
    file = tmp_path / "w.yaml"
    file.write_text(
        "name: w\ntriggers: [{type: manual}]\nnodes:\n"
        "  - {node_id: 增强, type: ai/image-enhance, resources: {gpu: required}}\n",
        encoding="utf-8",
    )
    assert run(["validate", str(file), "--pool", "gpu=1,cpu=8", "--pool", "4x cpu=4"]) == 0
    assert run(["validate", str(file), "--pool", "cpu=8,memory=16GiB"]) == 1
    assert "error MR402: node '增强' requires a GPU" in capsys.readouterr().out
    assert run(["validate", str(file), "--pool", "eight cores"]) == 1
    assert "write for example gpu=1" in capsys.readouterr().err
