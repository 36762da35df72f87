"""The formats of ``data/file-read`` and ``data/file-write``: one reader and one writer each."""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..blocks.atomic import atomic_file
from ..core.errors import Code, RealmError

if TYPE_CHECKING:
    from .data import WriteParameters

PREVIEW_ROWS = 20
PREVIEW_CHARACTERS = 2000

_BY_SUFFIX = {
    ".json": "json",
    ".geojson": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".parquet": "parquet",
}


@dataclass(frozen=True, slots=True)
class Reading:
    """One file to read, and the limits. ``check`` raises when the node is cancelled."""

    path: Path
    name: str
    encoding: str
    delimiter: str
    header: bool
    limit: int | None
    max_bytes: int
    check: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Found:
    """What was read: ``data``, or its beginning when it is larger than the limit."""

    data: Any = None
    rows: int | None = None
    truncated: bool = False
    preview: Any = None


def format_of(name: str) -> str:
    """The format that a file name's extension says; ``text`` for all others.

    >>> format_of("a.NDJSON"), format_of("notes.md")
    ('jsonl', 'text')
    """
    return _BY_SUFFIX.get(Path(name).suffix.lower(), "text")


def _read_text(reading: Reading) -> Found:
    with _opened(reading) as file:
        # A character has at least one byte: one more than the limit decides.
        text = file.read(reading.max_bytes + 1)
    if len(text.encode(errors="replace")) > reading.max_bytes:
        return Found(truncated=True, preview=text[:PREVIEW_CHARACTERS])
    return Found(text)


def _read_json(reading: Reading) -> Found:
    text = _read_text(reading)
    if text.truncated:
        return text
    try:
        return Found(loads(text.data))
    except (ValueError, RecursionError) as error:
        raise RealmError(Code.INVALID_ARGUMENT, f"{reading.name} is not valid JSON: {error}") from None


def _read_jsonl(reading: Reading) -> Found:
    def rows() -> Iterator[Any]:
        with _opened(reading) as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                try:
                    yield loads(line)
                except (ValueError, RecursionError) as error:
                    raise RealmError(
                        Code.INVALID_ARGUMENT, f"{reading.name}, line {number}, is not valid JSON: {error}"
                    ) from None

    return _collected(rows(), reading)


def _read_csv(reading: Reading) -> Found:
    def rows() -> Iterator[Any]:
        with _opened(reading, newline="") as file:
            lines = csv.reader(file, delimiter=reading.delimiter, strict=True)
            columns: list[str] | None = None
            try:
                for cells in lines:
                    if not cells:
                        continue
                    if not reading.header:
                        yield cells
                    elif columns is None:
                        columns = _columns(cells, reading)
                    elif len(cells) != len(columns):
                        raise RealmError(
                            Code.INVALID_ARGUMENT,
                            f"{reading.name}, line {lines.line_num}: {len(cells)} cells under {len(columns)} columns",
                            hint="is it another delimiter? header: false takes rows of any length",
                        )
                    else:
                        yield dict(zip(columns, cells, strict=True))
            except csv.Error as error:
                raise RealmError(
                    Code.INVALID_ARGUMENT, f"{reading.name}, line {lines.line_num}, is not valid CSV: {error}"
                ) from None

    return _collected(rows(), reading)


def _columns(cells: list[str], reading: Reading) -> list[str]:
    doubled = sorted({name for name in cells if cells.count(name) > 1})
    if doubled:
        raise RealmError(
            Code.INVALID_ARGUMENT,
            f"{reading.name} has two columns named {doubled[0]!r}",
            hint="header: false takes the rows as lists",
        )
    return cells


def _read_parquet(reading: Reading) -> Found:
    parquet = _pyarrow("read").parquet

    def rows() -> Iterator[Any]:
        for batch in parquet.ParquetFile(reading.path).iter_batches(batch_size=1000):
            for row in batch.to_pylist():
                yield loads(json.dumps(row, default=str))

    return _collected(rows(), reading)


def _collected(rows: Iterator[Any], reading: Reading) -> Found:
    """All rows; or the first ones, as soon as they are too large together."""
    kept: list[Any] = []
    size = 2
    for row in rows:
        if reading.limit is not None and len(kept) >= reading.limit:
            break
        kept.append(row)
        size += len(json.dumps(row, ensure_ascii=False).encode(errors="replace")) + 1
        if size > reading.max_bytes:
            return Found(truncated=True, preview=_small(kept))
        if len(kept) % 1000 == 0:
            reading.check()
    return Found(kept, rows=len(kept))


