"""Triggers: known types, their configuration, cron expressions and time zones."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from pydantic import ValidationError

from ..close_matches import asked, closest, did_you_mean, listed
from ..diagnostics import Diagnostic, Path
from ..explain import explain, fields_at, item_name, without_echoes
from ..model import TRIGGER_CONFIGS
from .subject import Subject

_SYNONYMS = {
    "file": "filesystem",
    "files": "filesystem",
    "file_system": "filesystem",
    "folder": "filesystem",
    "cron": "schedule",
    "timer": "schedule",
    "interval": "schedule",
    "http": "webhook",
    "api": "manual",
}


def triggers(subject: Subject) -> Iterator[Diagnostic]:
    """Unknown types, wrong configuration, cron expressions and time zones that do not exist."""
    items = subject.tree.get("triggers")
    for index, trigger in enumerate(items if isinstance(items, list) else ()):
        if not isinstance(trigger, dict) or not isinstance(kind := trigger.get("type"), str) or not kind:
            continue
        path: Path = ("triggers", index)
        if kind not in TRIGGER_CONFIGS:
            guess = closest(kind, TRIGGER_CONFIGS, _SYNONYMS)
            hint = asked(guess) if guess else f"write one of {listed(TRIGGER_CONFIGS)}"
            yield subject.document.report(
                "MR126", f"unknown trigger type {kind!r}", (*path, "type"), hint=hint
            )
            continue
        config = trigger.get("config")
        if "config" not in trigger and subject.refused(path):
            continue  # what stands there is told already
        yield from _config(subject, path, kind, config if isinstance(config, dict) else {})


def _config(subject: Subject, path: Path, kind: str, config: dict[str, Any]) -> Iterator[Diagnostic]:
    model, document, where = TRIGGER_CONFIGS[kind], subject.document, (*path, "config")
    try:
        model.model_validate(config)
    except ValidationError as error:
        for one in without_echoes(error.errors(include_url=False), partial(fields_at, model)):
            loc = one["loc"]
            found = explain(one, item_name(loc), fields_at(model, loc[:-1]))
            missing, unknown = one["type"] == "missing", one["type"] == "extra_forbidden"
            code = "MR127" if found.code in ("MR110", "MR111", "MR113") else found.code
            message = f"a {kind} trigger needs {loc[-1]!r}" if missing else found.message
            hint = f"add config: {{{loc[-1]}: …}}" if missing else found.hint
            yield document.report(code, message, (*where, *loc), hint=hint, key=missing or unknown)
    if kind == "schedule":
        yield from _schedule(subject, where, config)


def _schedule(subject: Subject, where: Path, config: dict[str, Any]) -> Iterator[Diagnostic]:
    document, cron, zone = subject.document, config.get("cron"), config.get("timezone")
    if "cron" in config and "interval" in config:
        yield document.report(
            "MR127",
            "a schedule has cron or interval, not both",
            (*where, "interval"),
            hint="remove one",
            key=True,
        )
    if (
        "cron" not in config
        and "interval" not in config
        and config.keys() <= TRIGGER_CONFIGS["schedule"].model_fields.keys()
    ):
        hint = 'add cron: "0 2 * * *" or interval: 15m'
        yield document.report(
            "MR127", "a schedule trigger needs 'cron' or 'interval'", where, hint=hint, key=True
        )
    if isinstance(cron, str) and cron and (reason := cron_fault(cron)):
        hint = "minute hour day month weekday, as 0 2 * * * (every night at two)"
        yield document.report(
            "MR117", f"{cron!r} is not a cron expression: {reason}", (*where, "cron"), hint=hint
        )
    if isinstance(zone, str) and zone and (hint := zone_fault(zone)):
        yield document.report("MR118", f"unknown time zone {zone!r}", (*where, "timezone"), hint=hint)


def cron_fault(expression: str) -> str | None:
    """Why an expression is no cron expression, or ``None``."""
    from datetime import UTC, datetime

    from cronsim import CronSim, CronSimError

    try:
        next(CronSim(expression, datetime(2024, 1, 1, tzinfo=UTC)))
    except CronSimError as error:
        return str(error).lower() or "it cannot be read"
    except StopIteration:
        return "it never comes"
    return None


def zone_fault(zone: str) -> str | None:
    """What to write instead of an unknown time zone, or ``None`` for a known one."""
    from zoneinfo import ZoneInfo, available_timezones

    try:
        ZoneInfo(zone)
    except (OSError, ValueError, KeyError):  # ZoneInfoNotFoundError is a KeyError; odd names raise the others
        return (
            did_you_mean(zone, available_timezones())
            or "write a name such as Asia/Shanghai, Europe/Berlin or UTC"
        )
    return None
