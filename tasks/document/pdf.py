"""PDF through PDFium: count, read, draw and cut pages.

PDFium is one engine per process and not safe for threads; a lock is held for each call, never for a whole document, so
that nodes of one worker take turns page by page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any

from ...blocks.atomic import atomic_file
from ...core.errors import Code, RealmError
from ..extras import require

if TYPE_CHECKING:
    from PIL import Image

MAX_FILE_BYTES = 1 << 30
MOST_PAGES = 20_000
POINTS_PER_INCH = 72
LONGEST_TEXT = 1000

_engine = RLock()
_DATES = {"CreationDate": "created", "ModDate": "modified"}
_DATE = re.compile(r"D?:?(\d{4})(\d{2})?(\d{2})?(\d{2})?(\d{2})?(\d{2})?(?:Z|([+-])(\d{2})'?(\d{2})?)?")


class Pdf:
    """An opened document; pages are counted from 1."""

    def __init__(self, document: Any, name: str) -> None:
        self._document = document
        self.name = name
        with _engine:
            self.pages: int = len(document)

    def facts(self) -> dict[str, str]:
        """title, author, subject, keywords, creator, producer, created, modified: those that are stated."""
        with _engine:
            stated: dict[str, str] = self._document.get_metadata_dict(skip_empty=True)
        facts: dict[str, str] = {}
        for key, value in stated.items():
            known = _moment(value) if key.endswith("Date") else _clean(value)
            if known:
                facts[_DATES.get(key, key.lower())] = known
        return facts

    def size(self, page: int) -> tuple[float, float]:
        """(width, height) of a page in points (1/72 inch), as it is seen."""
        with self._page(page) as opened:
            return opened.get_size()

    def text(self, page: int) -> str:
        """The text that a page shows, in reading order as the file has it, lines ended by ``\\n``."""
        with self._page(page) as opened:
            reader = opened.get_textpage()
            try:
                text: str = reader.get_text_bounded()
            finally:
                reader.close()
        lines = text.replace("\r\n", "\n").replace("\r", "\n").replace("\ufffe", "").replace("\x02", "")
        return lines.replace("\0", "")

    def draw(self, page: int, dpi: float, *, max_pixels: int, transparent: bool = False) -> Image.Image:
        """A page as a picture (RGB, or RGBA with ``transparent``). OUT_OF_RANGE beyond ``max_pixels``."""
        with self._page(page) as opened:
            scale = dpi / POINTS_PER_INCH
            width, height = opened.get_size()
            if (pixels := width * scale * height * scale) > max_pixels:
                raise RealmError(
                    Code.OUT_OF_RANGE,
                    f"page {page} of {self.name} has {pixels / 1e6:.0f} megapixels at {dpi:g} dpi; the limit is "
                    f"{max_pixels / 1e6:g}",
                    hint="lower dpi, or set max_size",
                )
            fill = (255, 255, 255, 0 if transparent else 255)
            bitmap = opened.render(scale=scale, fill_color=fill, rev_byteorder=True, prefer_bgrx=True)
            try:
                # The picture borrows the bitmap's memory, which ends with it.
                return bitmap.to_pil().convert("RGBA" if transparent else "RGB")
            finally:
                bitmap.close()

    def cut(self, pages: Sequence[int], target: Path) -> None:
        """Write ``pages``, in this order, as a document of their own to ``target``, whole or not at all."""
        pdfium = require("pypdfium2")
        with _engine:
            part = pdfium.PdfDocument.new()
            try:
                part.import_pages(self._document, [page - 1 for page in pages])
                with atomic_file(target) as file:
                    part.save(file)
            except pdfium.PdfiumError as error:
                raise RealmError(
                    Code.DATA_CORRUPTED, f"the pages of {self.name} cannot be copied: {error}"
                ) from error
            finally:
                part.close()

    @contextmanager
    def _page(self, page: int) -> Iterator[Any]:
        pdfium = require("pypdfium2")
        with _engine:
            try:
                opened = self._document.get_page(page - 1)
            except pdfium.PdfiumError as error:
                raise RealmError(
                    Code.DATA_CORRUPTED, f"page {page} of {self.name} cannot be read: {error}"
                ) from error
            try:
                yield opened
            finally:
                opened.close()


@contextmanager
def open_pdf(path: Path, name: str, *, password: str | None = None, forms: bool = False) -> Iterator[Pdf]:
    """The document at ``path``; with ``forms``, what is filled in is drawn too.

    Raises DATA_CORRUPTED where it cannot be read, FAILED_PRECONDITION without the right password, OUT_OF_RANGE beyond
    :data:`MAX_FILE_BYTES` and :data:`MOST_PAGES`, DEPENDENCY_FAILURE without pypdfium2.
    """
    pdfium = require("pypdfium2")
    if (length := path.stat().st_size) > MAX_FILE_BYTES:
        raise RealmError(Code.OUT_OF_RANGE, f"{name} has {length / 2**30:.1f} GiB; at most 1 GiB is read")
    with _engine:
        try:
            document = pdfium.PdfDocument(path, password=password)
        except pdfium.PdfiumError as error:
            raise _refused(name, error, password) from error
    try:
        with _engine:
            if forms:
                document.init_forms()
            pdf = Pdf(document, name)
        if not 0 < pdf.pages <= MOST_PAGES:
            code = Code.OUT_OF_RANGE if pdf.pages else Code.DATA_CORRUPTED
            raise RealmError(code, f"{name} has {pdf.pages} pages; 1 to {MOST_PAGES} are read")
        yield pdf
    finally:
        with _engine:
            document.close()


def _refused(name: str, error: Exception, password: str | None) -> RealmError:
    if "password" in str(error).lower():
        return RealmError(
            Code.FAILED_PRECONDITION,
            f"{name} needs {'another' if password else 'a'} password",
            hint="name the environment variable that holds it in password_from",
        )
    return RealmError(
        Code.DATA_CORRUPTED,
        f"{name} is damaged or cut short: {error}",
        hint="copy the original again; a file that is still being written looks like this too",
    )


def _clean(text: str) -> str:
    return "".join(c for c in text if c.isprintable()).strip()[:LONGEST_TEXT]


def _moment(text: str) -> str | None:
    """The ISO 8601 form of a PDF date such as ``D:20230615103045+08'00'``."""
    match = _DATE.match(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = (
        int(part or low) for part, low in zip(match.groups()[:6], (1, 1, 1, 0, 0, 0), strict=True)
    )
    try:
        moment = datetime(year, month, day, hour, minute, second)  # its own wall clock
    except ValueError:
        return None
    zone = f"{match[7]}{match[8]}:{match[9] or '00'}" if match[7] else "Z" if "Z" in match[0] else ""
    return moment.isoformat() + zone
