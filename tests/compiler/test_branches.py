"""What is told about branches, and what is not: the wrong ones are fixtures in ``fixtures/invalid/branches-*.yaml``."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mirror_realm.compiler import analyze
from mirror_realm.compiler.verify.branches import judge
from mirror_realm.compiler.verify.logic import prover

HERE = Path(__file__).parent / "fixtures"
INPUT = (
    "input: {type: object, required: [n, x, kind, tags, flag, s], properties: {"
    "n: {type: integer, minimum: 0, maximum: 10}, x: {type: number}, kind: {enum: [a, b, 照]}, "
    "tags: {type: array, items: {type: string}}, flag: {type: boolean}, s: {type: string}, "
    "code: {type: string, pattern: '^[ab]$'}, maybe: {type: [number, 'null']}}}\n"
)


def definition(edges, nodes="abcd", variables="{}", input=INPUT):
    """A node ``from`` with edges to others: their conditions, or ``None``."""
    text = f"name: w\ntriggers: [{{type: manual}}]\n{input}variables: {variables}\nnodes:\n"
    text += "  - {node_id: from, type: http/request, parameters: {url: 'https://a.example'}}\n"
    text += "".join(f"  - {{node_id: {n}, type: control/start}}\n" for n in nodes[: len(edges)]).replace(
        "start", "end"
    )
    text += "edges:\n"
    for node, condition in zip(nodes, edges, strict=False):
        text += (
            f"  - {{source: from, target: {node}"
            + (f', condition: "{condition}"' if condition else "")
            + "}\n"
        )
    return text


def branch_findings(text):
    return [d for d in analyze("w.yaml", text=text).diagnostics if d.code.startswith("MR22")]


def told(*edges, **more):
    return [(d.code, d.severity) for d in branch_findings(definition(edges, **more))]


GAP, OVERLAP, NEVER, ALWAYS = (
    ("MR220", "warning"),
    ("MR221", "warning"),
    ("MR222", "error"),
    ("MR223", "warning"),
)


@pytest.mark.parametrize(
    ("edges", "found"),
    [
        # alternatives that cover everything, by proof or by listed values
        (["input.x >= 60", "input.x < 60"], []),
        (["input.x >= 60", "not (input.x >= 60)"], []),
        (["input.n < 4", "input.n >= 4 && input.n < 8", "input.n >= 8"], []),
        (["input.n <= 4", "input.n >= 5"], []),
        (["input.kind == 'a'", "input.kind in ['b', '照']"], []),
        (["input.s.startsWith('a')", "!input.s.startsWith('a')"], []),
        (["input.s is empty", "input.s is not empty"], []),
        (["input.flag", "!input.flag"], []),
        (["input.flag == true", "input.flag == false"], []),
        (["size(input.tags) == 0", "size(input.tags) > 0"], []),
        (["default(input.maybe, 0) > 5", "default(input.maybe, 0) <= 5"], []),
        (["input.maybe == null", "input.maybe != null"], []),
        (["input.x * 2 > 10", "input.x * 2 <= 10"], []),
        (["input.n % 2 == 0", "input.n % 2 == 1"], []),
        (["input.n > vars.border", "input.n <= vars.border"], []),
        (["input.free.x > 3", "input.free.x <= 3"], []),
        # and that do not
        (["input.x > 60", "input.x < 60"], [GAP]),
        (["input.n < 4", "input.n > 4"], [GAP]),
        (["input.kind == 'a'", "input.kind == '照'"], [GAP]),
        (["input.s == 'a'", "input.s == 'b'"], [GAP]),
        (["input.n > vars.border", "input.n < vars.border"], [GAP]),
        (["nodes['from'].status == 200", "nodes['from'].status == 404"], [GAP]),
        # nothing is left out where an else or a plain edge is
        (["input.x > 60", "input.x < 50", "else"], []),
        (["input.x > 60", "input.x < 50", None], []),
        # a guard, and ways that are optional each on its own
        (["input.x > 60"], []),
        (["'a' in input.tags", "'b' in input.tags"], []),
        (["input.flag", "input.x > 3"], []),
        (["input.flag", "input.flag"], []),
        # overlapping, with an else beside
        (["input.x > 90", "input.x > 60", "else"], [OVERLAP]),
        (["input.kind != 'a'", "input.kind != 'b'", "else"], [OVERLAP]),
        (["input.x > 90", "input.x > 60 && input.x <= 90", "else"], []),
        (["'a' in input.tags", "'b' in input.tags", "else"], []),
        (["input.x > 90", "input.flag", "else"], []),
        (["input.x > 90", "input.x > 60"], []),
        # never and always
        (["input.n > 10"], [NEVER]),
        (["input.x > 3 && input.x < 2"], [NEVER]),
        (["input.kind == 'c'"], [NEVER]),
        (["input.s == 'a' && input.s == 'b'"], [NEVER]),
        (["input.s.startsWith('ab') && input.s.startsWith('b')"], [NEVER]),
        (["size(input.s) < 0"], [NEVER]),
        (["input.n >= 0"], [ALWAYS]),
        (["input.kind in ['a', 'b', '照']"], [ALWAYS]),
        (["size(input.tags) >= 0"], [ALWAYS]),
        (["input.x == input.x"], [ALWAYS]),
        (["input.n / 2 == 2.5"], []),  # 5.0 is an integer to JSON Schema
        (["vars.border / 2 == 2.5 || input.n > 10"], [NEVER]),
        (["input.code != 'c'"], []),  # a pattern is not modelled, so nothing is claimed
        (["input.s > 5"], []),  # always an error, which the type check tells
        # switches that somebody set
        (["true"], []),
        (["false"], []),
        (["vars.on"], []),
        (["vars.on && input.x > 3"], []),
        (["input.n > vars.beyond"], [NEVER]),
        # of what is not known nothing is claimed
        (["input.s.matches('^a')", "input.s.matches('^b')"], []),
        (["now() > timestamp('2026-01-01')", "now() <= timestamp('2026-01-01')"], []),
        (["input.free == 'a'", "input.free == 5"], [("MR220", "info")]),
    ],
)  # fmt: skip
def test_what_is_told_about_the_edges_out_of_a_node(edges, found):
    assert told(*edges, variables="{border: 5, beyond: 99, on: false}") == found


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        (["input.n > 5", "input.n < 5"], "when input.n = 5"),
        (["input.s == 'a'", "input.s == '照'"], 'when input.s = "other"'),
        (["input.x >= 60", "input.x < 59.5"], "when input.x = 59.5"),
        (["input.maybe > 3", "input.maybe == null"], "when input.maybe = 3"),
        (["nodes['from'].status == 200", "nodes.from.status == 404"], "when nodes.from.status = "),
    ],
)
def test_a_counterexample_is_in_the_readers_own_names(edges, message):
    (finding,) = branch_findings(definition(edges))
    assert finding.verdict == "refuted"
    assert finding.message.startswith("no branch out of 'from' is taken when ")
    assert message in finding.message or message.replace("nodes.from", "nodes['from']") in finding.message


def test_a_type_that_is_taken_from_the_uses_is_said():
    (finding,) = branch_findings(definition(["input.free > 5", "input.free < 5"]))
    assert finding.message.endswith("when input.free = 5")
    assert "this takes input.free for a number" in (finding.hint or "")


JOINED = (
    "name: w\ntriggers: [{type: manual}]\n" + INPUT + "nodes:\n"
    "  - {node_id: z, type: control/start}\n"
    "  - {node_id: a, type: control/set, parameters: {values: {v: 1}}%s}\n"
    "  - {node_id: b, type: control/set, parameters: {values: {v: 1}}}\n"
    "  - {node_id: c, type: control/set, parameters: {values: {v: 1}}}\n"
    "  - {node_id: j, type: control/end, join: %s}\n"
    "edges:\n  - {source: z, target: a%s}\n  - {source: z, target: b%s}\n  - {source: z, target: c}\n"
    "  - {source: a, target: j}\n  - {source: b, target: j}\n  - {source: c, target: j}\n"
)


@pytest.mark.parametrize(
    ("guard", "join", "one", "other", "wrong"),
    [
        ("", "all", "", "", False),
        ("", "all", "input.x > 3", "input.x > 5", False),
        ("", "all", "input.x > 3", "else", True),
        ("", "all", "input.x > 5", "input.x < 3", True),
        ("", "2", "input.x > 5", "input.x < 3", False),
        ("", "3", "input.x > 5", "input.x < 3", True),
        ("", "any", "input.x > 5", "input.x < 3", False),
        ("input.x > 5", "all", "", "input.x < 3", True),
        ("", "all", "input.x > 5", "input.n < 3", False),
        ("", "all", "nodes.z.ok == true", "nodes.z.ok == false", True),
    ],
)
def test_a_join_of_ways_that_exclude_each_other(guard, join, one, other, wrong):
    when = f', when: "{guard}"' if guard else ""
    ways = [f', condition: "{way}"' if way else "" for way in (one, other)]
    found = [d.code for d in branch_findings(JOINED % (when, join, *ways)) if d.severity == "error"]
    assert found == (["MR224"] if wrong else [])


def test_what_was_decided_upstream_counts():
    text = (
        "name: w\ntriggers: [{type: manual}]\n" + INPUT + "nodes:\n"
        "  - {node_id: a, type: control/start}\n  - {node_id: b, type: control/set, parameters: {values: {v: 1}}}\n"
        "  - {node_id: c, type: control/end}\n  - {node_id: d, type: control/end, when: 'input.n == 4'}\n"
        "edges:\n  - {source: a, target: b, condition: input.n > 5}\n"
        "  - {source: b, target: c, condition: input.n < 3}\n  - {source: b, target: d}\n"
    )
    assert [(d.code, d.path) for d in branch_findings(text)] == [
        ("MR222", "nodes[3].when"),
        ("MR222", "edges[1].condition"),
    ]


def test_a_node_that_an_error_jumps_to_may_run_whatever_its_edges_say():
    text = JOINED % (", on_error: {goto: j}", "all", ", condition: input.x > 5", ", condition: else")
    assert [d.code for d in branch_findings(text)] == []


def test_cases_are_tried_in_order_and_default_is_the_rest():
    def cases(*whens, default=""):
        listed = ", ".join(f'{{when: "{{{{ {when} }}}}", target: {target}}}' for when, target in whens)
        nodes = "".join(f"  - {{node_id: {n}, type: control/end}}\n" for n in "abc")
        return branch_findings(
            f"name: w\ntriggers: [{{type: manual}}]\n{INPUT}nodes:\n  - node_id: z\n    type: control/condition\n"
            f"    parameters: {{cases: [{listed}]{default}}}\n{nodes}"
        )

    assert [d.code for d in cases(("input.x > 9", "a"), ("input.x > 5", "b"), default=", default: c")] == []
    assert [d.code for d in cases(("input.x > 5", "a"), ("input.x <= 5", "b"))] == []
    (gap,) = cases(("input.x > 5", "a"), ("input.x < 5", "b"))
    assert gap.message == "no case of 'z' is taken when input.x = 5"
    (behind,) = cases(("input.x > 5", "a"), ("input.x > 9", "b"), default=", default: c")
    assert (behind.code, behind.path) == ("MR222", "nodes[0].parameters.cases[1].when")


@pytest.mark.parametrize(
    ("cases", "found"),
    [
        ("{a: p, b: q, 照: r}", []),
        ("{a: p, b: q}", ["MR220"]),
        ("{a: p, b: q}, default: r", []),
        ("[{values: [a, b], target: p}, {value: 照, target: q}]", []),
        ("[{values: [a, b], target: p}, {value: b, target: q}], default: r", ["MR222"]),
        ("[{value: a, target: p}, {value: c, target: q}], default: r", ["MR222"]),
    ],
)
def test_a_switch_is_held_against_the_listed_values(cases, found):
    nodes = "".join(f"  - {{node_id: {n}, type: control/end}}\n" for n in "pqr")
    text = (
        f"name: w\ntriggers: [{{type: manual}}]\n{INPUT}nodes:\n  - node_id: z\n    type: control/switch\n"
        f"    parameters: {{value: '{{{{ input.kind }}}}', cases: {cases}}}\n{nodes}"
    )
    assert [d.code for d in branch_findings(text)] == found


def test_nothing_is_told_about_what_is_right():
    analysis = analyze(HERE / "proofs" / "nothing-to-tell.yaml")
    assert [str(d) for d in analysis.diagnostics if d.severity != "info"] == []
    verdicts = list(judge(analysis.document, analysis.scope, analysis.registry))
    assert {(v.code, v.verdict) for v in verdicts} >= {
        ("MR220", "proved"),
        ("MR222", "proved"),
        ("MR224", "proved"),
    }
    assert all(v.message for v in verdicts if v.verdict == "unknown")


def test_parts_inside_nodes_are_judged_with_what_is_around_them():
    text = (
        "name: w\ntriggers: [{type: manual}]\n"
        + INPUT
        + "nodes:\n  - node_id: each\n    type: control/foreach\n"
        "    parameters: {items: '{{ input.tags }}'}\n    body:\n      nodes:\n"
        "        - {node_id: a, type: control/start}\n        - {node_id: b, type: control/end}\n"
        "        - {node_id: c, type: control/end}\n      edges:\n"
        "        - {source: a, target: b, condition: loop.index < 0}\n"
        "        - {source: a, target: c, condition: input.n > 10}\n"
    )
    assert [(d.code, d.line) for d in branch_findings(text)] == [("MR222", 14), ("MR222", 15)]


def test_without_z3_what_can_be_tried_is_still_found(monkeypatch):
    monkeypatch.setitem(sys.modules, "z3", None)
    for name in [
        name for name in sys.modules if name.startswith("mirror_realm.compiler.verify.logic.solver")
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(sys.modules["mirror_realm.compiler.verify.logic"], "solver", raising=False)
    assert told("input.x > 60", "input.x > 50 && input.x < 55", "else") == []
    assert told("input.x > 90", "input.x > 60", "else") == [OVERLAP]
    nodes = "".join(f"  - {{node_id: {n}, type: control/end}}\n" for n in "pq")
    switch = "type: control/switch\n    parameters: {value: '{{ input.kind }}', cases: {a: p, b: q}}\n"
    found = branch_findings(
        f"name: w\ntriggers: [{{type: manual}}]\n{INPUT}nodes:\n  - node_id: z\n    {switch}{nodes}"
    )
    assert [d.verdict for d in found] == ["refuted"]
    analysis = analyze("w.yaml", text=definition(["input.n > 10"]))
    (verdict,) = judge(analysis.document, analysis.scope, analysis.registry)
    assert (verdict.verdict, verdict.severity) == ("unknown", None)
    assert prover.NO_Z3 in verdict.message


@pytest.mark.parametrize(("name", "needed"), [("branches.yaml", False), ("nas-photo-processing.yaml", False)])
def test_z3_is_only_imported_when_something_is_to_be_proved(name, needed):
    code = (
        "import sys; from mirror_realm.compiler import analyze; "
        f"analyze({os.fspath(HERE / 'valid' / name)!r}); print('z3' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(needed)


def test_verdicts_do_not_depend_on_what_was_asked_before():
    text = (HERE / "invalid" / "branches-never.yaml").read_text(encoding="utf-8")
    first = [d.to_dict() for d in analyze("w.yaml", text=text).diagnostics]
    told("input.x * input.x > 2", "input.s.contains('a')", "else")
    assert [d.to_dict() for d in analyze("w.yaml", text=text).diagnostics] == first
