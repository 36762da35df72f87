"""document/extract-text, document/render, document/split: real documents, read, drawn and cut; hostile ones refused."""

from __future__ import annotations

import concurrent.futures
import subprocess
import sys
import zipfile
from pathlib import Path
from threading import Event

import docx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from mirror_realm.core.errors import Code, RealmError
from mirror_realm.core.references import local_path
from mirror_realm.tasks.document import document_extract_text, document_render, document_split
from mirror_realm.tasks.document.pages import check_pages, pages_of
from mirror_realm.tasks.document.pdf import open_pdf
from mirror_realm.tasks.document.texts import read_text
from tests import documents, photos
from tests.photo_context import context_in, run

TEXTS = ["Mirror Realm\n镜界平台", "second page", "第三页"]


@pytest.fixture
def context(tmp_path):
    return context_in(tmp_path)


@pytest.fixture
def report(tmp_path) -> Path:
    return documents.pdf(tmp_path / "报告.pdf", TEXTS, title="年度报告")


def text_of(reference) -> str:
    return local_path(reference.uri).read_text(encoding="utf-8")


def files_in(folder: Path) -> list[str]:
    return [str(p) for p in (folder / "work").rglob("*") if p.is_file()]


# -- extract-text -----------------------------------------------------------------------------------------


def test_the_text_of_a_pdf_page_by_page(report, context):
    output = run(document_extract_text, context, report)
    assert [line.strip() for line in output.text.split("\f")] == TEXTS
    assert (output.kind, output.page_count, output.title) == ("pdf", 3, "年度报告")
    assert output.created == "2023-06-15T10:30:45+08:00"
    whole = text_of(output.text_file)
    assert whole == output.text
    assert [whole[p.start : p.start + p.characters].strip() for p in output.pages] == TEXTS
    assert (output.characters, output.words) == (len(whole), 2 + 4 + 2 + 3)
    assert not output.truncated
    assert output.file.media_type == "application/pdf"


def test_pages_may_be_named_and_the_text_cut(report, context):
    output = run(document_extract_text, context, report, pages="3, 1", max_chars=4)
    assert [p.page for p in output.pages] == [3, 1]
    assert len(output.text) == 4
    assert output.truncated
    assert "镜界" in text_of(output.text_file)


def test_scanned_pages_are_named(tmp_path, context):
    path = documents.pdf(tmp_path / "a.pdf", ["words", "", "x"], image_only=[3])
    assert run(document_extract_text, context, path).pages_without_text == [2, 3]


def test_a_locked_pdf_needs_its_password(tmp_path, context, monkeypatch):
    path = documents.pdf(tmp_path / "a.pdf", ["secret words"], password="horse")
    for node in (document_extract_text, document_render):
        with pytest.raises(RealmError) as caught:
            run(node, context, path)
        assert caught.value.code is Code.FAILED_PRECONDITION
        assert "password_from" in caught.value.hint
    monkeypatch.setenv("PDF_PASSWORD", "horse")
    allowed = context_in(tmp_path, limits={"env_allow": ("PDF_PASSWORD",)})
    output = run(document_extract_text, allowed, path, password_from="PDF_PASSWORD")
    assert "secret words" in output.text


HTML = """<!DOCTYPE html><html><head><title> 镜界 </title><style>p {color: red}</style></head><body>
<h1>Head</h1><p>One <b>two</b>
three<br>four</p><script>alert("no")</script><!-- nor this -->
<table><tr><td>a</td><td>b</td></tr></table><ul><li>item</ul></body></html>"""


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "utf-16"])
def test_html_is_what_a_reader_sees(tmp_path, context, encoding):
    page = HTML if encoding == "utf-8" else HTML.replace("<head>", f'<head><meta charset="{encoding}">')
    (tmp_path / "a.html").write_bytes(page.encode(encoding))
    output = run(document_extract_text, context, tmp_path / "a.html")
    assert output.title == "镜界"
    assert [line for line in output.text.split("\n") if line.strip()] == [
        "Head", "One two three", "four", "a\tb", "item",
    ]  # fmt: skip
    assert output.kind == "html"


def test_html_that_nests_without_end(tmp_path, context):
    (tmp_path / "a.html").write_text("<html>" + "<div>" * 50_000 + "deep", encoding="utf-8")
    assert run(document_extract_text, context, tmp_path / "a.html").kind == "html"


def test_word_with_tables_and_properties(tmp_path, context):
    document = docx.Document()
    document.core_properties.title = "合同"
    document.core_properties.author = "李雷"
    document.add_heading("Contract", 1)
    document.add_paragraph("between two")
    table = document.add_table(2, 2)
    table.cell(0, 0).text, table.cell(1, 1).text = "甲", "乙"
    document.add_paragraph("end")
    document.save(str(tmp_path / "a.docx"))
    output = run(document_extract_text, context, tmp_path / "a.docx")
    assert output.text == "Contract\nbetween two\n甲\t\n\t乙\nend"
    assert (output.title, output.author, output.kind) == ("合同", "李雷", "docx")


