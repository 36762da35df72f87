"""Small scopes, all of them: what the compiler says of when nodes run is what the runtime's own rules do.

Every graph of up to four nodes with every condition on its edges and every join, and random larger ones with guards,
tolerated failures, ways of errors and nodes that end the instance, are compared with the execution of every outcome.
"""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from mirror_realm.compiler.document import Document
from mirror_realm.compiler.scopes import build_scopes
from mirror_realm.compiler.verify import assignment, soundness
from mirror_realm.compiler.verify.diagrams import FALSE, TRUE
from mirror_realm.compiler.verify.net import Nets
from mirror_realm.core.status import NodeStatus
from mirror_realm.flows.declarations import Edge, Node
from mirror_realm.flows.joins import decide, fired, passes
from mirror_realm.flows.scope import Handle, Scope
from mirror_realm.tasks.registry import registry

ATOM = ("input.a", "!input.a")
CONDITIONS = (None, *ATOM, "else")
TYPES = registry()
NOWHERE = Scope(None, None)


def nets_of(nodes, edges, **more):
    """The nets and the net of a definition that is given as its canonical tree."""
    document = Document({"nodes": nodes, "edges": edges, **more}, 0, "")
    scope = build_scopes(document, TYPES)
    nets = Nets(document, TYPES)
    return nets, nets.of(scope)


def execute(nodes, edges, conditions, failures=frozenset()):
    """Each node's status when conditions come out so, by the runtime's rules; nodes are in topological order. ``None``
    where a failure ends the instance."""
    handles, incoming, outgoing = {}, {}, {}
    for raw in nodes:
        node = Node(
            raw["node_id"],
            raw["type"],
            join=raw.get("join", "any"),
            when=raw.get("when"),
            fail_on_error=raw.get("fail_on_error", True),
        )
        handles[node.id] = Handle(node, NOWHERE)
        incoming[node.id], outgoing[node.id] = [], []
    routes = [
        (raw["node_id"], rule["goto"]) for raw in nodes for rule in raw.get("on_error", ()) if "goto" in rule
    ]
    written = [(edge["source"], edge["target"], edge.get("condition"), False) for edge in edges]
    for source, target, condition, on_error in [*written, *((*route, None, True) for route in routes)]:
        edge = Edge(handles[source], condition, on_error=on_error)
        incoming[target].append(edge)
        outgoing[source].append(edge)
    for raw in nodes:
        handle = handles[raw["node_id"]]
        mine = incoming[handle.node.id]
        live = [
            edge
            for edge in mine
            if edge.source.node.type != "control/terminate"
            and fired(edge, outgoing[edge.source.node.id], conditions.__getitem__, handle.node.id)
        ]
        runs = decide(handle.node, mine, live).runs and (
            handle.node.when is None or conditions[handle.node.when]
        )
        handle.status = NodeStatus.COMPLETED if runs else NodeStatus.SKIPPED
        if runs and handle.node.id in failures:
            handle.status = NodeStatus.FAILED
            rule = next(iter(raw.get("on_error", ())), {})
            handle.ignored, handle.goto = bool(rule.get("ignore")), rule.get("goto")
            if not passes(handle) and handle.goto is None:
                return None
    return {node_id: handle.status for node_id, handle in handles.items()}


def ran(status):
    return status not in (NodeStatus.SKIPPED, None)


# --- every small graph ------------------------------------------------------------------------------------------


def shapes(count):
    """The directed acyclic graphs of ``count`` nodes, one of each up to the nodes' names."""
    pairs = list(itertools.combinations(range(count), 2))
    seen = set()
    for size in range(len(pairs) + 1):
        for chosen in itertools.combinations(pairs, size):
            names = [
                tuple(sorted((order[one], order[other]) for one, other in chosen))
                for order in itertools.permutations(range(count))
            ]
            least = min(names)
            if least not in seen:
                seen.add(least)
                yield chosen


def joins_of(edges_in):
    return {0: ["any"], 1: ["any"], 2: ["any", "all"]}.get(edges_in, ["any", "all", 2])


def graphs(count):
    """Every graph of ``count`` nodes with every condition and join; of ``a`` and ``!a``, ``a`` comes first, and
    ``else`` stands beside a condition."""
    for shape in shapes(count):
        joins = [joins_of(sum(target == node for _, target in shape)) for node in range(count)]
        for conditions in itertools.product(CONDITIONS, repeat=len(shape)):
            asking = {source for (source, _), one in zip(shape, conditions, strict=True) if one in ATOM}
            lonely = any(
                one == "else" and source not in asking
                for (source, _), one in zip(shape, conditions, strict=True)
            )
            if lonely or next((one for one in conditions if one in ATOM), "input.a") != "input.a":
                continue
            edges = [
                {"source": str(one), "target": str(other)} | ({"condition": condition} if condition else {})
                for (one, other), condition in zip(shape, conditions, strict=True)
            ]
            for chosen in itertools.product(*joins):
                yield (
                    [
                        {"node_id": str(node), "type": "control/set"}
                        | ({} if join == "any" else {"join": join})
                        for node, join in enumerate(chosen)
                    ],
                    edges,
                )


