"""Prefect block: the Dask cluster that nodes run on."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from prefect.blocks.core import Block
from pydantic import Field

from ..core.errors import Code, RealmError
from ..core.settings import Settings

if TYPE_CHECKING:
    from distributed import Client


class DaskCluster(Block):
    """A Dask scheduler by its address, or an embedded cluster of so many workers."""

    _block_type_name: ClassVar[str | None] = "Mirror Realm Dask cluster"
    _block_type_slug: ClassVar[str | None] = "mirror-realm-dask-cluster"
    _description: ClassVar[str | None] = "The Dask cluster that nodes run on."
    _code_example: ClassVar[str | None] = (
        "```python\nfrom mirror_realm.blocks.cluster import DaskCluster\n\n"
        'with DaskCluster.load("gpu-hall").connect() as client:\n'
        "    print(client.nthreads())\n```"
    )

    address: str | None = Field(
        default=None,
        description="The scheduler's address; empty for an embedded cluster",
        examples=["tcp://host:8786"],
    )
    workers: int = Field(
        default=0, ge=0, description="CPU workers of the embedded cluster; 0 decides by cores"
    )

    def connect(self, timeout: float = 10.0) -> Client:
        """A client of the scheduler, to be closed by the caller. UNAVAILABLE when it does not answer within
        ``timeout`` seconds, FAILED_PRECONDITION without an address."""
        if self.address is None:
            raise RealmError(
                Code.FAILED_PRECONDITION,
                "this block names no scheduler: the embedded cluster lives with the process that starts it",
                hint="realm serve starts one; or set the block's address",
            )
        from distributed import Client

        try:
            return Client(self.address, timeout=timeout, set_as_default=False)
        except OSError as error:  # includes TimeoutError
            raise RealmError(
                Code.UNAVAILABLE, f"no Dask scheduler answers at {self.address}: {error}"
            ) from error

    def apply(self, base: Settings) -> Settings:
        """``base`` with this cluster."""
        return base.model_copy(update={"dask_scheduler": self.address, "workers": self.workers})
