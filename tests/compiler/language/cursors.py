"""Texts with a cursor in them, written ``¦``."""

from functools import cache

from mirror_realm.compiler import analyze
from mirror_realm.compiler.language import View
from mirror_realm.tasks.catalogue import builtin

CURSOR = "¦"


@cache
def types():
    return builtin()


def view_of(text, name="x.yaml"):
    return View(analyze(name, text=text, registry=types()))


def split(marked):
    """The text without its cursor, and where that was."""
    assert marked.count(CURSOR) == 1
    return marked.replace(CURSOR, ""), marked.index(CURSOR)


def applied(text, edits):
    for edit in sorted(edits, key=lambda e: e.start, reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text