CHINESE = "镜界平台将工作流定义编译成流程,并在集群上运行。每张照片都会被旋转、增强、标记并归档。" * 3


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (CHINESE.encode(), "utf-8"),
        (CHINESE.encode("gb18030"), "gb18030"),
        (CHINESE.encode("utf-16"), "utf-16"),
        (b"\xef\xbb\xbf" + CHINESE.encode(), "utf-8-sig"),
    ],
)
def test_texts_in_any_encoding(tmp_path, context, data, encoding):
    (tmp_path / "a.txt").write_bytes(data)
    output = run(document_extract_text, context, tmp_path / "a.txt")
    assert (output.text, output.encoding, output.kind) == (CHINESE, encoding, "text")


def test_an_encoding_may_be_said(tmp_path, context):
    (tmp_path / "a.txt").write_bytes("naïve".encode("latin-1"))
    assert run(document_extract_text, context, tmp_path / "a.txt", encoding="latin-1").text == "naïve"
    for encoding in ("utf-8", "klingon"):
        with pytest.raises(RealmError) as caught:
            run(document_extract_text, context, tmp_path / "a.txt", encoding=encoding)
        assert caught.value.code is Code.INVALID_ARGUMENT


def test_markdown_keeps_its_marks_and_gives_its_title(tmp_path, context):
    (tmp_path / "a.md").write_text("intro\r\n\r\n# 镜界 #\n\n- one\n", encoding="utf-8")
    output = run(document_extract_text, context, tmp_path / "a.md")
    assert (output.kind, output.title) == ("markdown", "镜界")
    assert output.text == "intro\n\n# 镜界 #\n\n- one\n"


# -- render -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
def test_pages_are_drawn(report, context, format):
    output = run(document_render, context, report, dpi=72, format=format)
    assert [p.page for p in output.pages] == [1, 2, 3]
    assert output.image == output.files[0] == output.pages[0].image
    assert (output.image.width, output.image.height) == (200, 300)
    image = Image.open(local_path(output.image.uri))
    assert image.size == (200, 300)
    pixels = np.asarray(image.convert("RGB")).astype(int)
    assert pixels[-8, -8].tolist() == pytest.approx([255, 0, 0], abs=12)
    assert pixels[150, 100].tolist() == pytest.approx([255, 255, 255], abs=3)
    assert pixels[20:60].min() < 100, "the text is there"
    assert output.image.source_sha256 == output.file.sha256


def test_a_box_bounds_each_page(report, context):
    output = run(document_render, context, report, pages="2", max_size="100x100", dpi=300)
    assert (output.image.width, output.image.height) == (67, 100)
    assert output.pages[0].dpi < 30
    assert output.page_count == 3


def test_without_paper(report, context):
    output = run(document_render, context, report, pages="1", dpi=36, transparent=True)
    image = Image.open(local_path(output.image.uri))
    assert image.mode == "RGBA"
    assert image.getpixel((50, 75))[3] == 0


def test_too_many_pixels_or_pages(report, tmp_path):
    for limits, parameters in (({"max_pixels": 1000}, {}), ({}, {"max_pages": 2})):
        with pytest.raises(RealmError) as caught:
            run(document_render, context_in(tmp_path, limits=limits), report, **parameters)
        assert caught.value.code is Code.OUT_OF_RANGE
        assert files_in(tmp_path) == []


def test_threads_take_turns(report, tmp_path):
    def work(number: int) -> tuple[str, str]:
        with open_pdf(report, report.name) as pdf:
            texts = [pdf.text(page).strip() for page in (1, 2, 3)]
            return texts[0], pdf.draw(1 + number % 3, 50, max_pixels=10**6).mode

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert set(pool.map(work, range(40))) == {(TEXTS[0], "RGB")}


# -- split ------------------------------------------------------------------------------------------------


def test_every_so_many_pages(report, context):
    output = run(document_split, context, report, every=2)
    assert [part.pages for part in output.parts] == [[1, 2], [3]]
    assert [part.file.name for part in output.parts] == ["报告-1.pdf", "报告-2.pdf"]
    texts = [run(document_extract_text, context, {"file": part.file}).text for part in output.parts]
    assert [text.replace("\f", "").strip() for text in texts] == [TEXTS[0] + TEXTS[1], TEXTS[2]]
    assert files_in(context.workdir.parent) == [str(p) for p in context.workdir.glob("*.txt")]


