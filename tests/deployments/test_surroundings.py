"""Pointing Prefect's client at a server."""

import os
import ssl

from prefect.settings import PREFECT_API_SSL_CERT_FILE, PREFECT_API_URL, PREFECT_CLIENT_CSRF_SUPPORT_ENABLED

from mirror_realm.deployments.prefect_process import Files
from mirror_realm.deployments.surroundings import prefect_at

URL = "http://127.0.0.1:4/api"


def test_a_server_of_our_own_needs_no_authorities(home):
    """Each of Prefect's clients would read some 150 certificates, several times for each flow run."""
    files = Files(home)
    before, given = PREFECT_API_SSL_CERT_FILE.value(), os.environ.get("PREFECT_API_SSL_CERT_FILE")
    for _ in range(2):
        with prefect_at(URL, own=files):
            assert (PREFECT_API_URL.value(), os.environ["PREFECT_API_URL"]) == (URL, URL)
            assert not PREFECT_CLIENT_CSRF_SUPPORT_ENABLED.value()
            context = ssl.create_default_context(cafile=PREFECT_API_SSL_CERT_FILE.value())
            assert len(context.get_ca_certs()) == 1
            assert os.environ.get("PREFECT_API_SSL_CERT_FILE") == given  # What nodes start is left alone.
    assert PREFECT_API_SSL_CERT_FILE.value() == before
    assert PREFECT_CLIENT_CSRF_SUPPORT_ENABLED.value()


def test_any_other_server_is_spoken_to_as_it_is_set(home):
    before = PREFECT_API_SSL_CERT_FILE.value()
    with prefect_at(URL):
        assert PREFECT_API_URL.value() == URL
        assert PREFECT_API_SSL_CERT_FILE.value() == before
        assert PREFECT_CLIENT_CSRF_SUPPORT_ENABLED.value()
