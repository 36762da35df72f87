"""What a run leaves in Prefect beside its states: the graph with states, and a table of results with links."""

from __future__ import annotations

import base64
import logging
from typing import TYPE_CHECKING

from ..core.durations import format_duration
from ..core.status import NodeStatus
from .journal import file_references

if TYPE_CHECKING:
    from .run import Handle, Run

log = logging.getLogger(__name__)

_MARKS = {
    NodeStatus.COMPLETED: "✅",
    NodeStatus.FAILED: "❌",
    NodeStatus.SKIPPED: "⏭️",
    NodeStatus.CANCELED: "⏹️",
}


async def publish(run: Run) -> None:
    """Create both artifacts. A server that refuses them costs a line in the log, never the run."""
    from prefect.artifacts import acreate_markdown_artifact

    try:
        await acreate_markdown_artifact(
            graph_markdown(run), key="realm-graph", description="Nodes and their states"
        )
        await acreate_markdown_artifact(
            result_markdown(run), key="realm-result", description="What each node gave"
        )
    except Exception:
        # Whatever Prefect's client raises here: an artifact is a view, the journal holds the facts.
        log.warning("the run's artifacts could not be stored in Prefect", exc_info=True)


def graph_markdown(run: Run) -> str:
    """The graph as a picture, with each node's state and time."""
    svg = graph_svg(run)
    picture = f"![graph](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"
    title = f"{run.workflow.title or run.workflow.name} {run.workflow.version}"
    return f"# {title}\n\nInstance `{run.instance_id}`\n\n{picture}\n"


def graph_svg(run: Run) -> str:
    """The run's own graph (declared nodes, edges started) as SVG, coloured by state."""
    from ..compiler.document import Span
    from ..compiler.draw import draw
    from ..compiler.graph import Edge, Graph, GraphNode

    nowhere = Span(1, 1, 1, 1)
    graph = Graph(
        nodes=tuple(GraphNode(h.node.id, h.node.type, (), nowhere) for h in run.handles.values()),
        edges=tuple(
            Edge(e.source.node.id, target, None if e.when is None else str(e.when), e.mapping)
            for target, incoming in run.incoming.items()
            for e in incoming
        ),
    )
    states = {
        h.node.id: {"status": str(h.status), "seconds": h.seconds or None} for h in run.handles.values()
    }
    return str(draw(graph, "svg", states=states))


def result_markdown(run: Run) -> str:
    """A table of the nodes: state, time, attempts, worker, the files each made, and its own words."""
    rows = ["| node | state | time | attempts | worker | result |", "|---|---|---|---|---|---|"]
    for handle in run.handles.values():
        mark = _MARKS.get(handle.status, "")
        rows.append(
            f"| {_cell(handle.node.id)} | {mark} {handle.status} | {format_duration(handle.seconds)} "
            f"| {handle.attempts} | {_cell(handle.worker)} | {_result(handle)} |"
        )
    return "\n".join([f"# Results of `{run.instance_id}`", "", *rows, ""])


def _result(handle: Handle) -> str:
    if handle.error is not None and handle.status is NodeStatus.FAILED:
        return _cell(f"{handle.error.code}: {handle.error.message}")
    if handle.status in (NodeStatus.SKIPPED, NodeStatus.CANCELED):
        return _cell(handle.reason)
    links = [f"[{_cell(f['name'])}]({f['uri']})" for f in file_references(handle.output)]
    small = [
        f"{k} {v}" for k, v in handle.output.items() if isinstance(v, str | int | float) and len(str(v)) <= 40
    ]
    return "<br>".join([*links, _cell(", ".join(small[:8]))])


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
