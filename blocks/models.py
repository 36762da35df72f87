"""Prefect block: where model weights lie."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import ClassVar

from prefect.blocks.core import Block
from pydantic import Field

from ..core.errors import Code, RealmError
from ..core.settings import Settings


class ModelRegistry(Block):
    """A folder of model weights, and the URLs that they can be fetched from by whoever fills it."""

    _block_type_name: ClassVar[str | None] = "Mirror Realm model registry"
    _block_type_slug: ClassVar[str | None] = "mirror-realm-model-registry"
    _description: ClassVar[str | None] = "The folder of model weights, and where they come from."
    _code_example: ClassVar[str | None] = (
        "```python\nfrom mirror_realm.blocks.models import ModelRegistry\n\n"
        'weights = ModelRegistry.load("weights").find("RealESRGAN_x4plus.pth")\n```'
    )

    folder: Path = Field(description="The folder that holds the files, on every machine with workers")
    shared: str | None = Field(
        default=None, description="Folder or s3://bucket/prefix from which machines take missing files"
    )
    urls: list[str] = Field(default_factory=list, description="Where the files can be fetched from")

    def find(self, name: str) -> Path:
        """The file ``name`` in the folder; NOT_FOUND says what is near, or where it can be fetched."""
        path = self.folder / name
        if path.is_file() and path.resolve().is_relative_to(self.folder.resolve()):
            return path
        there = sorted(one.name for one in self.folder.glob("*") if one.is_file())
        sources = [url for url in self.urls if url.partition("?")[0].endswith("/" + name)]
        close = difflib.get_close_matches(name, there, n=3)
        hint = f"put it there from {sources[0]}" if sources else "put the file there"
        if close:
            hint = f"did you mean {' or '.join(close)}?"
        raise RealmError(Code.NOT_FOUND, f"there is no model {name!r} in {self.folder}", hint=hint)

    def apply(self, base: Settings) -> Settings:
        """``base`` with this folder of models."""
        return base.model_copy(
            update={"models": self.folder, "models_shared": self.shared or base.models_shared}
        )
