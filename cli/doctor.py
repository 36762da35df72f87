"""``realm doctor``: what is installed, reachable and set, and the command that mends what is not.

One check, one function, one line in :data:`CHECKS`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from ..core.errors import RealmError
from ..core.settings import Settings, load_settings
from . import faults
from .terminal import color_wanted, terminal

Status = Literal["ok", "warn", "fail"]
TIMEOUT = 3.0
"""Seconds that a service may take to answer."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report; ``fix`` is a command or the one thing to change."""

    name: str
    status: Status
    detail: str
    fix: str | None = None


Check = Callable[[Settings], Finding]


def doctor(*, json: bool = False) -> int:
    """Check what is installed, reachable and set, and say how to mend the rest.

    Parameters
    ----------
    json
        As JSON.
    """
    out = terminal()
    findings = examine()
    if json:
        out.write_json([asdict(finding) for finding in findings])
    else:
        color = color_wanted(out.stdout)
        for finding in findings:
            out.write(_line(finding, color))
        bad = sum(f.status == "fail" for f in findings)
        odd = sum(f.status == "warn" for f in findings)
        out.say(f"\n{len(findings) - bad - odd} ok, {odd} to know about, {bad} to mend")
    return faults.SYSTEM_AT_FAULT if any(f.status == "fail" for f in findings) else faults.OK


def examine() -> list[Finding]:
    """Run every check. With settings that cannot be read, that is the finding."""
    try:
        settings = load_settings()
    except RealmError as error:
        return [Finding("settings", "fail", error.record.message, "correct that setting")]
    return [_run(check, settings) for check in CHECKS]


def _run(check: Check, settings: Settings) -> Finding:
    name = check.__name__.strip("_").replace("_", " ")
    try:
        return check(settings)
    except Exception as error:  # noqa: BLE001 - a broken installation can fail in any way, and that is the finding
        return Finding(name, "fail", f"{type(error).__name__}: {error}", "make env")


def _python(settings: Settings) -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if (3, 11) <= sys.version_info < (3, 13):
        return Finding("python", "ok", f"{version} ({sys.executable})")
    return Finding("python", "fail", f"{version} is not supported", "make env with Python 3.11 or 3.12")


def _packages(settings: Settings) -> Finding:
    from packaging.requirements import Requirement

    missing, odd = [], []
    for text in metadata.requires("mirror-realm") or ():
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            installed = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            missing.append(requirement.name)
            continue
        if not requirement.specifier.contains(installed, prereleases=True):
            odd.append(f"{requirement.name} {installed} (wants {requirement.specifier})")
    if missing or odd:
        detail = ", ".join([*(f"{name} is missing" for name in missing), *odd])
        return Finding("packages", "fail", detail, "make env")
    names = ("mirror-realm", "prefect", "distributed", "sqlalchemy", "pydantic")
    return Finding("packages", "ok", ", ".join(f"{name} {metadata.version(name)}" for name in names))


def _command(settings: Settings) -> Finding:
    found = shutil.which("realm")
    if found is None:
        return Finding(
            "command", "warn", "`realm` is not on PATH", f"export PATH={Path(sys.executable).parent}:$PATH"
        )
    if Path(found).resolve().parent != Path(sys.executable).parent.resolve():
        # realmd ships a command of the same name.
        return Finding(
            "command", "warn", f"`realm` on PATH is {found}, another program", "call it mirror-realm"
        )
    return Finding("command", "ok", found)


def _home(settings: Settings) -> Finding:
    home = settings.home
    nearest = next(folder for folder in (home, *home.parents) if folder.exists())
    if not os.access(nearest, os.W_OK | os.X_OK):
        return Finding(
            "home", "fail", f"{home} cannot be written", "export MIRROR_REALM_HOME=<a folder of yours>"
        )
    free = shutil.disk_usage(nearest).free / (1 << 30)
    if free < 1:
        return Finding("home", "warn", f"{home}: {free:.1f} GiB free", "make room, or set MIRROR_REALM_HOME")
    made = "" if home.exists() else ", made when needed"
    return Finding("home", "ok", f"{home} ({free:.0f} GiB free{made})")


def _roots(settings: Settings) -> Finding:
    missing = [str(root) for root in settings.roots if not root.expanduser().is_dir()]
    if missing:
        return Finding("roots", "fail", f"no such folder: {', '.join(missing)}", "set MIRROR_REALM_ROOTS")
    allowed = ", ".join(map(str, settings.roots)) or "the working directory"
    return Finding("roots", "ok", f"nodes may touch files in {allowed}")


def _database(settings: Settings) -> Finding:
    from sqlalchemy import create_engine, text
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import SQLAlchemyError

    url = make_url(settings.database)
    shown = url.render_as_string(hide_password=True)
    if url.get_backend_name() == "sqlite" and url.database and not Path(url.database).exists():
        return Finding("database", "ok", f"{shown}, made when needed")
    patience = {"connect_timeout": int(TIMEOUT)} if url.get_backend_name() == "postgresql" else {}
    engine = create_engine(url, connect_args=patience)
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
    except SQLAlchemyError as error:
        reason = str(error.__cause__ or error).strip().splitlines()[0]
        return Finding(
            "database", "fail", f"{shown}: {reason}", "start it, or correct MIRROR_REALM_DATABASE_URL"
        )
    finally:
        engine.dispose()
    return Finding("database", "ok", shown)


