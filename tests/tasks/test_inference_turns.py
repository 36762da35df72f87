"""Turns at a GPU: one thread computes, and the others go on with what needs no GPU."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from distributed import Client, LocalCluster

from mirror_realm.core.resources import GPU_SHARE, Gpu, Resources
from mirror_realm.tasks.inference import enhancer
from mirror_realm.tasks.inference.embedder import Embedder
from mirror_realm.tasks.inference.enhancer import Capabilities, Request, Upscaled, enhance
from mirror_realm.tasks.inference.models import model_named
from mirror_realm.tasks.inference.turns import turn

DEVICE = "cuda:7"


class Crowd:
    """How many were inside at once, at most."""

    def __init__(self):
        self.inside = self.most = 0
        self._lock = threading.Lock()

    def __enter__(self):
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)

    def __exit__(self, *_):
        with self._lock:
            self.inside -= 1


def test_one_at_a_time_has_a_gpu_and_a_cpu_is_anybodys():
    most = {}
    for device in (DEVICE, "cpu"):
        crowd, together = Crowd(), threading.Barrier(4)

        def compute(device=device, crowd=crowd, together=together):
            together.wait()
            with turn(device), turn(device), crowd:  # A turn within a turn is the same one.
                time.sleep(0.1)

        with ThreadPoolExecutor(4) as pool:
            for future in [pool.submit(compute) for _ in range(4)]:
                future.result()
        most[device] = crowd.most
    assert most[DEVICE] == 1
    assert most["cpu"] > 1


def test_who_is_canceled_while_waiting_stops_waiting_and_a_fault_gives_the_turn_back():
    def give_up():
        raise TimeoutError("canceled")

    with ThreadPoolExecutor(1) as pool:
        with turn(DEVICE):

            def wait():
                with turn(DEVICE, give_up):
                    return "had it"

            with pytest.raises(TimeoutError, match="canceled"):
                pool.submit(wait).result()
        with pytest.raises(ValueError, match="fault"), turn(DEVICE):
            raise ValueError("fault")
        assert pool.submit(wait).result() == "had it"


def test_pictures_take_turns_at_a_gpu_and_share_everything_else(monkeypatch):
    computing, around = Crowd(), Crowd()

    class Upscaler:
        identity, scale, capabilities = "stand-in", 2, Capabilities(True, ("cuda",), ("fp32",))

        def upscale(self, rgb, progress, check):
            with turn(DEVICE, check), computing:
                time.sleep(0.1)
                return Upscaled(rgb.repeat(2, axis=0).repeat(2, axis=1), DEVICE, "fp16", 1, 0)

    backend = SimpleNamespace(CAPABILITIES=Upscaler.capabilities, open_upscaler=lambda request: Upscaler())
    monkeypatch.setattr(enhancer, "_module", lambda name: backend)
    request = Request(model_named("realesrgan-x4plus"), Path("/nowhere"), scale=2, device=DEVICE)
    image = np.zeros((8, 8, 3), np.uint8)

    def node():
        with around:
            time.sleep(0.05)
            return enhance(image, request)

    with ThreadPoolExecutor(4) as pool:
        results = [future.result() for future in [pool.submit(node) for _ in range(8)]]
    assert computing.most == 1
    assert around.most > 1
    assert all(0.1 <= result.seconds < 0.4 for result in results), "the wait is not counted as work"


def test_sentences_are_prepared_while_another_thread_has_the_gpu():
    computing, preparing = Crowd(), Crowd()

    class Prepared:
        def to(self, device):
            assert device == DEVICE
            return torch.ones(1, 4)

    def tokenize(texts):
        with preparing:
            time.sleep(0.05)
        return Prepared()

    def encode(prepared):
        with computing:
            time.sleep(0.02)
        return prepared

    module = SimpleNamespace(encode_text=encode, encode_image=encode)
    embedder = Embedder("stand-in", 4, DEVICE, "en", 1.0, None, module, lambda image: image, tokenize)
    with ThreadPoolExecutor(4) as pool:
        vectors = list(pool.map(lambda n: embedder.texts([str(n)]), range(8)))
    assert computing.most == 1
    assert preparing.most > 1
    assert all(np.allclose(one, 0.5) for one in vectors)


def test_dask_lets_several_nodes_share_a_gpu_and_one_that_wants_all_of_it_have_it_alone():
    shared = Resources(gpu=Gpu.PREFERRED, gpu_share=GPU_SHARE, cpu_millis=0, memory_mb=0).dask(gpu=True)
    alone = Resources(gpu=Gpu.REQUIRED, cpu_millis=0, memory_mb=0).dask(gpu=True)
    cluster = LocalCluster(
        n_workers=1, threads_per_worker=6, processes=False, resources={"GPU": 1}, dashboard_address=None
    )
    with cluster, Client(cluster) as client:
        futures = [client.submit(busy, 0.1, n, resources=shared) for n in range(8)]
        large = [client.submit(busy, 0.2, n, resources=alone) for n in (8, 9)]
        futures += [client.submit(busy, 0.1, n, resources=shared) for n in range(10, 18)]
        times, alone_at = client.gather(futures), client.gather(large)
    assert 1 < max(at_once(span, times) for span in times) <= round(1 / GPU_SHARE)
    assert [at_once(span, [*times, *alone_at]) for span in alone_at] == [1, 1]
    assert not any(at_once(span, alone_at) for span in times)


def busy(seconds, number):
    began = time.monotonic()
    time.sleep(seconds)
    return began, time.monotonic()


def at_once(span, spans):
    """How many of ``spans`` were under way when ``span`` began."""
    return sum(began <= span[0] < ended for began, ended in spans)
