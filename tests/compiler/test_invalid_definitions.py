"""Wrong definitions as data: each fixture says which codes are expected on which lines, and nothing else may be found.

In YAML a comment ``# expect: MR201`` stands on the line that is at fault, or ``# expect: MR101@6`` anywhere where a
comment there would change the text; JSON has a file of the same name with the suffix ``.expect``.
"""

import re
from pathlib import Path

import pytest

from mirror_realm.compiler import analyze
from mirror_realm.compiler.diagnostics import title_of
from mirror_realm.core.errors import Code, RealmError

FOLDER = Path(__file__).parent / "fixtures" / "invalid"
DIALECTS = FOLDER.parent / "dialects"
FILES = sorted(path for path in FOLDER.iterdir() if path.suffix in (".yaml", ".json"))


def expected(path: Path) -> set[tuple[str, int]]:
    beside = path.with_suffix(".expect")
    if beside.exists():
        return {(code, int(line)) for code, line in (word.split("@") for word in beside.read_text().split())}
    found = set()
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if match := re.search(r"# expect: (.*)$", line):
            for word in match.group(1).split():
                code, _, where = word.partition("@")
                found.add((code, int(where or number)))
    return found


def test_there_are_enough_of_them():
    assert len(FILES) >= 60


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_fault_is_found_at_its_line_and_nothing_else(path):
    analysis = analyze(path)
    found = {(d.code, d.line) for d in analysis.diagnostics if d.severity != "info"}
    assert found == expected(path), "\n" + analysis.render()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_finding_says_what_to_do(path):
    for finding in analyze(path).diagnostics:
        assert finding.hint, finding
        assert title_of(finding.code) != finding.code
        assert finding.column is not None
        assert (finding.end_line, finding.end_column) >= (finding.line, finding.column)


def asks(finding):
    """Whether the hint asks for a word that belongs at the finding's place: not where a variable's value is wrong."""
    return "did you mean" in (finding.hint or "") and "stands at" not in finding.hint


@pytest.mark.parametrize(
    "path", [*FILES, *sorted(DIALECTS.glob("*/invalid/*.yaml"))], ids=lambda path: path.stem
)
def test_what_a_hint_asks_about_is_data_too(path):
    for finding in analyze(path).diagnostics:
        assert bool(finding.suggestions) == asks(finding), finding
        assert all(repr(word) in finding.hint for word in finding.suggestions)
        assert type(finding.hint) is str
        assert finding.to_dict().get("suggestions", []) == list(finding.suggestions)


def test_a_dangling_next_is_worded_as_the_platform_words_it():
    text = (
        "name: photos\nnodes:\n"
        "  - {node_id: preprocess-01, type: control/start, next: [enhance-01]}\n"
        "  - {node_id: enhance-01, type: control/end, next: [non-existent-node]}\n"
    )
    (finding,) = analyze("w.yaml", text=text).errors
    assert (
        finding.message == "Node 'enhance-01' references non-existent node 'non-existent-node' in next field"
    )
    assert finding.path == "nodes[1].next[0]"
    assert (finding.line, finding.column) == (4, 53)


def test_errors_become_one_exception_with_all_of_them_as_details():
    analysis = analyze(FOLDER / "everything-at-once.yaml")
    with pytest.raises(RealmError) as caught:
        analysis.raise_for_errors()
    assert caught.value.code is Code.INVALID_WORKFLOW_DEFINITION
    assert "everything-at-once.yaml:1:7" in caught.value.record.message
    fields = {violation["field"] for violation in caught.value.record.details["field_violations"]}
    assert {
        "name",
        "version",
        "nodes[0].type",
        "nodes[0].next[1]",
        "nodes[1].timeout",
        "edges[0].target",
    } <= fields
    assert analysis.definition is None
    assert analysis.graph is not None


def test_a_cycle_is_printed_in_order_from_its_first_node():
    text = "name: w\nnodes:\n" + "".join(
        f"  - {{node_id: {a}, type: control/start, next: [{b}]}}\n" for a, b in ("ab", "bc", "cd", "db")
    )
    (finding,) = analyze("w.yaml", text=text).errors
    assert finding.message == "cycle: b → c → d → b"
    assert finding.line == 6


def test_every_knot_of_cycles_is_reported_once():
    pairs = ("ab", "ba", "cd", "dc", "xa")
    text = "name: w\nnodes:\n" + "".join(f"  - {{node_id: {n}, type: control/start}}\n" for n in "abcdx")
    text += "edges:\n" + "".join(f"  - {{source: {a}, target: {b}}}\n" for a, b in pairs)
    assert [d.message for d in analyze("w.yaml", text=text).errors] == [
        "cycle: a → b → a",
        "cycle: c → d → c",
    ]
