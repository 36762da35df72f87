"""Debugging in a real terminal and without one, and from other processes."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mirror_realm.cli.app import run
from mirror_realm.core.settings import settings
from mirror_realm.store import Store

REALM = str(Path(sys.executable).with_name("realm"))

WORKFLOW = """\
name: demo
variables: {limit: 10}
nodes:
  - {node_id: first, type: control/set, parameters: {values: {n: "{{ input.n * 2 }}"}}}
  - node_id: each
    type: control/foreach
    depends_on: first
    parameters: {items: [1, 2], max_concurrent: 1}
    body:
      nodes: [{node_id: times, type: control/set, parameters: {values: {n: "{{ item * vars.limit }}"}}}]
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    path = tmp_path / "demo.yaml"
    path.write_text(WORKFLOW, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return path


class Screen:
    """A `realm` command in a terminal of its own."""

    def __init__(self, *arguments: str) -> None:
        ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [REALM, *arguments],
            stdin=theirs,
            stderr=theirs,
            stdout=subprocess.PIPE,
            start_new_session=True,
            env={**os.environ, "NO_COLOR": "1"},
        )
        os.close(theirs)
        self.terminal, self.shown = ours, ""

    def until(self, text: str, seconds: float = 60) -> str:
        """What was shown up to and with ``text``."""
        deadline = time.monotonic() + seconds
        while text not in self.shown:
            assert time.monotonic() < deadline, self.shown
            if select.select([self.terminal], [], [], 0.2)[0]:
                try:
                    self.shown += re.sub(r"\x1b\[[0-9;]*m", "", os.read(self.terminal, 4096).decode())
                except OSError:
                    raise AssertionError(self.shown) from None
        before, _, self.shown = self.shown.partition(text)
        return before + text

    def type(self, line: str) -> None:
        os.write(self.terminal, line.encode() + b"\n")

    def end(self) -> tuple[int, str]:
        """The exit code and standard output."""
        out, _ = self.process.communicate(timeout=60)
        os.close(self.terminal)
        return self.process.returncode, out.decode()


def realm(capsys, *arguments: str, code: int = 0) -> str:
    assert run(list(arguments)) == code, capsys.readouterr()
    printed = capsys.readouterr()
    return printed.out if code == 0 else printed.err


def newest() -> str:
    with Store.open(settings().database) as store:
        return store.instances.list(limit=1)[0].id


def test_a_person_looks_changes_steps_and_goes_on(file):
    screen = Screen("run", "demo.yaml", "--engine", "local", "--input", "n=4", "--step")
    shown = screen.until("(realm) ")
    assert "■ first  control/set  stopped before it (stepping)" in shown
    assert "demo.yaml:4:" in shown
    screen.type("p input.n + vars.limit")
    assert "\r\n14\r\n" in screen.until("(realm) ")
    screen.type("p nodes.nothing")
    assert "nothing" in screen.until("(realm) ")
    screen.type("what")
    assert "set NAME JSON" in screen.until("(realm) ")
    screen.type("set limit 7")
    assert "limit was 10, is 7" in screen.until("(realm) ")
    screen.type("s")
    assert "■ each" in screen.until("(realm) ")
    screen.type("s")
    assert "■ each/times[0]" in screen.until("(realm) ")
    screen.type("p [item, loop.index, nodes.first.n]")
    assert json.loads(screen.until("(realm) ").split("\n", 1)[1].rpartition("(realm)")[0]) == [1, 0, 8]
    screen.type("c")
    code, out = screen.end()
    assert code == 0
    assert "completed" in out
    with Store.open(settings().database) as store:
        assert store.instances.list()[0].output == {"each": [{"times": {"n": 7}}, {"times": {"n": 14}}]}


def test_left_standing_it_is_resumed_and_asked_again_then_killed_and_stepped_from_elsewhere(file, capsys):
    screen = Screen("run", "demo.yaml", "--engine", "local", "--input", "n=4", "--break", "each/times[1]")
    assert "■ each/times[1]" in screen.until("(realm) ")
    screen.type("q")
    code, out = screen.end()
    assert code == 0
    assert "stands before each/times[1]" in out

    screen = Screen("instances", "resume", newest(), "--engine", "local")
    assert "■ each/times[1]" in screen.until("(realm) ")
    os.killpg(screen.process.pid, signal.SIGKILL)
    screen.end()

    result = json.loads(realm(capsys, "instances", "continue", newest(), "--engine", "local", "--json"))
    assert result["status"] == "completed"
    assert {name: node["attempts"] for name, node in result["nodes"].items()} == {
        "first": 1,
        "each": 1,
        "each/times[0]": 1,
        "each/times[1]": 1,
    }


def test_another_process_lets_go_on_what_a_person_is_asked_about(file, capsys):
    screen = Screen("run", "demo.yaml", "--engine", "local", "--input", "n=4", "--step")
    screen.until("(realm) ")
    said = realm(capsys, "instances", "step", newest())
    assert "goes on from first" in said
    assert "stands before each" in said
    assert "first was let go on from elsewhere" in screen.until("(realm) ")
    realm(capsys, "instances", "set", newest(), "limit", "3")
    screen.type("c")
    assert screen.end()[0] == 0
    with Store.open(settings().database) as store:
        assert store.instances.list()[0].output == {"each": [{"times": {"n": 3}}, {"times": {"n": 6}}]}


