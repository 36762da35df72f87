"""`realm init`: a project that works as it is written."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

from mirror_realm.cli.app import run
from mirror_realm.cli.project import settings_template
from mirror_realm.core.settings import Settings


def test_a_project_validates_and_runs(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "我的 照片"
    assert run(["init", str(folder)]) == 0
    assert {p.name for p in folder.iterdir()} == {
        "workflow.yaml",
        "sample.jpg",
        "README.md",
        ".gitignore",
        ".realm",
        "photos",
    }
    monkeypatch.chdir(folder)
    assert run(["validate", "workflow.yaml", "--strict"]) == 0
    modeline = Path("workflow.yaml").read_text(encoding="utf-8").splitlines()[0]
    assert Path(modeline.partition("$schema=")[2]).is_file()
    capsys.readouterr()
    arguments = ["workflow.yaml", "--input", "file_path=sample.jpg", "--engine", "local", "--json"]
    assert run(["run", *arguments]) == 0
    assert json.loads(capsys.readouterr().out)["status"] == "completed"


def test_nothing_is_overwritten_unasked(tmp_path, capsys):
    (tmp_path / "workflow.yaml").write_text("mine")
    assert run(["init", str(tmp_path)]) == 1
    assert "workflow.yaml" in capsys.readouterr().err
    assert (tmp_path / "workflow.yaml").read_text() == "mine"
    assert not (tmp_path / "README.md").exists()
    assert run(["init", str(tmp_path), "--force"]) == 0
    assert "nas-photo-processing" in (tmp_path / "workflow.yaml").read_text(encoding="utf-8")


def test_the_settings_template_names_every_setting_and_sets_none():
    text = settings_template()
    assert tomllib.loads(text) == {}
    for name in set(Settings.model_fields) - {"home"}:
        assert f"# {name} = " in text
    uncommented = "\n".join(line.removeprefix("# ") for line in text.splitlines() if " = " in line)
    assert set(tomllib.loads(uncommented)) == set(Settings.model_fields) - {"home"}
