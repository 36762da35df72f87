"""`realm diff` on files and on registered versions."""

from __future__ import annotations

import json

import pytest

from mirror_realm.cli.app import run

OLD = "name: photos\nversion: 1.0.0\nnodes: [{node_id: a, type: control/end}]\n"
NEW = OLD.replace("1.0.0", "1.1.0").replace("type: control/end", "type: control/end, display_name: 终")


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Two versions of a definition in the working directory."""
    monkeypatch.chdir(tmp_path)
    for name, text in (("old.yaml", OLD), ("new.yaml", NEW)):
        (tmp_path / name).write_text(text, encoding="utf-8")


@pytest.mark.usefixtures("files")
def test_exit_codes_are_those_of_diff(capsys):
    assert run(["diff", "old.yaml", "old.yaml"]) == 0
    assert capsys.readouterr().out == ""
    assert run(["diff", "old.yaml", "new.yaml"]) == 1
    shown = capsys.readouterr().out
    assert "photos 1.0.0 → 1.1.0" in shown
    assert "+ nodes.a.display_name: 终  (cosmetic)" in shown
    assert "1 of 1 nodes keep their results" in shown
    assert run(["diff", "old.yaml", "absent.yaml"]) == 2
    assert "absent.yaml" in capsys.readouterr().err
    assert run(["diff", "old.yaml", "nobody@1.0.0"]) == 2
    assert "no workflow 'nobody' is registered" in capsys.readouterr().err
    assert run(["diff", "old.yaml", "@"]) == 2


@pytest.mark.usefixtures("files")
def test_as_data_and_in_colours(capsys, monkeypatch):
    assert run(["diff", "old.yaml", "new.yaml", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["impact"] == "cosmetic"
    assert document["bump"] == {
        "level": "patch",
        "version": "1.0.1",
        "reason": "nothing that happens changed",
    }
    assert document["running_instances"] == {"kept": ["a"], "again": {}}
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert run(["diff", "old.yaml", "new.yaml"]) == 1
    assert "\x1b[32m+ nodes.a" in capsys.readouterr().out


@pytest.mark.usefixtures("files")
def test_registered_versions(capsys):
    assert run(["register", "old.yaml"]) == 0
    assert run(["register", "new.yaml"]) == 0
    capsys.readouterr()
    assert run(["diff", "photos@1.0.0", "photos@1.1.0"]) == 1
    assert "nodes.a.display_name" in capsys.readouterr().out
    assert run(["diff", "photos", "new.yaml"]) == 0
    assert run(["diff", "photos@1.0.0", "photos@9.9.9"]) == 2
    assert "it has 1.1.0, 1.0.0" in capsys.readouterr().err
