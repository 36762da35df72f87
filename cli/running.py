"""``realm run``: one instance here and now."""

from __future__ import annotations

import json as json_module
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from ..core.errors import Code, RealmError
from . import faults
from .terminal import STDIN, Terminal, terminal

if TYPE_CHECKING:
    from ..compiler import Analysis
    from ..flows.stepping import Debug

Pairs = Annotated[tuple[str, ...], Parameter(metavar="KEY=VALUE")]


def run(
    target: str,
    /,
    *,
    input: Pairs = (),
    input_file: Path | None = None,
    set: Pairs = (),
    engine: Literal["prefect", "local"] = "prefect",
    root: tuple[Path, ...] = (),
    step: bool = False,
    break_: Annotated[tuple[str, ...], Parameter(name="--break", metavar="NODE")] = (),
    no_breakpoints: bool = False,
    dry_run: bool = False,
    json: bool = False,
) -> int:
    """Run one instance of a workflow here and now, and show what came out.

    At a breakpoint you are asked what to do; without a terminal, the instance waits until `realm instances step` or
    `continue`.

    Exits with 0 only when the instance completed, was paused or stands at a breakpoint; with 1 when it failed through
    its input, with 3 otherwise.

    Parameters
    ----------
    target
        A definition file, or the name of a registered workflow.
    input
        One value of the instance's input as KEY=VALUE, repeatable. A dotted key nests; a value that is JSON
        keeps its type.
    input_file
        The instance's input as a YAML or JSON file; --input adds to it.
    set
        Another parameter of a node as NODE.PARAMETER=VALUE, repeatable.
    engine
        prefect (the default) tracks the run on a Prefect server; local keeps only the journal and starts at once.
    root
        Another folder that nodes may read and write, repeatable. The definition's own folder always may.
    step
        Stop before every node.
    break_
        Stop before this node, repeatable; each/resize is one inside a loop, each/resize[7] one round of it.
    no_breakpoints
        Pass the nodes with breakpoint: true.
    dry_run
        Check the definition and the input, show what would run, and stop.
    json
        Print one JSON object and nothing else.
    """
    analysis = _analysis(target)
    if analysis is None:
        return faults.INPUT_AT_FAULT
    given = instance_input(input, input_file)
    parameters = node_parameters(set)
    if dry_run:
        return _plan(analysis, given, parameters, json)
    roots = (*root, *([Path(target).absolute().parent] if Path(target).is_file() else []))
    for folder in root:
        if not folder.is_dir():
            raise RealmError(Code.INVALID_ARGUMENT, f"--root {folder} is not a folder")
    out = terminal()
    debug = _debug(analysis, step, break_, no_breakpoints)
    result = _execute(out, analysis, given, parameters, engine, roots, silent=json, debug=debug)
    if json:
        out.write_json(result)
    else:
        from .results import show_result

        show_result(out, result, ran_here=True)
    return exit_code(result)


def instance_input(pairs: Sequence[str], file: Path | None = None, option: str = "--input") -> dict[str, Any]:
    """An object, such as the instance's input, from a file and ``key=value`` pairs, the pairs on top; ``option`` is
    what errors call it.

    >>> instance_input(["a.b=1", "name=照片 1.jpg", "on=true", 'text="1"'])
    {'a': {'b': 1}, 'name': '照片 1.jpg', 'on': True, 'text': '1'}
    """
    given: dict[str, Any] = _load(file, option) if file is not None else {}
    for pair in pairs:
        path, value = _pair(pair, option, "file_path=photo.jpg")
        target = given
        for key in path[:-1]:
            inner = target.setdefault(key, {})
            if not isinstance(inner, dict):
                raise RealmError(
                    Code.INVALID_ARGUMENT, f"{option} {pair}: {key} already has a value that is no object"
                )
            target = inner
        target[path[-1]] = value
    return given


def node_parameters(pairs: Sequence[str]) -> dict[str, dict[str, Any]]:
    """``{node: {parameter: value}}`` from ``node.parameter=value`` pairs.

    >>> node_parameters(["enhance-01.scale_factor=4"])
    {'enhance-01': {'scale_factor': 4}}
    """
    found: dict[str, dict[str, Any]] = {}
    for pair in pairs:
        path, value = _pair(pair, "--set", "enhance-01.scale_factor=4")
        if len(path) != 2:
            hint = "write NODE.PARAMETER=VALUE, as in --set enhance-01.scale_factor=4"
            raise RealmError(Code.INVALID_ARGUMENT, f"--set {pair} names no parameter of a node", hint=hint)
        found.setdefault(path[0], {})[path[1]] = value
    return found


def exit_code(result: Mapping[str, Any]) -> int:
    """0 for an instance that completed, or rests until it is resumed; else whose fault its error is."""
    from ..core.errors import POLICIES, ErrorRecord

    if result.get("status") in ("completed", "paused") or result.get("stops"):
        return faults.OK
    error = ErrorRecord.from_dict(result.get("error") or {})
    return faults.INPUT_AT_FAULT if POLICIES[error.code].user_fault else faults.SYSTEM_AT_FAULT


