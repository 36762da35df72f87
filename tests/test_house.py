"""The house itself: packaging, borders between the rooms, start-up, pins, and what no file may contain."""

from __future__ import annotations

import ast
import doctest
import importlib
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
ROOMS = ("api", "blocks", "cli", "compiler", "core", "deployments", "flows", "store", "tasks")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXAMPLE = ROOT / "examples" / "nas-photo-processing" / "workflow.yaml"
ENGINES = ("prefect", "dask", "distributed", "torch", "sqlalchemy", "cv2", "PIL", "boto3")


def committed() -> list[Path]:
    """The project's own files: what git tracks or would track."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return [ROOT / name for name in listed if name and (ROOT / name).is_file()]


def python(code: str, *, folder: Path | None = None) -> str:
    """The output of ``code`` in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def modules() -> list[Path]:
    return sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


# Packaging


def test_the_package_list_is_what_is_on_disk():
    on_disk = {
        "mirror_realm." + ".".join(init.parent.relative_to(ROOT).parts)
        for room in ROOMS
        for init in (ROOT / room).rglob("__init__.py")
    }
    listed = PYPROJECT["tool"]["setuptools"]["packages"]
    assert set(listed) == on_disk | {"mirror_realm.examples"}, (
        "correct [tool.setuptools] packages in pyproject.toml"
    )
    assert listed == sorted(listed)


