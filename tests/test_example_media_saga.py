"""The media saga: all or nothing, by the commands of its README."""

import json
import shutil
from pathlib import Path

import pytest

from mirror_realm.cli.app import run

EXAMPLE = Path(__file__).parent.parent / "examples" / "media-saga"


@pytest.fixture
def saga(tmp_path, monkeypatch, capsys):
    """Run the example on its sample; the result."""
    folder = tmp_path / "media-saga"
    shutil.copytree(EXAMPLE, folder)
    monkeypatch.chdir(folder)

    def start(**given: str) -> dict:
        pairs = [f"{key}={value}" for key, value in {"file_path": "sample.jpg", **given}.items()]
        inputs = [word for pair in pairs for word in ("--input", pair)]
        run(["run", "workflow.yaml", "--engine", "local", "--json", *inputs])
        return json.loads(capsys.readouterr().out)

    return start


def stored(home):
    return sorted(path.parent.name for path in (home / "objects").glob("saga-*/*.jpg"))


def test_what_was_stored_is_deleted_when_a_later_step_fails_and_stays_when_none_does(saga, home):
    failed = saga(publish_to="/not-allowed")
    assert failed["status"] == "failed"
    assert failed["error"]["code"] == "PERMISSION_DENIED"
    told = failed["error"]["details"]["compensation"]
    assert told == {"status": "compensated", "undone": ["process/preview", "process/keep"], "failed": []}
    assert failed["nodes"]["!on-failure/report"]["output"]["undone"] == told["undone"]
    assert stored(home) == []
    assert saga()["status"] == "completed"
    assert stored(home) == ["saga-photos", "saga-previews"]
    assert saga(publish_to="/not-allowed")["error"]["code"] == "PERMISSION_DENIED"
    assert stored(home) == ["saga-photos", "saga-previews"], "what was there before stays"
