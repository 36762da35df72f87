"""What takes a while to make and should cost nothing to use again. Models are :mod:`.kept_models`'s."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass
class Kept(Generic[T]):
    """Things by key, least recently used out. Safe to share between threads; one thing is loaded at a time."""

    limit: int = 3
    _kept: OrderedDict[tuple[Any, ...], T] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, key: tuple[Any, ...], load: Callable[[], T]) -> T:
        """The thing under ``key``, loaded where it is not there."""
        with self._lock:
            if key not in self._kept:
                self._kept[key] = load()
                while len(self._kept) > self.limit:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(key)
            return self._kept[key]

    def clear(self) -> None:
        """Forget all of them."""
        with self._lock:
            self._kept.clear()

    def __len__(self) -> int:
        return len(self._kept)