def _prefect(settings: Settings) -> Finding:
    url = os.environ.get("PREFECT_API_URL")
    if not url:
        return Finding("prefect", "ok", "no PREFECT_API_URL: an embedded server is started when needed")
    import httpx

    try:
        answer = httpx.get(url.rstrip("/") + "/health", timeout=TIMEOUT)
    except httpx.HTTPError as error:
        return Finding("prefect", "fail", f"{url}: {error}", "prefect server start, or unset PREFECT_API_URL")
    if answer.status_code in (401, 403):
        return Finding("prefect", "fail", f"{url} wants other credentials", "set PREFECT_API_KEY")
    if not answer.is_success:
        return Finding("prefect", "fail", f"{url} answers {answer.status_code}", "look at the server's log")
    return Finding("prefect", "ok", url)


def _dask(settings: Settings) -> Finding:
    if settings.dask_scheduler:
        return _reach(
            "dask", settings.dask_scheduler, "start the scheduler, or unset MIRROR_REALM_DASK_SCHEDULER"
        )
    workers = settings.workers or os.cpu_count() or 1
    return Finding(
        "dask", "ok", f"no scheduler configured: a local cluster on this machine ({workers} cores)"
    )


def _gpu(settings: Settings) -> Finding:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return Finding("gpu", "ok", "none: nodes that prefer a GPU run on the CPU and say so")
    query = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    answer = subprocess.run(query, capture_output=True, text=True, timeout=10, check=False)  # noqa: S603 - fixed arguments
    names = "; ".join(answer.stdout.split("\n")).strip("; ")
    if answer.returncode or not names:
        return Finding("gpu", "warn", "nvidia-smi finds no GPU", "nvidia-smi says why")
    if find_spec("torch") is None:
        return Finding(
            "gpu", "warn", f"{names}, but torch is not installed", "pip install 'mirror-realm[ai]'"
        )
    import torch

    if not torch.cuda.is_available():
        return Finding(
            "gpu", "warn", f"{names}, but torch {torch.__version__} cannot use it", "install a CUDA build"
        )
    return Finding("gpu", "ok", names)


def _ai(settings: Settings) -> Finding:
    missing = [
        name for name in ("torch", "torchvision", "spandrel", "safetensors") if find_spec(name) is None
    ]
    if missing:
        detail = f"{', '.join(missing)} not installed: Real-ESRGAN cannot run, `fallback: classical` can"
        return Finding("ai", "warn", detail, "pip install 'mirror-realm[ai]'")
    return Finding("ai", "ok", f"torch {metadata.version('torch')}, spandrel {metadata.version('spandrel')}")


def _models(settings: Settings) -> Finding:
    folder = settings.model_folder
    found = sorted(p.name for p in folder.glob("*.pth")) if folder.is_dir() else []
    found += sorted(p.name for p in folder.glob("*.safetensors")) if folder.is_dir() else []
    if not found:
        detail = f"no weights in {folder}: enhancing needs `fallback: classical`"
        return Finding("models", "warn", detail, f"put RealESRGAN_x4plus.pth into {folder}")
    return Finding("models", "ok", f"{', '.join(found)} in {folder}")


def _heic(settings: Settings) -> Finding:
    import pillow_heif

    return Finding("heic", "ok", f"pillow-heif {pillow_heif.__version__}")


def _faces(settings: Settings) -> Finding:
    from ..tasks.opencv import cv2

    cascade = Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_default.xml"
    if not cascade.is_file():
        return Finding(
            "faces",
            "warn",
            f"OpenCV {cv2.__version__} has no cascade",
            "pip install 'opencv-python>=4.13,<5'",
        )
    return Finding("faces", "ok", f"OpenCV {cv2.__version__} with its face cascade")


def _objects(settings: Settings) -> Finding:
    if settings.s3_endpoint:
        return _reach("objects", settings.s3_endpoint, "start it, or correct MIRROR_REALM_S3_ENDPOINT")
    return Finding(
        "objects", "ok", f"no S3 endpoint configured: buckets are folders in {settings.object_folder}"
    )


def _reach(name: str, address: str, fix: str) -> Finding:
    import socket

    parts = urlsplit(address if "://" in address else f"tcp://{address}")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        with socket.create_connection((parts.hostname or "localhost", port), timeout=TIMEOUT):
            return Finding(name, "ok", address)
    except OSError as error:
        return Finding(name, "fail", f"{address}: {error.strerror or error}", fix)


CHECKS: tuple[Check, ...] = (
    _python,
    _packages,
    _command,
    _home,
    _roots,
    _database,
    _prefect,
    _dask,
    _gpu,
    _ai,
    _models,
    _heic,
    _faces,
    _objects,
)


def _line(finding: Finding, color: bool) -> str:
    sign = {"ok": "✓", "warn": "!", "fail": "✗"}[finding.status]
    tint = {"ok": "32", "warn": "33", "fail": "31"}[finding.status]
    shown = f"\x1b[{tint}m{sign}\x1b[0m" if color else sign
    text = f"{shown} {finding.name:<9} {finding.detail}"
    return text + (f"\n  {'':<9} = {finding.fix}" if finding.fix else "")
