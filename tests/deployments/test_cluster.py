"""The Dask cluster, for real: work, deaths, and nothing left behind."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from mirror_realm.core.errors import Code, RealmError
from mirror_realm.core.resources import GPU_SHARE, Gpu, Resources
from mirror_realm.core.settings import load_settings
from mirror_realm.deployments import cluster as clusters
from mirror_realm.deployments import cluster_process, gpus, processes, workers
from mirror_realm.deployments.cluster import open_cluster
from mirror_realm.flows.placement import place

H100 = gpus.GpuDevice("0", "GPU-aaaa-1111", "NVIDIA H100 80GB HBM3", 81559)
T4 = gpus.GpuDevice("1", "GPU-bbbb-2222", "Tesla T4", 15360)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A cluster that the gentle tests share."""
    home = tmp_path_factory.mktemp("dask home")
    settings = load_settings({"MIRROR_REALM_HOME": str(home), "MIRROR_REALM_MAX_PIXELS": "4321"})
    with open_cluster(settings, processes=2) as opened:
        yield opened


def eventually(condition, seconds=20.0):
    """Wait until ``condition()`` holds; fail when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def ended(process):
    """Whether a psutil process has ended."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_work_runs_in_worker_processes_that_know_our_settings(cluster):
    def look():
        from mirror_realm.tasks.opencv import cv2

        threads = os.environ["OMP_NUM_THREADS"], cv2.getNumThreads()
        return os.getpid(), os.environ["MIRROR_REALM_MAX_PIXELS"], threads

    pids = set()
    for worker in cluster.client.scheduler_info(n_workers=-1)["workers"]:
        pid, pixels, threads = cluster.client.submit(look, workers=[worker], pure=False).result()
        pids.add(pid)
        assert pixels == "4321"
        assert 1 <= int(threads[0]) == threads[1], (
            "OpenCV too uses no more than the worker's share of the cores"
        )
    assert len(pids) == 2
    assert os.getpid() not in pids
    assert cluster.owned
    assert cluster.running
    assert cluster.summary.startswith("2 CPU workers")
    assert cluster.address.startswith("tcp://127.0.0.1:")


def test_nodes_may_start_processes_of_their_own(cluster):
    def nested():
        import multiprocessing

        with multiprocessing.get_context("spawn").Pool(1) as pool:
            return pool.apply(abs, (-3,))

    assert cluster.client.submit(nested).result() == 3


def test_what_the_cluster_can_run(cluster):
    identity = cluster.client.scheduler_info(n_workers=-1)
    offers = {str(w["name"]): w["resources"] for w in identity["workers"].values()}
    light = place(Resources(cpu_millis=8000, memory_mb=10**6), offers)
    assert light.request == {}, "CPU and memory count only where the cluster declares them"
    if not gpus.find_gpus():
        with pytest.raises(RealmError, match=r"cpu-[01], lacks GPU 1"):
            place(Resources(gpu=Gpu.REQUIRED, gpu_memory_mb=8000), offers)


async def test_async_code_connects_by_address(cluster):
    client = await cluster.connect()
    try:
        assert await client.submit(sum, [1, 2]) == 3
    finally:
        await client.close()


def test_a_configured_scheduler_is_used_and_survives(cluster, home):
    settings = load_settings({"MIRROR_REALM_HOME": str(home), "MIRROR_REALM_DASK_SCHEDULER": cluster.address})
    with open_cluster(settings) as configured:
        assert not configured.owned
        assert configured.running
        assert configured.client.submit(sum, [1, 2]).result() == 3
        assert cluster.address in configured.summary
    assert cluster.client.submit(sum, [1, 3]).result() == 4


def test_a_configured_scheduler_that_is_not_there(home):
    address = f"tcp://127.0.0.1:{processes.free_port()}"
    settings = load_settings({"MIRROR_REALM_HOME": str(home), "MIRROR_REALM_DASK_SCHEDULER": address})
    began = time.monotonic()
    with pytest.raises(RealmError) as raised:
        open_cluster(settings)
    assert raised.value.code is Code.UNAVAILABLE
    assert address in str(raised.value)
    assert "MIRROR_REALM_DASK_SCHEDULER" in (raised.value.hint or "")
    assert time.monotonic() - began < 30


