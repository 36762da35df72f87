"""Secrets: what is one, which way it goes, and what gives nothing away. See also ``fixtures/invalid/secrets.yaml``."""

import pytest

from mirror_realm.compiler import analyze

HEAD = """name: w
triggers: [{type: manual}]
input:
  type: object
  required: [user, password, users]
  properties:
    user: {type: string}
    password: {type: string, format: password}
    users: {type: array, items: {type: object, properties: {name: {type: string}, pin: {type: string, x-sensitive: true}}}}
output: {ok: true}
"""  # noqa: E501
SEND = '{node_id: tell, type: notify/send, parameters: {urls_from: X, body: "%s"}}'


def told(nodes, edges="[]", head=HEAD):
    found = analyze("w.yaml", text=f"{head}nodes: [{nodes}]\nedges: {edges}\n").diagnostics
    return [d.message for d in found if d.code in ("MR280", "MR281")]


def message(way, what="a notification"):
    name = way.partition(" ")[0]
    return f"{name} is a secret, and comes into {what}" + (f" ({way})" if " " in way else "")


@pytest.mark.parametrize(
    ("body", "way"),
    [
        ("{{ input.password }}", "input.password"),
        ("{{ 'x' + input.password }}", "input.password"),
        ("{{ to_json(input) }}", "input.password"),
        ("{{ input.user == 'a' ? input.password : '' }}", "input.password"),
        ("{{ default(input.password, 'none') }}", "input.password"),
        ("{{ input.users }}", "input.users.pin"),
        ("{{ input.users[0].pin }}", "input.users.pin"),
        ("{{ input.users.map(u, u.pin) }}", "input.users.pin"),
        ("{{ input.users.filter(u, u.name == 'a') }}", "input.users.pin"),
        ("{{ env.DB_PASSWORD }}", "env.DB_PASSWORD"),
        ("{{ env.GITHUB_TOKEN }}", "env.GITHUB_TOKEN"),
        # nothing is given away
        ("{{ input.user }}", None),
        ("{{ size(input.password) }}", None),
        ("{{ sha256(input.password) }}", None),
        ("{{ input.password == '' ? 'none' : 'some' }}", None),
        ("{{ input.password.contains('a') }}", None),
        ("{{ input.users.map(u, u.name) }}", None),
        ("{{ size(input.users.filter(u, u.pin != '')) }}", None),
        ("{{ env.TOKENIZERS }} {{ env.HOME }}", None),
    ],
)
def test_what_an_expression_gives_away(body, way):
    assert told(SEND % body) == ([message(way)] if way else [])


SET = "type: control/set, parameters: {values: {k: '{{ %s }}', l: 1}}"
CALL = "type: http/request, parameters: {url: 'https://a.example', json: {p: '{{ input.password }}'}}"
EACH = "type: control/foreach, parameters: {items: '{{ input.users }}', item: 人}, body: {%s nodes: [{node_id: x, %s}]}"
FORK = "type: control/parallel, branches: [{name: 左, nodes: [{node_id: x, %s}]}]"


@pytest.mark.parametrize(
    ("node", "body", "way"),
    [
        (SET % "input.password", "{{ nodes.a.k }}", "input.password → a"),
        (SET % "input.password", "{{ nodes.a.l }}", None),
        ("type: control/start", "{{ nodes.a }}", "input.password → a"),
        ("type: control/start", "{{ nodes.a.user }}", None),
        (CALL, "{{ nodes.a.body }}", None),
        (EACH % ("", SET % "人.pin"), "{{ nodes.a[0].x }}", "input.users.pin → x → a"),
        (EACH % ("output: {n: '{{ 人.name }}'},", SET % "人.pin"), "{{ nodes.a }}", None),
        (FORK % (SET % "input.password"), "{{ nodes.a.左.x.k }}", "input.password → x → a"),
    ],
)
def test_a_secret_is_followed_through_nodes(node, body, way):
    nodes = f"{{node_id: a, {node}}}, {SEND % body}"
    assert told(nodes, "[{source: a, target: tell}]") == ([message(way)] if way else [])


@pytest.mark.parametrize(
    ("mapping", "way"),
    [
        ("", "input.password → a"),
        (", mapping: {x: $.password}", "input.password → a"),
        (", mapping: {x: $}", "input.password → a"),
        (", mapping: {x: $.user}", None),
        (", mapping: {x: '{{ input.password }}'}", "input.password"),
    ],
)
def test_a_secret_is_followed_over_edges(mapping, way):
    nodes = (
        "{node_id: a, type: control/start}, {node_id: b, type: control/emit-event, parameters: {type: x.y}}"
    )
    expected = [message(way, "an event, which is the node's input")] if way else []
    assert told(nodes, f"[{{source: a, target: b{mapping}}}]") == expected


def test_the_output_of_the_last_nodes_is_that_of_the_instance():
    head = HEAD.replace("output: {ok: true}\n", "")
    node = "{node_id: a, type: control/set, parameters: {values: {k: '{{ input.password }}'}}}"
    (found,) = told(node, head=head)
    assert found.startswith("input.password is a secret, and comes into the output of the instance")
    assert told(node) == []


def test_what_is_refused_where_it_stands_is_told_where_it_goes():
    nodes = "{node_id: a, type: control/set, parameters: {values: {k: \"{{ secret('db/key') }}\"}}, next: [tell]}, "
    assert told(nodes + SEND % "{{ nodes.a.k }}") == [message("secret(…) → a")]
    assert told(SEND % "{{ secret('db/key') }}") == []


@pytest.mark.parametrize(
    ("parameters", "count"),
    [
        ("auth: {type: bearer, token: abcdef123}", 1),
        ("auth: {type: bearer, token: '{{ env.X_TOKEN }}'}", 0),
        ("auth: {type: bearer, token_from: X_TOKEN}", 0),
        ("headers: {Authorization: Bearer abcdef}", 1),
        ("headers: {x: ghp_0123456789abcdefghijklmnopqrstuvwxyz}", 1),
        ("json: {password: hunter22}", 1),
        ("json: {password: ''}", 0),
        ("output_mapping: {token: $.body.access_token}", 0),
        ("params: {page_token: 5}", 0),
        ("json: {description: the password is asked for later}", 0),
    ],
)
def test_credentials_in_clear(parameters, count):
    node = f"{{node_id: a, type: http/request, parameters: {{url: 'https://a.example', {parameters}}}}}"
    assert len(told(node)) == count
