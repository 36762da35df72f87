"""A page that shows what became of many pictures: before and after, tags, scores, faces, groups of copies.

One HTML file with its pictures inside: no script, nothing loaded from anywhere, so that it can be sent, kept and opened
without a network. Whatever the records say is shown as text, never taken for markup.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, TypedDict

from ...core.errors import RealmError

SIDE = 360
"""Longest side of a picture on the page, in pixels."""
MOST_RECORDS = 500
MOST_TAGS = 12
MOST_FACES = 50
LONGEST_TEXT = 300
_QUALITY = 80


class Face(TypedDict, total=False):
    """A face's box as shares of the upright picture's width and height, 0–1, and what to call it."""

    x: float
    y: float
    width: float
    height: float
    label: str


class Record(TypedDict, total=False):
    """One picture on the page; only ``name`` is needed. ``before`` and ``after`` are files on this machine."""

    name: str
    before: Path | str | None
    after: Path | str | None
    facts: Mapping[str, object]
    """Short facts in the order in which they are to be read: size, format, when taken …"""
    tags: Sequence[tuple[str, float]]
    """Tags with their confidence, 0–1."""
    scores: Mapping[str, float]
    """Named scores, 0–1."""
    faces: Sequence[Face]
    remarks: Sequence[str]


class Copy(TypedDict, total=False):
    """One picture of a group of copies; the keeper has no verdict."""

    name: str
    path: Path | str | None
    verdict: str
    similarity: float


class CopyGroup(TypedDict):
    """Copies of one picture, the one to keep first."""

    title: str
    pictures: Sequence[Copy]


def contact_sheet(
    records: Sequence[Record],
    *,
    title: str,
    groups: Sequence[CopyGroup] = (),
    max_pixels: int,
    checkpoint: Callable[[float, str], None] = lambda fraction, message: None,
) -> str:
    """The page as HTML. A picture that cannot be read is told so in its place.

    At most :data:`MOST_RECORDS` records are shown, and as many pictures of groups; how many more there are is said.
    ``checkpoint`` is called for each picture and may raise to stop.
    """
    shown = records[:MOST_RECORDS]
    total = len(shown) + sum(len(group["pictures"]) for group in groups) or 1
    parts = [_HEAD.replace("{title}", escape(title[:LONGEST_TEXT])), f"<h1>{_text(title)}</h1>"]
    parts.append(
        f"<p class=sum>{_counted(len(records), 'picture')}{_more(len(records) - len(shown))}</p><main>"
    )
    for index, record in enumerate(shown):
        checkpoint(index / total, str(record.get("name", "")))
        parts.append(_card(record, max_pixels))
    parts.append("</main>")
    if groups:
        parts.append(f"<h2>{_counted(len(groups), 'group')} of copies</h2>")
        parts.extend(_groups(groups, max_pixels, lambda n, name: checkpoint((len(shown) + n) / total, name)))
    return "".join([*parts, "</body></html>\n"])


def _card(record: Record, max_pixels: int) -> str:
    before, after = record.get("before"), record.get("after")
    faces = _faces(record.get("faces") or ())
    looked_at = "after" if after else "before"
    pictures = [
        _figure(path, caption, faces if caption == looked_at else "", max_pixels)
        for path, caption in ((before, "before"), (after, "after"))
        if path
    ]
    body = [
        f"<div class=pair>{''.join(pictures)}</div>" if pictures else "",
        f"<h3>{_text(record.get('name', ''))}</h3>",
        _facts(record.get("facts") or {}),
        _scores(record.get("scores") or {}),
        _tags(record.get("tags") or ()),
        *(f"<p class=remark>{_text(remark)}</p>" for remark in list(record.get("remarks") or ())[:MOST_TAGS]),
    ]
    return f"<article>{''.join(body)}</article>"


def _figure(path: Path | str, caption: str, boxes: str, max_pixels: int) -> str:
    frame = f"<div class=frame>{_picture(path, max_pixels)}{boxes}</div>"
    return f"<figure>{frame}<figcaption>{_text(caption)}</figcaption></figure>"


def _picture(path: Path | str, max_pixels: int) -> str:
    """The picture as an element, its bytes inside."""
    from .viewing import view

    place = Path(path)
    try:
        image = view(place, side=SIDE, max_pixels=max_pixels).image
    except RealmError as error:
        return f"<p class=gone>{_text(error.record.message)}</p>"
    except OSError as error:
        return f"<p class=gone>{_text(f'{place.name}: {error.strerror or error}')}</p>"
    data = io.BytesIO()
    image.save(data, "JPEG", quality=_QUALITY)
    source = base64.b64encode(data.getvalue()).decode("ascii")
    size = f'width="{image.width}" height="{image.height}"'
    return f'<img src="data:image/jpeg;base64,{source}" {size} alt="{_text(place.name)}">'


def _faces(faces: Iterable[Face]) -> str:
    boxes = []
    for face in list(faces)[:MOST_FACES]:
        x, y = _share(face.get("x")), _share(face.get("y"))
        width, height = min(_share(face.get("width")), 1 - x), min(_share(face.get("height")), 1 - y)
        place = f"left:{x:.2%};top:{y:.2%};width:{width:.2%};height:{height:.2%}"
        boxes.append(f'<i class=face style="{place}" title="{_text(face.get("label", "face"))}"></i>')
    return "".join(boxes)


def _facts(facts: Mapping[str, object]) -> str:
    rows = "".join(
        f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>" for name, value in facts.items() if value is not None
    )
    return f"<dl>{rows}</dl>" if rows else ""


def _scores(scores: Mapping[str, float]) -> str:
    rows = "".join(
        f"<li><span>{_text(name)}</span>"
        f"<meter min=0 max=1 low=.35 high=.65 optimum=1 value={_share(value):.3f}></meter>"
        f"<b>{_share(value):.2f}</b></li>"
        for name, value in scores.items()
    )
    return f"<ul class=scores>{rows}</ul>" if rows else ""


def _tags(tags: Sequence[tuple[str, float]]) -> str:
    shown = sorted(tags, key=lambda tag: -_share(tag[1]))[:MOST_TAGS]
    items = "".join(
        f'<li style="opacity:{0.45 + 0.55 * _share(confidence):.2f}" title="{_share(confidence):.0%}">{_text(tag)}</li>'
        for tag, confidence in shown
    )
    return f"<ul class=tags>{items}</ul>{_more(len(tags) - len(shown))}" if items else ""


def _groups(
    groups: Sequence[CopyGroup], max_pixels: int, checkpoint: Callable[[int, str], None]
) -> Iterable[str]:
    shown = 0
    for number, group in enumerate(groups):
        if shown >= MOST_RECORDS:
            yield f"<p class=sum>{_more(len(groups) - number).strip()}</p>"
            return
        cells = []
        for copy in list(group["pictures"])[: MOST_RECORDS - shown]:
            checkpoint(shown, str(copy.get("name", "")))
            cells.append(_copy(copy, max_pixels))
            shown += 1
        left = _more(len(group["pictures"]) - len(cells))
        yield f"<section><h3>{_text(group['title'])}{left}</h3><div class=row>{''.join(cells)}</div></section>"


def _copy(copy: Copy, max_pixels: int) -> str:
    verdict = copy.get("verdict")
    alike = copy.get("similarity")
    words = (
        "keep" if verdict is None else verdict if alike is None else f"{verdict}, {_share(alike):.1%} alike"
    )
    path = copy.get("path")
    picture = _picture(path, max_pixels) if path else "<p class=gone>not on this machine</p>"
    kind = " class=keep" if verdict is None else ""
    return (
        f"<figure{kind}><div class=frame>{picture}</div>"
        f"<figcaption><b>{_text(words)}</b> {_text(copy.get('name', ''))}</figcaption></figure>"
    )


def _text(value: object) -> str:
    """Any value as text that is safe in an element and in an attribute's quotes."""
    text = str(value)
    return escape(text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…", quote=True)


def _share(value: Any) -> float:
    """A number from 0 to 1, whatever was given."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return 0.0
    return min(1.0, max(0.0, number)) if number == number else 0.0  # not a number is not itself


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"


def _more(count: int) -> str:
    return f" <small>and {count} more</small>" if count > 0 else ""


_STYLE = """
:root {
  color-scheme: light dark;
  --line: color-mix(in srgb, currentColor 18%, transparent);
  --soft: color-mix(in srgb, currentColor 60%, transparent);
}
body {
  font: 15px/1.45 system-ui, "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif;
  max-width: 1500px; margin: 2rem auto; padding: 0 1.25rem;
}
h1 { font-size: 1.6rem; margin: 0 0 .25rem }
h2 { margin: 2.5rem 0 1rem }
h3 { font-size: 1rem; margin: .75rem 0 .4rem }
h3, dd, figcaption, .gone { overflow-wrap: anywhere }
.sum, small, dt, figcaption, .remark { color: var(--soft) }
main { display: grid; gap: 1.25rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 430px), 1fr)) }
article, section { border: 1px solid var(--line); border-radius: 12px; padding: 1rem }
section { margin-bottom: 1.25rem }
.pair { display: grid; grid-auto-flow: column; grid-auto-columns: minmax(0, 1fr); gap: .75rem; align-items: start }
.row { display: flex; flex-wrap: wrap; gap: 1rem }
.row figure { width: 180px }
figure { margin: 0 }
figcaption { font-size: .8rem; margin-top: .25rem }
.frame { position: relative; line-height: 0 }
.frame img { width: 100%; height: auto; border-radius: 8px }
.face {
  position: absolute; box-sizing: border-box;
  border: 2px solid #ffcf33; border-radius: 3px; box-shadow: 0 0 0 1px #0008;
}
.gone {
  font-size: .85rem; line-height: 1.4; margin: 0; padding: 1.5rem 1rem;
  border: 1px dashed var(--line); border-radius: 8px;
}
dl { display: grid; grid-template-columns: auto 1fr; gap: .1rem .9rem; margin: .4rem 0; font-size: .9rem }
dd { margin: 0 }
ul { list-style: none; margin: .6rem 0; padding: 0 }
.scores li { display: grid; grid-template-columns: 7.5rem 1fr 2.5rem; gap: .6rem; font-size: .9rem }
.scores meter { width: 100%; height: 1.4em }
.scores b { font-weight: 500; text-align: right }
.tags { display: flex; flex-wrap: wrap; gap: .35rem }
.tags li { border: 1px solid var(--line); border-radius: 99px; padding: .05rem .6rem; font-size: .85rem }
.remark { font-size: .85rem; margin: .3rem 0 }
.keep .frame img { outline: 3px solid #2e9e5b; outline-offset: 2px }
"""

_HEAD = f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{{title}}</title><style>{_STYLE}</style></head><body>
"""
