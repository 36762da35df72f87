"""Circuit breakers on real runs: a service that fails is left alone, and asked again later."""

import asyncio

import pytest

from mirror_realm.core.settings import settings


@pytest.fixture
def strict(monkeypatch):
    """Two failures open a breaker, for half a second."""
    monkeypatch.setenv("MIRROR_REALM_BREAKER_FAILURES", "2")
    monkeypatch.setenv("MIRROR_REALM_BREAKER_PAUSE", "0.5")
    settings.cache_clear()


@pytest.fixture
def files(tmp_path):
    return tmp_path / "ledger", tmp_path / "up"


def call(files, more=""):
    ledger, up = files
    return (
        f"nodes: [{{node_id: ask, type: test/call, parameters: {{ledger: '{ledger}', up: '{up}'}}{more}}}]\n"
    )


def calls(files):
    return [line.split()[-1] for line in files[0].read_text().splitlines()]


async def test_a_service_that_fails_is_left_alone_and_asked_again_later(strict, lab, files):
    for _ in range(2):
        assert (await lab(call(files)))["error"]["message"] == "node 'ask': api is down"
    refused = (await lab(call(files)))["error"]
    assert refused["code"] == "UNAVAILABLE"
    assert "is left alone" in refused["message"]
    assert 0 < refused["details"]["retry_after"] <= 0.5
    assert len(calls(files)) == 2
    files[1].touch()
    await asyncio.sleep(refused["details"]["retry_after"])
    assert (await lab(call(files)))["status"] == "completed"
    assert lab.store.breakers.find("api", "GET").state == "closed"


async def test_a_refused_call_goes_to_the_fallback_at_once(strict, lab, files):
    fallback = ", retry: {max_attempts: 5, initial: 60s}, on_error: {fallback: {host: mirror}}"
    for _ in range(2):
        await lab(call(files))
    files[1].touch()
    result = await lab(call(files, fallback))
    assert result["status"] == "completed", result["error"]
    assert result["output"] == {"ask": {"answer": "mirror"}}
    assert calls(files) == ["api", "api", "mirror"]


async def test_a_mistake_of_the_caller_is_no_failure_of_the_service(strict, lab, files):
    wrong = (
        call(files).replace("ledger:", "host: 5, ledger:").replace("host: 5", "host: '{{ input.nothing }}'")
    )
    for _ in range(3):
        await lab(wrong)
    assert lab.store.breakers.list() == []


async def test_no_threshold_is_no_breaker(lab, files, monkeypatch, home):
    from dataclasses import replace

    from mirror_realm.flows.environment import use

    free = replace(lab.environment, settings=settings().model_copy(update={"breaker_failures": 0}))
    with use(free):
        for _ in range(7):
            await lab(call(files))
    assert len(calls(files)) == 7
    assert lab.store.breakers.list() == []
