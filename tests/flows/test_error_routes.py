"""Where errors go on real runs: to another node, to the handler of a failed instance, to people."""

import http.server
import threading

import pytest

from mirror_realm.core.status import InstanceStatus

ROUTED = """
nodes:
  - {node_id: risky, type: test/fail-on, parameters: {value: "{{ input.value }}", bad: 2}, on_error: %s}
  - {node_id: next, type: control/set, parameters: {values: {v: "{{ nodes.risky.value }}"}}}
  - node_id: rescue
    type: control/set
    parameters: {values: {why: "{{ nodes.risky.error.code }}: {{ nodes.risky.error.message }}"}}
  - {node_id: after, type: control/set, parameters: {values: {done: true}}}
edges:
  - {source: risky, target: next}
  - {source: next, target: after}
  - {source: rescue, target: after}
"""


def states(result):
    return {name: node["status"] for name, node in result["nodes"].items()}


async def test_a_failed_node_hands_over_to_its_rescuer(lab):
    result = await lab(ROUTED % "{goto: rescue}", value=2)
    assert result["status"] == "completed", result["error"]
    assert states(result) == {
        "risky": "failed",
        "next": "skipped",
        "rescue": "completed",
        "after": "completed",
    }
    assert result["nodes"]["rescue"]["output"] == {"why": "INVALID_ARGUMENT: 2 is bad"}
    assert result["output"] == {"after": {"done": True}}


async def test_the_rescuer_does_not_run_when_nothing_fails(lab):
    result = await lab(ROUTED % "{goto: rescue}", value=1)
    assert states(result) == {
        "risky": "completed",
        "next": "completed",
        "rescue": "skipped",
        "after": "completed",
    }


@pytest.mark.parametrize(
    ("rules", "status", "rescue"),
    [
        ("{goto: rescue, codes: [UNAVAILABLE]}", "failed", "canceled"),
        ("[{goto: rescue, codes: [UNAVAILABLE]}, {ignore: true}]", "completed", "skipped"),
        ("[{ignore: true, codes: [UNAVAILABLE]}, {goto: rescue}]", "completed", "completed"),
        (
            "[{goto: rescue, codes: [UNAVAILABLE]}, {goto: rescue, codes: [INVALID_ARGUMENT]}]",
            "completed",
            "completed",
        ),
    ],
)
async def test_the_first_rule_for_a_code_counts(lab, rules, status, rescue):
    text = (ROUTED % rules).replace("{{ nodes.risky.value }}", "{{ default(nodes.risky.value, 0) }}")
    result = await lab(text, value=2)
    assert result["status"] == status
    assert states(result).get("rescue", "canceled") == rescue


async def test_an_error_is_routed_inside_a_foreach(lab):
    result = await lab(
        """
nodes:
  - node_id: each
    type: control/foreach
    parameters: {items: [1, 2, 3]}
    body:
      nodes:
        - {node_id: risky, type: test/fail-on, parameters: {value: "{{ item }}", bad: 2}, on_error: {goto: rescue}}
        - {node_id: rescue, type: control/set, parameters: {values: {v: -1}}}
      output: {v: "{{ default(nodes.rescue.v, nodes.risky.value) }}"}
"""
    )
    assert result["output"]["each"] == [{"v": 1}, {"v": -1}, {"v": 3}]


async def test_in_a_second_life_the_way_of_the_error_stays_taken(lab, tmp_path):
    ledger = tmp_path / "ledger"
    last = f"{{node_id: last, type: test/note, parameters: {{ledger: '{ledger}', line: x, break_at: x}}"
    last += ", retry: {max_attempts: 1}, depends_on: [after]}"
    text = (ROUTED % "{goto: rescue}").replace("edges:", f"  - {last}\nedges:")
    first = await lab(text, value=2)
    assert first["status"] == "failed"
    lab.store.instances.transition(first["instance_id"], InstanceStatus.RETRYING)
    second = await lab(text, instance_id=first["instance_id"])
    assert second["status"] == "completed"
    assert states(second)["rescue"] == "completed"
    assert second["nodes"]["risky"]["attempts"] == 1


HANDLED = """
error_handling: {on_failure: tell}
nodes:
  - {node_id: good, type: control/set, parameters: {values: {v: 1}}}
  - {node_id: bad, type: test/fail-on, parameters: {value: "{{ input.value }}", bad: 2}, depends_on: [good]}
  - {node_id: tell, type: control/set, parameters: {values: {why: "{{ error.message }}", v: "{{ nodes.good.v }}"}}}
  - {node_id: then, type: control/set, parameters: {values: {told: "{{ nodes.tell.why }}"}}, depends_on: [tell]}
"""


async def test_the_handler_runs_when_the_instance_has_failed(lab):
    result = await lab(HANDLED, value=2)
    assert result["status"] == "failed"
    assert result["error"]["message"] == "node 'bad': 2 is bad"
    nodes = result["nodes"]
    assert nodes["!on-failure/tell"]["output"] == {"why": "node 'bad': 2 is bad", "v": 1}
    assert nodes["!on-failure/then"]["output"] == {"told": "node 'bad': 2 is bad"}
    assert "tell" not in nodes
    assert [e["status"] for e in lab.events if e["type"] == "instance"] == [
        "running",
        "compensating",
        "failed",
    ]


