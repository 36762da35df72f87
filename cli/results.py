"""An instance's result as people read it: what ran where and how long, what came out, where to look next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from rich.table import Table
from rich.text import Text

from ..core.durations import format_duration
from .progress import ICONS
from .terminal import Terminal, invocation

LONGEST = 12
"""Entries of a list that are shown."""

DEEPEST = 4
"""Levels of an output that are shown; `--json` shows all."""


def show_result(terminal: Terminal, result: Mapping[str, Any], *, ran_here: bool = False) -> None:
    """Print an instance's result. ``ran_here`` adds where to look, for a run that just ended."""
    console = terminal.console
    console.print(headline(result))
    console.print()
    console.print(node_table(result.get("nodes") or {}))
    for line in left_out(result):
        console.print(Text(line, style="dim"))
    if result.get("error"):
        _show_error(console, result["error"])
    if result.get("stops"):
        _show_stops(console, result)
    elif again := _GOES_ON.get(str(result.get("status"))):
        console.print(Text.assemble((f"\n{again:<10}", "dim"), command(again, result)))
    if result.get("output"):
        console.print(Text("\noutput", style="bold"))
        for key, value in lines(result["output"]):
            console.print(Text.assemble((key, "dim"), _text(value)), soft_wrap=True)
    if ran_here and not terminal.quiet:
        _show_next(console, result)


_GOES_ON = {"failed": "retry", "canceled": "retry", "paused": "resume"}
"""The command that lets an instance go on, by its status."""


def _show_stops(console: Any, result: Mapping[str, Any]) -> None:
    from .debugger import stands

    console.print()
    for line in stands(result):
        console.print(Text.assemble(("■ ", "yellow"), line))
    for verb in ("step", "continue", "vars"):
        console.print(Text.assemble((f"{verb:<10}", "dim"), command(verb, result)))


def command(verb: str, result: Mapping[str, Any]) -> str:
    """The command line of ``realm instances`` that does ``verb`` to the instance."""
    return f"{invocation()} instances {verb} {result['instance_id']}"


def headline(result: Mapping[str, Any]) -> Text:
    """One line: what, how it ended, how long it took, which instance."""
    status = str(result.get("status"))
    sign, style = ICONS.get(status, ("?", ""))
    text = Text.assemble(
        (f"{sign} ", style), (f"{result['workflow']} {result['version']}", "bold"), " ", (status, style)
    )
    if result.get("duration") is not None:
        text.append(f" in {seconds(result['duration'])}")
    return text.append(f"  {result['instance_id']}", style="dim")


