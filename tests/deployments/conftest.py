"""One Prefect server for all tests of this folder that need one: it takes ten seconds to make its database."""

import pytest

from mirror_realm.core.settings import load_settings
from mirror_realm.deployments.prefect_server import ensure_server


@pytest.fixture(scope="session")
def prefect_url(tmp_path_factory):
    """The API of an embedded server in a home of its own."""
    home = tmp_path_factory.mktemp("prefect-home")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PREFECT_API_URL", raising=False)
        server = ensure_server(load_settings({"MIRROR_REALM_HOME": str(home)}))
    yield server.url
    server.stop()


@pytest.fixture
def prefect(prefect_url, monkeypatch):
    """Point what the test starts at the shared server."""
    monkeypatch.setenv("PREFECT_API_URL", prefect_url)
    return prefect_url
