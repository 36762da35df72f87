"""Where results are kept: object storage (S3, MinIO, or the folder that stands in for them) and plain
folders."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ..blocks.atomic import copy_atomically
from ..blocks.objectstore import LocalObjectStore, ObjectStore, StoredObject, open_object_store
from ..core.errors import Code, RealmError
from ..core.references import FileRef, ImageRef, file_uri, local_path
from ..core.resources import Resources
from .artifacts import sha256_file
from .context import NodeContext
from .path_template import FIELDS, check_template, expand, with_suffix
from .sdk import Effects, Once, node_type
from .storage_delete import delete
from .storage_list import list_files
from .storage_trash import restore, trash

__all__ = ["delete", "list_files", "local", "minio", "restore", "s3", "trash"]

OnConflict = Literal["rename", "overwrite", "fail", "skip"]

_TEMPLATE: str = Field(
    default="{filename}",
    min_length=1,
    description="Path of each file. Fields: "
    + ", ".join(f"{{{name}}}" for name in FIELDS)
    + ". Times are those of the picture's captured_at as it stands (the camera's clock), else now in UTC",
)
_CONFLICT: Any = Field(
    default="rename",
    description="When the path is taken by other bytes: `rename` adds -{sha8}, `overwrite` replaces them, `fail` is an "
    "error, `skip` keeps them. The same bytes are never stored twice",
)
_SIDECAR = Field(
    default=False,
    description="Also store the other input fields (the analysis) as path + `.json` beside the file",
)


class ObjectParameters(BaseModel):
    """Parameters of storage/minio and storage/s3."""

    model_config = ConfigDict(extra="forbid")

    bucket: str = Field(
        min_length=1, description="Bucket; with no endpoint configured, a folder of that name"
    )
    path_template: str = _TEMPLATE
    metadata: dict[str, str] = Field(default_factory=dict, description="Metadata to store with each object")
    content_type: str | None = Field(default=None, description="MIME type; default that of the file")
    on_conflict: OnConflict = _CONFLICT
    include_metadata: bool = _SIDECAR
    create_bucket: bool = Field(default=True, description="Create the bucket when it is missing")
    timeout: float = Field(
        default=30.0, gt=0, description="Seconds that the server may keep one request waiting"
    )

    _checked = field_validator("path_template")(check_template)


class FolderParameters(BaseModel):
    """Parameters of storage/local."""

    model_config = ConfigDict(extra="forbid")

    folder: str = Field(min_length=1, description="Folder to store in; it must lie inside the allowed roots")
    path_template: str = _TEMPLATE
    on_conflict: OnConflict = _CONFLICT
    include_metadata: bool = _SIDECAR

    _checked = field_validator("path_template")(check_template)


class StorageInput(BaseModel):
    """What to store: an image, a file, or several files. Other fields are welcome: they are the analysis."""

    model_config = ConfigDict(extra="allow")

    image: ImageRef | None = Field(default=None, description="The image to store")
    file: FileRef | None = Field(default=None, description="The file to store, where there is no image")
    files: list[ImageRef | FileRef] = Field(default_factory=list, description="More files or images to store")


class ArchivedObject(BaseModel):
    """One stored file."""

    uri: str = Field(description="Where it is: s3://bucket/key or file:///…")
    key: str = Field(description="Its path in the bucket or folder")
    size: int = Field(description="Bytes")
    sha256: str = Field(description="Digest of the bytes")
    created: bool = Field(description="False when the same bytes were there already")


class StorageOutput(BaseModel):
    """Where the file went (the first one, when there are several; `objects` lists all)."""

    uri: str = Field(description="Where it is: s3://bucket/key or file:///…")
    bucket: str | None = Field(default=None, description="The bucket")
    key: str = Field(description="The path in the bucket or folder")
    size: int = Field(description="Bytes")
    sha256: str = Field(description="Digest of the bytes")
    backend: str = Field(
        description="s3, or local-folder where a folder stands in for it, or folder (storage/local)"
    )
    created: bool = Field(description="False when the same bytes were there already")
    archived_path: str | None = Field(default=None, description="Path on this machine, where it is one")
    metadata_uri: str | None = Field(default=None, description="The JSON beside it, with include_metadata")
    note: str | None = Field(default=None, description="What a reader should know about where it went")
    objects: list[ArchivedObject] = Field(default_factory=list, description="Every stored file")
    image: ImageRef | None = Field(default=None, description="The image of the input, unchanged")


def archive(parameters: ObjectParameters, input: StorageInput, context: NodeContext) -> StorageOutput:
    """Store files in object storage: S3 or MinIO.

    The endpoint and its keys come from the settings (`MIRROR_REALM_S3_ENDPOINT` …). With none configured, a
    folder stands in (`MIRROR_REALM_OBJECTS`, each bucket a subfolder), and the output says `backend:
    local-folder`.

    Each upload is verified by its sha256; a failed one leaves no half object. Storing the same bytes again
    changes nothing.
    """
    store = open_object_store(
        context.settings, create_buckets=parameters.create_bucket, timeout=parameters.timeout
    )

    def put(key: str, path: Path, sha256: str, media_type: str, overwrite: bool) -> StoredObject:
        return store.put_file(
            parameters.bucket,
            key,
            path,
            sha256=sha256,
            media_type=media_type,
            metadata=parameters.metadata,
            overwrite=overwrite,
        )

    def head(key: str) -> StoredObject | None:
        return store.head(parameters.bucket, key)

    output = _store_all(parameters, input, context, put, head, parameters.content_type)
    output.bucket = parameters.bucket
    output.backend = store.kind
    _tell_stand_in(store, output)
    return output


def _bucket_effects(parameters: ObjectParameters, input: Any) -> Effects:
    return _stores(parameters.on_conflict, f"object.{parameters.bucket}/{parameters.path_template}")


def _folder_effects(parameters: FolderParameters, input: Any) -> Effects:
    return _stores(parameters.on_conflict, f"file.{parameters.folder}/{parameters.path_template}")


def _stores(on_conflict: OnConflict, name: str) -> Effects:
    """With `rename` nobody's file is lost, whoever comes first."""
    return Effects(adds=[name]) if on_conflict == "rename" else Effects(writes=[name])


