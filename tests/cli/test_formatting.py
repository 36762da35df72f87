"""`realm convert` and `realm fmt` on files of a person."""

from __future__ import annotations

import io
import json
import stat
from pathlib import Path

import pytest

from mirror_realm.cli.app import run
from mirror_realm.compiler import analyze

UNTIDY = "# mine\nname:   照片   # its name\nnodes: [ {node_id: a,   type: control/end} ]\n"
TIDY = "# mine\nname: 照片     # its name\nnodes: [{node_id: a, type: control/end}]\n"
VALID = UNTIDY.replace("照片", "photos")


@pytest.fixture
def file(tmp_path, monkeypatch):
    """An untidy definition in the working directory."""
    monkeypatch.chdir(tmp_path)
    path = Path("工作流.yaml")
    path.write_text(UNTIDY, encoding="utf-8")
    return path


def pipe(monkeypatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode()), encoding="utf-8"))


def test_a_file_is_formatted_in_place(file, capsys):
    assert run(["fmt", str(file)]) == 0
    assert file.read_text(encoding="utf-8") == TIDY
    assert "formatted 工作流.yaml" in capsys.readouterr().err
    assert run(["fmt", str(file)]) == 0
    assert capsys.readouterr().err == ""


def test_mode_link_and_line_breaks_are_kept(file, tmp_path):
    file.write_bytes(UNTIDY.replace("\n", "\r\n").encode())
    file.chmod(0o640)
    link = tmp_path / "link.yaml"
    link.symlink_to(file)
    assert run(["fmt", str(link)]) == 0
    assert link.is_symlink()
    assert file.read_bytes() == TIDY.replace("\n", "\r\n").encode()
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert {path.name for path in tmp_path.iterdir()} == {"link.yaml", "工作流.yaml", "home"}


def test_check_lists_and_diff_shows_and_neither_writes(file, capsys):
    Path("tidy.yaml").write_text(TIDY, encoding="utf-8")
    assert run(["fmt", "--check", str(file), "tidy.yaml"]) == 1
    assert capsys.readouterr().out == "工作流.yaml\n"
    assert run(["fmt", "--check", "tidy.yaml"]) == 0
    assert run(["fmt", "--diff", str(file)]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert {"--- 工作流.yaml", "-name:   照片   # its name", "+name: 照片     # its name"} <= set(shown)
    assert run(["fmt", "--diff", "--check", str(file)]) == 1
    assert file.read_text(encoding="utf-8") == UNTIDY


def test_standard_input_goes_to_standard_output(monkeypatch, capsys):
    pipe(monkeypatch, UNTIDY)
    assert run(["fmt", "-"]) == 0
    assert capsys.readouterr().out == TIDY
    pipe(monkeypatch, UNTIDY)
    assert run(["fmt", "--check", "-"]) == 1
    assert capsys.readouterr().out == "<stdin>\n"


def test_what_cannot_be_read_is_left_alone(file, capsys):
    file.write_text("name: [x\n", encoding="utf-8")
    assert run(["fmt", str(file), "absent.yaml"]) == 1
    error = capsys.readouterr().err
    assert "工作流.yaml:1:7: error MR101" in error
    assert "absent.yaml" in error
    assert file.read_text(encoding="utf-8") == "name: [x\n"
    file.write_text("nodes: &x [a]\nname: *x\n", encoding="utf-8")
    assert run(["fmt", "--sort-keys", str(file)]) == 1
    assert "alias would stand before its anchor" in capsys.readouterr().err
    assert run(["fmt"]) == 2


def test_a_definition_is_converted(tmp_path, monkeypatch, capsys):
    pipe(monkeypatch, VALID)
    assert run(["convert", "-"]) == 0
    text = capsys.readouterr().out
    assert text == "# mine\nname: photos  # its name\n\nnodes:\n  - node_id: a\n    type: control/end\n"
    target = tmp_path / "out.yaml"
    source = tmp_path / "in.yaml"
    source.write_text(VALID, encoding="utf-8")
    assert run(["convert", str(source), "-o", str(target)]) == 0
    assert target.read_text(encoding="utf-8") == text


def test_json_by_ending_or_by_name_says_what_it_cannot_keep(tmp_path, capsys):
    source, target = tmp_path / "in.yaml", tmp_path / "out.json"
    source.write_text(VALID, encoding="utf-8")
    assert run(["convert", str(source), "-o", str(target)]) == 0
    assert "JSON has no comments: 2 of" in capsys.readouterr().err
    assert run(["convert", str(source), "--to", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document == json.loads(target.read_text()) == analyze(source).definition.document()  # type: ignore[union-attr]


def test_a_wrong_definition_is_not_converted(file, capsys):
    assert run(["convert", str(file), "-o", "out.yaml"]) == 1
    assert "is not a name" in capsys.readouterr().err
    assert not Path("out.yaml").exists()