def _analysis(target: str) -> Analysis | None:
    from .definitions import checked

    path = Path(target)
    if path.is_file() or target == STDIN:
        return checked(path)
    if path.suffix in (".yaml", ".yml", ".json") or len(path.parts) > 1:
        raise RealmError(
            Code.NOT_FOUND,
            f"there is no file {target}",
            hint="`realm init` writes a definition to start from",
        )
    return _registered(target)


def _registered(name: str) -> Analysis:
    from ..compiler import analyze
    from ..core.settings import settings
    from ..store import Store

    with Store.open(settings().database) as store:
        version = store.workflows.get(name)
    document = {**version.definition, "version": version.version}
    analysis = analyze(f"{name}.json", text=json_module.dumps(document, ensure_ascii=False))
    analysis.raise_for_errors()
    return analysis


def _execute(
    out: Terminal,
    analysis: Analysis,
    given: Mapping[str, Any],
    parameters: Mapping[str, Mapping[str, Any]],
    engine: str,
    roots: tuple[Path, ...],
    *,
    silent: bool,
    debug: Debug | None,
) -> dict[str, Any]:
    from .debugger import Prompt, interactive
    from .logs import engines_quiet
    from .progress import progress

    definition = analysis.definition
    assert definition is not None
    say: Callable[[str], None] = (lambda line: None) if silent else out.say
    asks = not silent and interactive(out) and (debug is not None or _has_breakpoints(analysis))
    nodes = [(node.node_id, node.type) for node in definition.nodes]
    display = progress(out, nodes, silent=silent, debugging=asks)
    with engines_quiet(out):
        from ..deployments.run import run_to_end, run_workflow

        with display:
            return run_to_end(
                run_workflow(
                    analysis,
                    input=given,
                    parameters=parameters,
                    engine=engine,
                    roots=roots,
                    on_event=display,
                    announce=say,
                    debug=debug,
                    debugger=Prompt(out) if asks else None,
                )
            )


def _debug(analysis: Analysis, step: bool, nodes: Sequence[str], ignoring: bool) -> Debug | None:
    """What the run is debugged with, if it is. NOT_FOUND for a breakpoint before no node."""
    from ..flows.stepping import Debug, checked_breakpoints

    debug = Debug(step, checked_breakpoints(nodes, analysis.node_keys()) if nodes else (), ignoring)
    return debug if debug.wanted else None


def _has_breakpoints(analysis: Analysis) -> bool:
    parts = (analysis, *analysis.subworkflows.values())
    return any(node.breakpoint for one in parts if one.definition for _, node in one.definition.walk())


def _plan(
    analysis: Analysis, given: Mapping[str, Any], parameters: Mapping[str, Mapping[str, Any]], json: bool
) -> int:
    definition = analysis.definition
    assert definition is not None
    if parameters:
        from ..deployments.run import with_parameters

        analysis = with_parameters(analysis, parameters)
        definition = analysis.definition
        assert definition is not None
    _check_input(definition.input, given)
    out = terminal()
    document = definition.document()
    if json:
        out.write_json(
            {"workflow": definition.name, "version": definition.version, "input": given, **document}
        )
        return faults.OK
    from rich.table import Table
    from rich.text import Text

    out.console.print(Text(f"{definition.name} {definition.version or ''}".strip(), style="bold"))
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    before: dict[str, list[str]] = {}
    for edge in definition.edges:
        before.setdefault(edge.target, []).append(edge.source)
    for node in definition.nodes:
        after = f"after {', '.join(before[node.node_id])}" if node.node_id in before else "first"
        table.add_row(node.node_id, Text(node.type, style="dim"), after)
    out.console.print(table)
    out.say("nothing was run")
    return faults.OK


def _check_input(schema: Mapping[str, Any] | None, given: Mapping[str, Any]) -> None:
    if not schema:
        return
    from jsonschema import Draft202012Validator

    for error in sorted(
        Draft202012Validator(dict(schema)).iter_errors(dict(given)), key=lambda e: e.json_path
    ):
        where = error.json_path.removeprefix("$.")
        hint = "give it with --input KEY=VALUE or --input-file"
        raise RealmError(Code.INVALID_ARGUMENT, f"input {where}: {error.message}", hint=hint)


def _pair(text: str, option: str, example: str) -> tuple[list[str], Any]:
    key, separator, value = text.partition("=")
    path = key.split(".")
    if not separator or not all(path):
        raise RealmError(
            Code.INVALID_ARGUMENT, f"{option} {text}", hint=f"write KEY=VALUE, as in {option} {example}"
        )
    try:
        return path, json_module.loads(value)
    except json_module.JSONDecodeError:
        return path, value


def _load(file: Path, option: str) -> dict[str, Any]:
    text = file.read_text(encoding="utf-8")
    try:
        if file.suffix == ".json":
            value = json_module.loads(text)
        else:
            from ruamel.yaml import YAML

            value = YAML(typ="safe", pure=True).load(text)
    except Exception as error:  # noqa: BLE001 - ruamel raises many types; each means that the file is not right
        raise RealmError(Code.INVALID_ARGUMENT, f"{option}-file {file}: {error}") from None
    if not isinstance(value, dict):
        raise RealmError(
            Code.INVALID_ARGUMENT, f"{option}-file {file} must hold an object, as in {{file_path: photo.jpg}}"
        )
    return value
