"""``realm serve`` as its user meets it: photos dropped into a folder, slowly, twice, before the start, over a stop."""

import asyncio
import hashlib
import os
import shutil
import signal
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from mirror_realm.compiler import analyze
from mirror_realm.core.settings import settings
from mirror_realm.deployments.serve import _until_stopped, serve, serving
from mirror_realm.flows.results import instance_result
from mirror_realm.store import Store

pytestmark = pytest.mark.slow

DEFINITION = """
name: photo-drop
display_name: 照片
input: {type: object}
triggers:
  - {type: filesystem, config: {path: %s, settle: 0.6s, poll_interval: 0.2s, recursive: true}}
nodes:
  - {node_id: preprocess, type: image/preprocess, parameters: {format: jpeg, max_size: 640x640}}
  - {node_id: archive, type: storage/minio, parameters: {bucket: photos, path_template: "{sha8}/{filename}"}}
edges:
  - {source: preprocess, target: archive}
"""


@pytest.fixture
def place(tmp_path):
    folder = tmp_path / "raw"
    folder.mkdir()
    (tmp_path / "flow.yaml").write_text(DEFINITION % folder, encoding="utf-8")
    return tmp_path


def jpeg(path, number):
    from PIL import Image

    Image.effect_noise((320, 240), 40 + number).convert("RGB").save(path, "JPEG", quality=90)
    return path.read_bytes()


def archived(home):
    return sorted(p for p in (home / "objects").rglob("*") if p.is_file() and not p.name.startswith("."))


