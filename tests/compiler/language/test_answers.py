"""Hover, completion, definition, references, outline and related information, on one definition with parts."""

import pytest

from mirror_realm.compiler.language import (
    complete,
    definition,
    explain,
    hover,
    references,
    related,
    symbols,
)
from tests.compiler.language.cursors import split, view_of

TEXT = """\
name: photos
version: 1.0.0
variables: {quality: 92}
input:
  type: object
  properties:
    mode: {type: string, description: How well}
    files: {type: array, items: {type: object, properties: {path: {type: string, description: The file}}}}
triggers: [{type: manual}]
nodes:
  - node_id: pre-1
    type: image/preprocess
    parameters: {format: jpeg}
    input: {file_path: "{{ input.mode }}"}
  - node_id: each
    type: control/foreach
    parameters: {items: "{{ input.files }}"}
    body:
      nodes:
        - node_id: 缩小
          type: image/preprocess
          input: {file_path: "{{ item.path }}"}
        - node_id: up
          type: control/set
          parameters: {values: {w: "{{ nodes.缩小.width + nodes.pre_1.width }}", l: "{{ loop.index }}"}}
      edges: [{source: 缩小, target: up}]
  - node_id: fork
    type: control/parallel
    branches:
      - name: left
        nodes: [{node_id: a, type: control/set, parameters: {values: {x: 1}}}]
      - name: right
        nodes: [{node_id: b, type: control/set, parameters: {values: {x: 1}}}]
  - node_id: done
    type: control/set
    parameters:
      values:
        w: "{{ nodes['pre-1'].width }}"
        s: "{{ default(nodes.each[0].缩小.width, 0) }}"
        t: '{{ nodes.fork.left }}'
edges:
  - {source: pre-1, target: each, condition: "nodes.pre_1.width > 100"}
  - {source: each, target: fork}
  - {source: fork, target: done}
output: {w: "{{ nodes.done.w + vars.quality }}"}
"""
VIEW = view_of(TEXT)


def with_cursor(place, change=None):
    """TEXT with its one line that holds ``place`` (without its cursor) changed to it, or to ``change``."""
    plain = place.replace("¦", "")
    assert TEXT.count(plain) >= 1, plain
    return split(TEXT.replace(plain, place if change is None else change, 1))


def test_the_definition_is_right():
    assert VIEW.analysis.errors == ()


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("type: image/pre¦process", ["### image/preprocess", "Turn a picture upright", "| `quality` |"]),
        ("{for¦mat: jpeg}", ["**format**", "`keep` or `jpeg`", 'default `"keep"`']),
        ("node_¦id: pre-1", ["Unique in the definition"]),
        ("type: man¦ual", ["Started by a person or the API"]),
        ("{source: ea¦ch, target: fork}", ["**each**", "control/foreach", "*line 15*"]),
        ("{{ input.mo¦de }}", ["input.mode: text", "How well"]),
        ("item.pa¦th", ["item.path: text", "The file"]),
        ("{{ it¦em.path", ["The present item"]),
        ("nodes.缩小.wid¦th", ["nodes.缩小.width: integer", "From node `缩小`"]),
        ("nodes.缩¦小.width +", ["the output of image/preprocess"]),
        ("loop.ind¦ex", ["loop.index: integer", "from 0"]),
        ("vars.qual¦ity", ["vars.quality: integer"]),
        ("def¦ault(nodes", ["default(a, b)", "skipped"]),
        ("nodes.each[0].缩小.wi¦dth", ["integer", "From node `缩小`"]),
        ("nodes['pre-1'].wi¦dth", ["nodes['pre-1'].width: integer"]),
        ("nodes.pre_1.wid¦th > 100", ["integer"]),
        ("tri¦ggers: [", ["What starts an instance"]),
    ],
)
def test_hover(place, said):
    found = hover(VIEW, *with_cursor(place))
    assert found is not None
    for part in said:
        assert part in found.markdown


@pytest.mark.parametrize("place", ["jp¦eg}", "version: 1.0¦.0", "+ nodes.pre_1"])
def test_hover_is_silent_or_says_something(place):
    text, offset = with_cursor(place if "¦" in place else f"¦{place}")
    found = hover(VIEW, text, offset)
    assert found is None or found.markdown


