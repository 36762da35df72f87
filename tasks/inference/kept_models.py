"""Models stay loaded, in all of a process's caches together, within a budget of each device's memory.

Loading one puts out those that were used least recently, whichever cache they are in, and a model that nobody used for
a while goes by itself. What is put out while somebody works with it lives on for them, and is not loaded a second time
as long as it does.
"""

from __future__ import annotations

import gc
import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain
from time import monotonic
from typing import Any, Generic, TypeVar
from weakref import WeakValueDictionary

from .memory_budget import budget, empty_gpu_cache, limits, trim_heap

T = TypeVar("T")
Place = tuple["KeptModels[Any]", tuple[Any, ...]]
"""A cache, and a key in it."""


def module_bytes(module: Any) -> int:
    """What a torch module's parameters and buffers take."""
    return sum(tensor.nbytes for tensor in chain(module.parameters(), module.buffers()))


@dataclass(slots=True)
class _Kept:
    model: Any
    device: str
    size: int
    used: float


@dataclass(frozen=True, slots=True)
class _Loading:
    device: str
    size: int
    thread: int = field(default_factory=threading.get_ident)
    over: threading.Event = field(default_factory=threading.Event)


class Shelf:
    """The models of a process. Safe to share between threads.

    ``budget`` gives the bytes of a device; ``idle`` the seconds after which what is unused goes, 0 for never.
    """

    def __init__(
        self,
        budget: Callable[[str], int] = budget,
        idle: Callable[[], float] = lambda: limits().idle,
    ) -> None:
        self._budget, self._idle = budget, idle
        self._kept: OrderedDict[Place, _Kept] = OrderedDict()  # least recently used first
        self._put_out: WeakValueDictionary[Place, Any] = (
            WeakValueDictionary()
        )  # while somebody still holds it
        self._sizes: dict[Place, int] = {}  # as of the last time that each was loaded
        self.forked()

    def forked(self) -> None:
        """Go on in the child of a fork, which has the models but none of the threads that held or loaded one."""
        self._lock = threading.Lock()
        self._loading: dict[Place, _Loading] = {}
        self._timer: threading.Timer | None = None

    def get(
        self, place: Place, load: Callable[[], T], device: str, expected: int, size_of: Callable[[T], int]
    ) -> T:
        """The model of ``place``, loaded where it is not there, by one thread, once there is room for what it took the
        last time or, at first, for ``expected`` bytes."""
        while True:
            with self._lock:
                if (kept := self._kept.get(place)) is not None:
                    self._kept.move_to_end(place)
                    kept.used = monotonic()
                    self._set_timer()
                    return kept.model
                if (under_way := self._loading.get(place)) is None:
                    mine = _Loading(device, self._sizes.get(place, expected))
                    self._loading[place] = mine
                    break
            if under_way.thread == threading.get_ident():
                raise RuntimeError(f"what loads {place[1]} asks for it")
            under_way.over.wait()
        try:
            return self._loaded(place, load, device, size_of)
        finally:
            # Those who waited look again: they find it, or load it themselves where this failed.
            with self._lock:
                self._loading.pop(place, None)
            mine.over.set()

    def _loaded(self, place: Place, load: Callable[[], T], device: str, size_of: Callable[[T], int]) -> T:
        most = self._budget(device)
        with self._lock:
            model = self._put_out.get(place)
            out = self._beyond(device, most)
        _let_go(out)
        if model is None:
            model = load()
        size = size_of(model)
        with self._lock:
            self._loading.pop(place, None)
            self._sizes[place] = size
            self._keep(place, model, device, size)
            out = self._beyond(device, most, but=place)
        _let_go(out)
        return model

    def _keep(self, place: Place, model: Any, device: str, size: int) -> None:
        self._put_out.pop(place, None)
        self._kept[place] = _Kept(model, device, size, monotonic())
        self._set_timer()

    def _beyond(self, device: str, most: int, but: Place | None = None) -> list[_Kept]:
        """Put out what was used least recently until a device's models, with those being loaded, are within ``most``;
        ``but`` stays, however large it is."""
        held = [(place, kept.size) for place, kept in self._kept.items() if kept.device == device]
        taken = sum(size for _, size in held)
        taken += sum(each.size for each in self._loading.values() if each.device == device)
        out = []
        for place, size in held:
            if taken <= most:
                break
            if place != but:
                taken -= size
                out.append(self._out(place))
        return out

    def _out(self, place: Place) -> _Kept:
        kept = self._kept.pop(place)
        self._put_out[place] = kept.model
        return kept

    def put_out(self, device: str) -> None:
        """Give the memory of ``device`` back, but for what somebody works with."""
        with self._lock:
            out = [self._out(place) for place, kept in [*self._kept.items()] if kept.device == device]
        _let_go(out)

    def clear(self, cache: KeptModels[Any]) -> None:
        """Forget the models of ``cache``: the next one is loaded, even where somebody still works with one."""
        with self._lock:
            out = [self._out(place) for place in [*self._kept] if place[0] is cache]
            for place in [place for place in self._put_out if place[0] is cache]:
                del self._put_out[place]
        _let_go(out)

    def models(self, cache: KeptModels[T]) -> list[T]:
        """The models that are kept of ``cache``, least recently used first."""
        with self._lock:
            return [kept.model for (of, _), kept in self._kept.items() if of is cache]

    # -- what nobody uses -------------------------------------------------------------------------------------

    def _set_timer(self) -> None:
        """Look again when the model that was used least recently will have been unused for too long."""
        if self._timer is not None or not self._kept or not (idle := self._idle()):
            return
        oldest = next(iter(self._kept.values())).used
        self._timer = threading.Timer(max(0.0, oldest + idle - monotonic()), self._rung, (idle,))
        self._timer.name, self._timer.daemon = "unused-models", True
        try:
            self._timer.start()
        except RuntimeError:  # the interpreter is about to end, and starts no thread any more
            self._timer = None

    def _rung(self, idle: float) -> None:
        with self._lock:
            self._timer = None
        self.put_out_unused(idle)

    def put_out_unused(self, idle: float) -> None:
        """Put out what was not asked for in the last ``idle`` seconds, but for what somebody works with, and give the
        memory back to the system."""
        with self._lock:
            before = monotonic() - idle
            unused = [
                (place, kept.device, kept.size) for place, kept in self._kept.items() if kept.used <= before
            ]
            out = [self._out(place) for place, _, _ in unused]
        _let_go(out, collect=True)
        gone = False
        with self._lock:
            for place, device, size in unused:
                if (model := self._put_out.get(place)) is None:
                    gone = True
                elif place not in self._kept and place not in self._loading:
                    self._keep(place, model, device, size)
            self._set_timer()
        if gone:
            trim_heap()


