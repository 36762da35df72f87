"""Prefect block: where objects are kept."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Self

from prefect.blocks.core import Block
from pydantic import Field, SecretStr, model_validator

from ..core.settings import Settings, settings
from .objectstore import LocalObjectStore, ObjectStore, open_s3


class ObjectStorage(Block):
    """S3 or MinIO by its endpoint, or a folder that stands in for one."""

    _block_type_name: ClassVar[str | None] = "Mirror Realm object storage"
    _block_type_slug: ClassVar[str | None] = "mirror-realm-object-storage"
    _description: ClassVar[str | None] = (
        "The object store that media are archived in: S3, MinIO, or a folder."
    )
    _code_example: ClassVar[str | None] = (
        "```python\nfrom mirror_realm.blocks.storage import ObjectStorage\n\n"
        'store = ObjectStorage.load("archive").open()\n'
        'store.head("photos", "2026/11/IMG_1234.jpg")\n```'
    )

    endpoint: str | None = Field(
        default=None,
        description="URL of an S3 or MinIO server",
        examples=["https://s3.eu-central-1.amazonaws.com"],
    )
    folder: Path | None = Field(default=None, description="A folder in the place of a server")
    bucket: str | None = Field(default=None, description="The bucket for whoever names none")
    region: str = Field(default="us-east-1", description="The server's region")
    access_key: SecretStr | None = Field(default=None, description="Empty: boto3's own chain of credentials")
    secret_key: SecretStr | None = Field(default=None, description="The access key's secret")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.endpoint is None) == (self.folder is None):
            raise ValueError("give an endpoint or a folder")
        if (self.access_key is None) != (self.secret_key is None):
            raise ValueError("give the access key and the secret key, or neither")
        return self

    def open(self) -> ObjectStore:
        """The store, ready to use."""
        if self.folder is not None:
            return LocalObjectStore(self.folder)
        return open_s3(self.apply(settings()))

    def apply(self, base: Settings) -> Settings:
        """``base`` with this object store."""
        return base.model_copy(
            update={
                "objects": self.folder or base.objects,
                "s3_endpoint": self.endpoint,
                "s3_access_key": self.access_key and self.access_key.get_secret_value(),
                "s3_secret_key": self.secret_key and self.secret_key.get_secret_value(),
                "s3_region": self.region,
            }
        )
