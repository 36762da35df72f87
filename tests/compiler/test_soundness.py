"""Nodes that never run, ends that are not reached, beginnings and ends: what is told, and what is not. See also
``fixtures/invalid/executions*.yaml`` and ``test_small_scope.py``."""

import pytest

from mirror_realm.compiler import analyze

HEAD = """
name: w
triggers: [{type: manual}]
input: {type: object, required: [a, b], properties: {a: {type: boolean}, b: {type: boolean}}}
"""


def definition(nodes, edges, more=""):
    """``nodes`` are ids, or ids with the rest of the node; ``edges`` are ``source target [condition]``."""
    text = HEAD + "nodes:\n"
    for node in nodes:
        name, _, rest = node.partition(" ")
        given = rest if "type:" in rest else f"type: control/set, parameters: {{values: {{x: 1}}}}, {rest}"
        text += f"  - {{node_id: {name}, {given.rstrip(', ')}}}\n"
    text += "edges:\n" if edges else ""
    for edge in edges:
        source, target, *condition = edge.split(" ", 2)
        text += f"  - {{source: {source}, target: {target}"
        text += f', condition: "{condition[0]}"}}\n' if condition else "}\n"
    return text + more


def told(text, *codes):
    return [
        (d.code, d.severity, d.message)
        for d in analyze("w.yaml", text=text).diagnostics
        if d.code in codes and d.severity != "info"
    ]


STOP = "stop type: control/terminate, parameters: {status: completed}"


class TestNodesThatNeverRun:
    def test_what_follows_the_end_of_the_instance_and_only_the_first_of_it(self):
        text = definition(
            ["s", STOP, "一", "two", "three join: all"],
            ["s stop", "stop 一", "一 two", "two three", "s three"],
        )
        ((code, severity, message),) = told(text, "MR240", "MR224")
        assert (code, severity) == ("MR240", "error")
        assert message == "node '一' never runs: it follows 'stop', which ends the instance"

    def test_what_the_checks_of_conditions_tell_is_not_told_twice(self):
        text = definition(["s", "x", "y when: '!input.a'", "z"], ["s x input.a", "x y", "y z"])
        assert [code for code, _, _ in told(text, "MR222", "MR224", "MR240")] == ["MR222"]

    @pytest.mark.parametrize("guard", ["false", "input.a && false"])
    def test_a_condition_that_somebody_set_to_false_is_a_switch(self, guard):
        assert told(definition(["s", f"x when: '{guard}'", "y"], ["s x", "x y"]), "MR240") == []

    def test_inside_a_construct_what_led_there_counts(self):
        inner = "{node_id: n, type: control/set, when: '!input.a && input.b', parameters: {values: {x: 1}}}"
        each = f"each type: control/foreach, parameters: {{items: [1]}}, when: input.a, body: {{nodes: [{inner}]}}"
        ((_, _, message),) = told(definition(["s", each], ["s each"]), "MR240")
        assert (
            message
            == "node 'n' never runs: its guard `!input.a && input.b` does not hold where it is reached"
        )

    def test_the_way_of_an_error_and_its_handler_may_run(self):
        call = "call type: http/request, parameters: {url: 'https://a.example'}, on_error: [{goto: mend}]"
        text = definition(
            [call, "mend", "well", "alarm"], ["call well"], "error_handling: {on_failure: alarm}\n"
        )
        assert told(text, "MR240", "MR241", "MR242") == []


class TestEnds:
    def test_a_join_behind_a_condition_may_keep_everything_from_its_end(self):
        text = definition(
            ["s", "x", "y", "z", "all join: all", "end"],
            ["s x input.a", "s y", "x z", "z all", "y all", "all end"],
        )
        ((_, severity, message),) = told(text, "MR241")
        assert severity == "warning"
        assert message == (
            "no end is reached when `input.a` is false: 'all' waits for all its edges "
            "(s → (`input.a` is false) → x skipped → z skipped → all skipped)"
        )

    @pytest.mark.parametrize(
        ("nodes", "edges", "more"),
        [
            (["s", "x", "y"], ["s x input.a", "x y"], ""),  # a guard: the way ends there, as was meant
            (["s", "x", "y", "z join: all"], ["s x input.a", "s y", "x z", "y z"], "output: {x: 1}\n"),
            (["s", "x", "y", "z join: all", "w"], ["s x input.a", "s y", "x z", "y z", "y w"], ""),
            (["s", "x", "y", "z"], ["s x input.a", "s y", "x z", "y z"], ""),
            (["s", "x", "y", "z join: all"], ["s x input.a", "s y input.a", "x z", "y z"], ""),
            (["s", STOP, "x", "z join: all"], ["s stop '!input.a'", "s x input.a", "s z", "x z"], ""),
            (["s", "x", "y", "w", "z join: 2"], ["s x input.a", "s y else", "s w", "x z", "y z", "w z"], ""),
        ],
    )
    def test_what_is_meant_to_end_there_is_not_told(self, nodes, edges, more):
        assert told(definition(nodes, edges, more).replace("'!input.a'", "!input.a"), "MR241") == []

    def test_two_of_three_of_which_two_are_taken_by_chance(self):
        text = definition(
            ["s", "x", "y", "w", "z join: 2"], ["s x input.a", "s y input.b", "s w", "x z", "y z", "w z"]
        )
        ((_, _, message),) = told(text, "MR241")
        assert "'z' waits for 2 of its 3 edges" in message
        assert "`input.a` is false" in message
        assert "`input.b` is false" in message


START, END = "type: control/start", "type: control/end"


class TestBeginningsAndEnds:
    def test_one_of_each_is_as_it_should_be(self):
        assert told(definition([f"s {START}", "x", f"e {END}"], ["s x", "x e"]), "MR242") == []
        assert (
            told(definition([f"s {START}", f"e {END}", f"f {END}"], ["s e input.a", "s f else"]), "MR242")
            == []
        )

    def test_a_second_beginning(self):
        ((_, severity, message),) = told(
            definition([f"s {START}", f"t {START}", "x"], ["s x", "t x"]), "MR242"
        )
        assert (severity, message) == ("warning", "'t' is a second beginning, beside 's': both run at once")

    def test_something_after_the_end(self):
        ((_, _, message),) = told(definition(["s", f"e {END}", "x"], ["s e", "e x"]), "MR242")
        assert message == "'e' is an end, but 'x' follows it"

    def test_an_edge_out_of_the_end_of_the_instance(self):
        ((_, _, message),) = told(definition(["s", STOP, "x"], ["s stop input.a", "s x", "stop x"]), "MR242")
        assert message == "this edge is never taken: 'stop' ends the instance"

    def test_ways_beside_the_end_are_only_mentioned(self):
        found = analyze("w.yaml", text=definition(["s", f"e {END}", "x"], ["s e", "s x"])).diagnostics
        assert [(d.code, d.severity) for d in found] == [("MR242", "info")]
        assert found[0].message == "no way leads from 'x' to the end 'e': the way ends there"