def _without_sidecar(parameters: Mapping[str, Any]) -> bool:
    """Whether only the picture is stored, and nothing of what other nodes found out about it."""
    return not parameters.get("include_metadata")


_DECLARATION: dict[str, Any] = {
    "version": "1.0.0",
    "resources": Resources(cpu_millis=500, memory_mb=256),
    "idempotent": True,
    "side_effects": True,
    "effects": _bucket_effects,
    "timeout": 600.0,
    "service": lambda parameters: ("object store", str(parameters.get("bucket", ""))),
    "once": Once(when=_without_sidecar),
}

minio = node_type("storage/minio", **_DECLARATION)(archive)
s3 = node_type("storage/s3", **_DECLARATION)(archive)


@node_type(
    "storage/local",
    version="1.0.0",
    resources=Resources(cpu_millis=500, memory_mb=128),
    idempotent=True,
    side_effects=True,
    effects=_folder_effects,
    timeout=600.0,
    service=lambda parameters: ("folder", str(parameters.get("folder", ""))),
    once=Once(when=_without_sidecar),
)
def local(parameters: FolderParameters, input: StorageInput, context: NodeContext) -> StorageOutput:
    """Store files in a folder of this machine, or of a NAS that is mounted on it.

    The folder must lie inside the allowed roots. A file is there completely or not at all, and on the disk
    when the node ends.
    """
    root = Path(parameters.folder)

    def put(key: str, path: Path, sha256: str, media_type: str, overwrite: bool) -> StoredObject:
        target = context.writable(root / key)
        copy_atomically(path, target, sha256=sha256, overwrite=overwrite)
        return StoredObject(file_uri(target), path.stat().st_size, sha256)

    def head(key: str) -> StoredObject | None:
        target = context.writable(root / key)
        if not target.is_file():
            return None
        return StoredObject(file_uri(target), target.stat().st_size, sha256_file(target), created=False)

    output = _store_all(parameters, input, context, put, head, None)
    output.backend = "folder"
    output.archived_path = str(local_path(output.uri))
    return output