def _small(rows: list[Any]) -> list[Any]:
    preview: list[Any] = []
    size = 0
    for row in rows[:PREVIEW_ROWS]:
        size += len(json.dumps(row))
        if size > PREVIEW_CHARACTERS * 10:
            break
        preview.append(row)
    return preview


def loads(text: str) -> Any:
    """JSON, strictly: NaN and infinity, which Python's reader takes, are refused. :class:`ValueError`."""
    return json.loads(text, parse_constant=_refuse)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _opened(reading: Reading, newline: str | None = None) -> io.TextIOWrapper:
    _check_encoding(reading.encoding)
    return reading.path.open(encoding=reading.encoding, newline=newline)


def _check_encoding(name: str) -> None:
    try:
        codecs.lookup(name)
    except LookupError:
        raise RealmError(
            Code.INVALID_ARGUMENT,
            f"{name!r} is not a character set",
            hint="for example utf-8, gb18030, latin-1",
        ) from None


def _write_json(data: Any, path: Path, parameters: WriteParameters) -> None:
    _write_text_file(
        path, parameters, [json.dumps(data, ensure_ascii=False, indent=parameters.indent, allow_nan=False)]
    )


def _write_jsonl(data: Any, path: Path, parameters: WriteParameters) -> int:
    rows = _rows(data, "jsonl")
    _write_text_file(
        path, parameters, (json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
    )
    return len(rows)


def _write_csv(data: Any, path: Path, parameters: WriteParameters) -> int:
    rows = _objects(data, "csv")
    columns = parameters.columns or list(dict.fromkeys(name for row in rows for name in row))

    def lines() -> Iterator[str]:
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, columns, delimiter=parameters.delimiter, extrasaction="ignore")
        writer.writeheader()
        for row in rows:
            writer.writerow({name: _cell(value) for name, value in row.items()})
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
        yield buffer.getvalue()

    _write_text_file(path, parameters, lines())
    return len(rows)


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list | bool) else value


def _write_text(data: Any, path: Path, parameters: WriteParameters) -> None:
    if not isinstance(data, str):
        raise RealmError(
            Code.INVALID_ARGUMENT,
            f"a text file takes text, not {type(data).__name__}",
            hint="format: json writes any value",
        )
    _write_text_file(path, parameters, [data])


def _write_parquet(data: Any, path: Path, parameters: WriteParameters) -> int:
    pyarrow = _pyarrow("write")
    rows = _objects(data, "parquet")
    with atomic_file(path, overwrite=parameters.overwrite) as file:
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), file)
    return len(rows)


def _write_text_file(path: Path, parameters: WriteParameters, pieces: Iterable[str]) -> None:
    _check_encoding(parameters.encoding)
    encoder = codecs.getincrementalencoder(parameters.encoding)()
    with atomic_file(path, overwrite=parameters.overwrite) as file:
        for piece in pieces:
            file.write(encoder.encode(piece))
        file.write(encoder.encode("", final=True))


def _rows(data: Any, format: str) -> list[Any]:
    if not isinstance(data, list):
        raise RealmError(
            Code.INVALID_ARGUMENT,
            f"{format} takes a list of rows, not {type(data).__name__}",
            hint="format: json writes any value",
        )
    return data


def _objects(data: Any, format: str) -> list[dict[str, Any]]:
    for index, row in enumerate(rows := _rows(data, format)):
        if not isinstance(row, Mapping):
            raise RealmError(
                Code.INVALID_ARGUMENT,
                f"{format} takes rows that are objects; row {index + 1} is {type(row).__name__}",
            )
    return rows


def _pyarrow(doing: str) -> Any:
    try:
        import pyarrow  # pyright: ignore[reportMissingImports]
        import pyarrow.parquet  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise RealmError(
            Code.FAILED_PRECONDITION,
            f"to {doing} Parquet, the Python package pyarrow must be installed on the worker",
            hint="pip install pyarrow, or use jsonl",
        ) from None
    return pyarrow


READERS: Mapping[str, Callable[[Reading], Found]] = {
    "csv": _read_csv,
    "json": _read_json,
    "jsonl": _read_jsonl,
    "parquet": _read_parquet,
    "text": _read_text,
}
WRITERS: Mapping[str, Callable[[Any, Path, WriteParameters], int | None]] = {
    "csv": _write_csv,
    "json": _write_json,
    "jsonl": _write_jsonl,
    "parquet": _write_parquet,
    "text": _write_text,
}