async def until(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        await asyncio.sleep(0.1)


def finished(home):
    """Counts by status, read with a store of its own as another process would."""
    if not (home / "realm.db").exists():
        return {}
    with Store.open(settings().database) as store:
        statuses = [str(i.status) for i in store.instances.list(limit=1000)]
    return {status: statuses.count(status) for status in set(statuses)}


async def serve_until(place, home, condition, engine="local", seconds=60.0):
    """Serve until ``condition`` holds, then stop as Ctrl-C does: by cancelling."""
    task = asyncio.create_task(serve(settings(), files=[place / "flow.yaml"], engine=engine))
    try:
        waiting = asyncio.create_task(until(condition, seconds))
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        await waiting
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_thirty_photos_five_slow_three_copies_and_a_stop_in_the_middle(place, home):
    raw = place / "raw"
    contents = [jpeg(place / f"tmp{n}.jpg", n) for n in range(27)]
    for n in range(10):  # there before the start
        (raw / f"照片 {n}.jpg").write_bytes(contents[n])

    def slow(n):
        with (raw / f"slow{n}.jpg").open("wb") as file:
            step = len(contents[n]) // 6
            for start in range(0, len(contents[n]), step):
                file.write(contents[n][start : start + step])
                file.flush()
                time.sleep(0.25)

    def drop():
        for n in range(10, 22):
            (raw / "deep").mkdir(exist_ok=True)
            (raw / "deep" / f"{n}.jpg").write_bytes(contents[n])
        for n in range(3):
            shutil.copy(raw / f"照片 {n}.jpg", raw / f"copy {n}.jpg")

    writers = [threading.Thread(target=slow, args=(n,)) for n in range(22, 27)] + [
        threading.Thread(target=drop)
    ]
    for writer in writers:
        writer.start()
    await serve_until(place, home, lambda: finished(home).get("completed", 0) >= 8)
    interrupted = finished(home)
    assert interrupted["completed"] < 27
    await serve_until(place, home, lambda: finished(home).get("completed", 0) >= 27)
    for writer in writers:
        writer.join()
    assert finished(home) == {"completed": 27}
    assert len(archived(home)) == 27
    # A third start finds nothing to do.
    with Store.open(settings().database) as store:
        before = store.instances.count()
    started = time.monotonic()
    await serve_until(place, home, lambda: time.monotonic() - started > 2)
    with Store.open(settings().database) as store:
        assert store.instances.count() == before
        sources = {i.trigger_payload["sha256"] for i in store.instances.list(limit=100)}
    assert sources == {hashlib.sha256(content).hexdigest() for content in contents}


async def test_a_bad_file_fails_its_own_instance_only(place, home):
    raw = place / "raw"
    (raw / "words.jpg").write_text("not a picture")
    jpeg(raw / "good.jpg", 1)
    await serve_until(
        place, home, lambda: sum(finished(home).get(s, 0) for s in ("completed", "failed")) == 2
    )
    with Store.open(settings().database) as store:
        bad = next(i for i in store.instances.list() if str(i.status) == "failed")
        assert instance_result(store, bad.id)["error"]["code"] == "UNSUPPORTED_FILE_TYPE"
    assert len(archived(home)) == 1


async def test_two_serves_of_one_home_are_refused(place, home):
    from mirror_realm.core.errors import RealmError

    async with serving(settings(), files=[place / "flow.yaml"], engine="local"):
        with pytest.raises(RealmError, match="already runs"):
            async with serving(settings(), engine="local"):
                pass


async def test_a_folder_outside_the_roots_is_refused(place, home, monkeypatch, tmp_path_factory):
    from mirror_realm.core.errors import RealmError

    monkeypatch.setenv("MIRROR_REALM_ROOTS", str(tmp_path_factory.mktemp("elsewhere")))
    settings.cache_clear()
    with pytest.raises(RealmError, match="outside the allowed folders"):
        async with serving(settings(), files=[place / "flow.yaml"], engine="local"):
            pass


async def test_a_wrong_definition_is_refused_with_its_findings(place, home):
    from mirror_realm.core.errors import RealmError

    (place / "flow.yaml").write_text("name: x\nnodes:\n  - {node_id: a, type: image/preproces}\n")
    with pytest.raises(RealmError):
        async with serving(settings(), files=[place / "flow.yaml"], engine="local"):
            pass


def test_a_process_killed_in_the_middle_is_carried_on(place, home):
    """kill -9 of the whole serving process; the next start finishes the same instances, each once."""
    import subprocess
    import sys

    raw = place / "raw"
    for n in range(6):
        jpeg(raw / f"{n}.jpg", n)
    script = (
        "import asyncio, sys; from pathlib import Path; from mirror_realm.core.settings import settings;"
        "from mirror_realm.deployments.serve import serve;"
        "asyncio.run(serve(settings(), files=[Path(sys.argv[1])], engine='local'))"
    )
    command = [sys.executable, "-c", script, str(place / "flow.yaml")]

    def wait_for(count, process):
        deadline = time.monotonic() + 60
        while finished(home).get("completed", 0) < count:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)

    first = subprocess.Popen(command)
    wait_for(1, first)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    second = subprocess.Popen(command)
    try:
        wait_for(6, second)
    finally:
        second.terminate()
        second.wait(20)
    assert finished(home) == {"completed": 6}
    assert len(archived(home)) == 6


def test_the_definition_of_this_test_is_right(place):
    assert Path(place / "flow.yaml").is_file()
    assert analyze(place / "flow.yaml").ok


async def test_the_first_pass_waits_until_it_is_known_what_the_last_process_left(monkeypatch):
    """Else it takes what the dispatcher is about to carry on, which then runs twice at once."""
    looked, seen = asyncio.Event(), []

    class Dispatcher:
        begun = asyncio.Event()

        async def run(self):
            await asyncio.sleep(0.05)
            self.begun.set()
            await asyncio.Event().wait()

    async def reconciling(*_, **__):
        seen.append(dispatcher.begun.is_set())
        looked.set()

    dispatcher = Dispatcher()
    monkeypatch.setattr("mirror_realm.deployments.serve.reconciling", reconciling)
    served = SimpleNamespace(
        dispatcher=dispatcher, reconciler=None, interval=1.0, around=SimpleNamespace(engine="local")
    )
    task = asyncio.create_task(_until_stopped(served))
    async with asyncio.timeout(10):
        await looked.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert seen == [True]
