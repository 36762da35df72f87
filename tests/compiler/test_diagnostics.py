"""Diagnostics as text, JSON, SARIF and GitHub annotations; carets under wide characters."""

import json
import unicodedata

import pytest

from mirror_realm.compiler import Diagnostic, analyze
from mirror_realm.compiler.diagnostics import CODES, format_path, in_order, render
from mirror_realm.compiler.snippets import line_of, width


def cells(text: str) -> int:
    return sum(map(width, text))


def caret_over(source: str, **place) -> tuple[str, str]:
    finding = Diagnostic("MR101", "error", "wrong", file="w.yaml", **place)
    lines = render([finding], sources={"w.yaml": source}).splitlines()
    assert lines[0] == f"w.yaml:{place['line']}:{place['column']}: error MR101: wrong"
    return lines[1], lines[2]


@pytest.mark.parametrize(
    ("source", "column", "end_column", "marked"),
    [
        ("name: abc", 7, 10, "abc"),
        ("名称: 照片-1", 5, 7, "照片"),
        ("名称:\t照片-1", 5, 7, "照片"),
        ("a: e\u0301x", 6, 7, "x"),
        ("# ﾊﾝｶｸ：x", 8, 9, "x"),
    ],
)
def test_the_caret_stands_under_what_it_marks(source, column, end_column, marked):
    line, carets = caret_over(source, line=1, column=column, end_line=1, end_column=end_column)
    assert carets.count("^") == cells(marked)
    before = line[: line.index(marked)]
    assert cells(before) == cells(carets[: carets.index("^")])


def test_a_span_over_lines_is_marked_to_the_end_of_its_first():
    _, carets = caret_over("a: [1,\n 2]", line=1, column=4, end_line=2, end_column=4)
    assert carets.count("^") == 3


def test_a_place_beyond_the_line_is_still_shown():
    _, carets = caret_over("ab", line=1, column=9, end_line=1, end_column=10)
    assert carets.endswith("|   ^")


def test_a_long_line_is_cut_around_the_caret():
    source = "x" * 5000 + "照" + "y" * 5000
    line, carets = caret_over(source, line=1, column=5001, end_line=1, end_column=5002)
    assert len(line) < 130
    assert cells(line[: line.index("照")]) == cells(carets[: carets.index("^")])


def test_control_characters_do_not_reach_the_terminal():
    line, _ = caret_over("a: \x1b[31mred", line=1, column=4, end_line=1, end_column=5)
    assert not any(unicodedata.category(c) == "Cc" for c in line)


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_lines_end_in_any_way(ending):
    source = ending.join(["one", "two", "three"])
    assert [line_of(source, n) for n in (1, 2, 3, 4)] == ["one", "two", "three", None]


def test_json_has_every_field_that_is_known():
    finding = Diagnostic(
        "MR201", "error", "no such node", "did you mean 'a'?", "w.yaml", 3, 5, 3, 9, "nodes[0].next[0]"
    )
    (shown,) = json.loads(render([finding], "json"))["diagnostics"]
    assert shown == {
        "code": "MR201",
        "severity": "error",
        "message": "no such node",
        "hint": "did you mean 'a'?",
        "file": "w.yaml",
        "line": 3,
        "column": 5,
        "end_line": 3,
        "end_column": 9,
        "path": "nodes[0].next[0]",
    }


def test_json_has_the_words_that_were_meant():
    finding = Diagnostic("MR201", "error", "no such node", "did you mean 'a'?", suggestions=("a", "b"))
    (shown,) = json.loads(render([finding], "json"))["diagnostics"]
    assert shown["suggestions"] == ["a", "b"]


def test_sarif_points_at_the_region():
    finding = Diagnostic("MR201", "warning", "a message", "a hint", "照 片.yaml", 3, 5, 3, 9, "nodes[0]")
    log = json.loads(render([finding], "sarif"))
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    (result,) = run["results"]
    assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"] == "MR201"
    assert run["columnKind"] == "unicodeCodePoints"
    assert (result["level"], result["message"]["text"]) == ("warning", "a message a hint")
    physical = result["locations"][0]["physicalLocation"]
    assert physical["region"] == {"startLine": 3, "startColumn": 5, "endLine": 3, "endColumn": 9}
    assert physical["artifactLocation"]["uri"] == "%E7%85%A7%20%E7%89%87.yaml"
    assert json.loads(render([], "sarif"))["runs"][0]["results"] == []


def test_github_annotations_escape_what_would_end_them():
    finding = Diagnostic("MR101", "info", "50% of\nit", None, "a,b:c.yaml", 1, 2, 1, 3)
    assert render([finding], "github") == (
        "::notice file=a%2Cb%3Ac.yaml,line=1,endLine=1,col=2,endColumn=3,title=MR101 Syntax error::50%25 of%0Ait"
    )


def test_findings_are_sorted_by_position_and_each_shown_once():
    late = Diagnostic("MR101", "error", "late", file="w", line=9, column=1)
    warning = Diagnostic("MR130", "warning", "early", file="w", line=2, column=5)
    error = Diagnostic("MR201", "error", "early", file="w", line=2, column=5)
    assert in_order([late, warning, error, late]) == (error, warning, late)


def test_paths_are_written_as_people_write_them():
    assert format_path(("nodes", 1, "next", 0)) == "nodes[1].next[0]"
    assert format_path(("variables", "a b", "照片", "x-y")) == "variables['a b'].照片.x-y"
    assert format_path(()) == ""


def test_colours_only_where_asked_for():
    analysis = analyze("w.yaml", text="name: W\nnodes: []\n")
    assert "\x1b[" not in analysis.render()
    assert "\x1b[31merror MR114" in analysis.render(color=True)


def test_codes_are_in_their_ranges():
    assert all(code[:2] == "MR" and code[2] in "1234" and len(code) == 5 for code in CODES)
