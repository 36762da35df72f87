"""Faces and whose they are. A person's id is stable: a name, a merge or a new model changes nothing that refers to it.

Which face is whose is decided elsewhere (``tasks/inference/identity.py``); here it is recorded, and here a person's
own word (name, merge, split) is final: such faces are ``assigned_by`` a person.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import Connection, delete, func, select, update

from ..core.errors import Code, RealmError
from ..core.ids import new_id
from .engine import Database
from .media_analysis_models import MediaFaceRow, MediaFaceVectorRow, MediaPersonRow, MediaPersonVectorRow
from .models import DEFAULT_PROJECT, ProjectRow
from .records import Shape
from .types import moment
from .upsert import insert

if TYPE_CHECKING:
    import numpy as np

MERGES_FOLLOWED = 100
"""A chain of merges is never near this long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFace:
    """A face to record: where it is (shares of the picture), as one model sees it, and whose it is.

    ``person_id`` ``None`` makes a new person.
    """

    sha256: str
    source_sha256: str
    detector: str
    ordinal: int
    x: float
    y: float
    width: float
    height: float
    confidence: float
    vector: bytes
    name: str
    uri: str = ""
    person_id: str | None = None
    distance: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """A face as recorded."""

    id: str
    project_id: str
    sha256: str
    source_sha256: str
    detector: str
    ordinal: int
    x: float
    y: float
    width: float
    height: float
    confidence: float
    person_id: str | None
    distance: float | None
    assigned_by: str
    name: str
    uri: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A person, and in how many faces."""

    id: str
    name: str | None
    faces: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonVector:
    """The mean of a person's unit vectors by one model (float32 bytes), and of how many."""

    person_id: str
    mean: bytes
    faces: int


_face = Shape(Face, MediaFaceRow)


