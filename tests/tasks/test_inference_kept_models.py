"""Models that stay loaded: within a budget of each device, whichever cache they are in, and not for ever."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import weakref
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from mirror_realm.core.settings import settings
from mirror_realm.tasks.inference import kept_models, memory_budget
from mirror_realm.tasks.inference.kept_models import KeptModels, Shelf, module_bytes
from mirror_realm.tasks.inference.memory_budget import MIB, budget, cpu_memory, limits

GIB = 1024 * MIB
PATIENCE = 60
"""Seconds within which a thread that is not stuck is done."""


@dataclass(eq=False)
class Model:
    """Takes ``size`` units of a thousand bytes."""

    name: str
    size: int = 1
    module: torch.nn.Module = field(init=False)

    def __post_init__(self):
        self.module = torch.nn.Linear(25, 10 * self.size, bias=False)


def shelf_of(units: int, **how) -> Shelf:
    return Shelf(lambda device: 1000 * units, **{"idle": lambda: 0.0, **how})


class Cache(KeptModels[Model]):
    """Remembers what it loaded."""

    def __init__(self, shelf: Shelf):
        super().__init__(lambda model: module_bytes(model.module), shelf)
        self.loads: list[str] = []

    def take(self, name: str, size: int = 1, device: str = "cpu", expected: int = 0) -> Model:
        return self.get(
            (name, device), lambda: self.loads.append(name) or Model(name, size), device, expected
        )

    def names(self) -> list[str]:
        return [model.name for model in self.models()]


def in_threads(*works) -> list:
    """The results of works that run at once; a failure is among them."""
    results: list = [None] * len(works)

    def run(place, work):
        try:
            results[place] = work()
        except Exception as error:
            results[place] = error

    threads = [threading.Thread(target=run, args=each, daemon=True) for each in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in threads), "stuck"
    return results


# -- the budget -------------------------------------------------------------------------------------------


def test_the_size_is_that_of_parameters_and_buffers():
    module = torch.nn.Sequential(torch.nn.Linear(10, 4), torch.nn.BatchNorm1d(4))
    # Weights, offsets, scales, means and variances; one counter of 8 bytes.
    assert module_bytes(module) == 4 * (40 + 4 + 4 + 4 + 4 + 4) + 8
    assert module_bytes(torch.nn.Linear(10, 4).bfloat16()) == 2 * 44
    shared = torch.nn.Sequential(module[0], module[0])
    assert module_bytes(shared) == 4 * 44


def test_what_was_used_least_recently_goes_whichever_cache_it_is_in():
    shelf = shelf_of(3)
    first, second = Cache(shelf), Cache(shelf)
    first.take("a")
    second.take("b")
    first.take("c")
    first.take("a")
    second.take("d")
    assert (first.names(), second.names()) == (["c", "a"], ["d"])
    second.take("e", 2)
    assert (first.names(), second.names()) == ([], ["d", "e"])
    assert (first.loads, second.loads) == (["a", "c"], ["b", "d", "e"])
    assert second.take("e") is second.models()[-1]


def test_each_device_has_its_own_budget():
    cache = Cache(shelf_of(2))
    for name in "ab":
        cache.take(name)
        cache.take(name, device="cuda:0")
    cache.take("c", device="cuda:1")
    assert len(cache) == 5
    cache.take("c", device="cuda:0")
    assert cache.names() == ["a", "b", "b", "c", "c"]


def test_a_model_beyond_the_budget_is_loaded_and_stays_alone():
    shelf = shelf_of(2)
    cache, other = Cache(shelf), Cache(shelf)
    cache.take("a")
    other.take("b")
    large = cache.take("large", 9)
    assert cache.take("large") is large
    assert (cache.names(), other.names()) == (["large"], [])
    other.take("b")
    assert (cache.names(), other.names()) == ([], ["b"])


def test_room_is_made_before_a_model_is_loaded():
    shelf = shelf_of(3)
    cache = Cache(shelf)
    cache.take("a")
    cache.take("b")

    def load():
        assert cache.names() == ["b"], "not both beside the new one"
        return Model("c", 2)

    cache.get(("c", "cpu"), load, "cpu", expected=2000)
    assert cache.names() == ["b", "c"]


def test_what_was_expected_too_large_makes_others_go_only_once():
    """A file in fp32 of a network that is kept in half of it must not drive out its neighbour again and again."""
    cache = Cache(shelf_of(3))
    for _ in range(3):
        cache.take("a", 1, expected=3000)
        cache.take("b", 2, expected=3000)
    assert cache.names() == ["a", "b"]
    assert cache.loads == ["a", "b", "a"]


def test_what_left_a_gpu_is_given_back_to_the_driver(monkeypatch):
    emptied = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append([r() for r in references]))
    cache = Cache(shelf_of(2))
    references = [weakref.ref(cache.take(name, device="cuda:0")) for name in "ab"]
    references[0]().itself = references[0]()  # as compiled networks hold themselves
    cache.take("on the cpu", 9)
    cache.take("on the cpu", 1)
    assert emptied == []
    cache.take("c", 2, device="cuda:0")
    assert emptied == [[None, None]], "once, and after they were gone"
    cache.clear()
    assert len(emptied) == 2


def test_a_device_can_be_given_back_as_a_whole(monkeypatch):
    emptied = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append(1))
    shelf = shelf_of(9)
    cache, other = Cache(shelf), Cache(shelf)
    cache.take("a", device="cuda:0")
    other.take("b", device="cuda:0")
    other.take("c")
    held = cache.take("d", device="cuda:0")
    shelf.put_out("cuda:0")
    assert (cache.names(), other.names(), emptied) == ([], ["c"], [1])
    assert cache.take("d", device="cuda:0") is held, "nobody loads what is there"


# -- threads ----------------------------------------------------------------------------------------------


def test_two_threads_that_want_one_model_load_it_once():
    cache = Cache(shelf_of(9))
    begun = threading.Event()
    go = threading.Event()

    def load():
        begun.set()
        assert go.wait(PATIENCE)
        cache.loads.append("a")
        return Model("a")

    def second():
        assert begun.wait(PATIENCE)
        threading.Timer(0.05, go.set).start()
        return cache.get(("a",), load, "cpu")

    one, two = in_threads(lambda: cache.get(("a",), load, "cpu"), second)
    assert one is two
    assert cache.loads == ["a"]


def test_what_is_there_is_not_waited_for_while_another_is_loaded():
    cache = Cache(shelf_of(9))
    here = cache.take("here")
    begun, go = threading.Event(), threading.Event()

    def load():
        begun.set()
        assert go.wait(PATIENCE), "the other thread waits for this one"
        return Model("slow")

    def other():
        assert begun.wait(PATIENCE)
        assert cache.take("here") is here
        go.set()
        return True

    slow, fine = in_threads(lambda: cache.get(("slow",), load, "cpu"), other)
    assert (slow.name, fine) == ("slow", True)


def test_loading_a_model_may_load_others_in_many_threads():
    shelf = shelf_of(3)
    outer, inner = Cache(shelf), Cache(shelf)

    def take(name):
        def load():
            inner.take("shared")
            inner.take(name)
            return Model(name)

        return [outer.get((name,), load, "cpu").name for _ in range(20)]

    names = ["a", "b", "a", "c", "d", "a"]
    assert in_threads(*(lambda name=name: take(name) for name in names)) == [[name] * 20 for name in names]
    assert 1 <= len(outer) + len(inner) <= 3


def test_a_load_that_fails_leaves_the_next_to_try_itself():
    cache = Cache(shelf_of(9))
    begun = threading.Event()
    tries = []

    def load():
        tries.append(1)
        begun.set()
        if len(tries) == 1:
            raise OSError("the disk is gone")
        return Model("a")

    def second():
        assert begun.wait(PATIENCE)
        return cache.get(("a",), load, "cpu")

    failed, made = in_threads(lambda: cache.get(("a",), load, "cpu"), second)
    assert isinstance(failed, OSError)
    assert made.name == "a"
    assert cache.names() == ["a"]


def test_a_load_that_asks_for_itself_is_told_so_and_not_stuck():
    cache = Cache(shelf_of(9))

    def load():
        return cache.get(("a",), load, "cpu")

    (error,) = in_threads(lambda: cache.get(("a",), load, "cpu"))
    assert isinstance(error, RuntimeError)
    assert "asks for it" in str(error)


def test_what_somebody_works_with_is_put_out_but_not_loaded_a_second_time():
    cache = Cache(shelf_of(1))
    at_work = cache.take("a")
    cache.take("b")
    assert cache.names() == ["b"]
    assert cache.take("a") is at_work
    assert cache.names() == ["a"]
    assert cache.loads == ["a", "b"]


def test_what_is_forgotten_is_loaded_anew_even_where_somebody_works_with_it():
    shelf = shelf_of(1)
    cache, other = Cache(shelf), Cache(shelf)
    kept = other.take("x")
    at_work = [cache.take("a"), cache.take("b")]
    cache.clear()
    assert len(cache) == 0
    assert [cache.take(name) for name in "ab"] != at_work
    assert cache.loads == ["a", "b", "a", "b"]
    assert other.take("x") is kept, "the others of the process are not"


# -- unused -----------------------------------------------------------------------------------------------


@pytest.fixture
def trimmed(monkeypatch) -> list[int]:
    calls: list[int] = []
    monkeypatch.setattr(kept_models, "trim_heap", lambda: calls.append(1))
    return calls


def test_what_nobody_used_for_a_while_goes_and_the_memory_goes_back_once(monkeypatch, trimmed):
    now = [0.0]
    monkeypatch.setattr(kept_models, "monotonic", lambda: now[0])
    shelf = shelf_of(9)
    cache, other = Cache(shelf), Cache(shelf)
    gone = [weakref.ref(cache.take("a")), weakref.ref(other.take("b"))]
    gone[0]().itself = gone[0]()
    cache.take("c")
    now[0] = 5.0
    cache.take("c")
    now[0] = 11.0
    shelf.put_out_unused(10.0)
    assert (cache.names(), other.names(), trimmed) == (["c"], [], [1])
    assert [reference() for reference in gone] == [None, None]
    shelf.put_out_unused(10.0)
    assert trimmed == [1], "there was nothing to give back"
    now[0] = 20.0
    shelf.put_out_unused(10.0)
    assert (len(cache), trimmed) == (0, [1, 1])


def test_what_somebody_works_with_is_not_unused(monkeypatch, trimmed):
    now = [0.0]
    monkeypatch.setattr(kept_models, "monotonic", lambda: now[0])
    shelf = shelf_of(9)
    cache = Cache(shelf)
    at_work = cache.take("a")
    now[0] = 11.0
    shelf.put_out_unused(10.0)
    assert (cache.models(), trimmed) == ([at_work], [])
    del at_work
    now[0] = 20.0
    shelf.put_out_unused(10.0)
    assert cache.names() == ["a"], "used until now, as far as one knows"
    now[0] = 22.0
    shelf.put_out_unused(10.0)
    assert (cache.names(), trimmed) == ([], [1])


def test_a_timer_lets_them_go_and_is_there_only_as_long_as_something_is(monkeypatch):
    over = threading.Event()
    monkeypatch.setattr(kept_models, "trim_heap", over.set)
    shelf = shelf_of(9, idle=lambda: 0.02)
    cache = Cache(shelf)
    assert shelf._timer is None
    cache.take("a")
    for _ in range(2):
        assert over.wait(PATIENCE)
        over.clear()
        assert (len(cache), shelf._timer) == (0, None)
        cache.take("b")
    assert over.wait(PATIENCE)


def test_without_a_limit_of_time_there_is_no_timer(trimmed):
    shelf = shelf_of(9)
    Cache(shelf).take("a")
    Cache(shelf).take("b")
    assert shelf._timer is None


def python(code: str) -> str:
    """What a new process prints; it must end by itself, in order and silently."""
    begin = (
        "import os, threading\n"
        "import torch\n"
        "from mirror_realm.tasks.inference.kept_models import KeptModels, Shelf, module_bytes, shelf\n"
        "def cache(*which): return KeptModels(module_bytes, *which)\n"
        "def model(): return torch.nn.Linear(100, 100)\n"
    )
    # Newer Pythons warn of any fork beside threads.
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", begin + code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def test_a_process_ends_while_the_timer_waits_or_rings():
    out = python(
        "kept = cache()\n"
        "kept.get(('a',), model, 'cpu')\n"
        "print(shelf._timer.interval > 590, shelf._timer.daemon)\n"
        "for n in range(200):\n"
        "    cache(Shelf(lambda device: 1, lambda: 0.0005 * n)).get((n,), model, 'cpu')\n"
    )
    assert out == "True True"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no such thing here")
def test_the_child_of_a_fork_goes_on_though_another_thread_was_loading():
    out = python(
        "kept = cache()\n"
        "one = kept.get(('one',), model, 'cpu')\n"
        "begun = threading.Event()\n"
        "def slow():\n"
        "    begun.set()\n"
        "    threading.Event().wait()\n"
        "threading.Thread(target=lambda: kept.get(('two',), slow, 'cpu'), daemon=True).start()\n"
        "begun.wait()\n"
        "shelf._lock.acquire()\n"  # as if another thread had it at that moment
        "if (child := os.fork()) == 0:\n"
        "    assert kept.get(('one',), model, 'cpu') is one\n"
        "    kept.get(('two',), model, 'cpu')\n"
        "    print(len(kept), shelf._timer.is_alive(), flush=True)\n"
        "    os._exit(0)\n"
        "shelf._lock.release()\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
    )
    assert out == "2 True"


# -- how much ---------------------------------------------------------------------------------------------


def test_a_gpu_lends_half_of_its_memory(monkeypatch):
    asked = []

    def properties(device):
        asked.append(device)
        return SimpleNamespace(total_memory=80 * GIB)

    monkeypatch.setattr(torch.cuda, "get_device_properties", properties)
    assert budget("cuda:1") == 40 * GIB
    assert asked == ["cuda:1"]


@pytest.mark.parametrize(
    ("memory", "cores", "chosen"),
    [
        (24 * GIB, 4, 3 * GIB),
        (64 * GIB, 2, 4 * GIB),  # at most
        (16 * GIB, 64, GIB // 2),  # at least
        (0, 4, GIB // 2),  # where the system does not tell
    ],
)
def test_a_cpu_lends_half_of_the_memory_by_its_cores(monkeypatch, memory, cores, chosen):
    monkeypatch.setattr(memory_budget, "cpu_memory", lambda: memory)
    monkeypatch.setattr(memory_budget, "cores", lambda: cores)
    assert budget("cpu") == chosen


def test_the_operator_decides(monkeypatch):
    assert limits() == memory_budget.Limits(), "the defaults of the settings are those of a bare machine"
    monkeypatch.setenv("MIRROR_REALM_MODELS_MEMORY_MB", "700")
    monkeypatch.setenv("MIRROR_REALM_MODELS_IDLE", "0")
    settings.cache_clear()
    assert limits() == memory_budget.Limits(700, 0.0)
    assert [budget(device) for device in ("cpu", "cuda:0")] == [700 * MIB] * 2


@pytest.mark.parametrize(
    ("files", "memory"),
    [
        ({}, 64 * GIB),
        ({"memory.max": "max"}, 64 * GIB),
        ({"memory.max": str(8 * GIB)}, 8 * GIB),  # in a container
        ({"box/memory.max": str(4 * GIB), "box/worker/memory.max": "max", "memory.max": "max"}, 4 * GIB),
        ({"box/worker/memory.max": str(2 * GIB), "box/memory.max": str(4 * GIB)}, 2 * GIB),
        ({"memory/memory.limit_in_bytes": str(GIB)}, GIB),
        ({"memory/memory.limit_in_bytes": str(2**63 - 4096)}, 64 * GIB),
        ({"other/memory.max": str(GIB)}, 64 * GIB),
    ],
)
def test_control_groups_bound_the_memory_of_the_machine(tmp_path, monkeypatch, files, memory):
    monkeypatch.setattr(memory_budget, "CGROUPS", tmp_path)
    monkeypatch.setattr(memory_budget, "OWN_CGROUP", tmp_path / "own")
    monkeypatch.setattr(memory_budget.os, "sysconf", {"SC_PHYS_PAGES": 16 * MIB, "SC_PAGE_SIZE": 4096}.get)
    (tmp_path / "own").write_text("1:name=systemd:/x\n0::/box/worker\n")
    for name, text in files.items():
        file: Path = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")
    assert cpu_memory() == memory


def test_trimming_is_left_out_where_there_is_no_such_thing(monkeypatch):
    memory_budget.trim_heap()
    for library in (SimpleNamespace(), None):
        monkeypatch.setattr(memory_budget.ctypes, "CDLL", lambda name, library=library: library)
        memory_budget.trim_heap()
