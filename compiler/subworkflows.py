"""Sub-workflows: the definitions that nodes name, found, analysed, and compared with what the nodes give them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..core.versions import highest, version_range
from ..tasks.registry import Registry
from .close_matches import asked, closest, did_you_mean, listed
from .constant_values import with_constants, with_origins
from .diagnostics import Diagnostic, Path
from .document import Document
from .library import UNVERSIONED, Found, Library
from .scopes import Scope

if TYPE_CHECKING:
    from .analysis import Analysis

SUBWORKFLOW = "control/subworkflow"
DEEPEST = 16
"""Sub-workflows inside each other."""


def subworkflows(
    document: Document, scope: Scope, registry: Registry, library: Library, around: tuple[str, ...]
) -> tuple[Mapping[Path, Analysis], tuple[Diagnostic, ...]]:
    """The analysis of the definition behind each sub-workflow node, and what is wrong with naming it."""
    nodes = [node for one in scope.walk() for node in one.graph.nodes if node.type == SUBWORKFLOW]
    if not nodes:
        return {}, ()
    tree = document.tree if isinstance(document.tree, dict) else {}
    names = (*around, str(tree.get("name", "")))
    finder = _Finder(document, registry, library, names)
    for node in nodes:
        finder.resolve(node.path)
    return finder.found, tuple(finder.diagnostics)


class _Finder:
    def __init__(
        self, document: Document, registry: Registry, library: Library, around: tuple[str, ...]
    ) -> None:
        self.document, self.registry, self.library, self.around = document, registry, library, around
        self.found: dict[Path, Analysis] = {}
        self.diagnostics: list[Diagnostic] = []
        self._analysed: dict[str, Analysis] = {}

    def resolve(self, path: Path) -> None:
        """Find and analyse what the node at ``path`` runs."""
        parameters = self.document.value(path).get("parameters")
        given = parameters if isinstance(parameters, dict) else {}
        name, wanted = given.get("name"), given.get("version")
        if not isinstance(name, str) or not name or "{{" in name:
            if isinstance(name, str) and "{{" in name:
                hint = "write the name; to choose at run time, put a switch before several sub-workflows"
                self._report("MR230", "a sub-workflow is named when it is compiled", path, "name", hint)
            return  # Missing or of the wrong type: the check of parameters says so.
        where = (*path, "parameters", "name")
        if name in self.around:
            chain = " \u2192 ".join((*self.around[self.around.index(name) :], name))
            hint = "repeat with a loop; a workflow cannot be a part of itself"
            self._report("MR231", f"recursion of sub-workflows: {chain}", path, "name", hint)
        elif len(self.around) > DEEPEST:
            self._report("MR103", f"sub-workflows are nested more than {DEEPEST} deep", path, "name", None)
        elif (source := self._source(name, wanted, path)) is not None:
            self._use(source, path, where)

    def _source(self, name: str, wanted: Any, path: Path) -> Found | None:
        versions = self.library.versions(name)
        if not versions:
            known = sorted(self.library.names())
            hint = did_you_mean(name, known) or (
                f"there are {listed(known)}" if known else "put its file beside this one, or register it"
            )
            self._report("MR230", f"there is no workflow {name!r}", path, "name", hint)
            return None
        if wanted is not None and not isinstance(wanted, str):
            return None
        try:
            if wanted is not None:
                version_range(wanted)
        except ValueError as error:
            self._report("MR115", str(error), path, "version", "write 1.2.0, ^1.2, ~1.2, >=1,<2 or 1.x")
            return None
        if (chosen := highest(versions, wanted)) is None:
            shown = listed(v for v in sorted(versions) if v != UNVERSIONED) or "none with a version"
            self._report(
                "MR230", f"no version of {name!r} is in {wanted!r}", path, "version", f"there are {shown}"
            )
            return None
        return versions[chosen]

    def _use(self, source: Found, path: Path, where: Path) -> None:
        analysis = self._analysed.get(source.file)
        if analysis is None:
            analysis = self._analysed[source.file] = self._analyse(source)
        self.found[path] = analysis
        if (first := next(iter(analysis.errors), None)) is not None:
            more = len(analysis.errors) - 1
            message = f"its definition has errors: {first.position}: {first.message}"
            message += f" (and {more} more)" if more else ""
            self.diagnostics.append(
                self.document.report("MR230", message, where, hint=f"realm validate {source.file}")
            )
            return
        self._input(analysis, path)

    def _analyse(self, source: Found) -> Analysis:
        from .analysis import analyze_part

        return analyze_part(source.file, source.text, None, self.registry, self.library, self.around)

    def _input(self, analysis: Analysis, path: Path) -> None:
        """Required inputs that an explicit ``input`` does not give, and names that the sub-workflow does not know."""
        given = (self.document.value(path).get("parameters") or {}).get("input")
        schema = analysis.definition.input if analysis.definition else None
        if not isinstance(given, dict) or not schema:
            return
        properties: Any = schema.get("properties")
        where: Path = (*path, "parameters", "input")
        closed = isinstance(properties, dict) and schema.get("additionalProperties") is False
        known = properties if isinstance(properties, dict) else {}
        slips = {name: closest(name, known) for name in given if name not in known and known}
        unknown = [name for name in slips if closed or slips[name] not in (None, *given)]
        missing = [name for name in schema.get("required", ()) if name not in given]
        if len(missing) == len(unknown) == 1 and slips[unknown[0]] is None:
            slips[unknown[0]] = missing[0]
        for name in missing:
            if name not in slips.values():
                message = f"sub-workflow {analysis.definition.name!r} needs the input {name!r}"  # type: ignore[union-attr]
                self.diagnostics.append(
                    self.document.report("MR350", message, where, hint=f"add {name}: …", key=True)
                )
        for name in unknown:
            hint = asked(meant) if (meant := slips[name]) else f"it takes {listed(known)}"
            required = slips[name] in schema.get("required", ())
            self.diagnostics.append(
                self.document.report(
                    "MR121",
                    f"unknown input {name!r}",
                    (*where, name),
                    hint=hint,
                    severity="error" if closed or required else "warning",
                    key=True,
                )
            )
        for name in given.keys() & known.keys():
            value = with_constants(self.document, None, given[name])
            if isinstance(known[name], dict) and "{{" not in str(value):
                self._literal(value, known[name], schema, (*where, name))

    def _literal(self, value: Any, property: dict[str, Any], schema: Mapping[str, Any], where: Path) -> None:
        """A value that the sub-workflow's schema refuses."""
        from jsonschema import Draft202012Validator
        from jsonschema.exceptions import best_match

        whole = {**property, "$defs": schema.get("$defs", {})}
        error = best_match(Draft202012Validator(whole).iter_errors(value))
        written = self.document.value(where)
        if error is not None and error.validator == "type" and written is not value and not error.path:
            return  # The check of templates' types says so.
        if error is not None:
            place = (*where, *error.absolute_path)
            message = f"the sub-workflow refuses the input {where[-1]!r}: {error.message[:120]}"
            wanted = {key: property[key] for key in ("type", "enum", "minimum", "maximum") if key in property}
            hint = (
                f"it takes {', '.join(f'{key} {value}' for key, value in wanted.items())}" if wanted else None
            )
            self.diagnostics.append(
                self.document.report(
                    "MR122",
                    message,
                    place,
                    hint=with_origins(self.document, hint or "see its input schema", written),
                )
            )

    def _report(self, code: str, message: str, path: Path, key: str, hint: str | None) -> None:
        self.diagnostics.append(self.document.report(code, message, (*path, "parameters", key), hint=hint))
