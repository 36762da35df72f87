"""Definitions that are large, deep or circular: what makes a compiler run out of time, stack or memory."""

import json
from collections.abc import Callable
from typing import Any


def _bomb(levels: int, width: int) -> str:
    lines = ["name: w", "metadata:", "  a0: &a0 [x, x]"]
    lines += [f"  a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, levels)]
    return "\n".join([*lines, f"output: *a{levels - 1}"])


def _with(**changes: Any) -> str:
    node = {"node_id": "a", "type": "control/set", "parameters": {"values": {"v": 1}}}
    node |= changes.pop("node", {})
    return json.dumps({"name": "w", "nodes": [node], **changes})


def _expression(text: str) -> str:
    return _with(node={"when": text, "parameters": {"values": {"v": f"{{{{ {text} }}}}"}}})


_BIG, _HUGE = "x" * 10_000_000, 200_000
MANY = 2_000
"""Items of a long list; what takes time for each of them shows with 100,000."""

EXTREMES: dict[str, Callable[[], str | bytes]] = {
    "bomb-of-lists": lambda: _bomb(40, 2),
    "bomb-of-merges": lambda: (
        "a0: &a0 {x: 1}\n"
        + "".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}], y{n}: *a{n - 1}}}\n" for n in range(1, 60))
    ),
    "circle-of-a-list": lambda: "name: w\nnodes: &n [*n]\n",
    "circle-of-a-mapping": lambda: "&top\nname: w\nnodes: [{node_id: a, type: control/set, body: *top}]\n",
    "circle-of-a-merge": lambda: "&top\nname: w\n<<: *top\nnodes: []\n",
    "circle-of-a-key": lambda: "&top\n? *top\n: 1\n",
    "circle-through-parameters": lambda: (
        "name: w\nnodes:\n- &n {node_id: a, type: control/foreach, body: {nodes: [*n]}}\n"
    ),
    "deep-lists": lambda: "[" * 100_000,
    "deep-lists-in-json": lambda: '{"name": ' + "[" * 100_000 + "]" * 100_000 + "}",
    "deep-mappings": lambda: "{a: " * 100_000,
    "deep-dashes": lambda: "- " * 50_000,
    "deep-indentation": lambda: "\n".join(" " * n + "a:" for n in range(2_000)),
    "deep-questions": lambda: "? " * 50_000,
    "deep-parts": lambda: _deep_parts(24),
    "long-name": lambda: _with(name=_BIG),
    "long-id": lambda: _with(node={"node_id": _BIG}),
    "long-type": lambda: _with(node={"type": _BIG}),
    "long-key": lambda: _with(node={_BIG: 1}),
    "long-parameter-name": lambda: _with(node={"parameters": {_BIG: 1}}),
    "long-text": lambda: _with(node={"parameters": {"values": {"v": _BIG}}}),
    "long-text-of-chinese": lambda: _with(node={"parameters": {"values": {"v": "照" * 300_000}}}),
    "long-duration": lambda: _with(timeout="1" * _HUGE + "s", node={"timeout": _BIG}),
    "long-version": lambda: _with(version="1.0.0-" + "a." * 300_000),
    "long-cron": lambda: _with(triggers=[{"type": "schedule", "config": {"cron": "*/1," * _HUGE}}]),
    "long-zone": lambda: _with(
        triggers=[{"type": "schedule", "config": {"cron": "0 2 * * *", "timezone": _BIG}}]
    ),
    "long-trigger-type": lambda: _with(triggers=[{"type": _BIG}]),
    "long-dialect": lambda: _with(dialect=_BIG),
    "long-target": lambda: _with(
        edges=[{"source": "a", "target": _BIG, "mapping": {_BIG: "$." + "a." * _HUGE}}]
    ),
    "long-pattern": lambda: _with(input={"type": "object", "properties": {"a": {"pattern": "(" * _HUGE}}}),
    "long-line-of-yaml": lambda: "name: w  #" + _BIG + "\nnodes: [{node_id: a, type: control/set}]\n",
    "long-quotes": lambda: "name: '" + "''" * 1_000_000,
    "long-escapes": lambda: 'name: "' + "\\u4e00" * 500_000 + '"',
    "long-anchors": lambda: "name: &" + "a" * _HUGE + " w\nx: *" + "a" * _HUGE + "\n",
    "many-holes": lambda: _with(node={"parameters": {"values": {"v": "{{ input.x }} " * MANY}}}),
    "many-open-holes": lambda: _with(node={"parameters": {"values": {"v": "{{ " * _HUGE}}}),
    "many-escaped-holes": lambda: _with(node={"parameters": {"values": {"v": "\\{{ " * _HUGE}}}),
    "many-nodes": lambda: _with(nodes=[{"node_id": f"n{n}", "type": "x"} for n in range(MANY)]),
    "many-wrong-nodes": lambda: _with(nodes=list(range(MANY))),
    "many-unnamed-nodes": lambda: _with(nodes=[{"type": "control/end"}] * MANY),
    "many-equal-nodes": lambda: _with(nodes=[{"node_id": "a", "type": "control/end"}] * MANY),
    "many-edges": lambda: _with(edges=[{"source": "a", "target": "a"}] * MANY),
    "many-dangling-edges": lambda: _with(edges=[{"source": "a", "target": f"n{n}"} for n in range(MANY)]),
    "many-conditions": lambda: _with(
        nodes=[{"node_id": f"n{n}", "type": "control/end"} for n in range(500)],
        edges=[{"source": "n0", "target": f"n{n}", "condition": f"input.x == {n}"} for n in range(1, 500)],
    ),
    "many-successors": lambda: _with(node={"next": ["a"] * MANY}),
    "many-branches": lambda: _with(node={"branch_conditions": [{"expression": "x", "target": "a"}] * MANY}),
    "many-cases": lambda: _with(
        node={
            "type": "control/switch",
            "parameters": {"value": 1, "cases": [{"value": n, "target": "a"} for n in range(MANY)]},
        }
    ),
    "many-case-values": lambda: _with(
        node={
            "type": "control/switch",
            "parameters": {"value": 1, "cases": [{"values": list(range(MANY)), "target": "b"}]},
        }
    ),
    "many-sources": lambda: _with(
        node={"type": "control/aggregate", "parameters": {"required": [f"n{n}" for n in range(MANY)]}}
    ),
    "many-items": lambda: _with(
        node={
            "type": "control/foreach",
            "parameters": {"items": list(range(MANY))},
            "body": [{"node_id": "b", "type": "control/set", "parameters": {"values": {"v": "{{ item }}"}}}],
        }
    ),
    "many-tags": lambda: _with(tags=[1] * MANY),
    "many-unknown-keys": lambda: _with(**{f"k{n}": n for n in range(MANY)}),
    "many-parameters": lambda: _with(node={"parameters": {f"k{n}": n for n in range(MANY)}}),
    "many-triggers": lambda: _with(triggers=[{"type": "schedul"}] * MANY),
    "many-required": lambda: _with(
        input={
            "type": "object",
            "required": [f"n{n}" for n in range(MANY)],
            "properties": {f"m{n}": {} for n in range(1_000)},
        }
    ),
    "many-variables": lambda: _with(
        variables={f"k{n}": n for n in range(MANY)}, node={"when": "vars.k1 == vars.kx"}
    ),
    "many-properties": lambda: _with(
        input={"type": "object", "properties": {f"k{n}": {"type": "string"} for n in range(MANY)}},
        node={"when": "input.zz"},
    ),
    "deep-schema": lambda: (
        '{"name": "w", "input": ' + '{"properties": {"a": ' * 45 + "{}" + "}}" * 45 + ', "nodes": []}'
    ),
    "circular-schema": lambda: _with(
        input={"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}, node={"when": "input.a.b.c == 1"}
    ),
    "brackets": lambda: _expression("(" * 10_000 + "1" + ")" * 10_000),
    "open-brackets": lambda: _expression("(" * 4_000),
    "long-expression": lambda: _expression("1 + " * 100_000 + "1"),
    "long-chain": lambda: _expression("input" + ".a" * 2_000),
    "long-and": lambda: _expression(" && ".join(["input.x > 1"] * 700)),
    "long-or-of-places": lambda: _expression(
        " || ".join(f"(input.a{n} > {n} && input.b{n} < {n})" for n in range(30))
    ),
    "long-product": lambda: _expression(
        " && ".join(f"(input.a{n} == 1 || input.b{n} == 2)" for n in range(60))
    ),
    "long-not": lambda: _expression("not " * 2_000 + "true"),
    "long-marks": lambda: _expression("!" * 9_000 + "true"),
    "long-questions": lambda: _expression("true ? 1 : " * 800 + "2"),
    "long-list": lambda: _expression("size([" + "1," * 4_000 + "1]) > 1"),
    "long-string": lambda: _expression("'" + "a" * 9_900 + "' == 'b'"),
    "maps-in-maps": lambda: _expression("[1].map(a, " * 40 + "1" + ")" * 40),
    "maps-in-maps-of-lists": lambda: _expression("range(9).map(a, " * 12 + "1" + ")" * 12),
    "defaults-in-defaults": lambda: _expression("default(input.x, " * 30 + "1" + ")" * 30),
    "defaults-first": lambda: _expression("default(" * 30 + "input.x" + ", 1)" * 30),
    "coalesce-of-coalesce": lambda: _expression("coalesce(" * 20 + "input.x + 1" + ", 1)" * 20),
    "big-product": lambda: _expression("999999999 * " * 30 + "9 > 1"),
    "big-power": lambda: _with(node={"when": "input.x > 1e308 * 1e308", "priority": 10**18}),
    "big-numbers": lambda: (
        '{"name": "w", "nodes": [], "timeout": 1' + "0" * 1_000_000 + ', "x": 1e' + "9" * 100_000 + "}"
    ),
    "big-numbers-of-yaml": lambda: (
        "name: w\ntimeout: 0x" + "f" * _HUGE + "\nversion: 0o" + "7" * _HUGE + "\nx: 1:" + "59:" * 9_999
    ),
    "big-ranges": lambda: _expression("size(range(9223372036854775807)) > 1"),
    "big-matches": lambda: _expression("'" + "a" * 3_000 + "'.matches('(a+)+$')"),
    "big-replace": lambda: _expression(
        "('" + "a" * 3_000 + "').replace('', 'b').replace('', 'c').size() > 1"
    ),
    "bad-pattern-in-schema": lambda: _with(
        input={"properties": {"a": {"type": "string", "pattern": "(a+)+$", "default": "a" * 99 + "b"}}}
    ),
    "invalid-utf-8": lambda: b"name: w\xff\xfe\nnodes: []\n" * 10,
    "cut-utf-8": lambda: "name: 照片".encode()[:-1],
    "nul": lambda: b"\0" * _HUGE,
    "nul-in-text": lambda: "name: w\0w\nnodes: []\n",
    "surrogates": lambda: (
        '{"name": "\\ud800", "nodes": [{"node_id": "\\udfff", "type": "\\ud800", "when": "\\ud800 == 1"}]}'
    ),
    "surrogates-in-text": lambda: (
        "name: \ud800\nnodes: [{node_id: \udc00, type: control/set, when: \"'\ud800' == '1'\"}]\n"
    ),
    "utf-16": lambda: "name: w\nnodes: []\n".encode("utf-16"),
    "utf-32": lambda: "name: w\nnodes: []\n".encode("utf-32"),
    "blanks": lambda: " " * 10_000_000,
    "line-breaks": lambda: "\n" * 1_000_000,
    "comments": lambda: "# x\n" * 500_000,
    "documents": lambda: "---\n" * 500_000,
    "dots": lambda: "...\n" * 500_000,
    "tabs": lambda: "\t" * _HUGE,
    "tags": lambda: "!" * 100_000 + " x",
    "directives": lambda: "%YAML 1.1\n" * 100_000,
    "block-scalars": lambda: "a: |\n" + "  x\n" * 1_000_000,
    "too-large": lambda: b"x" * 20_000_000,
}
"""Texts of which the compiler must say in good time what is wrong with them, or nothing."""


def _deep_parts(depth: int) -> str:
    nodes = '[{"node_id": "end", "type": "control/end"}]'
    for level in range(depth):
        nodes = (
            f'[{{"node_id": "n{level}", "type": "control/foreach", "parameters": {{"items": "{{{{ input.a }}}}", '
            f'"item": "i{level}"}}, "body": {{"nodes": {nodes}}}}}]'
        )
    return f'{{"name": "w", "nodes": {nodes}}}'
