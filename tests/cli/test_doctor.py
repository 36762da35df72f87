"""`realm doctor`: every check against something that is right and something that is not."""

from __future__ import annotations

import http.server
import json
import socket
import threading

import pytest

from mirror_realm.cli import doctor
from mirror_realm.cli.app import run
from mirror_realm.core.settings import load_settings


def finding(name: str) -> doctor.Finding:
    return next(f for f in doctor.examine() if f.name == name)


@pytest.fixture
def dead_port():
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def answering():
    """A server that answers /api/health, and 401 to anything else."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/api/health" else 401)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def _no_prefect_url(monkeypatch):
    monkeypatch.delenv("PREFECT_API_URL", raising=False)


def test_a_fresh_machine_has_nothing_to_mend(capsys):
    assert run(["doctor", "--json"]) == 0
    findings = json.loads(capsys.readouterr().out)
    assert [f for f in findings if f["status"] == "fail"] == []
    assert {f["name"] for f in findings} >= {
        "python",
        "home",
        "database",
        "prefect",
        "dask",
        "gpu",
        "models",
        "heic",
    }
    assert all(f["fix"] for f in findings if f["status"] == "warn")


def test_it_reads_well(capsys):
    run(["doctor"])
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith(("✓ ", "! ", "✗ ", "  ")) for line in lines)


def test_settings_that_cannot_be_read_are_the_finding(monkeypatch, capsys):
    monkeypatch.setenv("MIRROR_REALM_WORKERS", "many")
    assert run(["doctor"]) == 3
    assert "MIRROR_REALM_WORKERS" in capsys.readouterr().out


def test_services_that_do_not_answer(monkeypatch, dead_port):
    monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{dead_port}/api")
    monkeypatch.setenv("MIRROR_REALM_DASK_SCHEDULER", f"tcp://127.0.0.1:{dead_port}")
    monkeypatch.setenv("MIRROR_REALM_S3_ENDPOINT", f"http://127.0.0.1:{dead_port}")
    monkeypatch.setenv("MIRROR_REALM_DATABASE_URL", f"postgresql+psycopg://u:secret@127.0.0.1:{dead_port}/x")
    for name in ("prefect", "dask", "objects", "database"):
        found = finding(name)
        assert found.status == "fail", name
        assert found.fix, name
        assert str(dead_port) in found.detail
        assert "secret" not in found.detail


def test_services_that_answer(monkeypatch, answering):
    monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{answering}/api")
    monkeypatch.setenv("MIRROR_REALM_DASK_SCHEDULER", f"tcp://127.0.0.1:{answering}")
    monkeypatch.setenv("MIRROR_REALM_S3_ENDPOINT", f"http://127.0.0.1:{answering}")
    assert [finding(name).status for name in ("prefect", "dask", "objects")] == ["ok"] * 3


def test_credentials_that_are_refused(monkeypatch, answering):
    monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{answering}/private")
    assert "PREFECT_API_KEY" in (finding("prefect").fix or "")


def test_roots_that_are_not_there(monkeypatch, tmp_path):
    monkeypatch.setenv("MIRROR_REALM_ROOTS", str(tmp_path / "absent"))
    assert finding("roots").status == "fail"


def test_model_weights_are_found(home):
    assert finding("models").status == "warn"
    folder = load_settings().model_folder
    folder.mkdir(parents=True)
    (folder / "RealESRGAN_x4plus.pth").write_bytes(b"x")
    assert finding("models").status == "ok"


def test_a_check_that_breaks_is_a_finding():
    def _broken(settings: object) -> doctor.Finding:
        raise ImportError("libGL.so.1: cannot open shared object file")

    found = doctor._run(_broken, load_settings())
    assert found == doctor.Finding(
        "broken", "fail", "ImportError: libGL.so.1: cannot open shared object file", "make env"
    )
