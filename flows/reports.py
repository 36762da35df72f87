"""What a run leaves in Prefect beside its states: the graph with states, and a table of results with links."""

from __future__ import annotations

import asyncio
import base64
import logging
from typing import TYPE_CHECKING

from ..core.durations import format_duration
from ..core.status import NodeStatus
from .journal import file_references
from .media_report import stored_report

if TYPE_CHECKING:
    from .run import Run
    from .scope import Handle

log = logging.getLogger(__name__)

BATCH = 2
"""From so many pictures on, a run is a batch and has a contact sheet."""

_MARKS = {
    NodeStatus.COMPLETED: "✅",
    NodeStatus.FAILED: "❌",
    NodeStatus.SKIPPED: "⏭️",
    NodeStatus.CANCELED: "⏹️",
}


async def publish(run: Run) -> None:
    """Create both artifacts. A server that refuses them costs a line in the log, never the run."""
    from prefect.artifacts import acreate_link_artifact, acreate_markdown_artifact

    try:
        await asyncio.gather(
            acreate_markdown_artifact(
                await graph_markdown(run), key="realm-graph", description="Nodes and their states"
            ),
            acreate_markdown_artifact(
                result_markdown(run), key="realm-result", description="What each node gave"
            ),
        )
        if (sheet := await contact_sheet(run)) is not None:
            await acreate_link_artifact(
                sheet, link_text="contact sheet", key="realm-contact-sheet", description="Before and after"
            )
    except Exception:
        # Whatever Prefect's client raises here: an artifact is a view, the journal holds the facts.
        log.warning("the run's artifacts could not be stored in Prefect", exc_info=True)


async def contact_sheet(run: Run) -> str | None:
    """Where the contact sheet of a run over several pictures is; ``None`` for other runs."""
    contents = list(run.library.pictures)
    if len(contents) < BATCH:
        return None
    title = f"{run.workflow.title or run.workflow.name}: {run.instance_id}"
    # Not on the journal's thread: other runs' nodes wait for that one.
    store = run.env.journal.store
    return await asyncio.to_thread(stored_report, store, run.env.settings, contents, title)


async def graph_markdown(run: Run) -> str:
    """The graph as a picture, with what is inside its nodes, and each node's state and time."""
    # Not on the journal's thread: other runs' nodes wait for that one.
    svg = await asyncio.to_thread(graph_svg, run)
    picture = f"![graph](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"
    title = f"{run.workflow.title or run.workflow.name} {run.workflow.version}"
    return f"# {title}\n\nInstance `{run.instance_id}`\n\n{picture}\n"


def graph_svg(run: Run) -> str:
    """The run's own graph (declared nodes, edges started) as SVG, coloured by state."""
    from ..compiler.draw import draw
    from .sketch import outline, states

    scope = outline(run)
    return str(draw(scope, "svg", states=states(run, run.env.journal.store, scope)))


def result_markdown(run: Run) -> str:
    """A table of the nodes: state, time, attempts, worker, the files each made, and its own words."""
    rows = ["| node | state | time | attempts | worker | result |", "|---|---|---|---|---|---|"]
    for handle in run.root.handles.values():
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
    if not isinstance(handle.output, dict):
        return f"{len(handle.output)} results"
    links = [f"[{_cell(f['name'])}]({f['uri']})" for f in file_references(handle.output)]
    small = [
        f"{k} {v}" for k, v in handle.output.items() if isinstance(v, str | int | float) and len(str(v)) <= 40
    ]
    return "<br>".join([*links, _cell(", ".join(small[:8]))])


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
