"""Compensations that have nothing to undo, or undo nothing, or read what need not have run."""

import pytest

from mirror_realm.compiler import analyze

PUT = "type: http/request, parameters: {url: 'https://a.example/{{ input.x }}', method: PUT, json: 1}"
GET = "type: http/request, parameters: {url: 'https://a.example/{{ input.x }}', timeout: '{{ input.t }}'}"
UNDO = "compensate: {type: http/request, parameters: {url: 'https://a.example/x', method: DELETE}%s}"
DONE = UNDO % ""


def reading(text):
    return UNDO % f", input: {{x: '{{{{ {text} }}}}'}}"


@pytest.mark.parametrize(
    ("node", "found"),
    [
        (f"{PUT}, {DONE}", []),
        (f"type: script/python, parameters: {{function: 'm:f'}}, {DONE}", []),
        (f"{GET}, {DONE}", [("MR290", "info")]),
        (f"type: image/convert, input: {{image: '{{{{ input.i }}}}'}}, {DONE}", [("MR290", "info")]),
        (f"{PUT}, compensate: {{type: control/set, parameters: {{values: {{}}}}}}", [("MR290", "info")]),
        (f"{PUT}, compensate: {{type: control/human-task, parameters: {{title: 撤销, role: y}}}}", []),
        (f"{PUT}, {reading('nodes.a.status_code')}", []),
        (f"{PUT}, {reading('nodes.later')}", [("MR310", "error")]),
        (f"{PUT}, {reading('nodes.beside')}", [("MR310", "error")]),
    ],
)
def test_what_is_told_of_a_compensation(node, found):
    text = (
        f"name: w\ntriggers: [{{type: manual}}]\nnodes:\n  - {{node_id: a, {node}, next: [later]}}\n"
        "  - {node_id: later, type: control/end}\n  - {node_id: beside, type: control/end}\n"
    )
    diagnostics = analyze("w.yaml", text=text).diagnostics
    assert [(d.code, d.severity) for d in diagnostics if d.code in ("MR290", "MR310")] == found
