"""One attempt of one node as data: validation, outcomes, errors, limits, progress, cancellation, clean-up."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import pickle
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, Field

from mirror_realm.core.errors import Code, ErrorRecord, RealmError
from mirror_realm.core.settings import settings
from mirror_realm.tasks import usage
from mirror_realm.tasks.executor import NodeCall, cancel, execute, execute_in_flow
from mirror_realm.tasks.registry import Registry
from mirror_realm.tasks.sdk import node_type


class Parameters(BaseModel):
    model_config = ConfigDict(extra="forbid")
    mode: str = Field(default="fine")
    size: int = Field(default=1, ge=1)


class Input(BaseModel):
    text: str = ""


class Output(BaseModel):
    model_config = ConfigDict(extra="allow")
    value: object = None


seen: dict[str, object] = {}


def _raise(mode: str) -> None:
    raised = {
        "value": ValueError("odd"),
        "memory": MemoryError(),
        "exit": SystemExit(3),
        "interrupt": KeyboardInterrupt(),
        "disk": OSError(errno.ENOSPC, "No space left on device", "/archive/a.jpg"),
        "realm": RealmError(Code.ABORTED, "no", hint="do", details={"a": 1}),
        "secret": ConnectionError("https://ann:hunter2@host refused, Authorization: Bearer abcdefghijklmnop"),
    }.get(mode)
    if raised is not None:
        raise raised


@node_type("test/act", version="1.0.0", errors={KeyError: Code.NOT_FOUND})
def act(parameters: Parameters, input: Input, context) -> Output:
    """Do what the mode says."""
    mode = parameters.mode
    seen["workdir"] = context.workdir
    seen["device"] = context.device
    (context.workdir / "left-behind").write_text("x")
    _raise(mode)
    if mode == "key":
        raise KeyError("thing")
    if mode == "nan":
        return Output(value={"a": [1.0, float("nan")]})
    if mode == "large":
        return Output(value="x" * 5000)
    if mode == "unserializable":
        return Output(value=threading.Lock())
    if mode == "dict":
        return {"value": "from a dict"}  # pyright: ignore[reportReturnType]
    if mode == "wrong":
        return 42  # pyright: ignore[reportReturnType]
    if mode == "sleep":
        time.sleep(0.15)
    if mode == "wait":
        while True:
            context.check_canceled()
            time.sleep(0.01)
    if mode == "progress":
        for step in range(100):
            context.progress((step + 1) / 100, f"step {step + 1}")
    context.note("seen", input.text)
    return Output(value=input.text)


@node_type("test/async", version="1.0.0", where="flow")
async def in_flow(parameters: Parameters, input: Input, context) -> Output:
    """Wait without a worker, with something in the attempt's own folder."""
    (context.workdir / "draft").write_text("half", encoding="utf-8")
    await asyncio.sleep(30 if parameters.mode == "wait" else 0)
    return Output(value="async")


@node_type("test/bare", version="1.0.0")
def bare(parameters: Parameters, input: Input, context) -> Output:
    """Touch nothing."""
    return Output(value="bare")


REGISTRY = Registry([act, in_flow])


def call(mode: str = "fine", **more) -> NodeCall:
    more.setdefault("node_type", "test/act")
    parameters = more.pop("parameters", {"mode": mode})
    more.setdefault("input", {"text": "hello"})
    return NodeCall(
        node_id="act-01", instance_id="inst-1", execution_key="inst-1/act-01", parameters=parameters, **more
    )


def run(mode: str = "fine", **more):
    return execute(call(mode, **more), registry=REGISTRY)


def error(mode: str = "fine", **more) -> ErrorRecord:
    outcome = run(mode, **more)
    assert outcome.output is None
    assert outcome.error is not None
    json.dumps(outcome.error)
    return ErrorRecord.from_dict(outcome.error)


def test_an_outcome_is_data_that_travels():
    outcome = pickle.loads(pickle.dumps(run()))
    assert outcome.ok
    assert outcome.output == {"value": "hello"}
    assert outcome.notes == {"seen": "hello"}
    assert outcome.pid == os.getpid()
    assert outcome.device == "cpu"
    assert outcome.started_at <= outcome.completed_at
    assert {"wall_seconds", "cpu_seconds", "peak_rss_mb"} <= outcome.resource_usage.keys()


def test_a_dict_that_validates_is_an_output():
    assert run("dict").output == {"value": "from a dict"}


def test_the_workdir_is_private_and_gone_afterwards(home):
    for mode in ("fine", "value"):
        run(mode)
        workdir = seen["workdir"]
        assert isinstance(workdir, Path)
        assert workdir.is_relative_to(home / "tmp")
        assert not workdir.exists()


def test_a_node_that_asks_for_no_folder_makes_none(home):
    outcome = execute(call(node_type="test/bare"), registry=Registry([bare]))
    assert outcome.output == {"value": "bare"}
    assert not (home / "tmp").exists()


