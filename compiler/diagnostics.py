"""Diagnostics: what the compiler finds, as data, and the four forms in which it is shown.

A code is an interface: editors, CI and documentation name it, so a code is never given a second meaning.
``MR1xx`` is form, ``MR2xx`` the graph, ``MR3xx`` expressions and data, ``MR4xx`` resources.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from .snippets import snippet

Severity = Literal["error", "warning", "info"]
Verdict = Literal["proved", "refuted", "unknown"]
Format = Literal["text", "json", "sarif", "github"]
Path = tuple[str | int, ...]

CODES: Mapping[str, str] = {
    "MR100": "The file cannot be read",
    "MR101": "Syntax error",
    "MR102": "Text encoding",
    "MR103": "Beyond a limit of size, depth or expansion",
    "MR104": "Duplicate key",
    "MR105": "More than one document in a file",
    "MR106": "Not a workflow definition",
    "MR107": "A construct that definitions do not use",
    "MR108": "A number or text that JSON cannot carry",
    "MR110": "Missing field",
    "MR111": "Unknown key",
    "MR112": "Wrong type",
    "MR113": "Value not allowed",
    "MR114": "Name or identifier",
    "MR115": "Version",
    "MR116": "Duration",
    "MR117": "Cron expression",
    "MR118": "Time zone",
    "MR119": "The same thing said twice",
    "MR120": "Unknown node type",
    "MR121": "Unknown parameter",
    "MR122": "Parameter value",
    "MR123": "Missing parameter",
    "MR124": "JSON Schema of the input",
    "MR125": "Unknown dialect",
    "MR126": "Unknown trigger type",
    "MR127": "Trigger configuration",
    "MR128": "Error code",
    "MR130": "Accepted but not executed yet",
    "MR131": "No trigger",
    "MR132": "Read from the environment",
    "MR133": "Batches that no worker can take",
    "MR140": "Cache",
    "MR141": "Compensation",
    "MR142": "Handler of failed instances",
    "MR143": "Error rule that never counts",
    "MR150": "Mock of a node in a test file",
    "MR201": "Reference to a node that does not exist",
    "MR202": "Duplicate node id",
    "MR203": "A node that follows itself",
    "MR204": "Cycle",
    "MR205": "No entry node",
    "MR206": "Unreachable node",
    "MR207": "else without a sibling condition",
    "MR208": "Join that can never be met",
    "MR209": "The same edge twice",
    "MR210": "No nodes",
    "MR211": "Branches of a control node",
    "MR220": "Branches that leave something out",
    "MR221": "Branches that overlap",
    "MR222": "A condition that never holds",
    "MR223": "A condition that always holds",
    "MR224": "Join of branches that exclude each other",
    "MR230": "Sub-workflow",
    "MR231": "Recursion of sub-workflows",
    "MR240": "A node that never runs",
    "MR241": "No end is reached",
    "MR242": "Beginnings and ends",
    "MR243": "A part that never runs",
    "MR250": "A loop without a bound",
    "MR251": "A loop that never ends",
    "MR252": "More rounds than are allowed",
    "MR260": "Nodes that may run at the same time touch the same thing",
    "MR270": "Timeout below the least time",
    "MR280": "A secret that is shown",
    "MR281": "A credential in clear",
    "MR290": "A compensation that undoes nothing",
    "MR291": "A change in a transaction that nothing undoes",
    "MR301": "Expression syntax",
    "MR302": "Unknown name in an expression",
    "MR303": "Unknown field",
    "MR304": "Condition is not a boolean",
    "MR305": "Types do not agree",
    "MR306": "May be skipped",
    "MR307": "Edge mapping",
    "MR308": "Unknown function",
    "MR309": "Expression beyond a limit",
    "MR310": "A node that has not run yet",
    "MR311": "An expression that always fails",
    "MR350": "Input that nothing supplies",
    "MR351": "Two predecessors supply the same field",
    "MR401": "GPU resources without a GPU",
    "MR402": "Resources that no worker offers",
    "MR403": "More asked for at once than the pool has",
}
"""Every code and its title."""

_SARIF_LEVEL = {"error": "error", "warning": "warning", "info": "note"}
_REFUSED = ("MR107", "MR108")
_RANK = {"error": 0, "warning": 1, "info": 2}


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding. Lines and columns are 1-based and count characters; ``end_column`` is exclusive.

    ``message`` says what is wrong, ``hint`` what to write instead. ``path`` names the value in the document
    as the author wrote it, such as ``nodes[1].next[0]``. ``line`` is ``None`` only where there is no text.
    ``suggestions`` are the words that were probably meant at that place, best first, where the hint asks about some.
    """

    code: str
    severity: Severity
    message: str
    hint: str | None = None
    file: str | None = None
    line: int | None = None
    column: int | None = None
    end_line: int | None = None
    end_column: int | None = None
    path: str | None = None
    verdict: Verdict | None = None
    suggestions: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What the code stands for."""
        return title_of(self.code)

    @property
    def position(self) -> str:
        """``file:line:column``, as far as known."""
        return ":".join(
            str(part) for part in (self.file or "<text>", self.line, self.column) if part is not None
        )

    @property
    def sort_key(self) -> tuple[Any, ...]:
        """Orders findings by file and position, errors first where two share one."""
        place = (self.file or "", self.line or 0, self.column or 0)
        return (*place, _RANK[self.severity], self.code, self.message)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form; absent fields are left out."""
        found = {name: value for name, value in asdict(self).items() if value is not None and value != ()}
        return found | ({"suggestions": list(self.suggestions)} if self.suggestions else {})

    def __str__(self) -> str:
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.position}: {self.severity} {self.code}: {self.message}{hint}"