COMPLETIONS = [
    # what is in the text, what it is changed to, what is offered, what is not
    ("type: image/preprocess", "type: ¦", ["image/preprocess", "control/foreach"], ["manual"]),
    ("{format: jpeg}", "{for¦}", ["format", "max_size", "quality"], ["node_id", "body"]),
    ("{format: jpeg}", "{format: jpeg, ¦}", ["quality"], ["format"]),
    ("{format: jpeg}", "{format: ¦}", ["keep", "jpeg"], ["true"]),
    ("{format: jpeg}", "{auto_rotate: ¦}", ["true", "false"], []),
    ("{format: jpeg}", '{format: "¦"}', ["jpeg"], []),
    ("    parameters: {format: jpeg}", "    parameters:\n      ¦", ["format", "quality"], ["type"]),
    ("    parameters: {format: jpeg}", "    ¦", ["parameters", "next", "when"], ["type", "body", "branches"]),
    ("    branches:\n", "    ¦:\n", ["branches"], ["body"]),
    ("source: each", "source: ¦", ["pre-1", "each", "done"], ["up", "a"]),
    ("{source: 缩小, target: up}", "{source: ¦}", ["缩小", "up"], ["each", "pre-1"]),
    ("    parameters: {format: jpeg}", "    next: [¦]", ["each", "done"], ["pre-1"]),
    ("    parameters: {format: jpeg}", "    on_error: {goto: ¦}", ["each"], ["pre-1", "up"]),
    ("{type: manual}", "{type: ¦}", ["manual", "filesystem"], ["image/preprocess"]),
    ("{type: manual}", "{type: filesystem, config: {¦}}", ["path", "recursive"], ["cron"]),
    ("nodes.缩小.width", "nodes.¦", ["缩小", "pre-1", "each"], ["up", "a"]),
    ("nodes.缩小.width", "nodes.缩小.¦", ["width", "image"], ["default"]),
    ("nodes.缩小.width", "¦", ["nodes", "item", "loop", "input", "default", "true"], ["width", "upper"]),
    ("input.mode", "¦", ["nodes", "input"], ["item", "loop"]),
    ("item.path", "item.¦", ["path", "contains"], []),
    ("loop.index", "loop.¦", ["index", "length", "last"], ["parent"]),
    ("vars.quality", "vars.¦", ["quality"], []),
    ("input.mode", "input.¦", ["mode", "files"], []),
    ("input.mode", "trigger.payload.¦", ["file_path", "sha256"], []),
    ("input.mode", "input.files.map(f, f.¦)", ["path"], []),
    ("nodes['pre-1']", "nodes['¦']", ["pre-1", "each", "fork"], ["done", "缩小"]),
    ("nodes.each[0].缩小.width", "nodes.each[0].¦", ["缩小", "up"], ["width"]),
    ("nodes.fork.left", "nodes.fork.¦", ["left", "right"], []),
    ("nodes.fork.left", "nodes.fork.left.¦", ["a"], ["b"]),
    ("nodes.pre_1.width > 100", "¦", ["nodes", "input"], ["item"]),
    ("version: 1.0.0\n", "¦\n", ["display_name", "version", "timeout"], ["name", "nodes"]),
    ("    type: control/set\n    parameters:\n", "    type: control/set\n    par¦:\n", ["parameters"], []),
]


@pytest.mark.parametrize(("place", "change", "offered", "others"), COMPLETIONS)
def test_completion(place, change, offered, others):
    labels = [item.label for item in complete(VIEW, *with_cursor(place, change))]
    assert set(offered) <= set(labels)
    assert not set(others) & set(labels)


@pytest.mark.parametrize(
    ("place", "change", "label", "line"),
    [
        ("{source: each,", "{source: ¦,", "pre-1", "{source: pre-1,"),
        ("nodes.缩小.width", "nodes.¦", "pre-1", "nodes.pre_1"),
        ("nodes['pre-1']", "nodes['¦']", "each", "nodes['each']"),
        ("{format: jpeg}", "{for¦}", "format", "{format: }"),
        ("{format: jpeg}", '{format: "¦"}', "jpeg", '{format: "jpeg"}'),
        ("nodes.缩小.width", "nodes.缩小.wi¦dth", "height", "nodes.缩小.height"),
        ("type: image/preprocess", "type: ima¦ge/preprocess", "image/metadata", "type: image/metadata"),
        ("name: photos", "na¦me: photos", "name", "name: photos"),
    ],
)
def test_what_a_completion_writes(place, change, label, line):
    text, offset = with_cursor(place, change)
    item = next(item for item in complete(VIEW, text, offset) if item.label == label)
    assert line in text[: item.start] + item.text + text[item.end :]


