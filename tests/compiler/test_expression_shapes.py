"""What nodes inside nodes give is known: items, rounds, branches, values that are set."""

import pytest

from mirror_realm.compiler import analyze

FRAME = """
name: shapes
input:
  type: object
  properties:
    files: {{type: array, items: {{type: object, properties: {{path: {{type: string}}, size: {{type: integer}}}},
      additionalProperties: false}}}}
nodes:
  - {{node_id: set-1, type: control/set, parameters: {{values: {{n: 3, t: "x", files: "{{{{ input.files }}}}"}}}}}}
  - node_id: each
    type: control/foreach
    parameters: {{items: "{{{{ input.files }}}}", item: file}}
    depends_on: set-1
    body:
      nodes:
        - node_id: size
          type: control/set
          parameters: {{values: {{v: "{{{{ {inside} }}}}", w: "{{{{ file.size }}}}"}}}}
      output: {{w: "{{{{ nodes.size.w }}}}"}}
  - node_id: fork
    type: control/parallel
    depends_on: each
    branches:
      左: [{{node_id: l1, type: control/set, parameters: {{values: {{a: 1}}}}}}]
  - node_id: last
    type: control/set
    parameters: {{values: {{a: "{{{{ {after} }}}}"}}}}
    depends_on: fork
"""


def errors(inside="file.size", after="nodes.set_1.n"):
    found = analyze("x.yaml", text=FRAME.format(inside=inside, after=after)).diagnostics
    return [(d.code, d.message) for d in found if d.severity != "info"]


@pytest.mark.parametrize(
    "expressions",
    [
        {"inside": "file.path + string(loop.index)"},
        {"inside": "nodes.set_1.files[0].size + file.size"},
        {"after": "nodes.each[0].w > 3"},
        {"after": "nodes.each.map(one, one.w)"},
        {"after": "nodes.fork['左'].l1.a"},
        {"after": "default(nodes.each[0].w, 0)"},
    ],
)
def test_what_is_right_is_accepted(expressions):
    assert errors(**expressions) == []


@pytest.mark.parametrize(
    ("expressions", "code", "words"),
    [
        ({"inside": "file.sise"}, "MR303", "file has no field 'sise'"),
        ({"inside": "file.path * 2"}, "MR305", "does not work on a string and a number"),
        ({"inside": "nodes.set_1.m"}, "MR303", "nodes.set_1 has no field 'm'"),
        ({"inside": "nodes.each[0].w"}, "MR310", "read inside itself"),
        ({"after": "nodes.each.w"}, "MR303", "nodes.each is a list"),
        ({"after": "nodes.each[0].size"}, "MR303", "has no field 'size'"),
        ({"after": "nodes.each[0].w == 'a'"}, "MR305", "never equal"),
        ({"after": "nodes.size.w"}, "MR201", "there is no node 'size'"),
        ({"after": "nodes.fork.right"}, "MR303", "nodes.fork has no field 'right'"),
        ({"after": "nodes.set_1.files[0].pth"}, "MR303", "no field 'pth'"),
        ({"after": "file.size"}, "MR302", "unknown name 'file'"),
        ({"after": "loop.index"}, "MR302", "there is no 'loop' here"),
    ],
)
def test_what_is_wrong_is_found(expressions, code, words):
    found = errors(**expressions)
    assert [one for one, _ in found] == [code]
    assert words in found[0][1]


def chain(numbers, first="1"):
    nodes = "".join(
        f"  - {{node_id: n{i}, type: control/set, depends_on: n{i - 1},\n"
        f"     parameters: {{values: {{x: '{{{{ nodes.n{i - 1}.x }}}}'}}}}}}\n"
        for i in numbers
    )
    head = "name: chain\nnodes:\n  - {node_id: n0, type: control/set, parameters: {values: {x: FIRST}}}\n"
    return head.replace("FIRST", first) + nodes


@pytest.mark.parametrize("numbers", [range(1, 400), range(399, 0, -1)])
def test_a_long_chain_is_followed_without_end(numbers):
    assert analyze("x.yaml", text=chain(numbers)).ok


def test_nodes_that_read_each_other_are_a_cycle_and_no_more():
    text = chain([1], first="'{{ nodes.n1.x }}'").replace(
        "type: control/set, parameters", "type: control/set, depends_on: n1, parameters", 1
    )
    found = analyze("x.yaml", text=text).errors
    assert [one.code for one in found] == ["MR204"]