Put = Callable[[str, Path, str, str, bool], StoredObject]
Head = Callable[[str], StoredObject | None]


def _store_all(
    parameters: ObjectParameters | FolderParameters,
    input: StorageInput,
    context: NodeContext,
    put: Put,
    head: Head,
    content_type: str | None,
) -> StorageOutput:
    references = [reference for reference in (input.image, input.file, *input.files) if reference is not None]
    if not references:
        given = ", ".join(input.model_extra or {}) or "nothing"
        raise RealmError(
            Code.INVALID_ARGUMENT,
            f"there is nothing to store: the input has neither image nor file nor files (it has {given})",
            hint="map it, for example with input: {file: '{{ nodes.write.file }}'}",
        )
    stored: list[ArchivedObject] = []
    for index, reference in enumerate(references):
        context.check_canceled()
        context.progress(index / len(references), reference.name)
        path = context.artifacts.fetch(reference, context.workdir)
        key = expand(parameters.path_template, reference)
        media_type = content_type or reference.media_type
        key, found = _place(key, path, reference.sha256, media_type, parameters.on_conflict, put, head)
        stored.append(
            ArchivedObject(
                uri=found.uri, key=key, size=found.size, sha256=found.sha256, created=found.created
            )
        )
    first = stored[0]
    output = StorageOutput(**first.model_dump(), backend="", objects=stored, image=input.image)
    if parameters.include_metadata and input.model_extra:
        output.metadata_uri = _store_sidecar(first.key, input.model_extra, context, put)
    return output


def _place(
    key: str, path: Path, sha256: str, media_type: str, on_conflict: OnConflict, put: Put, head: Head
) -> tuple[str, StoredObject]:
    """Store under ``key`` or, where other bytes are there, as ``on_conflict`` says. Also right when two nodes
    race."""
    for candidate in (key, with_suffix(key, sha256[:8]), with_suffix(key, sha256)):
        found = head(candidate)
        if found is not None and found.sha256 == sha256:
            return candidate, _kept(found)
        if found is not None and on_conflict == "skip":
            return candidate, _kept(found)
        if found is None or on_conflict == "overwrite":
            try:
                return candidate, put(candidate, path, sha256, media_type, on_conflict == "overwrite")
            except RealmError as error:
                if error.code is not Code.ALREADY_EXISTS:
                    raise
                if (now := head(candidate)) is not None and (now.sha256 == sha256 or on_conflict == "skip"):
                    return candidate, _kept(now)
        if on_conflict == "fail":
            break
    raise RealmError(
        Code.ALREADY_EXISTS,
        f"{key} is taken by other bytes",
        hint="use on_conflict: rename, or a path_template with {sha8}",
        details={"key": key},
    )


def _kept(found: StoredObject) -> StoredObject:
    return StoredObject(found.uri, found.size, found.sha256, False, found.version, found.metadata)


def _store_sidecar(key: str, fields: dict[str, Any], context: NodeContext, put: Put) -> str:
    path = context.workdir / "metadata.json"
    path.write_text(
        json.dumps(fields, ensure_ascii=False, indent=1, sort_keys=True, default=str), encoding="utf-8"
    )
    return put(with_json(key), path, sha256_file(path), "application/json", True).uri


def with_json(key: str) -> str:
    """The key of the JSON beside ``key``; the name is cut where the two would be too long."""
    folder, slash, name = key.rpartition("/")
    return f"{folder}{slash}{name.encode()[:250].decode(errors='ignore')}.json"


def _tell_stand_in(store: ObjectStore, output: StorageOutput) -> None:
    if isinstance(store, LocalObjectStore):
        output.archived_path = str(local_path(output.uri))
        output.note = (
            f"no S3 endpoint is configured (MIRROR_REALM_S3_ENDPOINT): stored in {store.folder} instead"
        )
