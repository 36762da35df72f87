"""Pictures as vectors: the record of which every search index is only a copy.

A *space* holds the embeddings of one model in one project. Each change of a space gets the next *generation*, under
the lock of the space's row, so that whoever knows generation g needs only the rows after g. A new model gets a space
beside the old one and takes its place when it is complete.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select, update

from ..core.errors import Code, RealmError
from ..core.ids import new_id
from .engine import Database
from .media_analysis_models import LIVING, MediaEmbeddingRow, MediaSpaceRow
from .media_models import MediaFileRow
from .models import DEFAULT_PROJECT
from .records import Shape
from .types import moment
from .upsert import insert

BYTES_PER_NUMBER = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """The embeddings of one model in one project; status is building, active or retired."""

    id: str
    project_id: str
    model: str
    dimension: int
    status: str
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEmbedding:
    """A picture's vector, little-endian float32, and what a person knows the picture by."""

    sha256: str
    vector: bytes
    source_sha256: str
    name: str
    uri: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedding:
    """A picture's vector as recorded. ``vector`` is ``None`` for one that was deleted."""

    id: int
    space_id: str
    sha256: str
    source_sha256: str
    name: str
    uri: str
    generation: int
    vector: bytes | None
    created_at: datetime
    deleted_at: datetime | None


_space = Shape(Space, MediaSpaceRow)
_embedding = Shape(Embedding, MediaEmbeddingRow)