@pytest.mark.slow
def test_a_killed_worker_is_told_at_once_and_replaced(home):
    """The first death comes back (we repeat attempts ourselves), and the cluster goes on."""
    from distributed import KilledWorker

    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    with open_cluster(load_settings(), processes=1) as cluster:
        client = cluster.client
        before = client.submit(os.getpid, pure=False).result()
        with pytest.raises(KilledWorker):
            client.submit(die, pure=False).result(timeout=30)
        assert client.submit(os.getpid, pure=False).result(timeout=30) != before
        assert len(client.scheduler_info(n_workers=-1)["workers"]) == 1


PARENT = """
import json, os, sys, time
from mirror_realm.core.settings import load_settings
from mirror_realm.deployments.cluster import open_cluster

def stuck():
    import re, subprocess
    subprocess.Popen(["sleep", "600"])
    re.match("(a+)+$", "a" * 60 + "b")  # in C for hours, never giving other threads a turn

if __name__ == "__main__":
    cluster = open_cluster(load_settings(), processes=2)
    if "stuck" in sys.argv:
        future = cluster.client.submit(stuck)
        time.sleep(1.0)
    print(json.dumps({"cluster": cluster.process.pid}), flush=True)
    input()
    cluster.close()
"""


def test_a_worker_whose_nanny_is_gone_too_is_replaced(home):
    """A nanny closes for good with a worker that dies while it starts, or that does not die in time."""
    with open_cluster(load_settings({"MIRROR_REALM_HOME": str(home)}), processes=1) as opened:
        client = opened.client
        (before,) = client.scheduler_info()["workers"]
        client.retire_workers([before], close_workers=True, remove=True)
        eventually(lambda: client.scheduler_info()["workers"].keys() - {before}, seconds=60)
        assert client.submit(os.getpid).result(timeout=30) > 0


