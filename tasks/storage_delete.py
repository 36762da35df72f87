"""Taking back what was stored: the step that undoes a storage node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ..blocks.objectstore import open_object_store, open_s3
from ..core.errors import Code, RealmError
from ..core.references import local_path
from ..core.resources import Resources
from .context import NodeContext
from .sdk import Effects, node_type


class DeleteParameters(BaseModel):
    """What to delete."""

    model_config = ConfigDict(extra="forbid")

    only_created: bool = Field(
        default=True, description="Leave objects of the input that were there before (`created: false`)"
    )
    missing: str = Field(
        default="ignore", pattern="^(ignore|fail)$", description="ignore, or fail when there is none"
    )


class Stored(BaseModel):
    """An object of the input."""

    model_config = ConfigDict(extra="ignore")

    uri: str
    created: bool = True


class DeleteInput(BaseModel):
    """What a storage node gave; or the URI of one object."""

    model_config = ConfigDict(extra="ignore")

    uri: str | None = Field(default=None, description="s3://bucket/key or file:///…")
    created: bool = Field(default=True, description="Whether the object at `uri` is new")
    objects: list[Stored] = Field(default_factory=list, description="Several objects")
    metadata_uri: str | None = Field(default=None, description="The JSON beside the object")


class DeleteOutput(BaseModel):
    """What became of each."""

    deleted: list[str] = Field(description="URIs that are gone now")
    missing: list[str] = Field(description="URIs where nothing was")
    kept: list[str] = Field(description="URIs that were there before, and stay")


@node_type(
    "storage/delete",
    version="1.0.0",
    resources=Resources(cpu_millis=100, memory_mb=128),
    idempotent=True,
    side_effects=True,
    effects=lambda parameters, input: Effects(writes=[f"object.{getattr(input, 'uri', None) or '*'}"]),
    timeout=300.0,
)
def delete(parameters: DeleteParameters, input: DeleteInput, context: NodeContext) -> DeleteOutput:
    """Delete stored objects: the `compensate` of `storage/minio`, `storage/s3` and `storage/local`.

    Takes the output of such a node as it is, and leaves what was there before that node ran. Artifacts are never
    deleted: other results may refer to the same bytes.
    """
    found = {one.uri: one.created for one in input.objects}
    if input.uri is not None:
        found.setdefault(input.uri, input.created)
    if input.metadata_uri is not None and any(found.values()):
        found.setdefault(input.metadata_uri, True)
    if not found:
        raise RealmError(
            Code.INVALID_ARGUMENT,
            "there is nothing to delete: the input has neither uri nor objects",
            hint="give it a storage node's output, or input: {uri: …}",
        )
    output = DeleteOutput(deleted=[], missing=[], kept=[])
    for uri, created in found.items():
        context.check_canceled()
        if parameters.only_created and not created:
            output.kept.append(uri)
        elif _remove(uri, context):
            output.deleted.append(uri)
        elif parameters.missing == "fail":
            raise RealmError(Code.NOT_FOUND, f"there is no object {uri}")
        else:
            output.missing.append(uri)
    return output


def _remove(uri: str, context: NodeContext) -> bool:
    if uri.startswith("s3://"):
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        _refuse_artifact(uri.startswith(f"{context.settings.artifact_location.rstrip('/')}/"), uri)
        return open_s3(context.settings).delete(bucket, key)
    path = local_path(uri).resolve()
    if not context.settings.artifact_location.startswith("s3://"):
        artifacts = Path(context.settings.artifact_location).expanduser().resolve()
        _refuse_artifact(path.is_relative_to(artifacts), uri)
    folder = context.settings.object_folder.resolve()
    if path.is_relative_to(folder) and context.settings.s3_endpoint is None:
        bucket, *parts = path.relative_to(folder).parts
        store: Any = open_object_store(context.settings)
        return store.delete(bucket, "/".join(parts))
    target = context.writable(path)
    if not target.is_file():
        return False
    target.unlink()
    return True


def _refuse_artifact(is_one: bool, uri: str) -> None:
    if is_one:
        raise RealmError(
            Code.PERMISSION_DENIED,
            f"{uri} is an artifact, which other results may refer to",
            hint="delete what a storage node has stored",
        )