def node_table(nodes: Mapping[str, Mapping[str, Any]]) -> Table:
    """A row per node: status, time, attempts, where it ran; a skipped one says why."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for node_id, node in nodes.items():
        status = str(node.get("status"))
        sign, style = ICONS.get(status, ("?", ""))
        attempts = int(node.get("attempts") or 0)
        where = " ".join(str(node[key]) for key in ("worker", "device") if node.get(key))
        remark = node.get("reason") or ("" if not node.get("error") else _sentence(node["error"]))
        table.add_row(
            Text(sign, style=style),
            Text(node_id),
            Text(str(node.get("type") or ""), style="dim"),
            Text(status + (f", {attempts} attempts" if attempts > 1 else ""), style=style),
            Text(seconds(node.get("duration")), justify="right"),
            Text(where, style="dim"),
            Text(str(remark or ""), style="dim"),
        )
    return table


def left_out(result: Mapping[str, Any]) -> Iterator[str]:
    """A line for each node of a loop whose rounds are too many to be shown."""
    shown = {str(name).partition("[")[0] for name in result.get("nodes") or {} if str(name).endswith("]")}
    total = sum(sum(counts.values()) for counts in (result.get("rounds") or {}).values())
    listed = sum(str(name).endswith("]") for name in result.get("nodes") or {})
    if listed >= total:
        return
    for node_id, counts in result["rounds"].items():
        numbers = ", ".join(f"{count:,} {status}" for status, count in counts.items())
        first = "; the first that failed are above" if node_id in shown else ""
        yield f"   {node_id}: {numbers}{first}"


def lines(value: Any, indent: int = 1) -> Iterator[tuple[str, str]]:
    """``(indented key, value)`` lines of a JSON value, nested objects indented, long lists cut."""
    pad = "  " * indent
    if not isinstance(value, Mapping):
        yield pad, _short(value)
        return
    widest = max((len(str(key)) for key in value), default=0)
    for key, item in value.items():
        if isinstance(item, Mapping) and item and indent < DEEPEST:
            yield f"{pad}{key}", ""
            yield from lines(item, indent + 1)
        elif (
            isinstance(item, list)
            and item
            and all(isinstance(entry, Mapping) for entry in item)
            and indent < DEEPEST
        ):
            yield f"{pad}{key}", ""
            for entry in item[:LONGEST]:
                yield f"{pad}  - ", ", ".join(f"{k} {_short(v)}" for k, v in entry.items())
            if len(item) > LONGEST:
                yield f"{pad}  ", f"… and {len(item) - LONGEST} more"
        else:
            yield f"{pad}{key:<{widest}}  ", _short(item)


def seconds(value: float | None) -> str:
    """A duration in a few characters; empty when unknown."""
    return "" if value is None else format_duration(round(float(value), 2))


def _short(value: Any) -> str:
    if isinstance(value, list):
        shown = ", ".join(_short(entry) for entry in value[:LONGEST])
        return (
            shown + (f", … and {len(value) - LONGEST} more" if len(value) > LONGEST else "")
            if value
            else "none"
        )
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k}: {_short(v)}" for k, v in value.items()) + "}"
    if value is None:
        return "–"
    return str(value)


def _text(value: str) -> Text:
    # A file of this machine is shown as a path that can be copied and clicked.
    if value.startswith("file:///"):
        path = unquote(value.removeprefix("file://"))
        return Text(path, style=f"link {value}")
    return Text(value)


def _sentence(error: Mapping[str, Any]) -> str:
    return f"{error.get('code')}: {error.get('message')}"


def _show_error(console: Any, error: Mapping[str, Any]) -> None:
    console.print(
        Text.assemble(("\nerror ", "red"), (str(error.get("code")), "bold red"), f": {error.get('message')}")
    )
    details = error.get("details") or {}
    place = " ".join(
        f"{key.removesuffix('_id')} {details[key]}"
        for key in ("node_id", "iteration", "attempt", "at", "worker")
        if details.get(key)
    )
    if place:
        console.print(Text(f"  in {place}", style="dim"))
    if error.get("hint"):
        console.print(Text(f"  = {error['hint']}"))


def _show_next(console: Any, result: Mapping[str, Any]) -> None:
    console.print()
    if result.get("artifacts"):
        console.print(Text(f"{len(result['artifacts'])} artifacts are kept; --json lists them", style="dim"))
    console.print(Text.assemble(("journal   ", "dim"), command("show", result)))
    if url := result.get("prefect_url"):
        console.print(Text.assemble(("prefect   ", "dim"), str(url)), soft_wrap=True)
        if not _answers(str(url)):
            remark = f"its server ended with this run; `{invocation()} serve` shows it there again"
            console.print(Text(" " * 10 + remark, style="dim"))


def _answers(url: str) -> bool:
    """Whether the page can be seen: a server of this machine may have ended, and another may have its port."""
    import urllib.request
    from urllib.parse import urlsplit

    base, _, run = url.partition("/runs/flow-run/")
    if urlsplit(url).hostname not in ("127.0.0.1", "localhost", "::1"):
        return True
    try:
        with urllib.request.urlopen(f"{base}/api/flow_runs/{run}", timeout=2):  # noqa: S310 - http on this machine
            return True
    except (OSError, ValueError):  # URLError and HTTPError are OSErrors
        return False
