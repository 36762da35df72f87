"""Settings: one model, read from ``MIRROR_REALM_*`` variables over ``realm.toml`` in the home folder.

Plain Pydantic rather than pydantic-settings, whose import alone costs a quarter of a second of every ``realm`` call.
"""

from __future__ import annotations

import os
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .errors import Code, RealmError

PREFIX = "MIRROR_REALM_"


class Settings(BaseModel):
    """Everything that can be configured. With nothing set, the platform runs embedded under ``home``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    home: Path = Field(default_factory=lambda: Path.home() / ".mirror-realm", description="Where state lives")
    database_url: str | None = Field(default=None, description="SQLAlchemy URL; default SQLite under home")
    artifacts: str | None = Field(default=None, description="Folder or s3://bucket/prefix for node outputs")
    roots: tuple[Path, ...] = Field(
        default=(),
        description="Folders that nodes may read and write files in; separated by the path separator",
    )
    objects: Path | None = Field(
        default=None, description="Folder that stands in for S3 when no endpoint is set"
    )
    s3_endpoint: str | None = Field(default=None, description="S3 or MinIO endpoint URL")
    s3_access_key: str | None = Field(default=None)
    s3_secret_key: str | None = Field(default=None, repr=False)
    s3_region: str = "us-east-1"
    models: Path | None = Field(default=None, description="Folder of model weights; default home/models")
    models_shared: str | None = Field(
        default=None, description="Folder or s3://bucket/prefix from which machines take model weights"
    )
    models_download: bool = Field(
        default=False, description="Whether nodes may fetch missing model weights from their publishers"
    )
    models_memory_mb: int = Field(
        default=0,
        ge=0,
        description="MiB of each device in which a process keeps models; 0 decides by the device",
    )
    models_idle: float = Field(
        default=600.0, ge=0, description="Seconds after which a model that nobody used is let go; 0: never"
    )
    torch_compile: bool = Field(
        default=False, description="Whether enhancing networks are compiled for each shape of tile"
    )
    dask_scheduler: str | None = Field(
        default=None, description="Address of a Dask scheduler; default a local cluster"
    )
    workers: int = Field(
        default=0, ge=0, description="CPU worker processes of the local cluster; 0 decides by cores"
    )
    max_payload_bytes: int = Field(
        default=1 << 20, ge=1024, description="Limit of one node's input or output JSON"
    )
    reuse: bool = Field(
        default=True, description="Whether media nodes give again what they gave for the same content"
    )
    max_pixels: int = Field(default=200_000_000, ge=1, description="Limit of a decoded image")
    python_allow: tuple[str, ...] = Field(
        default=(), description="Import prefixes that script/python may call"
    )
    http_allow: tuple[str, ...] = Field(
        default=(), description="Private hosts or networks that http/request may reach"
    )
    breaker_failures: int = Field(
        default=5, ge=0, description="Failures in a row after which a service is left alone; 0: never"
    )
    breaker_pause: float = Field(default=30.0, gt=0, description="Seconds for which it is left alone")
    reconcile_interval: float = Field(
        default=30.0, ge=1, description="Seconds between two passes of the reconciler under `realm serve`"
    )
    lease: float = Field(
        default=60.0,
        ge=15,
        description="Seconds without a sign of life after which a process elsewhere is taken for dead",
    )
    recovery_days: float = Field(
        default=7.0, gt=0, description="Days after which an instance that nobody carried on is failed"
    )
    nodes: tuple[str, ...] = Field(
        default=(), description="Importable modules with node types or models of your own"
    )
    env_allow: tuple[str, ...] = Field(
        default=(), description="Environment variables expressions may read as env.X"
    )

    @property
    def database(self) -> str:
        """The SQLAlchemy URL in force."""
        return self.database_url or f"sqlite:///{self.home / 'realm.db'}"

    @property
    def artifact_location(self) -> str:
        """The artifact folder or URL in force."""
        return self.artifacts or str(self.home / "artifacts")

    @property
    def object_folder(self) -> Path:
        """The folder in which each bucket is a subfolder, when no S3 endpoint is configured."""
        return self.objects or self.home / "objects"

    @property
    def model_folder(self) -> Path:
        """Where model weights are looked for."""
        return self.models or self.home / "models"

    @property
    def compiled_folder(self) -> Path:
        """Where the sources of registered workflows are written; importable as ``mirror_realm.flows.compiled``."""
        return self.home / "flows"


def load_settings(environ: dict[str, str] | None = None) -> Settings:
    """Settings from the environment over ``<home>/realm.toml``; INVALID_ARGUMENT names the bad variable."""
    variables = dict(os.environ) if environ is None else environ
    given: dict[str, Any] = {}
    for name, field in Settings.model_fields.items():
        if (text := variables.get(PREFIX + name.upper())) is not None and text != "":
            given[name] = _split(text, name) if "tuple" in str(field.annotation) else text
    home = Path(given.get("home") or Path.home() / ".mirror-realm").expanduser().absolute()
    file = home / "realm.toml"
    from_file: dict[str, Any] = {}
    if file.is_file():
        try:
            from_file = tomllib.loads(file.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise RealmError(Code.INVALID_ARGUMENT, f"{file} is not valid TOML: {error}") from None
    try:
        return Settings(**{**from_file, **given, "home": home})
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        source = PREFIX + name.upper() if name in given else f"{file}: {name}"
        raise RealmError(Code.INVALID_ARGUMENT, f"setting {source}: {first['msg']}") from None


def _split(text: str, name: str) -> tuple[str, ...]:
    separator = os.pathsep if name == "roots" else ","
    return tuple(part.strip() for part in text.split(separator) if part.strip())


@cache
def settings() -> Settings:
    """The process's settings, read once. Tests call ``settings.cache_clear()``."""
    return load_settings()
