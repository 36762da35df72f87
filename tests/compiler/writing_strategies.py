"""What the tests of writing draw: odd strings, trees, whole definitions, and YAML as messy as its authors."""

from __future__ import annotations

import json
import random
from typing import Any

import yaml
from hypothesis import strategies as st

from mirror_realm.compiler.source import load
from mirror_realm.compiler.source_yaml import reads_as_text

ODD = [
    "", "yes", "no", "~", "null", "Null", "true", "True", "1e3", "0x1", "0o7", "010", ".5", "-.inf", "+1", "1_0",
    "1:30", "2026-01-01", "  lead", "trail ", "a: b", "a:", "a #b", "#x", "- x", "-x", "-", "--", "---", "--- x", "...",
    "?", "? x", "a,b", "[x]", "{y}", "<<", "=", "*x", "&y", "!z", "%w", "@v", "`u`", "|", "> x", "'q'", '"d"', "it's",
    "back\\slash", "{{ input.x }}", '{{ n["a"] }}', "😀", "照片", "\u200b", "\xa0", "\ufeff", "\x07", "\x00", "\x85",
    "\u2028x", "\uffff", "\t", "\ttab", "a\tb", "\n", "\n\n", "line\nbreak", "x\n\ny\n", "a\n\n\n", " a\n  b\nc\n",
    "tab\n\tx\n", "a  \nb", "b\n   ", "a\n \nb", "x\r\ny", "\r", "word " * 30, "x" * 120, "a" * 1100, "é" * 30,
    "key: |\n  x",
]  # fmt: skip
_MAP, _SEQ = "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"

text = st.sampled_from(ODD) | st.text(max_size=12)
numbers = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | numbers | text
trees = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
mappings = st.dictionaries(text, trees, max_size=3)


def _node(node_id: str, parameters: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    return {"node_id": node_id, "type": "control/set", "parameters": {"values": parameters}, **more}


@st.composite
def parts(draw: st.DrawFn, depth: int = 2) -> dict[str, Any]:
    """Nodes and edges, with parts inside some nodes."""
    names = draw(st.lists(st.sampled_from("abc照片"), min_size=1, max_size=3, unique=True))
    nodes = []
    for name in names:
        more: dict[str, Any] = draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "display_name": text,
                    "when": st.sampled_from(["true", "input.x > 1", "{{ input.y }}"]),
                    "join": st.sampled_from(["any", "all", 2]),
                    "timeout": st.sampled_from(["30s", 90, 0.25, "1h30m", 86400, 1.0001]),
                    "position": st.fixed_dictionaries({"x": st.floats(0, 1e3), "y": st.integers(0, 9)}),
                    "retry": st.just({"max_attempts": 2, "on": ["UNAVAILABLE"], "multiplier": 3}),
                    "on_error": st.sampled_from([{"ignore": True}, [{"fallback": {"a": "\n"}}]]),
                },
            )
        )
        if depth and draw(st.booleans()):
            inner = draw(parts(depth - 1))
            more |= {"body": inner} if draw(st.booleans()) else {"branches": [inner | {"name": "left"}]}
        nodes.append(_node(name, draw(mappings), more))
    ends = st.fixed_dictionaries(
        {"source": st.sampled_from(names), "target": st.sampled_from(names)},
        optional={"condition": text, "mapping": mappings},
    )
    return {"nodes": nodes, "edges": draw(st.lists(ends, max_size=3))}


definitions = st.builds(
    lambda part, more: {"name": "drawn", **more, **part},
    parts(),
    st.fixed_dictionaries(
        {},
        optional={
            "description": text,
            "variables": mappings,
            "labels": st.dictionaries(text, text, max_size=2),
            "output": mappings,
            "triggers": st.just([{"type": "manual", "enabled": True}]),
            "timeout": st.sampled_from(["24h", 60]),
        },
    ),
)


def messy(tree: Any, chance: random.Random) -> str:
    """``tree`` as YAML in every style at once, with comments and empty lines where they change nothing."""

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    def text(dumper: Any, data: str) -> Any:
        # PyYAML leaves 1e3 without quotes, since it reads YAML 1.1.
        style = chance.choice([None, None, "'", '"', "|", ">"]) if reads_as_text(data) else '"'
        return dumper.represent_scalar("tag:yaml.org,2002:str", data, style=style)

    def flow() -> bool:
        return chance.random() < 0.3

    Dumper.add_representer(str, text)
    Dumper.add_representer(dict, lambda d, v: d.represent_mapping(_MAP, v.items(), flow_style=flow()))
    Dumper.add_representer(list, lambda d, v: d.represent_sequence(_SEQ, v, flow_style=flow()))
    written = yaml.dump(
        tree,
        Dumper=Dumper,
        allow_unicode=chance.random() < 0.7,
        width=chance.choice([20, 40, 1000]),
        indent=chance.choice([2, 3, 4]),
        sort_keys=False,
    )
    return with_comments(written, chance)


def with_comments(text: str, chance: random.Random) -> str:
    """``text`` with comments in up to eight places, none of which changes what it says."""
    lines, tree = text.split("\n"), _tree(text)
    for number in range(chance.randint(0, 8)):
        changed, at = list(lines), chance.randrange(len(lines))
        match chance.randrange(4):
            case 0 | 1:
                changed.insert(at, " " * chance.randint(0, 8) + f"# own {number}")
            case 2:
                changed.insert(at, "") if chance.random() < 0.5 else changed.insert(at, "    # deep")
            case _:
                places = [i for i, c in enumerate(changed[at]) if c in ",[{"] + [len(changed[at])]
                cut = chance.choice(places) + 1
                changed[at : at + 1] = [changed[at][:cut] + f" # side {number}", changed[at][cut:]]
        if _tree("\n".join(changed)) == tree:
            lines = changed
    return "\n".join(lines)


def _tree(text: str) -> str | None:
    loaded = load("w.yaml", text=text)
    return None if loaded.document is None or loaded.diagnostics else json.dumps(loaded.document.tree)
