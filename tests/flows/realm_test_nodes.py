"""Node types for tests of the runtime: they count, fail, sleep, die and note what they did in a ledger file."""

import os
import signal
import threading
import time
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from mirror_realm.core.errors import Code, RealmError
from mirror_realm.core.resources import Gpu, Resources
from mirror_realm.tasks import node_type
from mirror_realm.tasks.artifacts import sha256_file
from mirror_realm.tasks.sdk import Once


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


class Expected(BaseModel):
    value: float
    bad: float


@node_type("test/fail-on", version="1.0.0", idempotent=True)
def fail_on(parameters: Expected, input: Anything, context) -> Number:
    """Give back the value, unless it is the bad one."""
    if parameters.value == parameters.bad:
        raise RealmError(Code.INVALID_ARGUMENT, f"{parameters.value:g} is bad")
    return Number(value=parameters.value)


class Line(BaseModel):
    line: str
    ledger: str
    break_at: str = ""


class Noted(BaseModel):
    line: str


@node_type("test/note", version="1.0.0")
def note(parameters: Line, input: Anything, context) -> Noted:
    """Write the line into the ledger; the first time at ``break_at``, write it with a mark, and fail."""
    ledger = Path(parameters.ledger)
    broken = f"{parameters.line}!"
    breaks = parameters.line == parameters.break_at and (
        not ledger.exists() or broken not in ledger.read_text().split()
    )
    with ledger.open("a") as file:
        file.write(f"{broken if breaks else parameters.line}\n")
    if breaks:
        raise RealmError(Code.INTERNAL_ERROR, "it breaks here once")
    return Noted(line=parameters.line)


class Step(BaseModel):
    ledger: str
    say: str
    fails: bool = False
    gives: dict = {}
    seconds: float = 0


@node_type("test/step", version="1.0.0", idempotent=True)
def step(parameters: Step, input: Anything, context) -> Anything:
    """Write a line into the ledger, after a while, then fail if asked to; give what it was told to, and its input."""
    time.sleep(parameters.seconds)
    with Path(parameters.ledger).open("a") as file:
        file.write(f"{parameters.say}\n")
    if parameters.fails:
        raise RealmError(Code.FAILED_PRECONDITION, f"{parameters.say} fails as asked")
    return Anything(**{**input.model_dump(), **parameters.gives})


class Call(BaseModel):
    ledger: str
    up: str
    host: str = "api"


@node_type(
    "test/call",
    version="1.0.0",
    max_attempts=1,
    side_effects=True,
    service=lambda parameters: (str(parameters.get("host", "api")), "GET"),
)
def call(parameters: Call, input: Anything, context) -> Anything:
    """Call a service that is up while there is a file ``up``."""
    _write(parameters, context, parameters.host)
    if not Path(parameters.up).exists():
        raise RealmError(Code.UNAVAILABLE, f"{parameters.host} is down")
    return Anything(answer=parameters.host)


@node_type("test/pause-once", version="1.0.0", idempotent=True)
def pause_once(parameters: Ledger, input: Anything, context) -> Anything:
    """The first time, note ``paused`` and sleep; then note ``undo-b``."""
    ledger = Path(parameters.ledger)
    first = "paused" not in ledger.read_text().split()
    with ledger.open("a") as file:
        file.write("paused\n" if first else "undo-b\n")
    if first:
        time.sleep(parameters.seconds)
    return Anything()


@node_type("test/slow-note", version="1.0.0")
def slow_note(parameters: Line, input: Anything, context) -> Noted:
    """Write the line into the ledger, slowly."""
    time.sleep(0.2)
    with Path(parameters.ledger).open("a") as file:
        file.write(f"{parameters.line}\n")
    return Noted(line=parameters.line)


class Source(BaseModel):
    path: str


@node_type("test/keep", version="1.0.0")
def keep(parameters: Source, input: Anything, context) -> Anything:
    """Put a file into artifact storage."""
    path = Path(parameters.path)
    stored = context.artifacts.put(path, name=path.name, media_type="application/json")
    return Anything(file=stored.model_dump(mode="json"))


class Flaky(BaseModel):
    ledger: str
    line: str
    bad: str
    times: int = 1


@node_type("test/flaky", version="1.0.0", idempotent=True)
def flaky(parameters: Flaky, input: Anything, context) -> Noted:
    """Write the line into the ledger; the first so many times that it is the bad one, fail."""
    ledger = Path(parameters.ledger)
    with ledger.open("a") as file:
        file.write(f"{parameters.line}\n")
    if (
        parameters.line == parameters.bad
        and ledger.read_text().split().count(parameters.bad) <= parameters.times
    ):
        raise RealmError(Code.TRANSIENT_ERROR, "it fails as asked")
    return Noted(line=parameters.line)


