"""The ``document/`` family: node types that read PDF, Word, HTML, Markdown and plain text.

:mod:`.models` finds the document that an input means, :mod:`.pdf` is all that touches PDFium, :mod:`.texts` reads the
formats that are text. Their libraries come with the extra ``media``.
"""

from .extract_text import document_extract_text
from .render import document_render
from .split import document_split

__all__ = ["document_extract_text", "document_render", "document_split"]
