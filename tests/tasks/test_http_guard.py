"""Which servers http/request speaks to: the address guard, redirects, certificates."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from datetime import UTC, datetime, timedelta

import pytest

from mirror_realm.core.errors import Code
from mirror_realm.core.settings import settings
from mirror_realm.tasks import http_transport
from mirror_realm.tasks.http_guard import is_allowed, is_public
from tests.tasks import http_servers
from tests.tasks.http_servers import request, start

server, url = http_servers.server, http_servers.url


def test_redirects_are_followed_and_another_origin_gets_no_secrets(url, server):
    other = start()
    try:
        target = f"http://127.0.0.1:{other.server_port}/echo"
        parameters = {
            "url": f"{url}/redirect?/echo",
            "headers": {"X-Api-Key": "k"},
            "auth": {"type": "bearer", "token": "t"},
        }
        assert request(parameters)["body"]["headers"]["x-api-key"] == "k"
        output = request({**parameters, "url": f"{url}/redirect?{target}"})
        assert output["url"] == target
        assert not {"x-api-key", "authorization"} & output["body"]["headers"].keys()
    finally:
        other.shutdown()
        other.server_close()
    stopped = request({"url": f"{url}/redirect?/echo", "follow_redirects": False, "expected_status": 302})
    assert stopped["headers"]["location"] == "/echo"


def test_redirects_are_checked_and_bounded(url):
    denied = request.error({"url": f"{url}/redirect?http://169.254.169.254/latest/meta-data"})
    assert denied.code is Code.PERMISSION_DENIED
    assert "169.254.169.254" in denied.message
    assert request.error({"url": f"{url}/redirect?file:///etc/passwd"}).code is Code.INVALID_ARGUMENT
    record = request.error({"url": f"{url}/redirect?{url}/redirect?" * 8 + "/echo"})
    assert record.code is Code.DEPENDENCY_FAILURE
    assert "more than 5 redirects" in record.message


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "127.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"]
)
def test_private_addresses_are_refused_by_default(server, host):
    record = request.error({"url": f"http://{host}:{server.server_port}/echo"})
    if record.code is Code.UNAVAILABLE:
        pytest.skip(f"this machine does not resolve {host}")
    assert record.code is Code.PERMISSION_DENIED
    assert "MIRROR_REALM_HTTP_ALLOW" in (record.hint or "")


@pytest.mark.parametrize("entry", ["localhost", "127.0.0.0/8", "LOCAL*"])
def test_private_hosts_can_be_allowed(server, monkeypatch, entry):
    monkeypatch.setenv("MIRROR_REALM_HTTP_ALLOW", entry)
    settings.cache_clear()
    output = request({"url": f"http://localhost:{server.server_port}/echo"})
    assert output["body"]["headers"]["host"] == f"localhost:{server.server_port}"


def test_the_judged_address_is_the_one_connected_to(url, server, monkeypatch):
    """A name that resolves to an allowed address when judged, and to another one later (DNS rebinding), gains
    nothing."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def rebinding(host, port, *args, **kwargs):
        if host != "rebind.example":
            return real(host, port, *args, **kwargs)
        asked.append(host)
        address = "127.0.0.1" if len(asked) == 1 else "127.0.0.2"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    output = request({"url": f"http://rebind.example:{server.server_port}/echo"})
    assert output["body"]["headers"]["host"] == f"rebind.example:{server.server_port}"
    assert asked == ["rebind.example"]


def test_what_is_public():
    public = ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
    private = [
        "10.0.0.1",
        "172.16.5.5",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "224.0.0.1",
        "255.255.255.255",
    ]
    private += [
        "0.0.0.0",
        "::",
        "::1",
        "fe80::1",
        "fc00::1",
        "ff02::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "2002:a00:1::",
    ]
    assert [a for a in public if not is_public(ipaddress.ip_address(a))] == []
    assert [a for a in private if is_public(ipaddress.ip_address(a))] == []
    assert is_allowed("h", "::ffff:10.1.1.1", ["10.0.0.0/8"])
    assert not is_allowed("evil-nas.local", "10.1.1.1", ["nas.local"])


@pytest.fixture
def tls_server(tmp_path, monkeypatch):
    """A server with a certificate for `localhost` from an authority of its own; yields (port, authority
    file)."""
    trust = pytest.importorskip("cryptography.x509", reason="moto brings it")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = trust.Name([trust.NameAttribute(trust.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    builder = trust.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = (
        builder.serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
    )
    builder = builder.add_extension(
        trust.SubjectAlternativeName([trust.DNSName("localhost")]), critical=False
    )
    builder = builder.add_extension(trust.BasicConstraints(ca=True, path_length=None), critical=True)
    certificate = builder.sign(key, hashes.SHA256())
    file, key_file = tmp_path / "authority.pem", tmp_path / "key.pem"
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, key_file)
    server = start(context)
    monkeypatch.setenv("MIRROR_REALM_HTTP_ALLOW", "127.0.0.1")
    settings.cache_clear()
    http_transport._tls.cache_clear()
    yield server.server_port, file
    http_transport._tls.cache_clear()
    server.shutdown()
    server.server_close()


def test_certificates_are_checked_against_the_name_not_the_address(tls_server, monkeypatch):
    port, authority = tls_server
    record = request.error({"url": f"https://localhost:{port}/echo"})
    assert record.code is Code.DEPENDENCY_FAILURE
    assert "certificate" in record.message
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    http_transport._tls.cache_clear()
    assert (
        request({"url": f"https://localhost:{port}/echo"})["body"]["headers"]["host"] == f"localhost:{port}"
    )
    assert request.error({"url": f"https://127.0.0.1:{port}/echo"}).code is Code.DEPENDENCY_FAILURE
