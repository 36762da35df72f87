"""The embedded Prefect server, for real: one server for many processes, nothing left behind, no 503."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest

from mirror_realm.core.errors import Code, RealmError
from mirror_realm.core.settings import load_settings
from mirror_realm.deployments import processes
from mirror_realm.deployments.health import healthy, ui_of
from mirror_realm.deployments.prefect_process import Files, server_environment
from mirror_realm.deployments.prefect_server import ensure_server

USER = """
import json, sys
from mirror_realm.core.settings import load_settings
from mirror_realm.deployments.prefect_server import ensure_server
said = []
server = ensure_server(load_settings(), announce=said.append)
print(json.dumps({"url": server.url, "ui": server.ui_url, "owned": server.owned, "said": said}), flush=True)
input()
server.stop()
"""


class User:
    """Another process that uses the server of ``home``."""

    def __init__(self, home):
        self.process = subprocess.Popen(
            [sys.executable, "-c", USER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "MIRROR_REALM_HOME": str(home)},
        )

    def ready(self):
        """What it was given."""
        return json.loads(self.process.stdout.readline())

    def leave(self):
        """Have it stop properly."""
        self.process.communicate("\n", timeout=60)

    def kill(self):
        """kill -9."""
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def lasting_home(tmp_path_factory):
    """A home with a database that the tests of this module share: making it takes ten seconds."""
    return tmp_path_factory.mktemp("home of 照片 #1?")


@pytest.fixture(autouse=True)
def no_server_configured(monkeypatch):
    monkeypatch.delenv("PREFECT_API_URL", raising=False)


@pytest.fixture
def users():
    """Start user processes that end with the test."""
    started = []

    def start(home):
        started.append(User(home))
        return started[-1]

    yield start
    for user in started:
        user.kill()


def ends(files, seconds=10.0):
    """Wait until no server process of this home runs."""
    deadline = time.monotonic() + seconds
    while files.running() and time.monotonic() < deadline:
        time.sleep(0.05)
    return files.running() is None


async def create_runs(url, count, concurrent):
    """Create flow runs and move them through two states, many at once; how often each status was answered."""
    answers = Counter()
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        flow = (await client.post("/flows/", json={"name": "probe"})).json()["id"]
        turn = asyncio.Semaphore(concurrent)

        async def one(number):
            async with turn:
                new = {"flow_id": flow, "name": f"run-{number}", "state": {"type": "PENDING"}}
                created = await client.post("/flow_runs/", json=new)
                answers[created.status_code] += 1
                for state in ("RUNNING", "COMPLETED"):
                    path = f"/flow_runs/{created.json()['id']}/set_state"
                    answers[(await client.post(path, json={"state": {"type": state}})).status_code] += 1

        await asyncio.gather(*map(one, range(count)))
    return answers


@pytest.mark.slow
def test_two_processes_at_once_share_one_server_that_outlives_either(lasting_home, users):
    first, second = users(lasting_home), users(lasting_home)
    mine, other = first.ready(), second.ready()
    files = Files(lasting_home)
    assert mine["url"] == other["url"]
    assert sorted([mine["owned"], other["owned"]]) == [False, True]
    assert any("first start" in line for line in mine["said"] + other["said"])
    assert httpx.get(mine["ui"], follow_redirects=True).status_code == 200
    assert httpx.get(mine["url"] + "/admin/settings").json()["server"]["analytics_enabled"] is False

    answers = asyncio.run(create_runs(mine["url"], 40, 8))
    assert answers == {201: 120}, "every write succeeds at the first try"

    owner, guest = (first, second) if mine["owned"] else (second, first)
    owner.kill()
    settings = load_settings({"MIRROR_REALM_HOME": str(lasting_home)})
    with ensure_server(settings) as joined:
        assert not joined.owned
        assert joined.url == mine["url"]
        guest.leave()
        assert joined.answers()
    assert ends(files)
    assert not healthy(mine["url"])


@pytest.mark.slow
def test_told_to_end_it_waits_for_those_who_use_it(lasting_home):
    """systemd tells everything at once, and whoever runs instances still has to say what became of them."""
    settings = load_settings({"MIRROR_REALM_HOME": str(lasting_home)})
    with ensure_server(settings) as server:
        os.kill(server.process.pid, signal.SIGTERM)
        time.sleep(2)
        assert server.answers()
        before = time.monotonic()
    assert server.process.poll() == 0
    assert time.monotonic() - before < 8
    with ensure_server(settings) as server:
        for _ in range(2):
            os.kill(server.process.pid, signal.SIGTERM)
            time.sleep(0.5)
        assert server.process.wait(10) == 0, "said twice is meant"


@pytest.mark.slow
def test_a_killed_user_leaves_no_server_and_the_next_start_finds_everything(lasting_home, users):
    files = Files(lasting_home)
    files.users.mkdir(parents=True, exist_ok=True)
    # A state file that names a living process which is not the server: pids are given again.
    files.state.write_text(json.dumps({"pid": os.getpid(), "started": "long ago", "port": 1}))
    settings = load_settings({"MIRROR_REALM_HOME": str(lasting_home)})
    user = users(lasting_home)
    given = user.ready()
    assert given["owned"]
    asyncio.run(create_runs(given["url"], 1, 1))
    user.kill()
    assert ends(files), "the server ends itself when no user is left"

    # Any other program may have got the port meanwhile: it is one that the system gives out.
    free = processes.port_is_free(int(given["url"].rsplit(":", 1)[1].split("/")[0]))
    with ensure_server(settings) as again:
        assert again.owned
        assert again.url == given["url"] or not free, "the port stays"
        count = httpx.post(again.url + "/flow_runs/count", json={}).json()
        assert count >= 1, "the database is kept"
        assert again.environment()["PREFECT_API_URL"] == again.url
        process = again.process
    assert process is not None
    assert process.poll() == 0
    again.stop()
    assert not list(files.users.glob("*.json"))


def test_a_port_that_was_asked_for_and_is_taken(tmp_path):
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as taken, pytest.raises(RealmError) as raised:
        ensure_server(load_settings({"MIRROR_REALM_HOME": str(tmp_path)}), port=taken.server_port)
    assert raised.value.code is Code.UNAVAILABLE
    assert not list(Files(tmp_path).users.glob("*.json"))


def test_a_server_that_does_not_start_says_its_last_words(tmp_path):
    files = Files(tmp_path)
    files.folder.mkdir()
    files.database.mkdir()  # no database can be opened there
    with pytest.raises(RealmError) as raised:
        ensure_server(load_settings({"MIRROR_REALM_HOME": str(tmp_path)}))
    assert raised.value.code is Code.UNAVAILABLE
    assert "unable to open database file" in str(raised.value)
    assert str(files.log) in (raised.value.hint or "")


@pytest.fixture
def answering():
    """A server on the loopback that answers every request with one status."""
    servers = []

    def start(status):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(status)
                self.end_headers()

            def log_message(self, *arguments):
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/api"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "code"), [(401, Code.UNAUTHENTICATED), (404, Code.UNAVAILABLE), (500, Code.UNAVAILABLE)]
)
def test_a_configured_server_that_refuses(answering, monkeypatch, home, status, code):
    monkeypatch.setenv("PREFECT_API_URL", answering(status))
    with pytest.raises(RealmError) as raised:
        ensure_server(load_settings())
    assert raised.value.code is code
    assert raised.value.hint


def test_a_configured_server_is_used_and_never_stopped(answering, monkeypatch, home):
    url = answering(200)
    monkeypatch.setenv("PREFECT_API_URL", url)
    server = ensure_server(load_settings())
    assert (server.url, server.ui_url, server.owned, server.embedded) == (url, url[:-4], False, False)
    server.stop()
    assert healthy(url)
    assert not Files(home).folder.exists()


@pytest.mark.parametrize(
    ("url", "code"),
    [
        (f"http://127.0.0.1:{processes.free_port()}/api", Code.UNAVAILABLE),
        ("localhost:4200", Code.INVALID_ARGUMENT),
    ],
)
def test_a_configured_server_that_is_not_there(monkeypatch, home, url, code):
    monkeypatch.setenv("PREFECT_API_URL", url)
    with pytest.raises(RealmError) as raised:
        ensure_server(load_settings())
    assert raised.value.code is code
    assert "unset it" in (raised.value.hint or "")


def test_where_cloud_shows_its_runs(monkeypatch):
    monkeypatch.delenv("PREFECT_UI_URL", raising=False)
    url = "https://api.prefect.cloud/api/accounts/a/workspaces/w"
    assert ui_of(url) == "https://app.prefect.cloud/account/a/workspace/w"
    monkeypatch.setenv("PREFECT_UI_URL", "https://pages")
    assert ui_of(url) == "https://pages"


def test_any_home_makes_a_database_url(tmp_path):
    from sqlalchemy import make_url

    home = tmp_path / "a b?c#d%41照"
    url = server_environment(Files(home), 4200)["PREFECT_SERVER_DATABASE_CONNECTION_URL"]
    assert make_url(url).database == str(home / "prefect" / "prefect.db")
