"""``realm validate --watch``: what is on the disk is checked again whenever it changes."""

import os
import queue
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from mirror_realm.cli.watching import definition_files

TIMEOUT = 60
RIGHT = """\
name: a
triggers: [{type: manual}]
nodes:
  - {node_id: one, type: control/set, parameters: {values: {x: 1}}}
"""
WRONG = RIGHT.replace("control/set", "control/sett")


class Watch:
    """A running command, its lines as they come."""

    def __init__(self, process):
        self.process = process
        self.lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))

    def round(self):
        """The lines up to the next one that says that it watches."""
        seen = []
        while not seen or not seen[-1].startswith("watching"):
            seen.append(self.lines.get(timeout=TIMEOUT))
        return seen

    def until(self, wanted):
        """The round in which ``wanted`` appears; an editor's save may be seen half done before."""
        while True:
            seen = self.round()
            if any(wanted in line for line in seen):
                return seen


@contextmanager
def watching(*arguments):
    command = [sys.executable, "-u", "-m", "mirror_realm.cli", "validate", "--watch", *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield Watch(process)
    finally:
        process.kill()
        process.wait()


def replaced(file: Path, text: str) -> None:
    """Save as many editors do: another file, put in its place."""
    other = file.with_name(f".{file.name}.tmp")
    other.write_text(text, encoding="utf-8")
    os.replace(other, file)


@pytest.mark.slow
def test_a_file_through_its_life(tmp_path):
    file = tmp_path / "w.yaml"
    file.write_text(RIGHT)
    with watching(file) as watch:
        assert any("ok, 1 node" in line for line in watch.round())
        file.write_text(WRONG)
        assert any("did you mean 'control/set'" in line for line in watch.until("MR120"))
        replaced(file, RIGHT)
        watch.until("ok, 1 node")
        file.unlink()
        watch.until("there is no file")
        replaced(file, RIGHT)
        watch.until("ok, 1 node")
        watch.process.send_signal(signal.SIGINT)
        assert watch.process.wait(TIMEOUT) == 0
        assert watch.lines.empty()


@pytest.mark.slow
def test_a_folder(tmp_path):
    (tmp_path / "docker-compose.yaml").write_text("services: {web: {}}\n")
    (tmp_path / "a.yaml").write_text(RIGHT)
    with watching(tmp_path) as watch:
        assert watch.round()[-1].startswith("watching 1 definition;")
        inner = tmp_path / "子"
        inner.mkdir()
        (inner / "b.yml").write_text(WRONG)
        assert watch.until("MR120")[-1].startswith("watching 2 definitions;")
        (inner / "b.yml").unlink()
        assert watch.until("watching 1 definition;")


@pytest.mark.slow
def test_standard_input_cannot_be_watched():
    command = [sys.executable, "-m", "mirror_realm.cli", "validate", "--watch", "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, input="")
    assert done.returncode == 2
    assert "cannot be watched" in done.stderr


def test_what_is_a_definition_in_a_folder(tmp_path):
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "x.yaml").write_text(RIGHT)
    for name, text in {
        "a.yaml": RIGHT,
        "b.json": '{"nodes": []}',
        "c.yaml": "x: 1\n",
        "d.txt": RIGHT,
        "e.yml": "a: [",
    }.items():
        (tmp_path / name).write_text(text)
    named = tmp_path / "c.yaml"
    assert [file.name for file in definition_files([tmp_path])] == ["a.yaml", "b.json", "e.yml"]
    assert definition_files([named, named]) == [named]
