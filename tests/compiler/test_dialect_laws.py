"""Laws of the dialects: whatever is done to a document, what is found has a place in it, and nothing else happens."""

import copy
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mirror_realm.compiler import analyze, emit
from mirror_realm.compiler.dialects import phrases
from mirror_realm.compiler.dialects.naming import node_id, workflow_name
from mirror_realm.compiler.dialects.phrase import Rename
from mirror_realm.compiler.dialects.regions import Construct, Regions
from mirror_realm.compiler.expressions import holds, render
from mirror_realm.compiler.model import NAME, NodeDefinition
from mirror_realm.compiler.source import load
from tests.compiler.mutations import damaged_text, damaged_tree

FOLDER = Path(__file__).parent / "fixtures" / "dialects"
TEXTS = {
    f"{ours}/{path.name}": path.read_text(encoding="utf-8")
    for ours in ("api-orchestration", "links", "wfformat")
    for path in sorted((FOLDER / ours / "valid").iterdir())
    if path.stat().st_size < 12_000
}
TREES = {name: load(name, text=text).document.tree for name, text in TEXTS.items()}
DIALECT = {name: name.partition("/")[0] for name in TEXTS}
OFTEN = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


def survives(text, name, dialect=None):
    """Analyse; every finding stands inside the text, and what is accepted compiles."""
    analysis = analyze(name, text=text, dialect=dialect)
    lines = analysis.text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for finding in analysis.diagnostics:
        assert finding.hint is None or finding.hint.strip(), finding
        assert 1 <= finding.line <= finding.end_line <= len(lines), finding
        assert 1 <= finding.column <= len(lines[finding.line - 1]) + 1, finding
        assert 1 <= finding.end_column <= len(lines[finding.end_line - 1]) + 1, finding
    analysis.render()
    if analysis.ok:
        compile(emit(analysis), name, "exec")


@OFTEN
@given(name=st.sampled_from(sorted(TEXTS)), chance=st.randoms(use_true_random=False))
def test_damaged_text_is_diagnosed(name, chance):
    survives(damaged_text(TEXTS[name], chance), Path(name).name)


@OFTEN
@given(
    name=st.sampled_from(sorted(TEXTS)),
    chance=st.randoms(use_true_random=False),
    kept=st.booleans(),
)
def test_a_damaged_tree_is_diagnosed(name, chance, kept):
    tree = damaged_tree(TREES[name], TREES[chance.choice(sorted(TREES))], chance)
    text = json.dumps(tree, ensure_ascii=False, indent=1)
    survives(text, f"{Path(name).stem}.json", DIALECT[name] if kept else None)


@OFTEN
@given(
    name=st.sampled_from(sorted(TEXTS)),
    others=st.sampled_from(sorted(set(DIALECT.values()))),
)
def test_any_document_as_any_dialect_is_diagnosed(name, others):
    survives(TEXTS[name], Path(name).name, others)


# --- phrases ----------------------------------------------------------------------------------------------------

PIECES = st.sampled_from([
    "{{", "}}", "${", "}", "input.x", "log in", "log in.x", "步骤", "步骤.值", ">=", "==", "and", "or", "not", "is",
    "null", "empty", "in", "'", '"', "'高级'", "(", ")", "[", "]", ".", ",", " ", "1", "0.5", "\\", "\n", "$.", "[*]",
    "map(x, x)", ".contains('a')", "//", "`a b`", "😀",
])  # fmt: skip


def resolve(root, parts):
    return Rename(phrases.node(root.replace(" ", "-"))) if root in ("log in", "步骤") else None


@OFTEN
@given(text=st.lists(PIECES, max_size=12).map("".join))
def test_whatever_is_written_becomes_a_phrase_whose_places_are_in_it(text):
    for phrase in (
        phrases.condition(text, resolve, {"log in"}),
        phrases.condition(text, resolve, {"log in"}).braced(),
        phrases.template(text, resolve, {"log in"}),
        phrases.path(text, "nodes.a"),
    ):
        for problem in phrase.problems:
            assert problem.hint
            assert 0 <= problem.start <= problem.end <= max(len(text), problem.end if not text else 0) + 1
        mark = phrase.mark(0)
        if hasattr(mark, "origin"):
            for at in range(len(phrase.text)):
                start, end = mark.origin(at, at + 1)
                assert 0 <= start <= end <= len(text)


@pytest.mark.parametrize("rewritten", [phrases.condition, phrases.template])
def test_what_is_not_rewritten_keeps_its_own_place(rewritten):
    text = "{{ log in.x }} é {{ input.kind }}" if rewritten is phrases.template else "log in.x > input.kind"
    phrase = rewritten(text, resolve, {"log in"})
    for word in ("input.kind", ".x"):
        at = phrase.text.index(word)
        start, end = phrase.mark(0).origin(at, at + len(word))
        assert text[start:end] == word