def test_without_a_terminal_it_becomes_a_row_and_other_commands_go_on_with_it(file, capsys):
    given = ("run", "demo.yaml", "--engine", "local", "--input", "n=4")
    result = json.loads(realm(capsys, *given, "--step", "--json"))
    id = result["instance_id"]
    assert (result["status"], [s["node"] for s in result["stops"]]) == ("waiting", ["first"])
    assert "stands before first" in realm(capsys, "instances", "show", id)
    seen = json.loads(realm(capsys, "instances", "vars", id, "--json"))
    assert seen["variables"] == {"limit": 10}
    assert seen["stops"][0]["parameters"] == {"values": {"n": 8}}
    assert json.loads(realm(capsys, "instances", "vars", id, "vars.limit + input.n")) == 14
    assert "limit was 10, is 5" in realm(capsys, "instances", "set", id, "limit", "5")
    assert "did you mean 'limit'?" in realm(capsys, "instances", "set", id, "limmit", "5", code=1)
    assert "did you mean 'each/times'" in realm(capsys, "instances", "break", id, "each/time", code=1)
    assert "each/times[1]" in realm(capsys, "instances", "break", id, "each/times[1]")
    for expected in (["each"], ["each/times[0]"]):
        result = json.loads(realm(capsys, "instances", "step", id, "--engine", "local", "--json"))
        assert [stop["node"] for stop in result["stops"]] == expected
    result = json.loads(realm(capsys, "instances", "continue", id, "--engine", "local", "--json"))
    assert [stop["because"] for stop in result["stops"]] == ["break"]
    assert realm(capsys, "instances", "vars", id, "item").strip() == "2"
    result = json.loads(realm(capsys, "instances", "resume", id, "--engine", "local", "--json"))
    assert result["output"] == {"each": [{"times": {"n": 5}}, {"times": {"n": 10}}]}
    for command in ("step", "continue"):
        assert "is completed: it stands nowhere" in realm(capsys, "instances", command, id, code=1)
    assert "vars.limit was 10, is 5, set by" in realm(capsys, "instances", "timeline", id)
    assert "stopped before it at" in realm(capsys, "instances", "explain", id, "each/times[1]")
    assert "as it was" in realm(capsys, "instances", "replay", id)


def test_a_breakpoint_before_no_node_is_said_before_anything_runs(file, capsys):
    said = realm(capsys, "run", "demo.yaml", "--engine", "local", "--break", "each/time", code=1)
    assert "did you mean 'each/times'" in said
    assert "names no node" in realm(capsys, "run", "demo.yaml", "--break", "each/times[x]", code=1)
    with Store.open(settings().database) as store:
        assert store.instances.list() == []


def test_what_the_optimiser_computes_can_be_changed_all_the_same(tmp_path, file, capsys):
    file.write_text(
        "name: off\nvariables: {on: false}\nnodes:\n"
        "  - {node_id: a, type: control/set, parameters: {values: {n: 1}}}\n"
        "  - {node_id: b, type: control/set, when: vars.on, depends_on: a, parameters: {values: {n: 2}}}\n",
        encoding="utf-8",
    )
    result = json.loads(realm(capsys, "run", "demo.yaml", "--engine", "local", "--break", "a", "--json"))
    realm(capsys, "instances", "set", result["instance_id"], "on", "true")
    done = json.loads(
        realm(capsys, "instances", "continue", result["instance_id"], "--engine", "local", "--json")
    )
    assert done["nodes"]["b"]["status"] == "completed"
    assert "as it was" in realm(capsys, "instances", "replay", result["instance_id"])


def test_breakpoints_of_a_definition_hold_no_prefect_run_and_are_passed_on_request(file, capsys):
    file.write_text(WORKFLOW.replace("type: control/foreach", "type: control/foreach\n    breakpoint: true"))
    assert run(["validate", "--strict", "demo.yaml"]) == 0
    capsys.readouterr()
    given = ("run", "demo.yaml", "--engine", "local", "--input", "n=4", "--json")
    assert json.loads(realm(capsys, *given, "--no-breakpoints"))["status"] == "completed"
    result = json.loads(realm(capsys, *given))
    assert [stop["node"] for stop in result["stops"]] == ["each"]


@pytest.mark.slow
def test_with_prefect_and_dask_it_stands_as_well(file, capsys):
    result = json.loads(realm(capsys, "run", "demo.yaml", "--input", "n=4", "--break", "each", "--json"))
    assert result["status"] == "waiting"
    done = json.loads(realm(capsys, "instances", "continue", result["instance_id"], "--json"))
    assert done["status"] == "completed"
    assert done["output"] == {"each": [{"times": {"n": 10}}, {"times": {"n": 20}}]}
