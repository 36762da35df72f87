"""Registered workflows: a definition in the store, and its flow's source importable by module path."""

from __future__ import annotations

import importlib
import json
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path as FilePath
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ..compiler import Analysis, Definition, analyze, emit
from ..compiler.diagnostics import Path
from ..core.errors import Code, RealmError
from ..core.settings import Settings
from ..flows.compiled import module_name
from .library import RegisteredWorkflows

if TYPE_CHECKING:
    from ..store import Store, WorkflowVersion


@dataclass(frozen=True)
class Registered:
    """A workflow version that is in the store and whose source lies in the compiled folder."""

    definition: Definition
    module_name: str
    path: FilePath
    created: bool

    @property
    def name(self) -> str:
        """The workflow's name."""
        return self.definition.name

    @property
    def version(self) -> str:
        """The version, assigned on registration where the definition had none."""
        return str(self.definition.version)

    @property
    def flow_name(self) -> str:
        """The flow's attribute in the module."""
        return _flow_attribute(self.module)

    @property
    def entrypoint(self) -> str:
        """The module path that Prefect loads the flow from."""
        return f"mirror_realm.flows.compiled.{self.module_name}.{self.flow_name}"

    @cached_property
    def module(self) -> ModuleType:
        """The compiled module, imported."""
        return importlib.import_module(f"mirror_realm.flows.compiled.{self.module_name}")

    @property
    def flow(self) -> Any:
        """The flow: Prefect's under the Prefect engine."""
        return getattr(self.module, self.flow_name)


def register(
    analysis: Analysis, store: Store, settings: Settings, *, source: str | None = None
) -> Registered:
    """Put a checked definition into the store as its next version, and write its flow's source.

    The same definition again changes nothing. Raises INVALID_WORKFLOW_DEFINITION with the findings, ALREADY_EXISTS when
    the version is taken by another definition.
    """
    analysis.raise_for_errors()
    inner = {
        path: register(one, store, settings, source=one.file).version
        for path, one in analysis.subworkflows.items()
    }
    definition = pinned(analysis, inner)
    row, created = store.workflows.register(
        definition.document(),
        name=definition.name,
        version=definition.version,
        hash=definition.hash,
        display_name=definition.display_name or definition.name,
        description=definition.description,
        tags=list(definition.tags),
        source_name=source,
    )
    return _materialise(row, store, settings, created)


def pinned(analysis: Analysis, versions: Mapping[Path, str]) -> Definition:
    """The definition with each sub-workflow at the version that it was analysed with: a published version never means
    something else later."""
    definition = analysis.definition
    assert definition is not None
    if not versions:
        return definition
    document = definition.document()
    for path, version in versions.items():
        node: Any = document
        for part in path:
            node = node[part]
        node["parameters"]["version"] = version
    return Definition.model_validate(document)


def kept(analysis: Analysis) -> Definition | None:
    """The definition, as an instance is carried on: what it names of what is registered is the version of now, also
    when another one is registered meanwhile. What lies beside it as a file is read again."""
    if analysis.definition is None:
        return None
    inner = {
        path: one for path, one in analysis.subworkflows.items() if not FilePath(one.file or "").is_file()
    }
    versions = {path: one.definition.version for path, one in inner.items() if one.definition is not None}
    return pinned(analysis, {path: version for path, version in versions.items() if version is not None})


def registered(name: str, store: Store, settings: Settings, version: str | None = None) -> Registered:
    """The registered workflow ``name``; its source is written again if it is missing. NOT_FOUND with close matches."""
    return _materialise(store.workflows.get(name, version), store, settings, created=False)


def all_registered(store: Store, settings: Settings) -> list[Registered]:
    """The latest version of every active workflow."""
    return [registered(row.name, store, settings) for row in store.workflows.list(status="active")]


def _materialise(row: WorkflowVersion, store: Store, settings: Settings, created: bool) -> Registered:
    document = {**row.definition, "version": row.version}
    analysis = analyze(
        row.source_name or f"{row.name}.json",
        text=json.dumps(document, ensure_ascii=False, indent=2),
        library=RegisteredWorkflows(store),
    )
    if analysis.definition is None or not analysis.ok:
        raise RealmError(
            Code.FAILED_PRECONDITION,
            f"the registered definition {row.name} {row.version} no longer compiles",
            hint="was a node type removed? register a corrected version",
            details={"diagnostics": [str(d.message) for d in analysis.diagnostics]},
        )
    name = module_name(row.name, row.version)
    path = settings.compiled_folder / f"{name}.py"
    source = emit(analysis)
    if not path.is_file() or path.read_text(encoding="utf-8") != source:
        _write(path, source)
        sys.modules.pop(f"mirror_realm.flows.compiled.{name}", None)
        importlib.invalidate_caches()
    _reach(settings.compiled_folder)
    return Registered(analysis.definition, name, path, created)


def _write(path: FilePath, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex}.part")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def _reach(folder: FilePath) -> None:
    """Make the folder importable also when the home changed after the package was imported (as tests do)."""
    from ..flows import compiled

    if str(folder) not in compiled.__path__:
        compiled.__path__.insert(0, str(folder))


def _flow_attribute(module: ModuleType) -> str:
    """The one name in an emitted module that is a flow."""
    workflow = module.WORKFLOW
    for name, value in vars(module).items():
        if getattr(value, "name", None) == workflow.name and callable(getattr(value, "fn", None)):
            return name
    raise RealmError(Code.INTERNAL_ERROR, f"{module.__name__} holds no flow named {workflow.name!r}")
