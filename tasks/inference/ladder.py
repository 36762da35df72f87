"""The network at work, and what to go on with: finer numbers where some were not finite, fewer bytes or another
device where memory does not even hold the smallest tile.

Every step is taken at most once and what does not fit is remembered with the network, so that the way down is
bounded, and the next picture begins where this one ended.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...core.errors import Code, RealmError
from .compat import require_torch
from .kept_models import shelf
from .memory import free_memory_mb, ran_out
from .models import ModelSpec
from .networks import BYTES, LOWER_TO_HIGHER, Network, NetworkSource, choose_precision, network

LIGHT = "bf16"
"""Half the bytes with the range of fp32, so that nothing overflows that did not before."""


class Ladder:
    """Begins with ``source`` on ``device`` in ``precision``; ``cpu_allowed`` lets a GPU hand over to the CPU.

    Only ``auto`` may go down to a coarser precision: one that a person named is kept. RESOURCE_EXHAUSTED when not even
    the network itself fits anywhere.
    """

    def __init__(self, source: NetworkSource, device: str, precision: str, *, cpu_allowed: bool) -> None:
        self.notes: list[str] = []
        self.refusal = ""
        self._source = source
        self._steps = steps(source.model, device, precision, cpu_allowed=cpu_allowed)
        if (first := self._next()) is None:
            raise RealmError(
                Code.RESOURCE_EXHAUSTED,
                f"the network {source.model.name} itself does not fit into memory",
                hint="free memory, or allow less with `fallback: smaller-model`",
                details={"cause": self.refusal},
            )
        self.network = first

    def lighter(self, tile: tuple[int, int]) -> None:
        """Go on with what needs less memory, since a tile of this height and width does not fit; RESOURCE_EXHAUSTED
        with the figures when there is nothing left."""
        before = self.network
        if (now := self._next()) is None:
            raise self._exhausted(tile)
        self.network = now
        where = now.precision if now.device == before.device else f"{now.precision} on {now.device}"
        self.note(
            f"memory ran out at tiles of {max(tile)} in {before.precision} on {before.device}: went on in {where}"
        )

    def finer(self) -> None:
        """Go on with more precise numbers, since some were not finite; DATA_CORRUPTED when there are none."""
        precision = self.network.precision
        higher = LOWER_TO_HIGHER.get(precision)
        if higher is None:
            raise RealmError(
                Code.DATA_CORRUPTED,
                f"{self.network.identity} gives numbers that are not finite, in fp32 too",
                hint="fetch the weights again",
            )
        self.note(f"{precision} gave numbers that are not finite: went on in {higher}")
        self.network = network(self._source, self.network.device, higher)

    def note(self, text: str) -> None:
        """Something to be told with the result, once."""
        if text not in self.notes:
            self.notes.append(text)

    def _exhausted(self, tile: tuple[int, int]) -> RealmError:
        """The error that says what was needed and what is free."""
        model, at_work = self._source.model, self.network
        height, width = tile
        needed = model.memory.needed_mb(height * width, BYTES[at_work.precision])
        free = free_memory_mb(at_work.device)
        return RealmError(
            Code.RESOURCE_EXHAUSTED,
            f"{at_work.identity} does not fit on {at_work.device}: a tile of {width}×{height} needs about "
            f"{needed} MiB, {free if free is not None else 'an unknown number of'} MiB are free",
            hint="free memory on the device, or allow less with `fallback: smaller-model`, or `cpu` on a GPU",
            details={
                "cause": self.refusal,
                "device": at_work.device,
                "precision": at_work.precision,
                "needed_mb": needed,
                "free_mb": free,
                "tile": [height, width],
            },
        )

    def _next(self) -> Network | None:
        """The network of the next step that loads."""
        for device, precision in self._steps:
            try:
                return self._loaded(device, precision)
            except (RuntimeError, MemoryError) as error:
                if not ran_out(error):
                    raise
                self.refusal = first_line(error)
        return None

    def _loaded(self, device: str, precision: str) -> Network:
        """The network; where memory is short, without the others that this process keeps."""
        try:
            return network(self._source, device, precision)
        except (RuntimeError, MemoryError) as error:
            if not ran_out(error):
                raise
        shelf.put_out(device)
        if device != "cpu":
            require_torch().cuda.empty_cache()
        return network(self._source, device, precision)


def first_line(error: BaseException) -> str:
    """What an error says first."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def steps(model: ModelSpec, device: str, precision: str, *, cpu_allowed: bool) -> Iterator[tuple[str, str]]:
    """Where to run, and in which precision, from what was asked for down."""
    devices = [device, "cpu"] if cpu_allowed and device != "cpu" else [device]
    for place in devices:
        first = choose_precision(precision if place == device else "auto", place, model)
        yield place, first
        if precision == "auto" and LIGHT in model.dtypes and BYTES[first] > BYTES[LIGHT]:
            yield place, LIGHT
