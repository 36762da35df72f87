"""Files of data: read them into a workflow, write them from it. JSON, JSON lines, CSV, text, and Parquet with
pyarrow."""

from __future__ import annotations

import mimetypes
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from ..core.errors import Code, RealmError
from ..core.references import FileRef, file_uri
from ..core.resources import Resources
from .artifacts import sha256_file
from .context import NodeContext
from .data_formats import READERS, WRITERS, Reading, format_of
from .data_transform import transform
from .sdk import Effects, node_type

__all__ = ["read", "transform", "write"]

Format = Literal["auto", "json", "jsonl", "csv", "text", "parquet"]

_FORMAT: Any = Field(
    default="auto", description="The format; auto goes by the extension, and takes others for text"
)
_ENCODING: Any = Field(
    default="utf-8", description="Character set; utf-8 also takes the mark that Windows puts first"
)


class ReadParameters(BaseModel):
    """Which file, and how to read it."""

    model_config = ConfigDict(extra="forbid")

    path: str | None = Field(
        default=None, description="The file, inside the allowed roots; default the input's `file`"
    )
    format: Format = _FORMAT
    encoding: str = _ENCODING
    delimiter: str = Field(default=",", min_length=1, max_length=1, description="Between the fields of CSV")
    header: bool = Field(default=True, description="Whether the first line of CSV names the columns")
    limit: int | None = Field(
        default=None, ge=1, description="Read at most this many rows (jsonl, csv, parquet)"
    )


class ReadInput(BaseModel):
    """The file, where the parameters do not name it."""

    model_config = ConfigDict(extra="allow")

    file: FileRef | None = Field(default=None, description="A file of an earlier node")


class ReadOutput(BaseModel):
    """The data; or, where it is too large for a payload, its beginning and the file."""

    data: Any = Field(default=None, description="The JSON value, the rows, or the text; null when too large")
    format: str = Field(description="The format that was read")
    rows: int | None = Field(default=None, description="How many rows `data` has (jsonl, csv, parquet)")
    truncated: bool = Field(default=False, description="True when `data` is left out because it is too large")
    preview: Any = Field(default=None, description="The beginning, when the data is too large")
    file: FileRef | None = Field(default=None, description="The file, when the data is too large")


@node_type(
    "data/file-read",
    version="1.0.0",
    resources=Resources(cpu_millis=500, memory_mb=512),
    idempotent=True,
    effects=lambda parameters, input: Effects(reads=[f"file.{parameters.path}"] if parameters.path else []),
)
def read(parameters: ReadParameters, input: ReadInput, context: NodeContext) -> ReadOutput:
    """Read a file of data. CSV cells are text; everything else keeps its JSON type.

    Data that does not fit into a payload is not loaded: the output then has its beginning as `preview`, and a
    reference to the whole as `file`.
    """
    if parameters.path is None and input.file is None:
        raise RealmError(
            Code.INVALID_ARGUMENT,
            "there is no file to read: give the parameter `path`, or `file` in the input",
        )
    if parameters.path is not None:
        path = context.readable(parameters.path)
        name = path.name
    else:
        assert input.file is not None
        path, name = context.artifacts.fetch(input.file, context.workdir), input.file.name
    format = format_of(name) if parameters.format == "auto" else parameters.format
    reading = Reading(
        path=path,
        name=name,
        encoding=_python_encoding(parameters.encoding),
        delimiter=parameters.delimiter,
        header=parameters.header,
        limit=parameters.limit,
        # Half, since the JSON form of text can be larger than the text, and the output has other fields.
        max_bytes=context.settings.max_payload_bytes // 2,
        check=context.check_canceled,
    )
    found = READERS[format](reading)
    output = ReadOutput(data=found.data, format=format, rows=found.rows)
    if found.truncated:
        reference = input.file if parameters.path is None else None
        output.truncated, output.preview = True, found.preview
        output.file = reference or context.artifacts.put(path, name=name, media_type=_media_type(name))
    return output


class WriteParameters(BaseModel):
    """Which file, and what goes into it."""

    model_config = ConfigDict(extra="forbid")

    path: str = Field(min_length=1, description="The file, inside the allowed roots; its folder is made")
    data: JsonValue = Field(
        default=None, description="What to write; default the input's `data`, else the whole input"
    )
    format: Format = _FORMAT
    encoding: str = Field(
        default="utf-8", description="Character set; utf-8-sig for programs that want the mark"
    )
    delimiter: str = Field(default=",", min_length=1, max_length=1, description="Between the fields of CSV")
    columns: list[str] | None = Field(
        default=None, description="Columns of CSV, in order; default all, as they come"
    )
    indent: int | None = Field(default=2, ge=0, le=8, description="Indentation of JSON; null writes one line")
    overwrite: bool = Field(default=True, description="Replace a file that is there; else ALREADY_EXISTS")


class WriteInput(BaseModel):
    """What to write, where the parameters do not say it."""

    model_config = ConfigDict(extra="allow")

    data: Any = Field(default=None, description="What to write")


class WriteOutput(BaseModel):
    """The written file."""

    file: FileRef = Field(description="The file")
    path: str = Field(description="Where it is on this machine")
    format: str = Field(description="The format that was written")
    rows: int | None = Field(default=None, description="How many rows it has (jsonl, csv, parquet)")


@node_type(
    "data/file-write",
    version="1.0.0",
    resources=Resources(cpu_millis=500, memory_mb=512),
    idempotent=True,
    side_effects=True,
    effects=lambda parameters, input: Effects(writes=[f"file.{parameters.path}"]),
)
def write(parameters: WriteParameters, input: WriteInput, context: NodeContext) -> WriteOutput:
    """Write data to a file: completely or not at all, and on the disk when the node ends.

    JSON takes any value; JSON lines, CSV and Parquet take a list (CSV and Parquet of objects); text takes
    text.
    """
    data = parameters.data if parameters.data is not None else input.data
    if data is None and "data" not in input.model_fields_set:
        data = dict(input.model_extra or {})
    path = context.writable(parameters.path)
    if path.is_dir():
        raise RealmError(Code.INVALID_ARGUMENT, f"{path} is a folder", hint="name a file in it")
    format = format_of(path.name) if parameters.format == "auto" else parameters.format
    rows = WRITERS[format](data, path, parameters)
    reference = FileRef(
        uri=file_uri(path),
        sha256=sha256_file(path),
        size=path.stat().st_size,
        media_type=_media_type(path.name),
        name=path.name,
    )
    return WriteOutput(file=reference, path=str(path), format=format, rows=rows)


def _python_encoding(name: str) -> str:
    return "utf-8-sig" if name.lower().replace("_", "-") in ("utf-8", "utf8") else name


def _media_type(name: str) -> str:
    known = {".jsonl": "application/x-ndjson", ".parquet": "application/vnd.apache.parquet"}
    suffix = Path(name).suffix.lower()
    return known.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
