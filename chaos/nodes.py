"""The node types of the campaign's definitions: they do what was drawn for them, and write it into the ledger."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from mirror_realm.core.errors import Code, RealmError
from mirror_realm.tasks import NodeContext, node_type

from .ledger import AGAIN, BEGIN, EFFECT, FAIL, Ledger

STEP = 0.02
"""Seconds between looks at whether the attempt was cancelled."""


class Drawn(BaseModel):
    """What was drawn for a node: it fails ``fails`` times with ``code``, then has its effect and gives ``score``."""

    model_config = ConfigDict(extra="forbid")

    ledger: str
    fails: int = 0
    code: str = "TRANSIENT_ERROR"
    before: float = 0.0
    after: float = 0.0
    kilobytes: int = 0
    score: int = 0


class Given(BaseModel):
    """Any input."""

    model_config = ConfigDict(extra="allow")


class Gave(BaseModel):
    """What a node gives: its score, and the file that it made."""

    score: int = 0
    file: dict | None = None


@node_type("chaos/work", version="1.0.0", idempotent=True)
def work(parameters: Drawn, input: Given, context: NodeContext) -> Gave:
    """Have an effect once for an execution key, as an upsert or an idempotency key makes it."""
    return _do(parameters, context, once=True)


@node_type("chaos/act", version="1.0.0")
def act(parameters: Drawn, input: Given, context: NodeContext) -> Gave:
    """Have an effect each time that it runs."""
    return _do(parameters, context, once=False)


def _do(parameters: Drawn, context: NodeContext, *, once: bool) -> Gave:
    ledger, key = Ledger(Path(parameters.ledger)), context.execution_key
    ledger.write(BEGIN, key, context.attempt)
    _sleep(parameters.before, context)
    with ledger.locked() as known:
        if _failures(known, key) < parameters.fails:
            ledger.write(FAIL, key, context.attempt)
            raise RealmError(Code(parameters.code), f"attempt {context.attempt} fails as drawn")
    file = _file(parameters.kilobytes, context) if parameters.kilobytes else None
    with ledger.locked() as known:
        there = once and known[EFFECT, key] > 0
        ledger.write(AGAIN if there else EFFECT, key, context.attempt)
    _sleep(parameters.after, context)
    return Gave(score=parameters.score, file=file)


def _failures(known: Mapping[tuple[str, str], int], key: str) -> int:
    """How often a node has failed, also under the keys that it had before it was undone."""
    place = key.partition("~")[0]
    return sum(
        count for (what, one), count in known.items() if what == FAIL and one.partition("~")[0] == place
    )


def _file(kilobytes: int, context: NodeContext) -> dict:
    path = context.workdir / "made.bin"
    path.write_bytes((context.execution_key.encode() * 1024)[:1024] * kilobytes)
    return context.artifacts.put(path, name=path.name, media_type="application/octet-stream").model_dump(
        mode="json"
    )


def _sleep(seconds: float, context: NodeContext) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        context.check_canceled()
        time.sleep(min(STEP, left))
