"""Documents for tests, written byte by byte so that tests know what is in them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

_PAD = bytes.fromhex("28BF4E5E4E758A4164004E56FFFA01082E2E00B6D0683E802F0CA9FE6453697A")


def pdf(
    path: Path,
    pages: Sequence[str],
    *,
    title: str | None = None,
    size: tuple[float, float] = (200, 300),
    password: str | None = None,
    image_only: Sequence[int] = (),
) -> Path:
    """A PDF whose pages show these texts (a line break is one) at 14 points, and in the lower right corner a red
    square of 20 points. Pages in ``image_only`` (from 1) have only the square. ``password`` locks it (RC4, 40 bits)."""
    count = len(pages)
    bodies: list[bytes] = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Count %d/Kids[%s]>>"
        % (count, b" ".join(b"%d 0 R" % (6 + 2 * i) for i in range(count))),
        b"<</Type/Font/Subtype/Type0/BaseFont/STSong-Light/Encoding/UniGB-UCS2-H/DescendantFonts[4 0 R]>>",
        b"<</Type/Font/Subtype/CIDFontType0/BaseFont/STSong-Light/CIDSystemInfo<</Registry(Adobe)/Ordering(GB1)"
        b"/Supplement 4>>/W[1 95 640]/FontDescriptor<</Type/FontDescriptor/FontName/STSong-Light/Flags 6/Ascent 880"
        b"/Descent -120/ItalicAngle 0/StemV 90/CapHeight 880/FontBBox[-25 -254 1000 880]>>>>",
        b"<</Title %s/CreationDate(D:20230615103045+08'00')>>" % _string(title or ""),
    ]
    key, encrypt = _locked(password) if password else (None, b"")
    for number, text in enumerate(pages, 1):
        lines = [] if number in image_only else text.split("\n")
        shown = b"".join(
            b"BT /F1 14 Tf 20 %g Td <%s> Tj ET\n" % (size[1] - 40 - 20 * i, _wide(line).hex().encode())
            for i, line in enumerate(lines)
            if line
        )
        content = shown + b"1 0 0 rg %g 0 20 20 re f\n" % (size[0] - 20)
        if key:
            content = _rc4(
                hashlib.md5(key + (5 + 2 * number + 0).to_bytes(3, "little") + b"\0\0").digest()[:10], content
            )
        page = (
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 %g %g]/Contents %d 0 R/Resources<</Font<</F1 3 0 R>>>>>>"
        )
        bodies.append(page % (*size, 5 + 2 * number))
        bodies.append(b"<</Length %d>>stream\n%s\nendstream" % (len(content), content))
    path.write_bytes(_assembled(bodies, encrypt))
    return path


def _assembled(bodies: Sequence[bytes], encrypt: bytes) -> bytes:
    out = b"%PDF-1.5\n%\xe2\xe3\xcf\xd3\n"
    places = []
    for number, body in enumerate(bodies, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"xref\n0 %d\n0000000000 65535 f \n" % (len(bodies) + 1)
    table += b"".join(b"%010d 00000 n \n" % place for place in places)
    trailer = b"trailer<</Size %d/Root 1 0 R/Info 5 0 R/ID[<00><00>]%s>>" % (len(bodies) + 1, encrypt)
    return out + table + trailer + b"\nstartxref\n%d\n%%%%EOF" % len(out)


def _wide(text: str) -> bytes:
    return text.encode("utf-16-be")


def _string(text: str) -> bytes:
    return b"<FEFF%s>" % _wide(text).hex().encode()


def _locked(password: str) -> tuple[bytes, bytes]:
    """(key, trailer entry) of the standard security handler, revision 2 (PDF 1.7, 7.6.3)."""
    padded = (password.encode() + _PAD)[:32]
    owner = _rc4(hashlib.md5(padded).digest()[:5], padded)
    permissions = (-4).to_bytes(4, "little", signed=True)
    key = hashlib.md5(padded + owner + permissions + b"\0").digest()[:5]
    user = _rc4(key, _PAD)
    entry = b"/Encrypt<</Filter/Standard/V 1/R 2/O<%s>/U<%s>/P -4>>"
    return key, entry % (owner.hex().encode(), user.hex().encode())


def _rc4(key: bytes, data: bytes) -> bytes:
    state = list(range(256))
    j = 0
    for i in range(256):
        j = (j + state[i] + key[i % len(key)]) % 256
        state[i], state[j] = state[j], state[i]
    out, i, j = bytearray(), 0, 0
    for byte in data:
        i = (i + 1) % 256
        j = (j + state[i]) % 256
        state[i], state[j] = state[j], state[i]
        out.append(byte ^ state[(state[i] + state[j]) % 256])
    return bytes(out)