@pytest.fixture
def parent(tmp_path, home):
    """Start a process that has a cluster; all of its descendants are seen to."""
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    started = []

    def start(*arguments):
        process = subprocess.Popen(
            [sys.executable, str(script), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        pid = json.loads(process.stdout.readline())["cluster"]
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        started.append((process, family))
        return process, family

    yield start
    for process, family in started:
        process.kill()
        for member in family:
            if not ended(member):
                member.kill()


@pytest.mark.slow
def remembered(dask_scheduler=None):
    from dask.utils import key_split

    return key_split.cache_info().currsize


def asked_for(dask_scheduler):
    spans = dask_scheduler.extensions["spans"].spans.values()
    return sum(len(span.metadata["collections"]) for span in spans if span.metadata is not None)


def test_what_was_asked_for_is_forgotten(cluster):
    """Dask notes each ``submit`` for good, so that a scheduler grows as long as it lives."""
    client = cluster.client
    client.gather([client.submit(abs, number, pure=False) for number in range(500)])
    eventually(lambda: client.run_on_scheduler(asked_for) < 100)


def test_the_keys_of_tasks_are_forgotten(cluster):
    """Dask would keep a hundred thousand of them in each process, until which a night's memory grows."""
    most = cluster_process.MOST_KEYS
    names = [f"node:w-{number:x}" for number in range(3 * most)]
    cluster.client.gather(cluster.client.map(abs, range(len(names)), key=names, pure=False))
    eventually(lambda: cluster.client.run_on_scheduler(remembered) <= most, 30)
    eventually(lambda: all(keys <= most for keys in cluster.client.run(remembered).values()), 30)


@pytest.mark.parametrize("state", ["idle", "stuck"])
def test_nothing_outlives_a_killed_parent(parent, state):
    process, family = parent(state)
    assert len(family) >= 3
    process.kill()
    eventually(lambda: all(map(ended, family)), 10)


@pytest.mark.slow
def test_workers_do_not_outlive_a_killed_cluster_process(parent):
    process, family = parent("stuck")
    os.kill(family[0].pid, signal.SIGKILL)
    python = [member for member in family if "sleep" not in member.name()]
    eventually(lambda: all(map(ended, python)), 10)
    process.communicate("\n", timeout=30)
    assert process.returncode == 0, "closing a cluster that died is no error"
    eventually(lambda: all(map(ended, family)), 10)


@pytest.mark.slow
def test_an_ordinary_end_is_quick_and_quiet(parent, home):
    process, family = parent()
    began = time.monotonic()
    _, errors = process.communicate("\n", timeout=30)
    assert time.monotonic() - began < 10
    assert process.returncode == 0
    assert errors == "", "Dask's own log lines belong in the file"
    assert all(map(ended, family))
    assert "distributed.scheduler" in (home / "logs" / "dask.log").read_text()


def test_a_home_that_cannot_be_used_is_named(home):
    (home / "dask").write_text("not a folder")
    with pytest.raises(RealmError) as raised:
        open_cluster(load_settings())
    assert raised.value.code is Code.FAILED_PRECONDITION
    assert str(home / "dask") in str(raised.value)


def test_a_cluster_that_does_not_start_says_its_last_words(home, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(home))
    (home / "dask.py").write_text("raise SystemExit('this Dask is broken')")
    with pytest.raises(RealmError) as raised:
        open_cluster(load_settings())
    assert raised.value.code is Code.UNAVAILABLE
    assert "this Dask is broken" in str(raised.value)


def test_workers_follow_cores_memory_and_gpus():
    def shape(*arguments, **options):
        return [(w.name, w.threads) for w in workers.plan_workers(*arguments, **options)]

    gib = workers.GIB
    assert shape(2, 8 * gib) == [("cpu-0", 2), ("cpu-1", 2)]
    assert shape(2, 2 * gib) == [("cpu-0", 1), ("cpu-1", 1)], "no second thread without memory for it"
    assert shape(8, 3 * gib) == [("cpu-0", 3), ("cpu-1", 3), ("cpu-2", 3)]
    assert shape(1, gib // 2) == [("cpu-0", 1)]
    assert len(shape(128, 1024 * gib)) == workers.MOST_WORKERS
    assert shape(128, 1024 * gib)[0] == ("cpu-0", 5)
    assert len(shape(2, 64 * gib, processes=5)) == 5
    planned = workers.plan_workers(4, 64 * gib, [H100, T4])
    assert [w.name for w in planned][4:] == ["gpu-0", "gpu-1"]
    assert planned[0].environment == {"CUDA_VISIBLE_DEVICES": ""}
    assert planned[4].environment == {"CUDA_VISIBLE_DEVICES": H100.uuid}
    assert planned[4].resources["GPU"] == 1
    assert planned[4].threads > 1 / GPU_SHARE, "one thread at least is left for what needs no GPU"
    assert planned[4].resources["VRAM_MB"] == 81559
    assert planned[5].resources["ACCELERATOR:nvidia-tesla-t4"] == 1
    assert workers.summarize(planned) == "4 CPU workers × 2 threads, GPU: NVIDIA H100 80GB HBM3, Tesla T4"


def test_gpu_requests_against_gpu_workers():
    offers = {w.name: w.resources for w in workers.plan_workers(2, 8 * workers.GIB, [H100, T4])}
    for resources, ok in [
        (Resources(gpu=Gpu.REQUIRED, gpu_memory_mb=40_000), True),
        (Resources(gpu=Gpu.REQUIRED, gpu_memory_mb=100_000), False),
        (Resources(gpu=Gpu.REQUIRED, accelerator="nvidia-h100"), True),
        (Resources(gpu=Gpu.REQUIRED, accelerator="nvidia-h100", gpu_count=2), False),
        (Resources(gpu=Gpu.REQUIRED, accelerator="nvidia-a100"), False),
    ]:
        assert gpu_place(resources, offers) is ok, resources


def gpu_place(resources, offers):
    try:
        return place(resources, offers).gpu
    except RealmError:
        return False


def test_what_nvidia_smi_says():
    said = (
        "0, GPU-aaaa-1111, NVIDIA H100 80GB HBM3, 81559\n"
        "1, GPU-bbbb-2222, Tesla T4, 15360\n"
        "2, GPU-cccc-3333, NVIDIA GB10, [N/A]\n"
    )
    found = gpus.parse_gpus(said)
    assert found[:2] == (H100, T4)
    assert found[2].memory_mb == 0
    assert gpus.parse_gpus("No devices were found\n") == ()
    assert H100.accelerators == ("nvidia-h100", "nvidia-h100-80gb", "nvidia-h100-80gb-hbm3")
    assert gpus.select_visible(found, None) == found
    assert gpus.select_visible(found, "") == ()
    assert gpus.select_visible(found, "-1") == ()
    assert gpus.select_visible(found, "1,0") == (T4, H100)
    assert gpus.select_visible(found, "GPU-bbbb,9,0") == (T4,)


def test_clusters_of_this_machine_agree_with_nvidia_smi(cluster):
    declared = any("GPU" in worker.resources for worker in cluster.workers)
    assert declared is bool(gpus.find_gpus())


def test_dask_logs_go_to_the_file(home, capfd):
    import logging

    clusters.send_logs_to_file(load_settings())
    clusters.send_logs_to_file(load_settings())
    logging.getLogger("distributed.client").error("something went wrong")
    assert (home / "logs" / "dask.log").read_text().count("something went wrong") == 1
    assert capfd.readouterr().err == ""
