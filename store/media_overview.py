"""The media library as a reader sees it: each original with what was made of it and found in it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, or_, select

from .engine import Database
from .media_analysis_models import MediaFaceRow, MediaPersonRow
from .media_models import MediaFileRow, MediaTagRow
from .models import DEFAULT_PROJECT
from .records import MediaFile, MediaTag, Shape

_file = Shape(MediaFile, MediaFileRow)
_tag = Shape(MediaTag, MediaTagRow)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenFace:
    """Where a face is, as shares of the picture, and whose it is, where that has a name or an id."""

    x: float
    y: float
    width: float
    height: float
    person: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """One original. ``made`` is the newest file made of it, ``tags`` come the surest first."""

    original: MediaFile
    made: MediaFile | None
    tags: Sequence[MediaTag]
    faces: Sequence[SeenFace]


class MediaOverviews:
    """Reads the library's tables together; writes nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def pictures(
        self,
        *,
        project: str = DEFAULT_PROJECT,
        since: datetime | None = None,
        contents: Collection[str] | None = None,
        limit: int = 500,
    ) -> list[Overview]:
        """Originals, the newest first: those that were found or worked on ``since`` then, of these ``contents``
        (sha256)."""
        row = MediaFileRow
        statement = select(*_file.columns).where(row.project_id == project, row.original_id.is_(None))
        if since is not None:
            statement = statement.where(row.updated_at >= since)
        if contents is not None:
            statement = statement.where(row.sha256.in_(list(contents)))
        ordered = statement.order_by(row.created_at.desc(), row.id).limit(limit)
        with self._database.read() as connection:
            originals = [_file(one) for one in connection.execute(ordered)]
            ids = [one.id for one in originals]
            made = (
                select(*_file.columns).where(row.original_id.in_(ids)).order_by(row.created_at, row.version)
            )
            newest = {file.original_id: file for file in map(_file, connection.execute(made))}
            tags: dict[str, list[MediaTag]] = defaultdict(list)
            words = select(*_tag.columns).where(MediaTagRow.file_id.in_(ids))
            order = MediaTagRow.confidence.desc(), MediaTagRow.tag_value
            for tag in map(_tag, connection.execute(words.order_by(*order))):
                tags[tag.file_id].append(tag)
            faces = _faces(connection, [one.sha256 for one in originals], project)
        return [
            Overview(original=one, made=newest.get(one.id), tags=tags[one.id], faces=faces[one.sha256])
            for one in originals
        ]


def _faces(connection: Connection, contents: list[str], project: str) -> dict[str, list[SeenFace]]:
    """The faces of these originals, by original; of several pictures of one, those of the first that was looked at."""
    face, person = MediaFaceRow, MediaPersonRow
    statement = (
        select(
            *(face.sha256, face.source_sha256, face.detector, face.person_id),
            *(face.x, face.y, face.width, face.height, person.name),
        )
        .outerjoin(person, person.id == face.person_id)
        .where(face.project_id == project, or_(face.source_sha256.in_(contents), face.sha256.in_(contents)))
        .order_by(face.created_at, face.ordinal)
    )
    found: dict[str, list[SeenFace]] = defaultdict(list)
    looked_at: dict[str, tuple[str, str]] = {}
    for row in connection.execute(statement):
        sha256, source, detector, person_id, x, y, width, height, name = row
        if looked_at.setdefault(source, (sha256, detector)) == (sha256, detector):
            found[source].append(SeenFace(x=x, y=y, width=width, height=height, person=name or person_id))
    return found