@pytest.mark.slow
def test_a_wheel_holds_every_room_and_its_data(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    for path in committed():
        copy = source / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    built = python(
        f"import setuptools.build_meta as b; print(b.build_wheel({str(tmp_path)!r}))", folder=source
    )
    with zipfile.ZipFile(tmp_path / built.splitlines()[-1]) as wheel:
        wheel.extractall(target)
    in_wheel = {
        str(p.relative_to(target / "mirror_realm"))
        for p in target.rglob("*")
        if p.is_file() and "mirror_realm/" in str(p)
    }
    wanted = {str(p.relative_to(ROOT)) for p in committed() if p.relative_to(ROOT).parts[0] in ROOMS}
    assert wanted - in_wheel == set()
    assert "examples/nas-photo-processing/workflow.yaml" in in_wheel
    assert not {name.split("/")[0] for name in in_wheel} - {*ROOMS, "examples"}
    # -S: without the editable install, so that nothing of the checkout can help.
    site = sysconfig.get_path("purelib")
    imports = "; ".join(f"import mirror_realm.{room}; print(mirror_realm.{room}.__file__)" for room in ROOMS)
    code = f"import sys; sys.path[:0] = [{str(target)!r}]; sys.path.append({site!r}); {imports}"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    assert all(line.startswith(str(target)) for line in done.stdout.split())


def test_the_command_is_installed_under_both_names():
    scripts = Path(sys.executable).parent
    for name in ("realm", "mirror-realm"):
        done = subprocess.run([scripts / name, "--version"], capture_output=True, text=True, check=False)
        assert done.stdout.startswith("realm "), done.stderr


def test_every_dependency_is_pinned_within_its_range():
    pins = {}
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            assert re.fullmatch(r"[a-z0-9-]+==[0-9][\w.]*", line), line
            name, _, version = line.partition("==")
            pins[name] = version
    project = PYPROJECT["project"]
    wanted = [
        *project["dependencies"],
        *(r for extra in project["optional-dependencies"].values() for r in extra),
    ]
    for requirement in map(Requirement, wanted):
        name = requirement.name.lower().replace("_", "-").replace(".", "-")
        if name == project["name"]:
            continue  # an extra that has another one in it
        assert name in pins, f"{name} is not pinned: make constraints"
        assert requirement.specifier.contains(pins[name]), f"{requirement} excludes its pin {pins[name]}"


TRAVELS_WITH = {
    "anyio": "prefect",
    "botocore": "boto3",
    "httpcore": "httpx",
    "lsprotocol": "pygls",
    "packaging": "dask",
    "pydantic_core": "pydantic",
    "starlette": "fastapi",
    "typing_extensions": "pydantic",
    "uvicorn": "prefect",
}
"""Modules that a declared dependency brings as part of its own interface."""


def test_what_is_imported_is_declared():
    # Something that only another package, or an extra, happens to bring is missing on a machine that has neither.
    project = PYPROJECT["project"]
    declared = {Requirement(r).name.lower() for r in project["dependencies"]}
    extras = {
        Requirement(r).name.lower()
        for name in ("ai", "media", "parquet", "verify", "lsp")
        for r in project["optional-dependencies"][name]
    }
    distributions = metadata.packages_distributions()
    missing = set()
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level and node.module:
                names = [node.module]
            for name in (n.partition(".")[0] for n in names):
                if name in sys.stdlib_module_names or name == "mirror_realm":
                    continue
                owners = {d.lower().replace("_", "-") for d in distributions.get(name, [name])} | {
                    TRAVELS_WITH.get(name, "")
                }
                if not owners & (declared | extras):
                    missing.add(f"{path.relative_to(ROOT)}: {name}")
    assert missing == set()


# Borders


def test_the_rooms_import_only_what_they_may():
    script = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([script, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


@pytest.mark.parametrize(
    "statement",
    [
        "import mirror_realm.core.settings",
        "import mirror_realm.compiler",
        "import mirror_realm.tasks; mirror_realm.tasks.registry()",
        "import mirror_realm.flows",
        f"from mirror_realm.cli.app import run; assert run(['validate', '-q', {str(EXAMPLE)!r}]) == 0",
    ],
)
def test_it_starts_without_an_engine(statement):
    loaded = python(f"{statement}; import sys; print(*sys.modules)").split()
    assert {name.partition(".")[0] for name in loaded} & set(ENGINES) == set()


def test_rooms_import_each_other_relatively():
    # Relative imports across rooms: an absolute one of our own package is not resolved by editors.
    offenders = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in modules()
        if "migrations" not in path.parts  # Alembic runs those as files
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (
            isinstance(node, ast.ImportFrom)
            and not node.level
            and (node.module or "").startswith("mirror_realm.")
        )
        or (isinstance(node, ast.Import) and any(a.name.startswith("mirror_realm.") for a in node.names))
    ]
    assert offenders == []


# Shape


def test_opencv_is_imported_by_one_thread_at_a_time():
    """Through ``tasks/opencv.py``, which says why."""
    plain = re.compile(r"^\s*import cv2\b", re.MULTILINE)
    found = [
        str(path.relative_to(ROOT)) for path in modules() if plain.search(path.read_text(encoding="utf-8"))
    ]
    assert found == ["tasks/opencv.py"]


def test_every_room_says_what_it_does():
    for room in ROOMS:
        doc = ast.get_docstring(ast.parse((ROOT / room / "__init__.py").read_text(encoding="utf-8")))
        assert doc, room
        assert len(doc) > 60, f"{room}/__init__.py should say what the room does and where to start reading"


def test_no_module_is_longer_than_a_person_reads():
    long = {
        str(p.relative_to(ROOT)): n
        for p in modules()
        if (n := len(p.read_text(encoding="utf-8").splitlines())) > 450
    }
    assert long == {}


def examples() -> list[str]:
    """The modules whose docstrings show examples."""
    shown = [path for path in modules() if ">>> " in path.read_text(encoding="utf-8")]
    return [".".join(("mirror_realm", *path.relative_to(ROOT).with_suffix("").parts)) for path in shown]


@pytest.mark.parametrize("name", examples())
def test_the_examples_in_docstrings_hold(name):
    result = doctest.testmod(importlib.import_module(name.removesuffix(".__init__")), verbose=False)
    assert result.attempted
    assert result.failed == 0


# What no committed file may contain


def test_no_machine_of_anybody_is_named():
    registry_host = re.compile(r"\b(?:pypi|pythonhosted|npmjs|debian)\.(?:org|com)\b")
    private_place = re.compile(r"(?<![\w./-])/(?:work|root)/[a-z]")
    found = []
    for path in committed():
        if path == Path(__file__):
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [
            f"{path.relative_to(ROOT)}: {m.group()}"
            for p in (registry_host, private_place)
            for m in p.finditer(text)
        ]
    assert found == []


def test_no_file_is_large():
    assert {
        str(p.relative_to(ROOT)): p.stat().st_size for p in committed() if p.stat().st_size > 1_500_000
    } == {}