class MediaPeople:
    """Faces and people."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @contextmanager
    def deciding(self, project: str = DEFAULT_PROJECT) -> Iterator[None]:
        """A transaction in which nobody else decides whose a face of this project is."""
        with self._database.write() as connection:
            connection.execute(select(ProjectRow.id).where(ProjectRow.id == project).with_for_update())
            yield

    def known(self, model: str, *, project: str = DEFAULT_PROJECT) -> list[PersonVector]:
        """Everybody as ``model`` sees them."""
        vector, person = MediaPersonVectorRow, MediaPersonRow
        statement = (
            select(vector.person_id, vector.mean, vector.faces)
            .join(person, person.id == vector.person_id)
            .where(person.project_id == project, person.merged_into.is_(None), vector.model == model)
            .order_by(vector.person_id)
        )
        with self._database.read() as connection:
            rows = connection.execute(statement)
            return [PersonVector(person_id=id, mean=mean, faces=faces) for id, mean, faces in rows]

    def faces_in(self, sha256: str, detector: str, *, project: str = DEFAULT_PROJECT) -> list[Face]:
        """The faces that ``detector`` found in a content, in its order."""
        row = MediaFaceRow
        statement = select(*_face.columns).where(
            row.project_id == project, row.sha256 == sha256, row.detector == detector
        )
        with self._database.read() as connection:
            return [_face(each) for each in connection.execute(statement.order_by(row.ordinal))]

    def record(self, model: str, faces: Sequence[NewFace], *, project: str = DEFAULT_PROJECT) -> list[Face]:
        """Record faces as ``model`` sees them. One that is there keeps its person and only gets the vector."""
        with self._database.write() as connection:
            return [_record(connection, project, model, face) for face in faces]

    def people(self, *, project: str = DEFAULT_PROJECT, named: bool | None = None) -> list[Person]:
        """Everybody, those in most pictures first."""
        person, face = MediaPersonRow, MediaFaceRow
        count = func.count(face.id)
        statement = (
            select(person.id, person.name, count)
            .outerjoin(face, face.person_id == person.id)
            .where(person.project_id == project, person.merged_into.is_(None))
            .group_by(person.id, person.name)
            .order_by(count.desc(), person.id)
        )
        if named is not None:
            statement = statement.where(person.name.is_not(None) if named else person.name.is_(None))
        with self._database.read() as connection:
            return [Person(id=id, name=name, faces=n) for id, name, n in connection.execute(statement)]

    def find(self, id_or_name: str, *, project: str = DEFAULT_PROJECT) -> Person:
        """The person by id (also one merged away: then who it became) or by name; NOT_FOUND, or INVALID_ARGUMENT when
        several have the name."""
        with self._database.read() as connection:
            id = _resolved(connection, id_or_name)
        everybody = self.people(project=project)
        found = [person for person in everybody if person.id == id] or [
            person for person in everybody if person.name == id_or_name
        ]
        if not found:
            raise RealmError(
                Code.NOT_FOUND,
                f"there is no person {id_or_name!r}",
                hint="`realm media people list` shows them",
            )
        if len(found) > 1:
            raise RealmError(
                Code.INVALID_ARGUMENT,
                f"{len(found)} people are named {id_or_name!r}",
                hint=f"name one by its id: {', '.join(person.id for person in found)}",
            )
        return found[0]

    def faces(self, person_id: str) -> list[Face]:
        """A person's faces, the surest first."""
        row = MediaFaceRow
        statement = select(*_face.columns).where(row.person_id == person_id)
        with self._database.read() as connection:
            ordered = statement.order_by(row.distance, row.created_at, row.id)
            return [_face(each) for each in connection.execute(ordered)]

    def rename(self, person_id: str, name: str | None) -> None:
        """Give a person a name, or take it away."""
        with self._database.write() as connection:
            _change(connection, person_id, name=name or None)

    def merge(self, into: str, other: str, *, force: bool = False) -> int:
        """Say that ``other`` is ``into``; how many faces moved. The id of ``other`` leads to ``into`` from then on.

        FAILED_PRECONDITION when both are in one picture, which two faces of one person rarely are, unless ``force``.
        """
        if into == other:
            raise RealmError(Code.INVALID_ARGUMENT, f"{into} cannot be merged with itself")
        face = MediaFaceRow
        with self._database.write() as connection:
            pictures = select(face.sha256).where(face.person_id == into)
            both = select(face.name).where(face.person_id == other, face.sha256.in_(pictures)).limit(1)
            if (shared := connection.execute(both).scalar()) is not None and not force:
                raise RealmError(
                    Code.FAILED_PRECONDITION,
                    f"{into} and {other} are both in {shared}: two faces of one picture are two people",
                    hint="add --force where they are one all the same (a mirror, a collage)",
                )
            kept = connection.execute(select(MediaPersonRow.name).where(MediaPersonRow.id == into)).scalar()
            gone = connection.execute(select(MediaPersonRow.name).where(MediaPersonRow.id == other)).scalar()
            _change(connection, other, merged_into=into, name=None)
            _change(connection, into, name=kept or gone)
            moved = update(face).where(face.person_id == other)
            count = connection.execute(moved.values(person_id=into, assigned_by="person")).rowcount
            _update_all_means(connection, into, other)
            return count

    def split(self, person_id: str, face_ids: Sequence[str]) -> Person:
        """Say that these faces are somebody else, together; who that is. NOT_FOUND for a face that is not the
        person's, FAILED_PRECONDITION when nothing would stay."""
        face = MediaFaceRow
        with self._database.write() as connection:
            own = set(connection.execute(select(face.id).where(face.person_id == person_id)).scalars())
            if strangers := sorted(set(face_ids) - own):
                raise RealmError(
                    Code.NOT_FOUND,
                    f"{', '.join(strangers)}: not a face of {person_id}",
                    hint=f"`realm media people show {person_id}` lists them",
                )
            if not face_ids or own == set(face_ids):
                raise RealmError(
                    Code.FAILED_PRECONDITION,
                    f"a split leaves {person_id} at least one face and takes at least one",
                )
            project = connection.execute(select(face.project_id).where(face.id == face_ids[0])).scalar_one()
            made = _new_person(connection, project)
            moved = update(face).where(face.id.in_(face_ids))
            connection.execute(moved.values(person_id=made, assigned_by="person", distance=None))
            stay = update(face).where(face.person_id == person_id)
            connection.execute(stay.values(assigned_by="person"))
            _update_all_means(connection, person_id, made)
            return Person(id=made, name=None, faces=len(set(face_ids)))

    def remove(self, contents: Sequence[str], *, project: str = DEFAULT_PROJECT) -> int:
        """Forget the faces of ``contents`` (of the pictures or their originals), and people of whom nothing is left;
        how many faces there were."""
        face = MediaFaceRow
        of_them = (face.project_id == project) & (
            face.sha256.in_(contents) | face.source_sha256.in_(contents)
        )
        with self._database.write() as connection:
            found = connection.execute(select(face.person_id).where(of_them)).scalars()
            people = {person_id for person_id in found if person_id is not None}
            count = connection.execute(delete(face).where(of_them)).rowcount
            _update_all_means(connection, *sorted(people))
            left = select(face.person_id).where(face.person_id.is_not(None))
            person = MediaPersonRow
            alone = delete(person).where(person.id.in_(people), person.id.not_in(left), person.name.is_(None))
            connection.execute(alone)
            return count


