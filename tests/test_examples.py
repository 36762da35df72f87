"""Every example runs on its sample and gives what its expected.json says, by the command that its README shows."""

from __future__ import annotations

import importlib.util
import json
import shutil
import threading
from pathlib import Path

import pytest
from PIL import Image

from mirror_realm.cli.app import run
from mirror_realm.core.settings import settings
from mirror_realm.tasks.imaging.fingerprint import fingerprint

EXAMPLES = Path(__file__).parent.parent / "examples"
CHECKED = sorted(path.parent.name for path in EXAMPLES.glob("*/expected.json"))


@pytest.fixture
def example(tmp_path, monkeypatch):
    """Enter a copy of an example's folder."""

    def enter(name: str) -> Path:
        folder = tmp_path / name
        shutil.copytree(EXAMPLES / name, folder)
        monkeypatch.chdir(folder)
        return folder

    return enter


def result_of(capsys, *arguments: str) -> dict:
    code = run(["run", "workflow.yaml", "--engine", "local", "--json", *arguments])
    result = json.loads(capsys.readouterr().out)
    assert code == 0, result["error"]
    return result


@pytest.mark.parametrize("name", CHECKED)
def test_an_example_gives_what_it_promises(name, example, capsys, home):
    folder = example(name)
    wanted = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    given = [f"{key}={value}" for key, value in wanted["input"].items()]
    output = result_of(capsys, *(word for pair in given for word in ("--input", pair)))["output"]
    for key, value in wanted["output"].items():
        expected = pytest.approx(value, abs=0.05) if isinstance(value, float) else value
        assert output[key] == expected, key
    for key in output.get("archived", []) + output.get("delivered", []):
        assert list((home / "objects").glob(f"*/{key}")), key


@pytest.mark.parametrize("name", [*CHECKED, "copyright-gate"])
def test_an_example_is_valid_and_says_how_to_run_it(name, example, capsys):
    folder = example(name)
    assert run(["validate", "workflow.yaml"]) == 0
    capsys.readouterr()
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert "realm run workflow.yaml --input file_path=" in readme


def test_the_poster_is_upright_and_not_black(example, capsys, home):
    example("video-thumbnail-generation")
    output = result_of(capsys, "--input", "file_path=sample.mp4")["output"]
    assert 1 < output["poster_at"] < 7
    with Image.open(home / "objects" / "video-thumbnails" / "sample.jpg") as poster:
        assert poster.size == (240, 320)
        sky, grass = poster.convert("RGB").getpixel((30, 40)), poster.convert("RGB").getpixel((120, 312))
    assert sky[2] > sky[0], "blue above"
    assert grass[1] > grass[2], "green below"


def test_a_delivery_keeps_to_its_bytes_and_a_poor_photo_gets_a_second_look(example, capsys, home):
    folder = example("professional-photo-processing")
    output = result_of(capsys, "--input", "file_path=sample.tif", "--set", "deliver.max_bytes=20000")[
        "output"
    ]
    assert (home / "objects" / "deliveries" / "2023" / "sample.jpg").stat().st_size == output[
        "delivery_bytes"
    ]
    assert output["delivery_bytes"] <= 20_000
    Image.new("RGB", (300, 200), (12, 12, 14)).save(folder / "dark.png")
    output = result_of(capsys, "--input", "file_path=dark.png")["output"]
    assert output["second_look"] == "dark.tif"
    assert output["delivered"] == []


@pytest.mark.parametrize("name", ["a.md", "a.html"])
def test_documents_without_pages_give_their_text(example, capsys, name):
    folder = example("document-processing-pipeline")
    (folder / name).write_text("<html><p>镜界 works</p></html>", encoding="utf-8")
    output = result_of(capsys, "--input", f"file_path={name}")["output"]
    assert output["archived"] == [name, f"{name}.txt"]
    assert output["pages"] is None


@pytest.fixture
def copyright_service(example):
    """The example's own service, really serving."""
    folder = example("copyright-gate")
    spec = importlib.util.spec_from_file_location("copyright_gate_service", folder / "service.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    service = module.Service(0, folder / "works.json")
    threading.Thread(target=lambda: service.serve_forever(poll_interval=0.02), daemon=True).start()
    yield f"http://127.0.0.1:{service.server_port}"
    service.shutdown()
    service.server_close()


def test_the_copyright_gate(copyright_service, capsys, monkeypatch, home):
    monkeypatch.setenv("MIRROR_REALM_HTTP_ALLOW", "127.0.0.1")
    settings.cache_clear()

    def gate(picture: str, service: str) -> dict:
        return result_of(capsys, "--input", f"file_path={picture}", "--input", f"service={service}")["output"]

    own = gate("own.jpg", copyright_service)
    assert (own["allowed"], own["risk"], own["published"]) == (True, "low", "own.jpg")
    protected = gate("lake.jpg", copyright_service)
    assert (protected["allowed"], protected["risk"], protected["set_aside"]) == (
        False,
        "critical",
        "lake.jpg",
    )
    assert any("Li Lei" in advice for advice in protected["advice"])
    assert (home / "objects" / "set-aside" / "lake.jpg.json").is_file()
    down = gate("lake.jpg", "http://127.0.0.1:9")
    assert (down["status"], down["allowed"], down["waiting"]) == ("error", False, "lake.jpg")
    assert not (home / "objects" / "published" / "lake.jpg").exists()


def test_the_registered_work_is_the_sample():
    works = json.loads((EXAMPLES / "copyright-gate" / "works.json").read_text(encoding="utf-8"))
    sample = EXAMPLES / "copyright-gate" / "lake.jpg"
    assert fingerprint(sample, name="lake.jpg", max_pixels=10**7).phash == works[0]["phash"]
