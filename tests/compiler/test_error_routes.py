"""What the compiler makes of error routes, handlers, caches and compensations: edges, functions, declarations."""

from mirror_realm.compiler import analyze, emit
from mirror_realm.compiler.draw import draw

TEXT = """
name: routes
triggers: [{type: manual}]
error_handling: {on_failure: tell, notify: [OPS_URLS]}
nodes:
  - node_id: risky-01
    type: http/request
    parameters: {url: 'https://example.com/a'}
    cache: {ttl: 90s}
    on_error: [{goto: rescue, codes: [UNAVAILABLE]}, {goto: rescue, codes: [NOT_FOUND]}]
    compensate: {type: http/request, parameters: {url: 'https://example.com/undo', method: DELETE}}
  - {node_id: next, type: control/set, parameters: {values: {v: '{{ nodes.risky_01.body }}'}}}
  - {node_id: rescue, type: control/set, parameters: {values: {v: '{{ nodes.risky_01.error.code }}'}}}
  - {node_id: tell, type: control/set, parameters: {values: {v: '{{ error.message }}', w: '{{ nodes.next.v }}'}}}
  - {node_id: then, type: control/set, parameters: {values: {v: '{{ nodes.tell.v }}'}}}
edges:
  - {source: risky-01, target: next}
  - {source: tell, target: then}
"""


def test_an_error_rule_is_one_edge_with_all_its_codes():
    analysis = analyze("w.yaml", text=TEXT)
    assert not [d for d in analysis.diagnostics if d.severity != "info" and d.code != "MR140"], (
        analysis.render()
    )
    (route,) = [edge for edge in analysis.graph.edges if edge.codes is not None]
    assert (route.source, route.target, route.codes) == ("risky-01", "rescue", ("UNAVAILABLE", "NOT_FOUND"))
    assert "rescue" not in analysis.graph.entries
    assert "rescue" in str(draw(analysis.graph, "svg"))


def test_a_rule_for_all_codes_takes_the_others_in():
    text = TEXT.replace(", codes: [NOT_FOUND]", "")
    (route,) = [edge for edge in analyze("w.yaml", text=text).graph.edges if edge.codes is not None]
    assert route.codes == ()


def test_the_source_says_where_errors_go():
    source = emit(analyze("w.yaml", text=TEXT))
    assert "after=edge(risky, on_error=True)" in source
    assert "cache={'ttl': 90}" in source or 'cache={"ttl": 90}' in source
    assert "compensate=" in source
    body, _, _ = source.partition("async def routes")
    handler = body[body.index("def on_failure(run):") :]
    assert "run.start(tell)" in handler
    assert "run.start(then, after=tell_done)" in handler
    assert "tell" not in source[source.index("async def routes") :].partition("return")[0]
    assert "on_failure=on_failure" in source


def test_without_a_handler_nothing_is_said_of_one():
    source = emit(
        analyze(
            "w.yaml",
            text=TEXT.replace("on_failure: tell, ", "").replace(
                "'{{ error.message }}', w: '{{ nodes.next.v }}'", "1"
            ),
        )
    )
    assert "on_failure" not in source


def test_only_the_handler_knows_the_error():
    text = TEXT.replace("values: {v: '{{ nodes.risky_01.body }}'}", "values: {v: '{{ error.message }}'}")
    assert [d.code for d in analyze("w.yaml", text=text).errors] == ["MR302"]


def test_a_compensation_reads_its_steps_output():
    right = TEXT.replace(
        "method: DELETE}}", "method: DELETE}, input: {of: '{{ output.body }}', b: '{{ input.order }}'}}"
    )
    assert analyze("w.yaml", text=right).ok
    wrong = right.replace("output.body", "output.bodi")
    assert [d.code for d in analyze("w.yaml", text=wrong).diagnostics if d.code == "MR303"] == ["MR303"]