def test_an_error_behind_a_rewritten_name_stands_where_it_was_written():
    text = (
        "name: w\nnodes:\n  - {name: log in, node_type: API_CALL, config: {url: 'https://a.example'}}\n"
        "  - name: use\n    node_type: control/set\n"
        '    config: {parameters: {values: {x: "a \\"b\\" {{log in.x + nosuch(1)}}"}}}\n'
        "connections: [{from_node_id: log in, to_node_id: use}]\n"
    )
    (finding,) = analyze("w.yaml", text=text).errors
    assert finding.code == "MR308"
    assert text.split("\n")[finding.line - 1][finding.column - 1 :].startswith("nosuch")


# --- names and regions ------------------------------------------------------------------------------------------


@OFTEN
@given(st.text(max_size=200))
def test_every_text_has_a_name_and_an_id(text):
    assert NAME.fullmatch(workflow_name(text))
    assert NodeDefinition(node_id=node_id(text), type="control/set").node_id
    assert node_id(node_id(text)) == node_id(text)


@OFTEN
@given(st.data())
def test_places_nest_whatever_the_graph(data):
    count = data.draw(st.integers(1, 7))
    nodes = st.integers(0, count - 1)
    edges = data.draw(st.lists(st.tuples(nodes, nodes), max_size=14))
    constructs = {}
    for index in data.draw(st.sets(nodes, max_size=3)):
        following = list(dict.fromkeys(target for source, target in edges if source == index != target))
        cut = data.draw(st.integers(0, len(following)))
        constructs[index] = Construct(
            tuple(following[:cut]), tuple(following[cut:]), data.draw(st.booleans())
        )
    regions = Regions(count, edges, constructs, data.draw(st.sets(nodes, max_size=2)))
    for node in range(count):
        place = regions.place(node)
        assert len({construct for construct, _ in place}) == len(place)
        for depth, (construct, branch) in enumerate(place):
            assert node in regions.members(construct, branch)
            assert regions.place(construct) == place[:depth]


def test_what_follows_a_loop_is_not_in_a_fork_of_its_body():
    # 0: a loop, 1: a fork in its body with the branches 2 and 3, 4: follows the loop, and leads out of branch 3.
    edges = [(0, 1), (1, 2), (1, 3), (3, 4), (0, 4)]
    constructs = {0: Construct((1,), (4,), loop=True), 1: Construct((2, 3), (), loop=False)}
    regions = Regions(5, edges, constructs, ends=())
    assert not regions.faults
    assert [regions.place(node) for node in range(5)] == [
        (),
        ((0, 0),),
        ((0, 0), (1, 0)),
        ((0, 0), (1, 1)),
        (),
    ]
    assert regions.edge(3, 4) == ((), 0)


def test_a_mark_of_a_phrase_can_be_copied():
    mark = phrases.condition("{{input.x}} > 1").mark(7)
    copied = copy.deepcopy(mark)
    assert (int(copied), copied.written, copied.stretches) == (7, "{{input.x}} > 1", mark.stretches)


# --- the seeds' expressions, evaluated --------------------------------------------------------------------------

SCOPE = {
    "input": {
        "score": 60,
        "type": "premium",
        "age": 18,
        "verified": True,
        "email": None,
        "kind": "高级",
        "n": "5",
    },
    "nodes": {"call": {"status_code": 201, "body": {"message": "a success", "data": {"id": 7}, "items": []}}},
    "loop": {"index": 2},
    "execution": {"id": "inst-1"},
}


def named(root, parts):
    return Rename(
        "nodes.call.body" if parts[:1] != ("status",) else "nodes.call.status_code", parts[:1] == ("status",)
    )


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("{{input.score}} >= 60", True),
        ("{{response.status}} == 200", False),
        ("{{input.type}} == 'premium'", True),
        ("{{response.message}}.contains('success')", True),
        ("{{input.age}} >= 18 and {{input.verified}} == true", True),
        ("{{response.status}} == 200 or {{response.status}} == 201", True),
        ("{{input.email}} is not null", False),
        ("{{response.data}} is not empty", True),
        ("{{response.items}} is empty", True),
        ("{{loop.index}} < {{input.score}}", True),
        ("not ({{input.score}} > 60) && '{{input.kind}}' == '高级'", True),
        ("'{{input.score}}' == '60'", True),
        ("{{input.score + 1}} * 2 == 122", True),
        ("${input.score} in [59, 60] and {{input.kind}} not in ['低级']", True),
        ("{{execution.id}} == 'inst-1'", True),
    ],
)
def test_what_the_seeds_write_means_what_it_says(written, expected):
    phrase = phrases.condition(
        written, lambda root, parts: named(root, parts) if root == "response" else None
    )
    assert not phrase.problems
    assert holds(phrase.text, SCOPE) is expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [("$", {"a": [{"b": [1, 2]}, {"b": [3]}], "名 称": 5}), ("$.a[0].b[1]", 2), ("a[1]", {"b": [3]}),
     ("$.a[*].b", [[1, 2], [3]]), ("$.a[*].b[*]", [1, 2, 3]), ("$['名 称']", 5)],
)  # fmt: skip
def test_paths_find_what_they_name(path, expected):
    scope = {"nodes": {"one": {"a": [{"b": [1, 2]}, {"b": [3]}], "名 称": 5}}}
    assert render(phrases.path(path, "nodes.one").braced().text, scope) == expected
