"""Child processes: identity, ending them, and ending with the parent."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from mirror_realm.core.settings import load_settings
from mirror_realm.deployments import processes


def python(code, *arguments, **options):
    """Start a Python child; its standard output is a pipe."""
    options = {"stdout": subprocess.PIPE, "text": True, **options}
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), *arguments], **options)


def gone(pid, seconds=10.0):
    """Wait until a process has ended (a zombie has)."""
    deadline = time.monotonic() + seconds
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_an_identity_is_of_one_process_only():
    me = processes.identity()
    assert me is not None
    assert me.alive()
    assert me == processes.Identity.from_dict(me.to_dict())
    assert not processes.Identity(me.pid, "another start").alive()
    child = python("input()", stdin=subprocess.PIPE)
    theirs = processes.identity(child.pid)
    assert theirs is not None
    assert theirs != me
    child.kill()
    assert gone(child.pid)
    assert not theirs.alive(), "a zombie is not alive"
    child.wait()
    assert processes.identity(child.pid) is None


def test_terminate_lets_a_process_say_goodbye():
    child = python(
        """
        import signal, sys
        signal.signal(signal.SIGTERM, lambda *_: (print("goodbye", flush=True), sys.exit(3)))
        print("ready", flush=True)
        signal.pause()
        """
    )
    assert child.stdout.readline() == "ready\n"
    assert processes.terminate(child, 10) == 3
    assert child.stdout.read() == "goodbye\n"
    assert processes.terminate(child) == 3


def test_terminate_kills_what_will_not_end_and_its_group():
    child = python(
        """
        import signal, subprocess, sys
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        stubborn = "import signal; signal.signal(15, signal.SIG_IGN); signal.pause()"
        grandchild = subprocess.Popen([sys.executable, "-c", stubborn])
        print(grandchild.pid, flush=True)
        signal.pause()
        """,
        start_new_session=True,
    )
    grandchild = int(child.stdout.readline())
    assert processes.terminate(child, 0.2, group=True) == -signal.SIGKILL
    assert gone(grandchild)


@pytest.mark.parametrize(
    "way", ["processes.die_with_parent(int(sys.argv[1]))", "processes.die_with_starter(signal.SIGKILL)"]
)
def test_a_child_ends_with_its_killed_parent(way):
    if "starter" in way and sys.platform != "linux":
        pytest.skip("prctl is Linux's")
    imports = "import sys, signal; from mirror_realm.deployments import processes"
    child_code = f"{imports}; {way}; print('up', flush=True); signal.pause()"
    parent = python(
        """
        import os, subprocess, sys
        child = subprocess.Popen([sys.executable, "-c", sys.argv[1], str(os.getpid())], stdout=subprocess.PIPE)
        child.stdout.readline()
        print(child.pid, flush=True)
        input()
        """,
        child_code,
        stdin=subprocess.PIPE,
    )
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    assert gone(child)


def test_a_parent_that_died_before_the_child_looked_counts():
    child = python(
        """
        import signal, sys
        from mirror_realm.deployments import processes
        processes.die_with_parent(int(sys.argv[1]))
        signal.pause()
        """,
        "1999999999",
        start_new_session=True,
    )
    assert child.wait(10) == -signal.SIGKILL


def test_children_get_the_settings_in_force(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("MIRROR_REALM_S3_ENDPOINT", "http://from-outside")
    monkeypatch.setenv("SOMETHING_ELSE", "kept")
    given = {
        "MIRROR_REALM_HOME": str(tmp_path / "h o m e"),
        "MIRROR_REALM_ROOTS": os.pathsep.join(["/a", "/b"]),
        "MIRROR_REALM_PYTHON_ALLOW": "json,math",
        "MIRROR_REALM_MAX_PIXELS": "1000",
    }
    settings = load_settings(given)
    environment = processes.child_environment(settings, {"EXTRA": "1"})
    assert load_settings(environment) == settings
    assert environment["SOMETHING_ELSE"] == "kept"
    assert environment["EXTRA"] == "1"
    assert "PYTHONDONTWRITEBYTECODE" not in environment


def test_logs_are_appended_and_set_aside_when_large(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "LOG_LIMIT", 10)
    path = tmp_path / "logs" / "x.log"
    for text in (b"first line\n", b"second\n", b"third\n"):
        descriptor = processes.open_log(path)
        os.write(descriptor, text)
        os.close(descriptor)
    assert path.read_bytes() == b"second\nthird\n"
    assert Path(f"{path}.1").read_bytes() == b"first line\n"
    assert processes.tail(path, 1) == "third"
    assert processes.tail(tmp_path / "none") == ""


def test_ports():
    port = processes.free_port()
    assert processes.port_is_free(port)
    server = python(
        "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); input()",
        stdin=subprocess.PIPE,
    )
    taken = int(server.stdout.readline())
    assert not processes.port_is_free(taken)
    server.communicate("\n")
