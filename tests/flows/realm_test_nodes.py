"""Node types for tests of the runtime: they count, fail, sleep, die and note what they did in a ledger file."""

import os
import signal
import time
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from mirror_realm.core.errors import Code, RealmError
from mirror_realm.core.resources import Gpu, Resources
from mirror_realm.tasks import node_type


class Anything(BaseModel):
    model_config = ConfigDict(extra="allow")


class Number(Anything):
    value: float = 0


class AddParameters(BaseModel):
    amount: float = 1


class Ledger(BaseModel):
    ledger: str | None = None
    seconds: float = 0.0
    times: int = 1
    code: str = "TRANSIENT_ERROR"


def _write(parameters, context, word):
    if parameters.ledger:
        with Path(parameters.ledger).open("a") as file:
            file.write(f"{context.node_id} {context.attempt} {os.getpid()} {word}\n")


@node_type("test/add", version="1.0.0", idempotent=True)
def add(parameters: AddParameters, input: Number, context) -> Number:
    """Add an amount."""
    return Number(value=input.value + parameters.amount)


@node_type("test/echo", version="1.0.0")
def echo(parameters: Anything, input: Anything, context) -> Anything:
    """Give back the parameters and the input."""
    return Anything(parameters=parameters.model_dump(), input=input.model_dump())


@node_type("test/fail", version="1.0.0")
def fail(parameters: Ledger, input: Anything, context) -> Number:
    """Fail the first so many times, then succeed."""
    _write(parameters, context, "fail")
    if context.attempt <= parameters.times:
        raise RealmError(Code(parameters.code), f"attempt {context.attempt} fails as asked", hint="expected")
    return Number(value=context.attempt)


@node_type("test/crash", version="1.0.0")
def crash(parameters: Anything, input: Anything, context) -> Number:
    """Raise an exception that nobody mapped."""
    raise ZeroDivisionError("a fault of the node")


@node_type("test/die", version="1.0.0")
def die(parameters: Ledger, input: Anything, context) -> Number:
    """Kill its own worker process, the first so many times."""
    _write(parameters, context, "die")
    if context.attempt <= parameters.times:
        os.kill(os.getpid(), signal.SIGKILL)
    return Number(value=context.attempt)


@node_type("test/sleep", version="1.0.0")
def sleep(parameters: Ledger, input: Anything, context) -> Number:
    """Sleep in small steps, reporting progress and heeding cancellation."""
    _write(parameters, context, "start")
    end = time.monotonic() + parameters.seconds
    while (left := end - time.monotonic()) > 0:
        context.check_canceled()
        context.progress(1 - left / parameters.seconds, "sleeping")
        time.sleep(min(0.02, left))
    _write(parameters, context, "end")
    return Number(value=parameters.seconds)


@node_type("test/deaf", version="1.0.0")
def deaf(parameters: Ledger, input: Anything, context) -> Number:
    """Sleep without heeding anything."""
    time.sleep(parameters.seconds)
    return Number(value=parameters.seconds)


@node_type("test/gpu", version="1.0.0", resources=Resources(gpu=Gpu.REQUIRED, gpu_memory_mb=1024))
def gpu(parameters: Anything, input: Anything, context) -> Anything:
    """Say which device it got."""
    return Anything(device=context.device)