def _record(connection: Connection, project: str, model: str, face: NewFace) -> Face:
    row = MediaFaceRow
    there = select(*_face.columns).where(
        row.project_id == project,
        row.sha256 == face.sha256,
        row.detector == face.detector,
        row.ordinal == face.ordinal,
    )
    if (found := connection.execute(there).one_or_none()) is None:
        values = {
            "id": new_id("face"),
            "project_id": project,
            "person_id": face.person_id or _new_person(connection, project),
            "assigned_by": "auto",
            "created_at": moment(),
            "name": face.name[-255:],
            **{
                name: getattr(face, name)
                for name in (
                    *("sha256", "source_sha256", "detector", "ordinal", "x", "y", "width", "height"),
                    *("confidence", "distance", "uri"),
                )
            },
        }
        made = insert(connection, row).values(**values).returning(*_face.columns)
        found = connection.execute(made).one()
    recorded = _face(found)
    vector = insert(connection, MediaFaceVectorRow).values(
        face_id=recorded.id, model=model, vector=face.vector
    )
    new = vector.on_conflict_do_nothing().returning(MediaFaceVectorRow.face_id)
    if connection.execute(new).first() is not None and recorded.person_id:
        _add_to_mean(connection, recorded.person_id, model, face.vector)
    return recorded


def _add_to_mean(connection: Connection, person_id: str, model: str, vector: bytes) -> None:
    row = MediaPersonVectorRow
    of_person = (row.person_id == person_id) & (row.model == model)
    known = connection.execute(select(row.mean, row.faces).where(of_person)).one_or_none()
    faces = known[1] if known else 0
    added = _stacked([vector])[0]
    mean = (_stacked([known[0]])[0] * faces + added) / (faces + 1) if known else added
    _set_mean(connection, person_id, model, mean, faces + 1)


def _new_person(connection: Connection, project: str) -> str:
    now = moment()
    while True:
        id = new_id("person")
        made = (
            insert(connection, MediaPersonRow)
            .values(id=id, project_id=project, created_at=now, updated_at=now)
            .on_conflict_do_nothing()
            .returning(MediaPersonRow.id)
        )
        if connection.execute(made).first() is not None:
            return id  # eight digits do collide, once in a while


def _change(connection: Connection, person_id: str, **values: str | None) -> None:
    statement = update(MediaPersonRow).where(MediaPersonRow.id == person_id)
    if not connection.execute(statement.values(updated_at=moment(), **values)).rowcount:
        raise RealmError(Code.NOT_FOUND, f"there is no person {person_id!r}")


def _resolved(connection: Connection, id: str) -> str:
    """Who ``id`` is after all merges."""
    for _ in range(MERGES_FOLLOWED):
        statement = select(MediaPersonRow.merged_into).where(MediaPersonRow.id == id)
        into = connection.execute(statement).scalar()
        if into is None:
            return id
        id = into
    raise RealmError(Code.DATA_CORRUPTED, f"the merges of {id} go round in a circle")


def _update_all_means(connection: Connection, *people: str) -> None:
    vector, face = MediaFaceVectorRow, MediaFaceRow
    models = select(vector.model).join(face, face.id == vector.face_id).where(face.person_id.in_(people))
    known = select(MediaPersonVectorRow.model).where(MediaPersonVectorRow.person_id.in_(people))
    for model in sorted(set(connection.execute(models.union(known)).scalars())):
        for person_id in people:
            _update_means(connection, person_id, model)


def _update_means(connection: Connection, person_id: str, model: str) -> None:
    """Compute a person's mean anew from all faces."""
    vector, face, mean = MediaFaceVectorRow, MediaFaceRow, MediaPersonVectorRow
    statement = (
        select(vector.vector)
        .join(face, face.id == vector.face_id)
        .where(face.person_id == person_id, vector.model == model)
    )
    stacked = _stacked(list(connection.execute(statement).scalars()))
    if len(stacked):
        _set_mean(connection, person_id, model, stacked.mean(axis=0), len(stacked))
    else:
        connection.execute(delete(mean).where(mean.person_id == person_id, mean.model == model))


def _set_mean(connection: Connection, person_id: str, model: str, mean: np.ndarray, faces: int) -> None:
    values = {"mean": mean.astype("<f4").tobytes(), "faces": faces}
    made = insert(connection, MediaPersonVectorRow).values(person_id=person_id, model=model, **values)
    connection.execute(made.on_conflict_do_update(index_elements=["person_id", "model"], set_=values))


def _stacked(vectors: Sequence[bytes]) -> np.ndarray:
    import numpy as np

    return np.frombuffer(b"".join(vectors), dtype="<f4").reshape(len(vectors), -1) if vectors else np.empty(0)
