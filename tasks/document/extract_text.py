"""``document/extract-text``: the words of a document."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ...core.errors import Code, RealmError
from ...core.references import FileRef
from ...core.resources import Resources
from ..files import FileInput, read_effects
from ..sdk import Effects, node_type
from .models import ResolvedDocument, password_of, resolve_document
from .pages import check_pages, pages_of

if TYPE_CHECKING:
    from ..context import NodeContext

MOST_CHARACTERS = 50_000_000
MOST_LISTED = 2000
"""Pages that are listed one by one in the output."""

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+(?:['’-]\w+)*")

PageRange = Annotated[str, AfterValidator(check_pages)]


class ExtractParameters(BaseModel):
    """What to read, and how much of it to hand on."""

    model_config = ConfigDict(extra="forbid")

    pages: PageRange | None = Field(
        default=None, description="Of a PDF, as in `1-3, 7, 10-`; default all", examples=["1-3, 7, 10-"]
    )
    max_pages: int = Field(default=5000, ge=1, le=20_000, description="Limit of pages to read")
    max_chars: int = Field(
        default=20_000,
        ge=0,
        le=200_000,
        description="How much of the text the output holds; all of it is in text_file",
    )
    encoding: str | None = Field(
        default=None, description="Of a text without a mark; default UTF-8, else a guess"
    )
    password_from: str | None = Field(default=None, description="Environment variable with a PDF's password")


class PageText(BaseModel):
    """One page of a PDF and where its text lies in the whole."""

    page: int
    start: int = Field(description="First character in the text file, from 0")
    characters: int


class ExtractOutput(BaseModel):
    """The text and what the document says about itself."""

    file: FileRef = Field(description="The document, unchanged")
    text: str = Field(description="The beginning of the text, up to max_chars")
    truncated: bool = Field(description="Whether there is more in text_file")
    text_file: FileRef = Field(description="All of the text, UTF-8")
    characters: int
    words: int = Field(description="In Chinese and Japanese each character counts")
    kind: Literal["pdf", "docx", "html", "markdown", "text"]
    page_count: int | None = Field(default=None, description="Of a PDF, read or not")
    pages: list[PageText] = Field(default_factory=list, description=f"Of a PDF, the first {MOST_LISTED}")
    pages_without_text: list[int] = Field(
        default_factory=list, description="Scans, most likely: they need character recognition"
    )
    encoding: str | None = Field(default=None, description="Of a text file or HTML page")
    title: str | None = None
    author: str | None = None
    created: str | None = Field(default=None, description="ISO 8601, as the document states it")
    facts: dict[str, Any] = Field(default_factory=dict, description="What else the document states")


@node_type(
    "document/extract-text",
    version="1.0.0",
    resources=Resources(memory_mb=512),
    idempotent=True,
    effects=lambda parameters, input: Effects(reads=read_effects(input), adds=["artifact"]),
)
def document_extract_text(
    parameters: ExtractParameters, input: FileInput, context: NodeContext
) -> ExtractOutput:
    """Read the text of a PDF, Word, HTML, Markdown or plain text document.

    What it is is told by its content. Pages of a PDF are separated by form feeds, cells of a table by tabs. Scripts
    and styles of HTML are left out, nothing is fetched or run. The output holds the beginning; `text_file` holds all.

    Errors: UNSUPPORTED_FILE_TYPE for other files (it says what they are), DATA_CORRUPTED for damaged ones,
    FAILED_PRECONDITION for a PDF whose password is missing, OUT_OF_RANGE beyond the limits, DEPENDENCY_FAILURE
    without the extra `media`.
    """
    resolved = resolve_document(input, context)
    if resolved.kind.reader == "pdf":
        text, found = _of_pdf(resolved, parameters, context)
    else:
        from .texts import read_text

        read = read_text(
            resolved.file.path, resolved.file.name, resolved.kind.reader, encoding=parameters.encoding
        )
        text, found = read.text, {"encoding": read.encoding, "facts": read.facts}
    context.check_canceled()
    context.progress(0.9, "storing the text")
    target = context.workdir / f"{resolved.file.path.stem[:100]}.txt"
    target.write_text(text, encoding="utf-8", newline="")
    facts = found.pop("facts")
    return ExtractOutput(
        file=resolved.passed_on(context),
        text=text[: parameters.max_chars],
        truncated=len(text) > parameters.max_chars,
        text_file=context.artifacts.put(target, name=f"{resolved.file.name}.txt", media_type="text/plain"),
        characters=len(text),
        words=count_words(text),
        kind=resolved.kind.reader,  # pyright: ignore[reportArgumentType] - resolve_document gives no other
        title=facts.pop("title", None),
        author=facts.pop("author", None),
        created=facts.pop("created", None),
        facts=facts,
        **found,
    )


def _of_pdf(
    resolved: ResolvedDocument, parameters: ExtractParameters, context: NodeContext
) -> tuple[str, dict[str, Any]]:
    from .pdf import open_pdf

    password = password_of(parameters.password_from, context)
    with open_pdf(resolved.file.path, resolved.file.name, password=password) as pdf:
        wanted = pages_of(parameters.pages, pdf.pages, most=parameters.max_pages)
        texts: list[str] = []
        listed: list[PageText] = []
        silent: list[int] = []
        start = 0
        for index, page in enumerate(wanted):
            context.check_canceled()
            context.progress(0.85 * index / len(wanted), f"page {page}")
            text = pdf.text(page)
            texts.append(text)
            if len(listed) < MOST_LISTED:
                listed.append(PageText(page=page, start=start, characters=len(text)))
            if not text.strip() and len(silent) < MOST_LISTED:
                silent.append(page)
            start += len(text) + 1
            if start > MOST_CHARACTERS:
                raise RealmError(
                    Code.OUT_OF_RANGE,
                    f"{pdf.name} has more than {MOST_CHARACTERS} characters up to page {page}",
                    hint="name fewer pages",
                )
        found = {
            "page_count": pdf.pages,
            "pages": listed,
            "pages_without_text": silent,
            "facts": dict[str, Any](pdf.facts()),
        }
    return "\f".join(texts), found


def count_words(text: str) -> int:
    """Words; ideographs and kana count one by one.

    >>> count_words("Mirror Realm 镜界，2026")
    5
    """
    return sum(1 for _ in _WORD.finditer(text))