def test_named_pages_in_any_order(report, context):
    output = run(document_split, context, report, ranges=["3-1", "2"])
    assert [part.pages for part in output.parts] == [[3, 2, 1], [2]]
    first = run(document_extract_text, context, {"file": output.files[0]})
    assert [text.strip() for text in first.text.split("\f")] == TEXTS[::-1]


@pytest.mark.parametrize(
    "parameters", [{}, {"every": 1, "ranges": ["1"]}, {"ranges": ["x"]}, {"ranges": ["0"]}]
)
def test_cuts_that_make_no_sense(report, context, parameters):
    with pytest.raises(ValidationError):
        run(document_split, context, report, **parameters)


def test_a_page_that_is_not_there(report, context):
    with pytest.raises(RealmError, match="no page 4") as caught:
        run(document_split, context, report, ranges=["1-4"])
    assert caught.value.code is Code.OUT_OF_RANGE


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), min_size=1, max_size=5))
def test_ranges_mean_what_they_say(ranges):
    text = ", ".join(f"{a}-{b}" for a, b in ranges)
    assert check_pages(text) == text
    wanted = [n for a, b in ranges for n in (range(a, b + 1) if a <= b else range(a, b - 1, -1))]
    assert pages_of(text, 30, most=200) == wanted


# -- all --------------------------------------------------------------------------------------------------

NODES = [(document_extract_text, {}), (document_render, {}), (document_split, {"every": 1})]


@pytest.mark.parametrize(("node", "parameters"), NODES)
def test_what_is_not_theirs_is_refused_by_name(tmp_path, context, node, parameters):
    with pytest.raises(RealmError, match="JPEG") as caught:
        run(node, context, photos.photo(tmp_path / "a.pdf.jpg"), **parameters)
    assert caught.value.code is Code.UNSUPPORTED_FILE_TYPE


@pytest.mark.parametrize(("node", "parameters"), NODES)
def test_damaged_files(tmp_path, report, context, node, parameters):
    for content, code in (
        (b"", Code.DATA_CORRUPTED),
        (b"%PDF-1.7\nnothing", Code.DATA_CORRUPTED),
        (report.read_bytes()[:400], Code.DATA_CORRUPTED),
    ):
        (tmp_path / "b.pdf").write_bytes(content)
        with pytest.raises(RealmError) as caught:
            run(node, context, tmp_path / "b.pdf", **parameters)
        assert caught.value.code is code


def test_damaged_word_documents(tmp_path, context):
    path = tmp_path / "a.docx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("word/document.xml", "<broken")
    with pytest.raises(RealmError) as caught:
        run(document_extract_text, context, path)
    assert caught.value.code is Code.DATA_CORRUPTED


def test_a_word_document_with_a_damaged_member(tmp_path, context):
    path = tmp_path / "a.docx"
    docx.Document().save(str(path))
    content = bytearray(path.read_bytes())
    for start in range(200, len(content) - 2000, 997):
        content[start] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(RealmError) as caught:
        run(document_extract_text, context, path)
    assert caught.value.code is Code.DATA_CORRUPTED


def test_an_archive_that_would_fill_the_disk(tmp_path, context):
    path = tmp_path / "a.docx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", b" " * (257 << 20))
    assert path.stat().st_size < 1_000_000
    with pytest.raises(RealmError, match="unpack") as caught:
        run(document_extract_text, context, path)
    assert caught.value.code is Code.OUT_OF_RANGE


@pytest.mark.parametrize(("node", "parameters"), NODES)
def test_a_cancelled_attempt_ends(tmp_path, report, node, parameters):
    canceled = Event()
    canceled.set()
    with pytest.raises(RealmError) as caught:
        run(node, context_in(tmp_path, canceled=canceled), report, **parameters)
    assert caught.value.code is Code.CANCELLED


def test_without_the_extra_the_way_out_is_said(report, tmp_path):
    code = (
        "import sys; sys.modules['pypdfium2'] = None; from pathlib import Path\n"
        "from mirror_realm.tasks.document.pdf import open_pdf\n"
        f"try:\n    open_pdf(Path({str(report)!r}), 'a').__enter__()\n"
        "except Exception as e: print(e.code, e.hint)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "DEPENDENCY_FAILURE install it with: pip install 'mirror-realm[media]'\n"


def test_declaring_is_light():
    heavy = ["pypdfium2", "docx", "lxml", "PIL", "charset_normalizer", "numpy", "av"]
    code = f"import sys, mirror_realm.tasks.document; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_text_that_is_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr("mirror_realm.tasks.document.texts.MAX_TEXT_BYTES", 10)
    (tmp_path / "a.txt").write_text("more than ten bytes", encoding="utf-8")
    with pytest.raises(RealmError) as caught:
        read_text(tmp_path / "a.txt", "a.txt", "text")
    assert caught.value.code is Code.OUT_OF_RANGE
