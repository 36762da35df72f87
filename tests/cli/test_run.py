"""`realm run` and `realm serve` on real photos, from the command line to the archive."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mirror_realm.cli.app import run

EXAMPLE = Path(__file__).parents[2] / "examples" / "nas-photo-processing"
SMALL = """
name: small
triggers:
  - {type: filesystem, config: {path: inbox, settle: 200ms, poll_interval: 200ms}}
nodes:
  - {node_id: turn, type: image/preprocess, parameters: {format: jpeg, max_size: 64x64}}
  - {node_id: keep, type: storage/minio, parameters: {bucket: photos, path_template: "{filename}"}}
edges: [{source: turn, target: keep}]
output: {uri: "{{ nodes.keep.uri }}", width: "{{ nodes.turn.width }}"}
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with a small definition and a photo with a Chinese name."""
    folder = tmp_path / "项目"
    folder.mkdir()
    (folder / "small.yaml").write_text(SMALL, encoding="utf-8")
    Image.new("RGB", (120, 80), (200, 30, 30)).save(folder / "照片 1.jpg")
    monkeypatch.chdir(folder)
    return folder


def local(*arguments: str) -> list[str]:
    return ["run", "small.yaml", "--engine", "local", *arguments]


def test_json_is_one_object_and_nothing_else(project, capsys):
    assert run(local("--input", "file_path=照片 1.jpg", "--json")) == 0
    shown = capsys.readouterr()
    result = json.loads(shown.out)
    assert shown.err == ""
    wanted = (
        "instance_id",
        "workflow",
        "version",
        "status",
        "output",
        "error",
        "duration",
        "nodes",
        "artifacts",
    )
    assert set(wanted) <= set(result)
    assert result["status"] == "completed"
    assert result["output"]["width"] == 64
    for node in result["nodes"].values():
        assert {"status", "attempts", "output", "error", "cached"} <= set(node)


def test_a_person_sees_progress_and_result(project, capsys):
    assert run(local("--input", "file_path=照片 1.jpg")) == 0
    shown = capsys.readouterr()
    assert "✓ turn completed" in shown.err
    assert "✓ small" in shown.out
    assert "照片 1.jpg" in shown.out
    assert "instances show inst-" in shown.out


def test_another_parameter(project, capsys):
    assert run(local("--input", "file_path=照片 1.jpg", "--set", "turn.max_size=32x32", "--json")) == 0
    assert json.loads(capsys.readouterr().out)["output"]["width"] == 32
    assert run(local("--set", "trn.max_size=32x32")) == 1
    assert "trn" in capsys.readouterr().err


def test_a_broken_photo_fails_with_a_code_and_archives_nothing(project, capsys, home):
    Path("broken.jpg").write_bytes(Path("照片 1.jpg").read_bytes()[:300])
    assert run(local("--input", "file_path=broken.jpg", "--json")) == 1
    result = json.loads(capsys.readouterr().out)
    assert result["status"] == "failed"
    assert result["error"]["code"] in ("DATA_CORRUPTED", "UNSUPPORTED_FILE_TYPE")
    assert not list((home / "objects").rglob("*.jpg"))


def test_outside_the_roots_is_refused_unless_allowed(project, capsys, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    shutil.copy("照片 1.jpg", outside / "a.jpg")
    assert run(local("--input", f"file_path={outside / 'a.jpg'}")) == 1
    shown = capsys.readouterr()
    assert "PERMISSION_DENIED" in shown.out
    assert "--root" in shown.out
    assert run(local("--input", f"file_path={outside / 'a.jpg'}", "--root", str(outside))) == 0
    assert run(local("--root", str(outside / "absent"))) == 1


def test_a_dry_run_shows_the_plan_and_runs_nothing(project, capsys, home):
    assert run(local("--dry-run", "--input", "file_path=x.jpg")) == 0
    shown = capsys.readouterr()
    assert "after turn" in shown.out
    assert not (home / "realm.db").exists()
    assert run(local("--dry-run", "--json")) == 0
    assert json.loads(capsys.readouterr().out)["workflow"] == "small"


def test_a_registered_name_runs_too(project, capsys):
    assert run(["register", "small.yaml"]) == 0
    assert "small 1.0.0: registered" in capsys.readouterr().out
    assert run(["register", "small.yaml", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["created"] is False
    assert run(["run", "small", "--engine", "local", "--input", "file_path=照片 1.jpg", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["version"] == "1.0.0"
    assert run(["run", "smal", "--engine", "local"]) == 1
    assert "small" in capsys.readouterr().err


def test_states_colour_the_picture(project, capsys):
    assert run(local("--input", "file_path=照片 1.jpg", "--json")) == 0
    id = json.loads(capsys.readouterr().out)["instance_id"]
    assert run(["graph", "small.yaml", "-o", "plain.svg"]) == 0
    assert run(["graph", "small.yaml", "--instance", id, "-o", "states.svg"]) == 0
    assert Path("states.svg").read_text(encoding="utf-8") != Path("plain.svg").read_text(encoding="utf-8")


@pytest.mark.slow
def test_serve_takes_what_is_dropped_and_ends_on_sigterm(project, home):
    (project / "inbox").mkdir()
    shutil.copy("照片 1.jpg", "inbox/before the start.jpg")
    log = project / "serve.log"
    with log.open("w") as written:
        process = subprocess.Popen(
            [sys.executable, "-m", "mirror_realm.cli", "serve", "small.yaml", "--engine", "local"],
            cwd=project,
            stdout=written,
            stderr=written,
            env={**os.environ, "MIRROR_REALM_HOME": str(home)},
        )
        try:
            archive = home / "objects" / "photos"
            _wait(lambda: (archive / "before the start.jpg").exists(), log)
            Image.new("RGB", (90, 60), (1, 99, 1)).save(project / "inbox" / "新.jpg")
            _wait(lambda: (archive / "新.jpg").exists(), log)
            _wait(lambda: log.read_text(encoding="utf-8").count(" completed") == 2, log)
        finally:
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGINT)  # as a terminal and a supervisor do together
            assert process.wait(timeout=60) == 0, log.read_text(encoding="utf-8")
    assert "Traceback" not in log.read_text(encoding="utf-8")


def _wait(done, log: Path, seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, log.read_text(encoding="utf-8")
        time.sleep(0.1)


def test_the_sample_is_what_its_script_makes(tmp_path):
    made = tmp_path / "made.jpg"
    script = EXAMPLE.parent / "make_sample_photo.py"
    subprocess.run([sys.executable, str(script), str(made)], check=True, capture_output=True)
    with Image.open(made) as new, Image.open(EXAMPLE / "sample.jpg") as committed:
        assert dict(new.getexif()) == dict(committed.getexif())
        assert committed.getexif()[0x0112] == 6
        assert new.info.get("icc_profile") == committed.info.get("icc_profile")
        # Another Pillow may encode otherwise; the picture must be the same to the eye.
        difference = np.asarray(new, np.float32) - np.asarray(committed, np.float32)
    assert float(np.mean(difference**2)) < 10


def _as_in_a_terminal() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def test_a_run_whose_terminal_is_closed_ends_in_order(project, home):
    (project / "wait.yaml").write_text(
        "name: wait\nnodes:\n  - {node_id: w, type: control/delay, parameters: {duration: 60s}}\n"
    )
    child, terminal = pty.fork()
    if child == 0:
        _as_in_a_terminal()
        os.execv(
            sys.executable,
            [sys.executable, "-m", "mirror_realm.cli", "run", "wait.yaml", "--engine", "local"],
        )
    seen = b""
    while b"running" not in seen:
        seen += os.read(terminal, 4096)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 130
    from mirror_realm.core.settings import settings
    from mirror_realm.store import Store

    with Store.open(settings().database) as store:
        assert [str(i.status) for i in store.instances.list()] == ["canceled"]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stopped_run_says_so_and_its_instance_is_canceled(project, home, signum):
    (project / "wait.yaml").write_text(
        "name: wait\nnodes:\n  - {node_id: w, type: control/delay, parameters: {duration: 60s}}\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "mirror_realm.cli", "run", "wait.yaml", "--engine", "local"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_as_in_a_terminal,
    )
    assert process.stderr is not None
    assert "w running" in process.stderr.readline()
    process.send_signal(signum)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "stopped" in said
    assert "Traceback" not in said
    from mirror_realm.core.settings import settings
    from mirror_realm.store import Store

    with Store.open(settings().database) as store:
        assert [str(i.status) for i in store.instances.list()] == ["canceled"]