def test_unknown_node_type_suggests_the_close_one():
    record = error(node_type="test/actt")
    assert record.code is Code.NOT_FOUND
    assert (record.hint or "").startswith("did you mean 'test/act'")


def test_wrong_parameters_name_every_field():
    record = error(parameters={"mode": 7, "size": 0})
    assert record.code is Code.INVALID_ARGUMENT
    assert [v["field"] for v in record.details["field_violations"]] == ["parameters.mode", "parameters.size"]
    assert "act-01 (test/act): parameters.mode:" in record.message
    assert "(and 1 more)" in record.message


def test_an_unknown_parameter_suggests_the_close_one():
    assert error(parameters={"mdoe": "fine"}).hint == "did you mean 'mode'?"


def test_wrong_input_says_what_there_was():
    @node_type("test/needs", version="1.0.0")
    def needs(parameters: Parameters, input: NeedsImage, context) -> Output:
        """Need an image."""
        return Output()

    outcome = execute(call(node_type="test/needs"), registry=Registry([needs]))
    assert outcome.error is not None
    assert outcome.error["details"]["field_violations"] == [
        {"field": "input.image", "description": "Field required"}
    ]
    assert "the input had text" in outcome.error["hint"]


class NeedsImage(BaseModel):
    image: str


@pytest.mark.parametrize(
    ("mode", "code", "words"),
    [
        ("memory", Code.RESOURCE_EXHAUSTED, "not enough memory"),
        ("exit", Code.INTERNAL_ERROR, "sys.exit(3)"),
        ("disk", Code.RESOURCE_EXHAUSTED, "/archive/a.jpg: the disk is full"),
        ("realm", Code.ABORTED, "no"),
        ("key", Code.NOT_FOUND, "thing"),
        ("nan", Code.OUT_OF_RANGE, "value.a.1"),
        ("wrong", Code.INTERNAL_ERROR, "returned int instead of Output"),
        ("unserializable", Code.INTERNAL_ERROR, "not JSON"),
    ],
)
def test_failures_become_records(mode, code, words):
    record = error(mode)
    assert record.code is code
    assert words in record.message


def test_a_realm_error_keeps_its_hint_and_details():
    record = error("realm")
    assert (record.hint, record.details) == ("do", {"a": 1})


def test_an_unmapped_exception_keeps_type_and_traceback():
    record = error("value")
    assert record.code is Code.INTERNAL_ERROR
    assert record.exception == "builtins.ValueError"
    assert record.traceback is not None
    assert "in act" in record.traceback


def test_secrets_do_not_reach_the_record(monkeypatch):
    monkeypatch.setenv("MIRROR_REALM_S3_SECRET_KEY", "refused")
    settings.cache_clear()
    text = json.dumps(run("secret").error)
    assert "hunter2" not in text
    assert "abcdefghijklmnop" not in text
    assert "refused" not in text


def test_too_large_a_payload_is_refused_both_ways():
    record = error("large", max_payload_bytes=2000)
    assert record.code is Code.OUT_OF_RANGE
    assert record.details == {"size": 5012, "limit": 2000}
    assert "context.artifacts" in (record.hint or "")
    assert "the input of node act-01" in error(input={"text": "y" * 3000}, max_payload_bytes=2000).message


def test_a_result_after_the_deadline_is_a_timeout():
    record = error("sleep", timeout=0.05)
    assert record.code is Code.NODE_EXECUTION_TIMEOUT
    assert "its timeout of 0.05 s" in record.message
    assert error("wait", timeout=0.05).code is Code.NODE_EXECUTION_TIMEOUT


def _in_thread(node_call: NodeCall) -> tuple[threading.Thread, list]:
    outcomes: list = []
    thread = threading.Thread(target=lambda: outcomes.append(execute(node_call, registry=REGISTRY)))
    thread.start()
    return thread, outcomes


def _cancel_when_running(attempt: int = 1) -> None:
    until = time.monotonic() + 10
    while not cancel("inst-1/act-01", attempt):
        assert time.monotonic() < until, "the attempt never started"
        time.sleep(0.005)


def test_cancel_reaches_the_running_attempt_and_no_other():
    thread, outcomes = _in_thread(call("wait", attempt=2))
    _cancel_when_running(2)
    thread.join(10)
    assert outcomes[0].error["code"] == "CANCELLED"
    assert not cancel("inst-1/act-01", 2)
    assert not cancel("inst-1/act-01", 1)


def test_a_cancel_before_the_deadline_stays_a_cancel():
    thread, outcomes = _in_thread(call("wait", timeout=60))
    _cancel_when_running()
    thread.join(10)
    assert outcomes[0].error["code"] == "CANCELLED"


def test_ctrl_c_passes_through_in_the_main_thread_only(home):
    with pytest.raises(KeyboardInterrupt):
        run("interrupt")
    thread, outcomes = _in_thread(call("interrupt"))
    thread.join(10)
    assert outcomes[0].error["code"] == "CANCELLED"
    assert list((home / "tmp").glob("*/*")) == []