def _let_go(out: list[_Kept], *, collect: bool = False) -> None:
    """Drop what was put out; must be called without the lock, since whatever a model holds ends here. Compiled networks
    hold themselves: where each byte counts, they are collected at once."""
    on_gpu = any(kept.device != "cpu" for kept in out)
    collect = on_gpu or (collect and bool(out))
    out.clear()
    if collect:
        gc.collect()
    if on_gpu:
        empty_gpu_cache()


shelf = Shelf()
"""The process's own."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=shelf.forked)


class KeptModels(Generic[T]):
    """Models of one kind by key, each of ``size_of`` bytes, on the process's shelf unless told."""

    def __init__(self, size_of: Callable[[T], int], shelf: Shelf = shelf) -> None:
        self._size_of, self._shelf = size_of, shelf

    def get(self, key: tuple[Any, ...], load: Callable[[], T], device: str, expected: int = 0) -> T:
        """The model under ``key``, loaded to ``device`` where it is not there; ``expected`` are the bytes that it will
        take, as far as one knows before."""
        return self._shelf.get((self, key), load, device, expected, self._size_of)

    def clear(self) -> None:
        """Forget all of them."""
        self._shelf.clear(self)

    def models(self) -> list[T]:
        """Those that are kept, least recently used first."""
        return self._shelf.models(self)

    def __len__(self) -> int:
        return len(self.models())
