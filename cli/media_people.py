"""``realm media people``: who is who. What a person says here is final for the program."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

from cyclopts import App

from . import faults
from .terminal import terminal

if TYPE_CHECKING:
    from ..store import Store

people = App(
    name="people", help="Faces and whose they are: list, name, merge, split.", help_format="plaintext"
)


@people.command(name="list")
def list_(*, named: bool = False, json: bool = False) -> int:
    """List everybody, those in most pictures first.

    Parameters
    ----------
    named
        Only those with a name.
    json
        As JSON.
    """
    with _library() as store:
        found = store.people.people(named=True if named else None)
    out = terminal()
    if json:
        out.write_json([asdict(person) for person in found])
        return faults.OK
    for person in found:
        out.write(f"{person.id}  {person.faces:>6}  {person.name or ''}".rstrip())
    if not found:
        out.say("nobody yet; a workflow with ai/faces finds faces")
    return faults.OK


@people.command
def show(person: str, /, *, json: bool = False) -> int:
    """Show one person's faces: in which picture, and where.

    Parameters
    ----------
    person
        An id such as face-1a2b3c4d (also one merged away), or a name.
    json
        As JSON.
    """
    with _library() as store:
        found = store.people.find(person)
        faces = store.people.faces(found.id)
    out = terminal()
    if json:
        out.write_json({**asdict(found), "faces": [asdict(face) for face in faces]})
        return faults.OK
    out.write(f"{found.id}  {found.name or '(no name)'}")
    for face in faces:
        where = f"{face.x:.0%} {face.y:.0%} {face.width:.0%} × {face.height:.0%}"
        out.write(f"  {face.id}  {face.name}  {where}  {face.assigned_by}")
    return faults.OK


@people.command
def name(person: str, name: str | None = None, /) -> int:
    """Give a person a name, or take it away.

    Parameters
    ----------
    person
        An id such as face-1a2b3c4d, or a name.
    name
        The name; without one, the person has none any more.
    """
    with _library() as store:
        found = store.people.find(person)
        store.people.rename(found.id, name)
    terminal().write(f"{found.id}  {name or '(no name)'}")
    return faults.OK


@people.command
def merge(into: str, other: str, /, *, force: bool = False) -> int:
    """Say that two people are one. The id of the second leads to the first from then on.

    Parameters
    ----------
    into
        Who it is: an id or a name.
    other
        Who it also is: an id or a name.
    force
        Also when both are in one picture.
    """
    with _library() as store:
        kept, gone = store.people.find(into), store.people.find(other)
        moved = store.people.merge(kept.id, gone.id, force=force)
        now = store.people.find(kept.id)
    terminal().write(f"{now.id}  {now.name or '(no name)'}: {moved} faces more, {now.faces} in all")
    return faults.OK


@people.command
def split(person: str, face: str, /, *faces: str) -> int:
    """Say that some faces of a person are somebody else, together.

    Parameters
    ----------
    person
        An id or a name.
    face
        A face, as `realm media people show` lists it.
    faces
        More of them.
    """
    with _library() as store:
        found = store.people.find(person)
        made = store.people.split(found.id, [face, *faces])
    terminal().write(f"{made.id}  {made.faces} faces, no longer {found.name or found.id}")
    return faults.OK


@contextmanager
def _library() -> Iterator[Store]:
    from ..core.settings import settings
    from ..store import Store

    with Store.open(settings().database) as store:
        yield store
