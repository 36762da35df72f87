"""The clean-up of copies: asked in one process, approved in another, undone in a third, as its README shows."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from mirror_realm.cli.app import run
from mirror_realm.core.references import local_path
from mirror_realm.core.settings import settings
from mirror_realm.store import Store

EXAMPLE = Path(__file__).parent.parent / "examples" / "near-duplicate-cleanup"
KEPT = {"harbour.jpg", "lamp.jpg", "orchard.jpg"}
COPIES = {"harbour (1).jpg", "2024/harbour-small.jpg", "2024/orchard-mail.jpg"}
REALM = [sys.executable, "-m", "mirror_realm.cli"]


@pytest.fixture
def folder(tmp_path, monkeypatch, home):
    shutil.copytree(EXAMPLE, tmp_path / "cleanup")
    monkeypatch.chdir(tmp_path / "cleanup")
    return tmp_path / "cleanup"


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*.*")
        if path.is_file()
    }


def asked(started: subprocess.Popen):
    """The question, once it is there."""
    with Store.open(settings().database) as store:
        for _ in range(600):
            if tasks := store.human_tasks.list(status="open"):
                return tasks[0]
            assert started.poll() is None, started.communicate()
            time.sleep(0.2)
    raise AssertionError("nobody was asked")


@pytest.fixture
def start(folder):
    """Begin the clean-up in a process of its own; ends with the test."""
    begun = []

    def starting(*words: str) -> subprocess.Popen:
        command = [*REALM, "run", "workflow.yaml", "--root", ".", "--engine", "local", "--json", *words]
        begun.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return begun[-1]

    yield starting
    for process in begun:
        process.kill()
        process.communicate()


def answer(*words: str) -> None:
    done = subprocess.run([*REALM, "tasks", *words], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr + done.stdout


def result(process: subprocess.Popen) -> dict:
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    return json.loads(out)


@pytest.mark.slow
def test_copies_go_to_the_trash_when_a_person_says_so_and_come_back(folder, start, capsys):
    before = files(folder / "photos")
    assert set(before) == KEPT | COPIES
    process = start()
    task = asked(process)
    assert task.title == "Move 3 copies (18 kB) to the trash?"
    assert set(files(folder / "photos")) == KEPT | COPIES, "nothing moves before the answer"
    page = local_path(re.search(r"file:\S+html", task.description)[0]).read_text(encoding="utf-8")
    assert page.count("<img") == 5
    for name in ("harbour.jpg", "harbour (1).jpg", "harbour-small.jpg", "orchard.jpg", "orchard-mail.jpg"):
        assert name in page
    assert "lamp" not in page

    answer("approve", task.id, "--as", "you")
    output = result(process)["output"]
    assert (output["copies"], output["outcome"], output["moved"]) == (3, "approved", 3)
    assert set(files(folder / "photos")) == KEPT
    trash = Path(output["manifest"]).parent
    assert trash.is_relative_to(folder / "trash")
    assert {name: before[name] for name in COPIES} == {
        name: content for name, content in files(trash).items() if name != "manifest.json"
    }

    words = ["undo.yaml", "--root", ".", "--engine", "local", "--json"]
    assert run(["run", *words, "--input", f"manifest={output['manifest']}"]) == 0
    assert json.loads(capsys.readouterr().out)["output"] == {"restored": 3, "left": []}
    assert files(folder / "photos") == before


@pytest.mark.slow
def test_a_group_that_is_spared_and_a_photo_that_changed_stay(folder, start):
    process = start()
    task = asked(process)
    page = local_path(re.search(r"file:\S+html", task.description)[0]).read_text(encoding="utf-8")
    spared = re.search(r"(dup-[0-9a-f]+): harbour\.jpg", page)[1]
    changed = folder / "photos" / "2024" / "orchard-mail.jpg"
    Image.new("RGB", (40, 30), (200, 40, 40)).save(changed)
    answer("approve", task.id, "--as", "you", "--form", f"spare={json.dumps([spared])}")
    done = result(process)
    assert done["output"]["moved"] == 0
    assert [one["reason"] for one in done["nodes"]["clean"]["output"]["left"]] == [
        "it has changed since this was decided"
    ]
    assert set(files(folder / "photos")) == KEPT | COPIES