def test_progress_is_throttled_and_ends_with_the_last():
    events: list[dict] = []
    execute(call("progress"), registry=REGISTRY, report=events.append)
    assert len(events) <= 4
    assert events[0]["message"] == "step 1"
    assert (events[-1]["fraction"], events[-1]["message"], events[-1]["node_id"]) == (
        1.0,
        "step 100",
        "act-01",
    )


def test_a_watcher_that_fails_does_not_fail_the_node():
    def broken(event):
        raise RuntimeError("gone")

    assert execute(call("progress"), registry=REGISTRY, report=broken).ok


def test_a_granted_gpu_is_used_or_its_absence_told():
    torch = pytest.importorskip("torch")
    outcome = run(gpu=True, gpu_wanted=True)
    if torch.cuda.is_available():
        assert outcome.device == "cuda:0"
        assert "gpu_peak_mb" in outcome.resource_usage
        assert outcome.resource_usage["gpu_seconds"] >= 0
    else:
        assert outcome.device == "cpu"
        assert "no CUDA device" in outcome.notes["gpu"]
    assert seen["device"] == outcome.device


def test_the_time_in_which_a_gpu_computes_is_added_up():
    shares = iter([100, 100, *[0] * 1000])
    began = time.monotonic()
    clock = usage._GpuClock(lambda: next(shares))
    time.sleep(3 * usage.GPU_INTERVAL)
    seconds = clock.stop()
    assert seconds is not None
    assert usage.GPU_INTERVAL <= seconds <= time.monotonic() - began


def test_a_gpu_that_does_not_tell_how_busy_it_is_costs_nothing():
    def no_driver() -> float:
        raise ModuleNotFoundError("nvidia-ml-py")

    assert usage._GpuClock(no_driver).stop() is None


async def test_in_the_flow_a_coroutine_is_awaited_and_a_function_runs_in_a_thread():
    outcome = await execute_in_flow(call(node_type="test/async"), registry=REGISTRY)
    assert outcome.output == {"value": "async"}
    outcome = await execute_in_flow(call(), registry=REGISTRY)
    assert outcome.output == {"value": "hello"}


async def test_in_the_flow_a_coroutine_ends_at_its_deadline_and_by_cancel():
    outcome = await execute_in_flow(call("wait", node_type="test/async", timeout=0.05), registry=REGISTRY)
    assert outcome.error is not None
    assert outcome.error["code"] == "NODE_EXECUTION_TIMEOUT"
    task = asyncio.create_task(execute_in_flow(call("wait", node_type="test/async"), registry=REGISTRY))
    while not cancel("inst-1/act-01", 1):
        await asyncio.sleep(0)
    outcome = await asyncio.wait_for(task, 10)
    assert outcome.error is not None
    assert outcome.error["code"] == "CANCELLED"


async def test_in_the_flow_a_cancelled_task_stays_cancelled(home):
    task = asyncio.create_task(execute_in_flow(call("wait", node_type="test/async"), registry=REGISTRY))
    while not list(home.glob("tmp/*/*/draft")):
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert list((home / "tmp").glob("*/*")) == []


def test_on_a_dask_worker_progress_is_an_event_and_cancel_reaches_it():
    distributed = pytest.importorskip("distributed")
    options = {"n_workers": 1, "threads_per_worker": 2, "processes": False, "dashboard_address": None}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        told = client.submit(execute, call("progress", progress_topic="progress"), registry=REGISTRY).result(
            30
        )
        assert told.worker == cluster.workers[0].address
        while not (events := client.get_events("progress")) or events[-1][1]["fraction"] < 1:
            time.sleep(0.01)
        assert events[0][1]["message"] == "step 1"
        waiting = client.submit(execute, call("wait"), registry=REGISTRY)
        while not any(client.run(cancel, "inst-1/act-01", 1).values()):
            time.sleep(0.01)
        assert waiting.result(30).error["code"] == "CANCELLED"


def test_the_folders_of_a_killed_process_are_swept(home):
    program = (
        "import os, signal\n"
        "from pathlib import Path\n"
        "from mirror_realm.tasks.workdirs import private_workdir\n"
        f"with private_workdir(Path({str(home)!r}), 'node') as folder:\n"
        "    (folder / 'half').write_text('x')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=False)
    assert list((home / "tmp").glob("*/*/half"))
    run()
    assert list((home / "tmp").glob("*/*")) == []
    assert len(list((home / "tmp").glob("*.lock"))) == 1


def test_the_folder_of_a_living_process_is_left_alone(home):
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from mirror_realm.tasks.workdirs import private_workdir\n"
        f"with private_workdir(Path({str(home)!r}), 'node') as folder:\n"
        "    print(folder, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    folder = Path(other.stdout.readline().strip())
    run()
    assert folder.is_dir()
    other.communicate("")
    assert not folder.exists()