def test_completion_of_a_new_name_in_brackets():
    view = view_of(TEXT.replace("pre-1", "1st").replace("pre_1", "['1st']"))
    text, offset = split(view.text.replace("nodes.缩小.width", "nodes.¦"))
    item = next(item for item in complete(view, text, offset) if item.label == "1st")
    assert "nodes['1st'] + nodes" in text[: item.start] + item.text + text[item.end :]


def test_completion_in_json():
    text, offset = split(
        '{"name": "a", "nodes": [{"node_id": "x", "type": "image/preprocess", "parameters": {¦}}]}'
    )
    item = next(item for item in complete(VIEW, text, offset) if item.label == "quality")
    assert (item.text, item.start, item.end) == ('"quality": ', offset, offset)


def test_explanations_are_made_when_asked_for():
    item = next(i for i in complete(VIEW, *with_cursor("type: image/preprocess", "type: ¦")) if i.about)
    assert explain(VIEW, item.about).startswith("###")
    node = next(i for i in complete(VIEW, *with_cursor("source: each", "source: ¦")) if i.label == "fork")
    assert "control/parallel" in explain(VIEW, node.about)
    assert (
        explain(VIEW, ("node", "", "gone")) == explain(VIEW, ("type", "no/such")) == explain(VIEW, ()) == ""
    )


@pytest.mark.parametrize(
    ("place", "declared"),
    [
        ("nodes.缩¦小.width +", "缩小"),
        ("nodes.pre¦_1.width }}", "pre-1"),
        ("nodes['pre-¦1']", "pre-1"),
        ("nodes.each[0].缩¦小", "缩小"),
        ("{source: ea¦ch, target: fork}", "each"),
        ("{source: 缩¦小", "缩小"),
        ("vars.qu¦ality", "quality"),
        ("input.mo¦de", "mode"),
        ("it¦em.path", "each"),
        ("loo¦p.index", "each"),
    ],
)
def test_definition(place, declared):
    _, offset = with_cursor(place)
    found = definition(VIEW, offset)
    assert found is not None
    assert TEXT[found.start : found.end] == declared


def test_references_are_of_one_scope():
    _, offset = with_cursor("node_id: pre¦-1")
    found = [TEXT[one.start : one.end] for one in references(VIEW, offset)]
    assert found == ["pre-1", "pre_1", "['pre-1']", "pre-1", "pre_1"]
    assert len(references(VIEW, offset, declaration=False)) == 4
    _, offset = with_cursor("node_id: 缩¦小")
    assert [TEXT[one.start : one.end] for one in references(VIEW, offset)] == ["缩小"] * 4


def test_outline():
    found = symbols(VIEW)
    assert [(one.name, one.kind) for one in found] == [
        ("quality", "variable"),
        ("manual", "trigger"),
        *((name, "node") for name in ("pre-1", "each", "fork", "done")),
    ]
    each, fork = found[3:5]
    assert [one.name for one in each.children] == ["缩小", "up"]
    assert [(one.name, [inner.name for inner in one.children]) for one in fork.children] == [
        ("left", ["a"]),
        ("right", ["b"]),
    ]
    for one in (*found, *each.children):
        assert one.start <= one.name_start <= one.name_end <= one.end
        assert TEXT[one.name_start : one.name_end] == one.name


def test_related_information_names_the_nodes():
    view = view_of(TEXT.replace("nodes.缩小.width +", "nodes.up.w +"))
    diagnostic = next(one for one in view.analysis.diagnostics if one.severity == "error")
    assert [view.text[one.start : one.end] for one in related(view, diagnostic)] == ["up"]


def test_a_broken_text_is_completed_with_what_was_known_before():
    broken = TEXT.replace("w: \"{{ nodes['pre-1'].width }}\"", 'w: "{{ nodes.pre_1.¦')
    labels = [item.label for item in complete(VIEW, *split(broken))]
    assert "width" in labels
