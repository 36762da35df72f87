"""Random definitions whose constants decide some of their branches, with nodes that are slow or fail by table."""

from hypothesis import strategies as st

CONSTANT = ("true", "false", "vars.on", "vars.off", "vars.n > 2", "2 * vars.n == 5", "'a' in vars.names")
LIVE = (
    "input.x > 0",
    "input.x == 0",
    "vars.on && input.x > 0",
    "vars.off || input.x > 1",
    "input.absent > 1",
)
JOINS = ("any", "any", "any", "all", 1, 2)
KINDS = "ooooosscfp"
"""Of nodes, by the last letter of their ids: outcome, set, condition, foreach, parallel."""


@st.composite
def definitions(draw, most=7):
    """A definition without a mistake of form; its conditions may well be mistaken."""
    return {
        "name": "random",
        "variables": {"on": True, "off": False, "n": 3, "names": ["a", "b"]},
        **draw(_parts("n", most, 2, [])),
        **({"output": {"all": "{{ size(nodes) }}"}} if draw(st.booleans()) else {}),
    }


@st.composite
def chains(draw):
    """A definition of nodes one after another, some of them beside others."""
    nodes, edges = [], []
    for chain in range(draw(st.integers(1, 3))):
        kinds = draw(st.lists(st.sampled_from("oooos"), min_size=2, max_size=5))
        before = []
        for number, kind in enumerate(kinds):
            node_id = f"n{chain}-{number}{kind}"
            if before:
                edge = {"source": before[-1], "target": node_id}
                edges.append(edge | draw(_conditioned("condition", list(before), 2)))
            nodes.append({"node_id": node_id, **draw(_node(node_id, [], list(before), 0))})
            before.append(node_id)
    return {
        "name": "random",
        "variables": {"on": True, "off": False, "n": 3, "names": ["a", "b"]},
        "nodes": nodes,
        "edges": edges,
    }


@st.composite
def bodies(draw, most=5):
    """The nodes and edges of a part without constructs in it."""
    return draw(_parts("b", most, 0, []))


@st.composite
def _parts(draw, stem, most, depth, outer):
    """The nodes and edges of one scope. ``outer`` are the ids of nodes around it that are over when it begins."""
    kinds = draw(
        st.lists(st.sampled_from(KINDS if depth else KINDS[:-2]), min_size=(most + 1) // 2, max_size=most)
    )
    ids = [f"{stem}{number}{kind}" for number, kind in enumerate(kinds)]
    before, nodes, edges = {}, [], []
    for index, node_id in enumerate(ids):
        least = min(index, draw(st.integers(0, 2)))
        sources = (
            draw(st.lists(st.sampled_from(ids[:index]), unique=True, min_size=least, max_size=3))
            if index
            else []
        )
        before[node_id] = sorted({*sources, *(one for source in sources for one in before[source])})
        for source in sources:
            over = [*outer, source, *before[source]]
            edges.append({"source": source, "target": node_id} | draw(_conditioned("condition", over, 3)))
        over = [*outer, *before[node_id]]
        nodes.append({"node_id": node_id, **draw(_node(node_id, ids[index + 1 :], over, depth))})
    return {"nodes": draw(st.permutations(nodes)), "edges": draw(st.permutations(edges))}


@st.composite
def _node(draw, node_id, later, over, depth):
    node = {"join": draw(st.sampled_from(JOINS)), **draw(_conditioned("when", over, 2))}
    if draw(st.integers(0, 3)) == 0:
        node |= draw(st.sampled_from([{"fail_on_error": False}, {"on_error": [{"ignore": True}]}]))
    match node_id[-1]:
        case "s":
            value = draw(st.sampled_from([1, "{{ vars.n - 2 }}", "{{ vars.on }}", "{{ input.x }}"]))
            return {"type": "control/set", "parameters": {"values": {"k": value}}, **node}
        case "c":
            parameters = {"condition": "{{ " + draw(_expression(over)) + " }}"}
            if later:
                parameters |= {way: draw(st.sampled_from(later)) for way in draw(_WAYS)}
            return {"type": "control/condition", "parameters": parameters, **node}
        case "f":
            body = draw(_parts(f"{node_id}-", 3, depth - 1, over)) | draw(_OUTPUTS)
            return {
                "type": "control/foreach",
                "parameters": {"items": "{{ [vars.n, 1] }}"},
                "body": body,
                **node,
            }
        case "p":
            branches = [
                {"name": name, **draw(_parts(f"{node_id}{name}-", 2, depth - 1, over))} for name in "pq"
            ]
            return {
                "type": "control/parallel",
                "parameters": {"fail_fast": False},
                "branches": branches,
                **node,
            }
    fails = draw(st.sampled_from([False] * 5 + [True, "{{ input.x > 1 }}", "{{ vars.off }}"]))
    parameters = {"fails": fails, "slow": draw(st.integers(0, 3)) == 0, "seen": draw(_seen(over))}
    return {"type": "table/outcome", "parameters": parameters, **node}


_WAYS = st.sampled_from([(), ("true_path",), ("true_path", "false_path")])
_OUTPUTS = st.sampled_from([{}, {"output": {"at": "{{ loop.index + vars.n - 2 }}"}}])


@st.composite
def _conditioned(draw, key, over, often):
    """A condition under ``key``, ``often`` of six times."""
    if draw(st.integers(0, 5)) >= often:
        return {}
    if key == "condition" and draw(st.integers(0, 3)) == 0:
        return {key: "else"}
    return {key: draw(_expression(over))}


@st.composite
def _expression(draw, over):
    """A condition; of nodes, it reads those that are over."""
    asked = [f"{_field(one)} == 1" for one in over] + [
        f"has({_field(one)})" for one in over if one[-1] == "o"
    ]
    of_constants = [f"{_field(one)} == 1" for one in over if one[-1] in "sc"]
    return draw(st.sampled_from([*CONSTANT, *CONSTANT, *LIVE, *asked, *of_constants * 8]))


@st.composite
def _seen(draw, over):
    """Something to read: what can be computed beforehand, or whether a node before has run."""
    reads = [f"{{{{ default({_field(one)}, 0) }}}}" for one in over]
    return draw(st.sampled_from(["{{ vars.n * 2 }}", "{{ size(vars.names) }}-{{ vars.n }}", *reads, *reads]))


def _field(node_id):
    """A field of a node's output."""
    name = node_id.replace("-", "_")
    return f"nodes.{name}.{ {'s': 'k', 'c': 'result'}.get(node_id[-1], name) }"
