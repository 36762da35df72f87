"""Definitions back to text: ``realm convert`` writes the canonical form, ``realm fmt`` tidies a file as it is.

Both put a tree with comments (:mod:`.tree`) through one writer (:mod:`.yaml_text`). :mod:`.parse` makes that tree from
a text and :mod:`.comments` gives each comment its place in it; :mod:`.canonical` makes it from a definition, where
comments travel with the values that they stood at. :mod:`.scalars` knows when a string needs quotes. Start reading at
:mod:`.verbs`.
"""

from __future__ import annotations

from .verbs import convert, count_comments, format_document

__all__ = ["convert", "count_comments", "format_document"]