class MediaVectors:
    """Spaces and their embeddings."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open_space(self, model: str, dimension: int, *, project: str = DEFAULT_PROJECT) -> Space:
        """The space of ``model``, made where there is none: active if it is the project's first, else building.

        FAILED_PRECONDITION when the model has another dimension there.
        """
        now = moment()
        with self._database.write() as connection:
            if (space := _find(connection, project, model)) is None:
                active = select(MediaSpaceRow.id).where(
                    MediaSpaceRow.project_id == project, MediaSpaceRow.status == "active"
                )
                first = connection.execute(active).first() is None
                for status in ("active", "building") if first else ("building",):
                    made = (
                        insert(connection, MediaSpaceRow)
                        .values(
                            id=new_id("space"),
                            project_id=project,
                            model=model,
                            dimension=dimension,
                            status=status,
                            generation=0,
                            created_at=now,
                            updated_at=now,
                        )
                        .on_conflict_do_nothing()  # another process made it, or another model became the first
                    )
                    connection.execute(made)
                space = _find(connection, project, model)
                assert space is not None
        if space.dimension != dimension:
            raise RealmError(
                Code.FAILED_PRECONDITION,
                f"{model} has {space.dimension} dimensions in this library, not {dimension}",
                hint="a model that changed needs another name",
            )
        return space

    def space(self, model: str | None = None, *, project: str = DEFAULT_PROJECT) -> Space | None:
        """The space of ``model``, or the active one."""
        with self._database.read() as connection:
            return _find(connection, project, model)

    def spaces(self, *, project: str = DEFAULT_PROJECT) -> list[Space]:
        """All spaces of a project, the active one first."""
        statement = select(*_space.columns).where(MediaSpaceRow.project_id == project)
        with self._database.read() as connection:
            found = connection.execute(statement.order_by(MediaSpaceRow.status, MediaSpaceRow.created_at))
            return [_space(row) for row in found]

    def activate(self, space_id: str) -> Space:
        """Let this space answer searches, in the place of the one that did until now."""
        now = moment()
        with self._database.write() as connection:
            space = _by_id(connection, space_id)
            others = update(MediaSpaceRow).where(
                MediaSpaceRow.project_id == space.project_id,
                MediaSpaceRow.status == "active",
                MediaSpaceRow.id != space_id,
            )
            connection.execute(others.values(status="retired", updated_at=now))
            this = update(MediaSpaceRow).where(MediaSpaceRow.id == space_id)
            connection.execute(this.values(status="active", updated_at=now))
            return _by_id(connection, space_id)

    def add(self, space_id: str, embeddings: Iterable[NewEmbedding]) -> int:
        """Record embeddings, and return how many were new. A content that is there stays as it is.

        INVALID_ARGUMENT when a vector has another dimension than the space.
        """
        wanted = {each.sha256: each for each in embeddings}
        if not wanted:
            return 0
        now = moment()
        with self._database.write() as connection:
            space = _next_generation(connection, space_id)
            for each in wanted.values():
                if (found := len(each.vector) // BYTES_PER_NUMBER) != space.dimension:
                    raise RealmError(
                        Code.INVALID_ARGUMENT,
                        f"the vector of {each.name} has {found} numbers, not {space.dimension}",
                    )
            rows = [
                {
                    "space_id": space_id,
                    "sha256": each.sha256,
                    "source_sha256": each.source_sha256,
                    "name": each.name[-255:],
                    "uri": each.uri,
                    "generation": space.generation,
                    "vector": each.vector,
                    "created_at": now,
                }
                for each in wanted.values()
            ]
            statement = insert(connection, MediaEmbeddingRow).on_conflict_do_nothing(
                index_elements=["space_id", "sha256"], index_where=LIVING
            )
            connection.execute(statement, rows)
            added = select(func.count()).where(
                MediaEmbeddingRow.space_id == space_id, MediaEmbeddingRow.generation == space.generation
            )
            return connection.execute(added).scalar_one()

    def remove(self, space_id: str, contents: Sequence[str]) -> int:
        """Delete the vectors of ``contents`` (sha256 of the pictures or of their originals); how many there were."""
        row = MediaEmbeddingRow
        with self._database.write() as connection:
            space = _next_generation(connection, space_id)
            statement = update(row).where(
                row.space_id == space_id,
                row.deleted_at.is_(None),
                row.sha256.in_(contents) | row.source_sha256.in_(contents),
            )
            changes = {"vector": None, "deleted_at": moment(), "generation": space.generation}
            return connection.execute(statement.values(**changes)).rowcount

    def get(self, space_id: str, sha256: str) -> Embedding | None:
        """The living embedding of a content."""
        row = MediaEmbeddingRow
        statement = select(*_embedding.columns).where(
            row.space_id == space_id, row.sha256 == sha256, row.deleted_at.is_(None)
        )
        with self._database.read() as connection:
            found = connection.execute(statement).one_or_none()
        return None if found is None else _embedding(found)

    def find(self, space_id: str, content: str) -> Embedding | None:
        """The living embedding of a content, else one of what was made from it: the newest."""
        if (own := self.get(space_id, content)) is not None:
            return own
        row = MediaEmbeddingRow
        statement = select(*_embedding.columns).where(
            row.space_id == space_id, row.source_sha256 == content, row.deleted_at.is_(None)
        )
        with self._database.read() as connection:
            found = connection.execute(statement.order_by(row.id.desc()).limit(1)).one_or_none()
        return None if found is None else _embedding(found)

    def by_ids(self, space_id: str, ids: Sequence[int]) -> dict[int, Embedding]:
        """The living embeddings with ``ids``, by id."""
        row = MediaEmbeddingRow
        statement = select(*_embedding.columns).where(
            row.space_id == space_id, row.id.in_(ids), row.deleted_at.is_(None)
        )
        with self._database.read() as connection:
            return {found.id: found for found in map(_embedding, connection.execute(statement))}

    def changes(self, space_id: str, after: int, *, limit: int = 10_000) -> list[Embedding]:
        """Rows of generations beyond ``after``, in their order, deleted ones included; the first ``limit`` of them,
        and the rest of the last generation."""
        row = MediaEmbeddingRow
        statement = select(*_embedding.columns).where(row.space_id == space_id, row.generation > after)
        ordered = statement.order_by(row.generation, row.id)
        with self._database.read() as connection:
            found = [_embedding(each) for each in connection.execute(ordered.limit(limit))]
            if len(found) == limit:
                last = found[-1]
                rest = select(*_embedding.columns).where(
                    row.space_id == space_id, row.generation == last.generation, row.id > last.id
                )
                found += [_embedding(each) for each in connection.execute(rest.order_by(row.id))]
        return found

    def living(self, space_id: str) -> int:
        """How many embeddings there are."""
        row = MediaEmbeddingRow
        statement = select(func.count()).where(row.space_id == space_id, row.deleted_at.is_(None))
        with self._database.read() as connection:
            return connection.execute(statement).scalar_one()

    def lacking(self, space_id: str) -> int:
        """How many originals the active space of the project can find and this one cannot."""
        row = MediaEmbeddingRow
        with self._database.read() as connection:
            space = _by_id(connection, space_id)
            active = _find(connection, space.project_id, None)
            if active is None:
                return 0
            own = select(row.source_sha256).where(row.space_id == space_id, row.deleted_at.is_(None))
            statement = select(func.count(row.source_sha256.distinct())).where(
                row.space_id == active.id, row.deleted_at.is_(None), row.source_sha256.not_in(own)
            )
            return connection.execute(statement).scalar_one()

    def missing(self, space_id: str, *, limit: int = 1000) -> list[str]:
        """Originals of the space's project that no embedding of it stands for: ids of media files, oldest first."""
        file, row = MediaFileRow, MediaEmbeddingRow
        with self._database.read() as connection:
            space = _by_id(connection, space_id)
            known = select(row.source_sha256).where(row.space_id == space_id, row.deleted_at.is_(None))
            statement = (
                select(file.id)
                .where(
                    file.project_id == space.project_id,
                    file.original_id.is_(None),
                    file.mime_type.like("image/%"),
                    file.sha256.not_in(known),
                )
                .order_by(file.created_at, file.id)
            )
            return list(connection.execute(statement.limit(limit)).scalars())


def _find(connection: Connection, project: str, model: str | None) -> Space | None:
    statement = select(*_space.columns).where(MediaSpaceRow.project_id == project)
    if model is None:
        statement = statement.where(MediaSpaceRow.status == "active")
    else:
        statement = statement.where(MediaSpaceRow.model == model)
    row = connection.execute(statement).one_or_none()
    return None if row is None else _space(row)


def _by_id(connection: Connection, space_id: str) -> Space:
    row = connection.execute(select(*_space.columns).where(MediaSpaceRow.id == space_id)).one_or_none()
    if row is None:
        raise RealmError(Code.NOT_FOUND, f"no space of embeddings {space_id!r}")
    return _space(row)


def _next_generation(connection: Connection, space_id: str) -> Space:
    """Count one change; holds the space's row until the transaction ends, so that generations become visible in
    their order."""
    statement = (
        update(MediaSpaceRow)
        .where(MediaSpaceRow.id == space_id)
        .values(generation=MediaSpaceRow.generation + 1, updated_at=moment())
        .returning(*_space.columns)
    )
    row = connection.execute(statement).one_or_none()
    if row is None:
        raise RealmError(Code.NOT_FOUND, f"no space of embeddings {space_id!r}")
    return _space(row)