async def test_the_handler_does_not_run_otherwise(lab):
    result = await lab(HANDLED, value=1)
    assert result["status"] == "completed"
    assert result["output"] == {"bad": {"value": 1}}
    assert not any("tell" in name for name in result["nodes"])


async def test_the_handler_runs_again_for_the_next_failure(lab):
    first = await lab(HANDLED, value=2)
    lab.store.instances.transition(first["instance_id"], InstanceStatus.RETRYING)
    second = await lab(HANDLED, instance_id=first["instance_id"])
    assert second["status"] == "failed"
    assert second["nodes"]["!on-failure/tell"]["attempts"] == 2


async def test_a_handler_that_fails_changes_nothing(lab):
    result = await lab(HANDLED.replace("{{ nodes.good.v }}", "{{ nodes.bad.value }}"), value=2)
    assert result["status"] == "failed"
    assert result["error"]["message"] == "node 'bad': 2 is bad"
    assert result["nodes"]["!on-failure/tell"]["status"] == "failed"


async def test_an_ordinary_node_may_be_the_handler_too(lab):
    text = HANDLED.replace("{{ error.message }}", "always").replace('v: "{{ nodes.good.v }}"', "v: 1")
    text = text.replace("node_id: tell,", "node_id: tell, depends_on: [bad],")
    assert (await lab(text, value=1))["nodes"]["tell"]["status"] == "completed"
    failed = await lab(text, value=2)
    assert failed["nodes"]["!on-failure/tell"]["status"] == "completed"


INNER = """
name: inner
input: {type: object, properties: {value: {type: integer}}}
error_handling: {on_failure: tell}
nodes:
  - {node_id: good, type: control/set, parameters: {values: {v: 1}}}
  - {node_id: bad, type: test/fail-on, parameters: {value: "{{ input.value }}", bad: 2}, depends_on: [good]}
  - {node_id: tell, type: control/set, parameters: {values: {why: "{{ error.message }}", v: "{{ nodes.good.v }}"}}}
"""
AROUND = """
nodes:
  - node_id: each
    type: control/foreach
    parameters: {items: [1, 2, 3], on_item_error: ignore}
    body:
      - {node_id: sub, type: control/subworkflow, parameters: {name: inner, input: {value: "{{ item }}"}}}
"""


async def test_a_workflow_inside_another_one_has_its_own_handler(lab, tmp_path):
    (tmp_path / "inner.yaml").write_text(INNER)
    lab.beside = tmp_path
    result = await lab(AROUND)
    assert result["status"] == "completed", result["error"]
    told = {name: row["output"] for name, row in result["nodes"].items() if "tell" in name}
    assert told == {"each/sub/!on-failure/tell[1]": {"why": "node 'each/sub/bad[1]': 2 is bad", "v": 1}}
    assert result["nodes"]["each/sub[1]"]["status"] == "failed"


async def test_it_runs_again_for_the_next_failure(lab, tmp_path):
    (tmp_path / "inner.yaml").write_text(INNER)
    lab.beside = tmp_path
    text = AROUND.replace("ignore", "fail")
    first = await lab(text)
    assert first["status"] == "failed"
    lab.store.instances.transition(first["instance_id"], InstanceStatus.RETRYING)
    second = await lab(text, instance_id=first["instance_id"])
    assert second["nodes"]["each/sub/bad[1]"]["attempts"] == 2
    assert second["nodes"]["each/sub/!on-failure/tell[1]"]["attempts"] == 2


TELLING = """
error_handling: {notify: NOTIFY}
nodes: [{node_id: bad, type: test/fail-on, parameters: {value: 2, bad: 2}}]
"""


@pytest.fixture
def inbox():
    """A service that takes messages; its URL for Apprise, and what it was sent."""
    received = []

    class Inbox(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            received.append(self.rfile.read(int(self.headers["content-length"])).decode())
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Inbox)
    threading.Thread(target=lambda: server.serve_forever(0.02), daemon=True).start()
    yield f"json://127.0.0.1:{server.server_port}/", received
    server.shutdown()
    server.server_close()


async def test_people_are_told_of_a_failure(lab, inbox):
    url, received = inbox
    result = await lab(
        TELLING.replace("NOTIFY", f"['{url}', {{urls: ['{url}'], body: 'see {{{{ error.code }}}}'}}]")
    )
    assert result["status"] == "failed"
    assert len(received) == 2
    assert any("INVALID_ARGUMENT: node 'bad': 2 is bad" in message for message in received)
    assert any("see INVALID_ARGUMENT" in message for message in received)


async def test_a_message_that_nobody_takes_changes_nothing(lab):
    result = await lab(TELLING.replace("NOTIFY", "'nobody://'"))
    assert result["error"]["message"] == "node 'bad': 2 is bad"
    assert result["nodes"]["!on-failure/notify-1"]["status"] == "failed"
