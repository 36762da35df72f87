"""Graphs and scopes to draw, and the laws of a picture."""

import random
from itertools import combinations

from mirror_realm.compiler import analyze
from mirror_realm.compiler.document import Span
from mirror_realm.compiler.draw.curves import cubics, sampled
from mirror_realm.compiler.draw.paint import Words, paint
from mirror_realm.compiler.draw.words import text_width
from mirror_realm.compiler.graph import Edge, Graph, GraphNode
from mirror_realm.compiler.scopes import Scope

NOWHERE = Span(1, 1, 1, 1)
CONDITIONS = (
    None,
    None,
    "nodes.x.score >= 60",
    "else",
    "input.质量 == '高' && size(input.files) > 10 && input.again",
)


def graph_of(nodes, edges):
    """A graph from ``id`` or ``(id, type)`` and ``(source, target[, condition])``."""
    pairs = [(node, "image/preprocess") if isinstance(node, str) else node for node in nodes]
    return Graph(
        tuple(GraphNode(name, kind, (), NOWHERE) for name, kind in pairs),
        tuple(Edge(edge[0], edge[1], edge[2] if len(edge) > 2 else None) for edge in edges),
    )


def random_graph(count, seed, back=0.0):
    chance = random.Random(seed)
    ids = [f"node-{n}" + "照片" * chance.randrange(4) for n in range(count)]
    edges = []
    for index in range(1, count):
        for _ in range(chance.choice([0, 1, 1, 1, 2, 3])):
            source = chance.randrange(max(0, index - 30), index)
            pair = (ids[index], ids[source]) if chance.random() < back else (ids[source], ids[index])
            edges.append((*pair, chance.choice(CONDITIONS)))
    return graph_of(ids, edges)


def nested_scope(chance, count, levels, owner=None, parent=None, name=None):
    """A scope of ``count`` nodes, some of them with bodies and branches, down to ``levels`` levels."""
    graph = random_graph(count, chance.random(), back=0.03)
    scope = Scope((), graph, graph, owner, parent, name)
    for node in graph.nodes:
        if levels and chance.random() < 0.25:
            for branch in chance.choice([[None], [None], ["左", "right"], ["a", "b", "c"]]):
                inner = nested_scope(chance, chance.randrange(1, 6), levels - 1, node, scope, branch)
                scope.children.append(inner)
    return scope


def apart(one, other):
    return (
        one.right <= other.x + 1e-6
        or other.right <= one.x + 1e-6
        or one.bottom <= other.y + 1e-6
        or other.bottom <= one.y + 1e-6
    )


def within(inner, outer):
    return (
        inner.x >= outer.x - 1e-6
        and inner.y >= outer.y - 1e-6
        and inner.right <= outer.right + 1e-6
        and inner.bottom <= outer.bottom + 1e-6
    )


def overlapping(boxes):
    """Pairs of boxes that share area (a sweep over x)."""
    found, active = [], []
    for name, box in sorted(boxes.items(), key=lambda item: item[1].x):
        active = [(n, b) for n, b in active if b.right > box.x]
        found += [(n, name) for n, b in active if not apart(b, box)]
        active.append((name, box))
    return found


def check(picture):
    """The laws of a picture."""
    cards = {card.figure.key: card.box for card in picture.cards}
    frames = {frame.figure.key: frame for frame in picture.frames}
    labels = {i: line.route.label for i, line in enumerate(picture.lines) if line.label}
    assert overlapping({**cards, **labels}) == []
    for key, box in {**cards, **{key: frame.box for key, frame in frames.items()}}.items():
        assert 0 <= box.x <= box.right <= picture.width
        assert 0 <= box.y <= box.bottom <= picture.height
        around = max((k for k in frames if key.startswith(k + "/")), key=len, default=None)
        if around is not None:
            assert sum(within(box, lane.box) for lane in frames[around].lanes) == 1, key
    for one, other in combinations(frames.values(), 2):
        nested = any(a.figure.key.startswith(b.figure.key + "/") for a, b in ((one, other), (other, one)))
        assert nested or apart(one.box, other.box)
    boxes = {**cards, **{key: frame.box for key, frame in frames.items()}}
    for line in picture.lines:
        keep_clear(picture, line, boxes)
    for group in paint(picture):
        for words in (shape for shape in group.shapes if isinstance(shape, Words) and group.key):
            assert words.x + text_width(words.text, words.size, bold=words.bold) <= boxes[group.key].right


def keep_clear(picture, line, boxes):
    """An edge begins and ends at its nodes, and crosses no node beside them."""
    around = line.source.rpartition("/")[0]
    points = sampled(cubics(line.route, picture.direction), 8)
    for x, y in points:
        for key, box in boxes.items():
            inside = box.x + 1 < x < box.right - 1 and box.y + 1 < y < box.bottom - 1
            assert not inside or f"{around}/".startswith(f"{key}/"), (line.source, line.target, key)
    first, last = line.route.points[0], line.route.points[-1]
    for (x, y), box in ((first, boxes[line.source]), (last, boxes[line.target])):
        assert box.x - 1e-6 <= x <= box.right + 1e-6
        assert box.y - 1e-6 <= y <= box.bottom + 1e-6


DIAMOND = graph_of(
    [
        ("start", "control/start"),
        ("检查", "ai/image-analyze"),
        ("keep", "storage/minio"),
        ("drop", "data/file-write"),
    ],
    [
        ("start", "检查"),
        ("检查", "keep", "{{ nodes.检查.score >= 60 }}"),
        ("检查", "drop", "else"),
        ("start", "keep"),
    ],
)

NESTED = """
name: album
display_name: 相册
nodes:
  - {node_id: scan, type: control/start, display_name: 扫描}
  - node_id: each
    type: control/foreach
    parameters: {items: "{{ input.files }}", item: file, max_concurrent: 16}
    body:
      nodes:
        - {node_id: resize, type: image/preprocess}
        - node_id: both
          type: control/parallel
          parameters: {wait_for: any}
          branches:
            标签: [{node_id: tag, type: ai/image-analyze}]
            mark: [{node_id: stamp, type: image/watermark, parameters: {text: x}}]
      edges: [{source: resize, target: both, condition: "nodes.resize.width > 100"}]
  - {node_id: tail, type: control/subworkflow, parameters: {name: tail}}
edges: [{source: scan, target: each}, {source: each, target: tail}]
"""
TAIL = (
    "name: tail\nversion: 1.2.0\nnodes: [{node_id: note, type: control/set, parameters: {values: {v: 1}}}]\n"
)


def album_in(folder):
    """The analysis of :data:`NESTED`, with the workflow that it runs beside it."""
    (folder / "album.yaml").write_text(NESTED, encoding="utf-8")
    (folder / "tail.yaml").write_text(TAIL, encoding="utf-8")
    return analyze(folder / "album.yaml")