@node_type("test/patient", version="1.0.0", idempotent=True)
def patient(parameters: Ledger, input: Anything, context) -> Number:
    """Sleep in small steps, heeding cancellation."""
    end = time.monotonic() + parameters.seconds
    while (left := end - time.monotonic()) > 0:
        context.check_canceled()
        time.sleep(min(0.02, left))
    return Number(value=parameters.seconds)


class Numbered(BaseModel):
    number: int


@node_type("test/picture", version="1.0.0", idempotent=True)
def picture(parameters: Numbered, input: Anything, context) -> Anything:
    """Say that an original picture was found."""
    original = {"name": f"{parameters.number}.jpg", "sha256": f"{parameters.number:064x}", "size": 1}
    return Anything(original=original)


@node_type("test/gpu-sum", version="1.0.0", idempotent=True, resources=Resources(gpu=Gpu.REQUIRED))
def gpu_sum(parameters: Anything, input: Anything, context) -> Number:
    """Nothing, on a GPU."""
    return Number(value=0)


@node_type("test/fatal", version="1.0.0", idempotent=True)
def fatal(parameters: Flaky, input: Anything, context) -> Noted:
    """Write the line into the ledger; the first so many times that it is the bad one, kill its own worker process."""
    ledger = Path(parameters.ledger)
    with ledger.open("a") as file:
        file.write(f"{parameters.line}\n")
    if (
        parameters.line == parameters.bad
        and ledger.read_text().split().count(parameters.bad) <= parameters.times
    ):
        os.kill(os.getpid(), signal.SIGKILL)
    return Noted(line=parameters.line)


class Found(Anything):
    file_path: str


class Development(BaseModel):
    ledger: str
    bad: str = ""
    how: str = "fail"
    times: int = 1
    seconds: float = 0.0
    keep: bool = False


@node_type("test/develop", version="1.0.0", idempotent=True, once=Once())
def develop(parameters: Development, input: Found, context) -> Anything:
    """Note the file's name in the ledger; at the bad one fail, wait or kill its own worker process, the first so many
    times. Say that an original was found, what its picture is, and perhaps that it was archived."""
    path, ledger = Path(input.file_path), Path(parameters.ledger)
    with ledger.open("a") as file:
        file.write(f"{path.stem}\n")
    if path.stem == parameters.bad and ledger.read_text().split().count(path.stem) <= parameters.times:
        if parameters.how == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if parameters.how == "fail":
            raise RealmError(Code.TRANSIENT_ERROR, "it fails as asked")
        end = time.monotonic() + parameters.seconds
        while time.monotonic() < end:
            context.check_canceled()
            time.sleep(0.02)
    sha256 = sha256_file(path)
    original = {"name": path.name, "sha256": sha256, "size": path.stat().st_size, "file_path": str(path)}
    kept = {"uri": f"s3://photos/{path.name}", "key": path.name} if parameters.keep else {}
    return Anything(original=original, image={"source_sha256": sha256, "sha256": sha256}, **kept)


class Asked(BaseModel):
    ledger: str
    down: str = ""
    mends: bool = False


@node_type(
    "test/ask",
    version="1.0.0",
    idempotent=True,
    max_attempts=2,
    service=lambda parameters: ("asked", "GET"),
)
def ask(parameters: Asked, input: Found, context) -> Anything:
    """Ask a service about a file; it is down for the file ``down``, or for all where that is ``*``, and ``mends`` when
    it was asked once."""
    stem = Path(input.file_path).stem
    with Path(parameters.ledger).open("a") as ledger:
        ledger.write(f"{stem}\n")
    asked = Path(parameters.ledger).read_text().split().count(stem)
    if parameters.down in (stem, "*") and not (parameters.mends and asked > 1):
        raise RealmError(Code.UNAVAILABLE, "it is down")
    return Anything(answer=stem)


class Company(BaseModel):
    want: int = 0
    seconds: float = 20.0


_company = {"now": 0, "most": 0}
_come = threading.Condition()


@node_type("test/company", version="1.0.0", idempotent=True)
def company(parameters: Company, input: Anything, context) -> Anything:
    """Wait until so many of its kind have been in work at the same time, in this process; the most there were."""
    with _come:
        _company["now"] += 1
        _company["most"] = max(_company.values())
        _come.notify_all()
        _come.wait_for(lambda: _company["most"] >= parameters.want, parameters.seconds)
        _company["now"] -= 1
        return Anything(most=_company["most"])
