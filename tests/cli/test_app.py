"""The command line as a person meets it: help, wrong usage, exit codes, faults of ours, any encoding."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mirror_realm.cli import app as app_module
from mirror_realm.cli import faults
from mirror_realm.cli.app import COMMANDS, build, load_commands, run
from mirror_realm.cli.terminal import Terminal
from mirror_realm.core.errors import Code, ErrorRecord, RealmError


def realm(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The real command in a process of its own."""
    command = [sys.executable, "-m", "mirror_realm.cli", *arguments]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
        encoding="utf-8",
    )


def test_without_arguments_it_lists_every_command(capsys):
    assert run([]) == faults.OK
    shown = capsys.readouterr().out
    assert all(f" {name} " in shown for name, _, _ in COMMANDS)


def test_every_command_says_what_it_does():
    app = load_commands(build())
    for name, target, _ in COMMANDS:
        module, _, function = target.partition(":")
        found = getattr(importlib.import_module(f"mirror_realm.cli.{module}"), function)
        assert inspect.getdoc(found) if inspect.isfunction(found) else found.help, name
        assert name in app


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["valdate", "x.yaml"], 'Did you mean "validate"'),
        (["doctor", "--nonsense"], "--nonsense"),
        (["run"], "TARGET"),
        (["run", "x.yaml", "--engine", "warp"], "warp"),
        (["validate"], "at least one"),
        (["instances", "lst"], 'Did you mean "list"'),
    ],
)
def test_wrong_usage_is_two_and_says_what_is_right(arguments, says, capsys):
    assert run(arguments) == faults.USAGE
    shown = capsys.readouterr()
    assert says in shown.err
    assert shown.out == ""
    assert "Traceback" not in shown.err


def test_the_input_at_fault_is_one(capsys, tmp_path):
    assert run(["run", str(tmp_path / "absent.yaml")]) == faults.INPUT_AT_FAULT
    error = capsys.readouterr().err
    assert "NOT_FOUND" in error
    assert "  = " in error


def _fail_with(monkeypatch, error: BaseException) -> None:
    class Fails:
        help_flags = ("--help",)

        def meta(self, *args: object, **kwargs: object) -> int:
            raise error

    monkeypatch.setattr(app_module, "build", Fails)


def test_a_fault_of_ours_is_three_logged_and_shown_without_traceback(monkeypatch, capsys, home):
    _fail_with(monkeypatch, ZeroDivisionError("照片"))
    assert run(["doctor"]) == faults.SYSTEM_AT_FAULT
    error = capsys.readouterr().err
    assert "ZeroDivisionError: 照片" in error
    assert "Traceback" not in error
    log = home / "logs" / "realm.log"
    assert str(log) in error
    assert "Traceback" in log.read_text(encoding="utf-8")


def test_debug_shows_the_traceback(monkeypatch, capsys):
    _fail_with(monkeypatch, ZeroDivisionError("x"))
    assert run(["doctor", "--debug"]) == faults.SYSTEM_AT_FAULT
    assert "Traceback" in capsys.readouterr().err


def test_an_error_of_the_taxonomy_decides_the_code(monkeypatch, capsys):
    for code, expected in ((Code.NOT_FOUND, 1), (Code.UNAVAILABLE, 3), (Code.INTERNAL_ERROR, 3)):
        _fail_with(monkeypatch, RealmError(code, "no such thing", hint="look elsewhere"))
        assert run(["doctor"]) == expected
        assert capsys.readouterr().err == f"error {code}: no such thing\n  = look elsewhere\n"


def test_the_traceback_of_a_remote_fault_is_logged_not_shown(monkeypatch, capsys, home):
    record = ErrorRecord(Code.INTERNAL_ERROR, "boom", traceback="Traceback of the worker")
    _fail_with(monkeypatch, RealmError.from_record(record))
    assert run(["doctor"]) == faults.SYSTEM_AT_FAULT
    assert "Traceback of the worker" not in capsys.readouterr().err
    assert "Traceback of the worker" in (home / "logs" / "realm.log").read_text(encoding="utf-8")


def test_field_violations_are_listed(monkeypatch, capsys):
    violations = [{"field": "nodes[1].next[0]", "description": "no node 'x'"}]
    _fail_with(
        monkeypatch, RealmError(Code.INVALID_ARGUMENT, "bad", details={"field_violations": violations})
    )
    run(["doctor"])
    assert "nodes[1].next[0]: no node 'x'" in capsys.readouterr().err


def test_an_interrupt_is_130(monkeypatch, capsys):
    _fail_with(monkeypatch, KeyboardInterrupt())
    assert run(["doctor"]) == faults.INTERRUPTED
    assert "Traceback" not in capsys.readouterr().err


def test_what_a_task_group_held_is_the_error(monkeypatch, capsys):
    _fail_with(monkeypatch, ExceptionGroup("of a group", [RealmError(Code.ALREADY_EXISTS, "served already")]))
    assert run(["doctor"]) == faults.INPUT_AT_FAULT
    assert capsys.readouterr().err == "error ALREADY_EXISTS: served already\n"
    _fail_with(monkeypatch, BaseExceptionGroup("of a group", [KeyboardInterrupt(), ValueError()]))
    assert run(["doctor"]) == faults.INTERRUPTED


def test_a_log_that_cannot_be_written_does_not_hide_the_fault(monkeypatch, capsys, tmp_path):
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("MIRROR_REALM_HOME", str(tmp_path / "file"))
    assert faults.report(ZeroDivisionError("x"), Terminal()) == faults.SYSTEM_AT_FAULT
    assert "--debug" in capsys.readouterr().err


def test_it_prints_any_character_in_any_encoding():
    done = realm("run", "照片\udcff.yaml", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.returncode == faults.INPUT_AT_FAULT
    assert "\\u7167" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_colours_without_a_terminal_and_colours_when_forced(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    assert "\x1b" not in realm("doctor").stdout
    assert "\x1b" in realm("doctor", FORCE_COLOR="1").stdout
    assert "\x1b" not in realm("doctor", FORCE_COLOR="1", NO_COLOR="1").stdout


def test_quiet_leaves_only_the_result():
    done = realm("doctor", "-q")
    assert done.stderr == ""
    assert done.stdout


def test_a_closed_pipe_is_no_error():
    read, write = os.pipe()
    os.close(read)
    process = subprocess.Popen(
        [sys.executable, "-m", "mirror_realm.cli", "doctor"], stdout=write, stderr=subprocess.PIPE, text=True
    )
    os.close(write)
    error = process.communicate(timeout=60)[1]
    assert "Traceback" not in error
    assert "BrokenPipe" not in error


def test_a_project_below_the_working_directory_is_the_home(tmp_path, monkeypatch):
    (tmp_path / "project" / ".realm").mkdir(parents=True)
    inner = tmp_path / "project" / "photos"
    inner.mkdir()
    monkeypatch.delenv("MIRROR_REALM_HOME")
    done = subprocess.run(
        [sys.executable, "-m", "mirror_realm.cli", "doctor", "--json"],
        cwd=inner,
        capture_output=True,
        text=True,
        check=False,
    )
    home = next(f for f in json.loads(done.stdout) if f["name"] == "home")
    assert str(tmp_path / "project" / ".realm") in home["detail"]


def test_main_exits_with_the_code():
    done = realm("valdate")
    assert done.returncode == 2
    assert Path(sys.executable).with_name("realm").exists()
