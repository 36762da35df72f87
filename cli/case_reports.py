"""What ``realm test`` found, for programs: one JSON document, or JUnit's XML."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

if TYPE_CHECKING:
    from ..compiler.cases import Suite
    from ..deployments.testing import CaseResult

Found = Sequence[tuple["Suite", list["CaseResult"]]]
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML cannot carry."""


def report(found: Found, seconds: float) -> str:
    """One JSON document: totals, and for each file its findings and cases."""
    files = [
        {
            "file": suite.file,
            "workflow": suite.analysis.file if suite.analysis is not None else None,
            "diagnostics": [one.to_dict() for one in suite.diagnostics],
            "cases": [result.to_dict() for result in results],
        }
        for suite, results in found
    ]
    totals = {status: _count(found, status) for status in ("passed", "failed", "skipped")}
    wrong = sum(not suite.ok for suite, _ in found)
    whole = {**totals, "wrong_files": wrong, "seconds": round(seconds, 3), "files": files}
    return json.dumps(whole, ensure_ascii=False, indent=2)


def junit(found: Found, seconds: float) -> str:
    """JUnit's XML: a suite for each file. A file that is wrong is one case with an error."""
    total = sum(max(1, len(results)) if not suite.ok else len(results) for suite, results in found)
    wrong = sum(not suite.ok for suite, _ in found)
    root = _element(
        None,
        "testsuites",
        tests=total,
        failures=_count(found, "failed"),
        errors=wrong,
        skipped=_count(found, "skipped"),
        time=f"{seconds:.3f}",
    )
    for suite, results in found:
        inner = _element(
            root,
            "testsuite",
            name=suite.file,
            tests=max(1, len(results)) if not suite.ok else len(results),
            failures=sum(result.status == "failed" for result in results),
            errors=0 if suite.ok else 1,
            skipped=sum(result.status == "skipped" for result in results),
            time=f"{sum(result.seconds for result in results):.3f}",
        )
        if not suite.ok:
            case = _element(inner, "testcase", classname=suite.file, name="the test file", time="0")
            first = next(one for one in suite.diagnostics if one.severity == "error")
            error = _element(case, "error", message=first.message)
            error.text = _clean("\n".join(f"{one.position}: {one.message}" for one in suite.diagnostics))
        for result in results:
            _case(inner, suite, result)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode")


def _case(parent: ElementTree.Element, suite: Suite, result: CaseResult) -> None:
    line = result.place.rsplit(":", 2)[-2]
    case = _element(
        parent,
        "testcase",
        classname=suite.file,
        name=result.name,
        file=suite.file,
        line=line,
        time=f"{result.seconds:.3f}",
    )
    if result.status == "skipped":
        _element(case, "skipped", message=result.reason)
    if result.status == "failed":
        first = result.failures[0]
        message = f"{first.what}: expected {first.expected}, actual {first.actual}"
        failure = _element(case, "failure", message=message)
        failure.text = _clean(
            "\n".join(
                f"{one.place}: {one.what}\n  expected  {one.expected}\n  actual    {one.actual}"
                for one in result.failures
            )
        )


def _element(parent: ElementTree.Element | None, tag: str, /, **attributes: Any) -> ElementTree.Element:
    given = {key: _clean(str(value)) for key, value in attributes.items()}
    return ElementTree.Element(tag, given) if parent is None else ElementTree.SubElement(parent, tag, given)


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("�", text)


def _count(found: Found, status: str) -> int:
    return sum(result.status == status for _, results in found for result in results)
