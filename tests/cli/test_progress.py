"""How a run is shown: lines without a terminal, a live table with one, a summary at the end."""

from __future__ import annotations

import io

from rich.console import Console

from mirror_realm.cli.progress import LiveProgress, PlainProgress, ServeLog, Silent, progress
from mirror_realm.cli.results import lines, show_result
from mirror_realm.cli.terminal import Terminal


def event(node: str, status: str, **more: object) -> dict[str, object]:
    return {
        "type": "node",
        "node_id": node,
        "status": status,
        "attempt": 1,
        "progress": None,
        "message": "",
        **more,
    }


def terminal() -> tuple[Terminal, io.StringIO]:
    written = io.StringIO()
    return Terminal(stdout=written, stderr=written), written


def test_lines_tell_each_change_once():
    voice, written = terminal()
    with PlainProgress(voice) as show:
        show({"type": "instance", "instance_id": "inst-1", "status": "running"})
        show(event("preprocess-01", "running"))
        show(event("preprocess-01", "running", progress=0.5))
        show(event("preprocess-01", "retrying", attempt=1, message="TRANSIENT_ERROR: the worker died"))
        show(event("preprocess-01", "running", attempt=2))
        show(event("preprocess-01", "completed", attempt=2, duration=1.234, worker="tcp://w:1"))
    assert written.getvalue().splitlines() == [
        "▶ preprocess-01 running",
        "↻ preprocess-01 retrying: TRANSIENT_ERROR: the worker died",
        "▶ preprocess-01 running (attempt 2)",
        "✓ preprocess-01 completed in 1.23s on tcp://w:1 (attempt 2)",
    ]


def test_the_table_shows_progress_names_and_times():
    voice, _ = terminal()
    show = LiveProgress(
        voice, [("预处理", "image/preprocess"), ("enhance-01", "ai/image-enhance"), ("later", "storage/s3")]
    )
    show(event("预处理", "completed", duration=0.5, worker="w0"))
    show(event("enhance-01", "running", progress=0.42, message="tile 5 of 12"))
    show({"type": "surprise"})
    written = io.StringIO()
    Console(file=written, width=120, no_color=True).print(show.table())
    first, second, third = written.getvalue().splitlines()
    assert first.split() == ["✓", "预处理", "image/preprocess", "completed", "500ms", "w0"]
    assert "tile 5 of 12" in second
    assert third.split() == ["·", "later", "storage/s3", "pending"]


def test_a_live_table_starts_and_stops():
    written = io.StringIO()
    voice = Terminal(stdout=written, stderr=written)
    console = Console(file=written, width=120, force_terminal=True)
    vars(voice)["error_console"] = console  # as a terminal would have it
    with LiveProgress(voice, [("node-of-the-test", "x/y")]) as show:
        show(event("node-of-the-test", "running"))
        show(event("node-of-the-test", "completed", duration=2.0))
    shown = written.getvalue()
    assert "node-of-the-test" in shown
    assert shown.rstrip().endswith("\x1b[2K"), "the table is gone when the run is over"


def test_the_display_fits_the_terminal():
    voice, _ = terminal()
    assert isinstance(progress(voice, []), PlainProgress)
    assert isinstance(progress(voice, [], silent=True), Silent)
    assert isinstance(progress(Terminal(quiet=True), []), Silent)


def test_the_log_of_a_platform_tells_instances_and_failures():
    voice, written = terminal()
    log = ServeLog(voice)
    log({"type": "instance", "instance_id": "inst-1", "workflow": "w", "status": "running", "error": None})
    log({**event("a", "running"), "instance_id": "inst-1"})
    log({**event("a", "retrying", message="again"), "instance_id": "inst-1"})
    error = {"code": "NOT_FOUND", "message": "gone"}
    log({"type": "instance", "instance_id": "inst-1", "workflow": "w", "status": "failed", "error": error})
    said = [line.partition(" ")[2] for line in written.getvalue().splitlines()]
    assert said == [
        "▶ inst-1 w running",
        "↻ a retrying: again  inst-1",
        "✗ inst-1 w failed: NOT_FOUND: gone",
    ]


def result(**more: object) -> dict[str, object]:
    node = {
        "type": "x/y",
        "attempts": 1,
        "error": None,
        "duration": 0.25,
        "worker": "w0",
        "device": "cpu",
        "reason": None,
    }
    return {
        "instance_id": "inst-1",
        "workflow": "照片",
        "version": "1.0.0",
        "status": "completed",
        "duration": 1.5,
        "error": None,
        "output": {
            "uri": "file:///a%20b.jpg",
            "tags": ["cat", "sea"],
            "quality": {"sharpness": 0.123456},
            "faces": [],
        },
        "nodes": {
            "a": {**node, "status": "completed"},
            "b": {
                **node,
                "status": "skipped",
                "reason": "condition is false",
                "worker": None,
                "device": None,
            },
        },
        "artifacts": [{}],
        **more,
    }


def test_a_result_tells_what_ran_where_and_what_came_out():
    voice, written = terminal()
    show_result(voice, result(), ran_here=True)
    shown = written.getvalue()
    for part in (
        "✓ 照片 1.0.0 completed in 1.5s",
        "250ms",
        "w0 cpu",
        "condition is false",
        "/a b.jpg",
        "cat, sea",
        "0.1235",
    ):
        assert part in shown
    assert "realm instances show inst-1" in shown


def test_a_failure_tells_why_where_and_what_next():
    voice, written = terminal()
    error = {
        "code": "DATA_CORRUPTED",
        "message": "the photo is cut off",
        "hint": "copy it again",
        "details": {"node_id": "a", "at": "workflow.yaml:14:5"},
    }
    show_result(voice, result(status="failed", error=error, output=None))
    shown = written.getvalue()
    for part in (
        "DATA_CORRUPTED: the photo is cut off",
        "in node a at workflow.yaml:14:5",
        "= copy it again",
    ):
        assert part in shown


def test_a_dead_link_to_prefect_says_how_to_see_it():
    voice, written = terminal()
    show_result(voice, result(prefect_url="http://127.0.0.1:9/runs/flow-run/1"), ran_here=True)
    assert "realm serve" in written.getvalue()


def test_long_and_deep_outputs_are_cut():
    shown = list(
        lines(
            {
                "many": list(range(40)),
                "a": {"b": {"c": {"d": {"e": 1}}}},
                "rows": [{"x": i} for i in range(30)],
            }
        )
    )
    text = "\n".join(key + value for key, value in shown)
    assert "… and 28 more" in text
    assert "… and 18 more" in text
    assert "{e: 1}" in text
