"""The Prefect blocks: complete when made, silent about secrets, and the same after a trip through a server."""

import http.server
import json
import threading

import pytest
from prefect.blocks.abstract import NotificationError
from prefect.testing.utilities import prefect_test_harness
from pydantic import SecretStr, ValidationError

from mirror_realm.blocks.cluster import DaskCluster
from mirror_realm.blocks.database import Database
from mirror_realm.blocks.models import ModelRegistry
from mirror_realm.blocks.notification import Notification
from mirror_realm.blocks.objectstore import LocalObjectStore
from mirror_realm.blocks.s3 import S3ObjectStore
from mirror_realm.blocks.storage import ObjectStorage
from mirror_realm.core.errors import Code, RealmError
from mirror_realm.core.settings import settings

SECRET = "geheim-7"


def examples(tmp_path):
    secret = SecretStr(SECRET)
    return [
        ObjectStorage(
            endpoint="http://minio:9000", bucket="照片", access_key=SecretStr("key"), secret_key=secret
        ),
        ObjectStorage(folder=tmp_path / "objects"),
        Database(url=SecretStr(f"postgresql://user:{SECRET}@host/realm")),
        Notification(urls=[SecretStr(f"json://user:{SECRET}@localhost/hook")]),
        DaskCluster(address="tcp://scheduler:8786"),
        ModelRegistry(folder=tmp_path, urls=["https://models.example.com/RealESRGAN_x4plus.pth"]),
    ]


def test_blocks_say_what_they_are_and_hide_their_secrets(tmp_path):
    slugs = set()
    for block in examples(tmp_path):
        slugs.add(block.get_block_type_slug())
        assert block.get_description()
        assert type(block).__name__ in (block.get_code_example() or "")
        assert type(block)._logo_url is None
        for shown in (repr(block), str(block), block.model_dump_json(), str(block.model_dump())):
            assert SECRET not in shown
    assert len(slugs) == 5
    assert all(slug.startswith("mirror-realm-") for slug in slugs)


def test_object_storage_opens_what_it_names(tmp_path):
    local = ObjectStorage(folder=tmp_path / "objects").open()
    assert isinstance(local, LocalObjectStore)
    photo = tmp_path / "照片 1.jpg"
    photo.write_bytes(b"bytes")
    digest = "277089d91c0bdf4f2e6862ba7e4a07605119431f5d13f726dd352b06f1b206a9"
    local.put_file("archive", "2026/a.jpg", photo, sha256=digest, media_type="image/jpeg")
    stored = local.head("archive", "2026/a.jpg")
    assert stored is not None
    assert stored.size == 5

    block = ObjectStorage(
        endpoint="http://minio:9000", access_key=SecretStr("k"), secret_key=SecretStr(SECRET)
    )
    assert isinstance(block.open(), S3ObjectStore)
    applied = block.apply(settings())
    assert (applied.s3_endpoint, applied.s3_access_key, applied.s3_secret_key) == (
        "http://minio:9000",
        "k",
        SECRET,
    )
    assert applied.home == settings().home


def test_blocks_become_settings(tmp_path):
    base = settings()
    assert Database(url=SecretStr("sqlite:////x.db")).apply(base).database == "sqlite:////x.db"
    assert DaskCluster(workers=3).apply(base).workers == 3
    assert DaskCluster(address="tcp://h:1").apply(base).dask_scheduler == "tcp://h:1"
    assert ModelRegistry(folder=tmp_path).apply(base).model_folder == tmp_path


@pytest.mark.parametrize(
    ("block", "fields"),
    [
        (ObjectStorage, {"endpoint": "http://x", "folder": "/y"}),
        (ObjectStorage, {}),
        (ObjectStorage, {"endpoint": "http://x", "access_key": "only"}),
        (Database, {}),
        (Notification, {"urls": []}),
        (Notification, {"urls": ["no-scheme"]}),
        (DaskCluster, {"workers": -1}),
        (ModelRegistry, {}),
    ],
)
def test_incomplete_blocks_are_refused(block, fields):
    with pytest.raises(ValidationError):
        block(**fields)


@pytest.fixture
def hook():
    """A web server that keeps what is posted to it; it refuses posts to /broken."""

    class Hook(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.server.posts.append(json.loads(body))
            self.send_response(500 if self.path.startswith("/broken") else 200)
            self.end_headers()

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    server.posts = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


async def test_notifications_reach_every_service(hook):
    address = f"127.0.0.1:{hook.server_port}"
    good, broken = SecretStr(f"json://{address}/{SECRET}"), SecretStr(f"json://{address}/broken/{SECRET}")
    Notification(urls=[good]).send("归档完成", "27 张照片")
    assert [(post["title"], post["message"]) for post in hook.posts] == [("归档完成", "27 张照片")]

    both = Notification(urls=[broken, good])
    with pytest.raises(RealmError) as caught:
        both.send("t", "b")
    assert caught.value.code is Code.DEPENDENCY_FAILURE
    assert "URL 1 (json)" in str(caught.value)
    assert SECRET not in str(caught.value)
    assert len(hook.posts) == 3

    await both.notify("logged only", "s")
    assert len(hook.posts) == 5
    with both.raise_on_failure(), pytest.raises(NotificationError):
        await both.notify("raised", "s")


def test_a_service_that_apprise_does_not_know_is_named():
    with pytest.raises(RealmError, match=r"URL 1 \(carrier\)") as caught:
        Notification(urls=[SecretStr(f"carrier://{SECRET}")]).send("t", "b")
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert SECRET not in str(caught.value)


def test_models_are_found_or_explained(tmp_path):
    (tmp_path / "RealESRGAN_x2plus.pth").write_bytes(b"w")
    registry = ModelRegistry(folder=tmp_path, urls=["https://models.example.com/GFPGANv1.4.pth?download=1"])
    assert registry.find("RealESRGAN_x2plus.pth") == tmp_path / "RealESRGAN_x2plus.pth"
    for name, hint in (
        ("RealESRGAN_x4plus.pth", "x2plus"),
        ("GFPGANv1.4.pth", "models.example.com"),
        ("zzz", "put"),
    ):
        with pytest.raises(RealmError) as caught:
            registry.find(name)
        assert caught.value.code is Code.NOT_FOUND
        assert hint in (caught.value.hint or "")
    outside = tmp_path.parent / "outside.pth"
    outside.write_bytes(b"w")
    with pytest.raises(RealmError):
        registry.find("../outside.pth")


def test_a_cluster_without_an_answer_is_unavailable():
    with pytest.raises(RealmError) as caught:
        DaskCluster(address="tcp://127.0.0.1:9").connect(timeout=0.3)
    assert caught.value.code is Code.UNAVAILABLE
    with pytest.raises(RealmError) as caught:
        DaskCluster().connect()
    assert caught.value.code is Code.FAILED_PRECONDITION


@pytest.mark.slow
def test_blocks_come_back_from_a_server_as_they_were(tmp_path):
    with prefect_test_harness(server_startup_timeout=120):
        for number, block in enumerate(examples(tmp_path)):
            block.save(f"example-{number}")
            again = type(block).load(f"example-{number}")
            assert again == block
            for name in type(block).model_fields:
                one, other = getattr(again, name), getattr(block, name)
                assert one == other
                if isinstance(one, SecretStr):
                    assert one.get_secret_value() == other.get_secret_value()