def test_every_graph_of_up_to_four_nodes_runs_as_the_compiler_says():
    compared = 0
    for nodes, edges in itertools.chain.from_iterable(graphs(count) for count in range(1, 5)):
        nets, net = nets_of(nodes, edges)
        condition = nets.propositions.condition("input.a", net.scope)
        outcomes = [
            execute(nodes, edges, {"input.a": value, "!input.a": not value}) for value in (True, False)
        ]
        for node, runs in net.runs.items():
            said = [nets.diagrams.both(runs, one) != FALSE for one in (condition, condition ^ 1)]
            assert said == [ran(outcome[node]) for outcome in outcomes], (node, nodes, edges)
            assert (runs == TRUE) == all(said), (node, nodes, edges)
        compared += 1
    assert compared > 10_000


# --- random larger ones -----------------------------------------------------------------------------------------

ATOMS = ("input.a", "input.b")
GUARDS = (None, None, None, *ATOMS, "!input.b")
KINDS = (
    {},
    {},
    {},
    {"fail_on_error": False},
    {"on_error": [{"ignore": True}]},
    {"type": "control/terminate"},
)
BOOLEANS = {
    "type": "object",
    "required": ["a", "b"],
    "properties": {"a": {"type": "boolean"}, "b": {"type": "boolean"}},
}


@st.composite
def definitions(draw):
    count = draw(st.integers(2, 6))
    nodes, edges = [], []
    for index in range(count):
        node = {"node_id": f"n{index}", "type": "control/set", "parameters": {"values": {"x": 1}}}
        node |= draw(st.sampled_from(KINDS))
        if guard := draw(st.sampled_from(GUARDS)):
            node["when"] = guard
        sources = draw(st.sets(st.integers(0, index - 1), max_size=3)) if index else ()
        for source in sources:
            condition = draw(st.sampled_from((None, None, *ATOMS, "!input.a", "else")))
            edges.append({"source": f"n{source}", "target": node["node_id"]})
            edges[-1] |= {"condition": condition} if condition else {}
        node["join"] = draw(st.sampled_from(["any", "any", "all", 2]))
        if sources and node["type"] == "control/set":
            read = draw(st.sampled_from(sorted(sources)))
            node["parameters"] = {"values": {"x": f"{{{{ nodes.n{read}.x }}}}"}}
        if index + 1 < count and draw(st.integers(0, 9)) == 0 and "fail_on_error" not in node:
            node["on_error"] = [{"goto": f"n{draw(st.integers(index + 1, count - 1))}"}]
        nodes.append(node)
    return nodes, edges


def every_outcome(nodes, edges):
    """Every way that conditions and tolerated failures can come out, with the nodes' statuses."""
    may_fail = [raw["node_id"] for raw in nodes if "on_error" in raw or raw.get("fail_on_error") is False]
    for a, b in itertools.product((True, False), repeat=2):
        conditions = {"input.a": a, "input.b": b, "!input.a": not a, "!input.b": not b}
        for size in range(len(may_fail) + 1):
            for failures in itertools.combinations(may_fail, size):
                status = execute(nodes, edges, conditions, frozenset(failures))
                if status is not None:
                    yield (a, b), status


@settings(max_examples=300, deadline=None)
@given(definitions())
def test_larger_graphs_run_as_the_compiler_says(definition):
    nodes, edges = definition
    nets, net = nets_of(nodes, edges, input=BOOLEANS)
    atoms = [nets.propositions.condition(text, net.scope) for text in ATOMS]
    done = {node: set() for node in net.runs}
    for values, status in every_outcome(nodes, edges):
        for node in done:
            if ran(status[node]):
                done[node].add(values)
    for node, runs in net.runs.items():
        said = {
            values
            for values in itertools.product((True, False), repeat=2)
            if nets.diagrams.every(
                [runs, *(one ^ (not value) for one, value in zip(atoms, values, strict=True))]
            )
            != FALSE
        }
        assert said == done[node], node


@settings(max_examples=200, deadline=None)
@given(definitions())
def test_what_is_told_of_readings_and_nodes_happens_and_nothing_else_does(definition):
    nodes, edges = definition
    nets, net = nets_of(nodes, edges, input=BOOLEANS)
    outcomes = [status for _, status in every_outcome(nodes, edges)]
    told = {found.path[1]: found for found in assignment.judge(nets, net.scope)}
    for index, raw in enumerate(nodes):
        value = raw.get("parameters", {}).get("values", {}).get("x")
        if not isinstance(value, str):
            continue
        read = value.split(".")[1]
        reading = [status for status in outcomes if ran(status[raw["node_id"]])]
        lacking = [status for status in reading if status[read] is not NodeStatus.COMPLETED]
        found = told.get(index)
        verdict = found.verdict if found else "proved"
        assert verdict == "unknown" or (verdict == "refuted") == bool(lacking), (raw, found)
        if found is not None and found.severity == "error":
            assert len(lacking) == len(reading)
    never = [found for found in soundness.judge(nets, net.scope) if found.code == soundness.NEVER_RUNS]
    dead = {raw["node_id"] for raw in nodes if not any(ran(status[raw["node_id"]]) for status in outcomes)}
    assert all(nodes[found.path[1]]["node_id"] in dead for found in never if found.verdict == "refuted")
    assert not dead or all(found.verdict != "proved" for found in never)