def title_of(code: str) -> str:
    """What a code means: from :data:`CODES`, or as the check says whose own it is; the code itself if nobody does."""
    if code in CODES:
        return CODES[code]
    from .checks import titles

    return titles().get(code, code)


def format_path(path: Iterable[str | int]) -> str:
    """A path as people write it.

    >>> format_path(("nodes", 1, "parameters", "max size"))
    "nodes[1].parameters['max size']"
    """
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part.replace("-", "_").isidentifier():
            text += f".{part}" if text else part
        else:
            text += f"[{part!r}]"
    return text


def in_order(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """``diagnostics`` by position, each once, also where anchors put one text in several places. Of a value that
    cannot be taken as written, nothing else is said."""
    found = {replace(d, path=None): d for d in reversed(list(diagnostics))}.values()
    refused = {(d.file, d.line, d.column, d.end_line, d.end_column) for d in found if d.code in _REFUSED}
    kept = (
        d
        for d in found
        if d.code in _REFUSED or (d.file, d.line, d.column, d.end_line, d.end_column) not in refused
    )
    return tuple(sorted(kept, key=lambda d: d.sort_key))


def render(
    diagnostics: Sequence[Diagnostic],
    format: Format = "text",
    *,
    sources: Mapping[str, str] | None = None,
    color: bool = False,
) -> str:
    """``diagnostics`` as text with source snippets, as JSON, as SARIF 2.1.0 or as GitHub annotations.

    ``sources`` maps a diagnostic's ``file`` to its text, for the snippets of the text form.
    """
    if format == "json":
        return json.dumps({"diagnostics": [d.to_dict() for d in diagnostics]}, ensure_ascii=False, indent=2)
    if format == "sarif":
        return json.dumps(_sarif(diagnostics), ensure_ascii=False, indent=2)
    if format == "github":
        return "\n".join(map(_github, diagnostics))
    return "\n\n".join(_text(d, (sources or {}).get(d.file or ""), color) for d in diagnostics)


def _text(diagnostic: Diagnostic, source: str | None, color: bool) -> str:
    tint, bold, reset = ("", "", "")
    if color:
        tint = {"error": "\x1b[31m", "warning": "\x1b[33m", "info": "\x1b[36m"}[diagnostic.severity]
        bold, reset = "\x1b[1m", "\x1b[0m"
    lines = [
        f"{bold}{diagnostic.position}{reset}: {tint}{diagnostic.severity} {diagnostic.code}{reset}: "
        f"{diagnostic.message}"
    ]
    if source is not None and diagnostic.line is not None:
        lines += snippet(source, diagnostic, tint, reset)
    if diagnostic.hint:
        lines.append(f"  = {diagnostic.hint}")
    return "\n".join(lines)


def _github(diagnostic: Diagnostic) -> str:
    level = {"error": "error", "warning": "warning", "info": "notice"}[diagnostic.severity]
    fields = {
        "file": diagnostic.file,
        "line": diagnostic.line,
        "endLine": diagnostic.end_line,
        "col": diagnostic.column,
        "endColumn": diagnostic.end_column,
        "title": f"{diagnostic.code} {diagnostic.title}",
    }
    properties = ",".join(
        f"{name}={_escape(str(value)).replace(':', '%3A').replace(',', '%2C')}"
        for name, value in fields.items()
        if value is not None
    )
    body = diagnostic.message + (f"\n{diagnostic.hint}" if diagnostic.hint else "")
    return f"::{level} {properties}::{_escape(body)}"


def _escape(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _sarif(diagnostics: Sequence[Diagnostic]) -> dict[str, Any]:
    used = sorted({d.code for d in diagnostics})
    rules = [{"id": code, "shortDescription": {"text": title_of(code)}} for code in used]
    run = {
        "tool": {"driver": {"name": "mirror-realm", "rules": rules}},
        "columnKind": "unicodeCodePoints",
        "results": [_sarif_result(d, used.index(d.code)) for d in diagnostics],
    }
    schema = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
    return {"$schema": schema, "version": "2.1.0", "runs": [run]}


def _sarif_result(diagnostic: Diagnostic, rule: int) -> dict[str, Any]:
    text = diagnostic.message + (f" {diagnostic.hint}" if diagnostic.hint else "")
    result: dict[str, Any] = {
        "ruleId": diagnostic.code,
        "ruleIndex": rule,
        "level": _SARIF_LEVEL[diagnostic.severity],
        "message": {"text": text},
    }
    place: dict[str, Any] = {}
    if diagnostic.file is not None:
        physical: dict[str, Any] = {"artifactLocation": {"uri": _uri(diagnostic.file)}}
        region = {
            "startLine": diagnostic.line,
            "startColumn": diagnostic.column,
            "endLine": diagnostic.end_line,
            "endColumn": diagnostic.end_column,
        }
        if known := {name: value for name, value in region.items() if value is not None}:
            physical["region"] = known
        place["physicalLocation"] = physical
    if diagnostic.path:
        place["logicalLocations"] = [{"fullyQualifiedName": diagnostic.path}]
    return result | ({"locations": [place]} if place else {})


def _uri(file: str) -> str:
    from urllib.parse import quote

    return quote(file.replace("\\", "/"))
