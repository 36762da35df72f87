"""The definition's JSON Schema by path: what may stand somewhere, given what stands around it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from ...tasks.catalogue import type_in_words
from ...tasks.registry import Registry
from ...tasks.sdk import NODE_NAME
from ..diagnostics import Path
from ..schema import definition_schema

Schema = Mapping[str, Any]
Entries = Callable[[Path], Mapping[str, str]]
"""The scalar entries of the mapping at a path, as far as they are known."""

_DEEPEST = 32
_WORDS = ("type", "enum", "const")


@lru_cache(maxsize=4)
def schema_view(registry: Registry) -> SchemaView:
    """The view of the schema over the node types of ``registry``; made once."""
    return SchemaView(definition_schema(registry))


class SchemaView:
    """Reads a schema as :func:`..schema.definition_schema` makes it."""

    def __init__(self, schema: Schema) -> None:
        self.root = schema
        self.definitions: Mapping[str, Any] = schema.get("$defs", {})
        self._with_node_names: dict[str, bool] = {}

    def at(self, path: Path, entries: Entries) -> list[Schema]:
        """The plain schemas, without references and alternatives, of which one holds at ``path``."""
        found = list(self._plain(self.root, (), entries))
        for index, part in enumerate(path):
            here, below = path[: index + 1], []
            for schema in found:
                for child in _children(schema, part):
                    below += self._plain(child, here, entries)
            found = below
        return found

    def fields(self, path: Path, entries: Entries) -> dict[str, Schema]:
        """The keys that the mapping at ``path`` may have, each with what is said of it."""
        fields: dict[str, Schema] = {}
        forbidden: set[str] = set()
        for schema in self.at(path, entries):
            for name, field in (schema.get("properties") or {}).items():
                if field is False:
                    forbidden.add(name)
                elif isinstance(field, Mapping) and len(field) >= len(fields.get(name, ())):
                    fields[name] = field
        return {name: field for name, field in fields.items() if name not in forbidden}

    def field(self, path: Path, entries: Entries) -> Schema | None:
        """What is said of the value at ``path`` by the mapping or the list that holds it."""
        if not path or not isinstance(path[-1], str):
            return None
        return self.fields(path[:-1], entries).get(path[-1])

    def parameters(self, node_type: str) -> Schema | None:
        """The schema of a node type's parameters, where any of them names a node."""
        key = node_type.replace("/", ".")
        return self.definitions.get(key) if self._names_nodes(key) else None

    def options(self, schema: Any) -> Iterator[Schema]:
        """A schema's alternatives, plain, whatever stands around."""
        return self._plain(schema, (), lambda path: {})

    def _names_nodes(self, key: str) -> bool:
        if key not in self._with_node_names:
            own = [
                value for name, value in self.definitions.items() if name == key or name.startswith(f"{key}.")
            ]
            self._with_node_names[key] = f"'{NODE_NAME}'" in str(own)
        return self._with_node_names[key]

    def describe(self, schema: Schema) -> str:
        """Markdown: type, default, limits and description."""
        plain = {key: value for key, value in schema.items() if key != "anyOf"}
        options = [option for option in schema.get("anyOf", ()) if not _is_template(option)]
        words = " or ".join(dict.fromkeys(filter(None, map(self.words, options or [plain]))))
        default = schema.get("default")
        about = f"*{words}*" if words else ""
        if default is not None and default not in ([], {}):
            about += f"{', ' if about else ''}default `{_json(default)}`"
        examples = schema.get("examples") or next((o["examples"] for o in options if "examples" in o), None)
        shown = "for example " + ", ".join(f"`{_json(one)}`" for one in examples[:4]) if examples else ""
        return "\n\n".join(filter(None, (str(schema.get("description", "")), about, shown)))

    def words(self, schema: Schema) -> str:
        """A schema's type in a few words."""
        if schema.get("type") == "null":
            return ""
        target = self._resolve(schema)
        if target.get("format") == NODE_NAME:
            return "a node's id"
        if "properties" in target:
            return "object"
        kept = [option for option in target.get("anyOf", ()) if not _is_template(option)]
        if kept:
            return " or ".join(dict.fromkeys(filter(None, map(self.words, kept))))
        if isinstance(kinds := target.get("type"), list):
            return " or ".join(
                dict.fromkeys(self.words({**target, "type": kind}) for kind in kinds if kind != "null")
            )
        items = target.get("items")
        if target.get("type") == "array" and isinstance(items, Mapping):
            inner = self.words(items)
            return f"list of ({inner})" if " or " in inner else f"list of {inner}"
        return type_in_words(target, self.definitions) if target.keys() & {*_WORDS, "allOf"} else ""

    def _resolve(self, schema: Schema) -> Schema:
        for _ in range(_DEEPEST):
            reference = schema.get("$ref")
            if not isinstance(reference, str):
                return schema
            target = self.definitions.get(reference.removeprefix("#/$defs/"), {})
            schema = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
        return {}

    def _plain(self, schema: Any, path: Path, entries: Entries, depth: int = 0) -> Iterator[Schema]:
        if not isinstance(schema, Mapping) or depth > _DEEPEST or _is_template(schema):
            return
        schema = self._resolve(schema)
        alternatives = [*schema.get("anyOf", ()), *schema.get("oneOf", ())]
        plain = [
            option for option in alternatives if isinstance(option, Mapping) and "required" not in option
        ]
        for option in plain:
            yield from self._plain(option, path, entries, depth + 1)
        if not plain:
            yield schema
        for part in schema.get("allOf", ()):
            if not isinstance(part, Mapping):
                continue
            if "if" not in part:
                yield from self._plain(part, path, entries, depth + 1)
            elif branch := part.get("then" if _holds(part["if"], entries(path)) else "else"):
                yield from self._plain(branch, path, entries, depth + 1)


def node_names(schema: SchemaView, path: Path, entries: Entries) -> bool:
    """Whether the value at ``path`` is, or may be, the id of a node."""
    return any(option.get("format") == NODE_NAME for option in schema.at(path, entries))


def _children(schema: Schema, part: str | int) -> Iterator[Any]:
    if isinstance(part, int):
        if "items" in schema:
            yield schema["items"]
        return
    properties = schema.get("properties") or {}
    if part in properties:
        yield properties[part]
    elif isinstance(schema.get("additionalProperties"), Mapping):
        yield schema["additionalProperties"]


def _holds(condition: Schema, entries: Mapping[str, str]) -> bool:
    """Whether the ``if`` of our own schema holds: some key has the value, or one of the values, that it names."""
    if isinstance(options := condition.get("anyOf"), list):
        return any(_holds(option, entries) for option in options)
    properties = condition.get("properties") or {}
    return all(
        name in entries and entries[name] in (rule.get("enum") or [rule.get("const")])
        for name, rule in properties.items()
    )


def _is_template(schema: Any) -> bool:
    return isinstance(schema, Mapping) and schema.get("$ref") == "#/$defs/template"


def _json(value: Any) -> str:
    import json

    return json.dumps(value, ensure_ascii=False)
