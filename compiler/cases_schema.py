"""The JSON Schema of test files, for completion and checks while one types."""

from __future__ import annotations

from typing import Any

from .cases import TestFile

Schema = dict[str, Any]


def cases_schema() -> Schema:
    """One JSON Schema (2020-12) of a whole test file, with the short forms that the model reads as long ones."""
    schema: Schema = TestFile.model_json_schema()
    parts: Schema = schema["$defs"]
    one = {"anyOf": [{"$ref": "#/$defs/Mock"}, {"const": "real", "description": "Run the node itself"}]}
    mocks = {
        "type": "object",
        "description": "By node (each/resize, each/resize[2]), type (storage/put) or family (storage/*)",
        "additionalProperties": {"anyOf": [*one["anyOf"], {"type": "array", "minItems": 1, "items": one}]},
    }
    schema["properties"]["mocks"] = parts["Case"]["properties"]["mocks"] = mocks
    codes = parts["MockedError"]["properties"]["code"]
    for part, error in (
        ("Mock", "MockedError"),
        ("Expected", "ExpectedError"),
        ("ExpectedNode", "ExpectedError"),
    ):
        parts[part]["properties"]["error"] = {"anyOf": [codes, {"$ref": f"#/$defs/{error}"}]}
    status = parts["ExpectedNode"]["properties"]["status"]["anyOf"][0]
    parts["Expected"]["properties"]["nodes"] = {
        "type": "object",
        "additionalProperties": {"anyOf": [status, {"$ref": "#/$defs/ExpectedNode"}]},
    }
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_untitled(schema)}


def _untitled(value: Any) -> Any:
    """Without the titles that Pydantic makes of names; editors show the names."""
    if isinstance(value, dict):
        return {
            key: _untitled(item)
            for key, item in value.items()
            if not (key == "title" and isinstance(item, str))
        }
    return [_untitled(item) for item in value] if isinstance(value, list) else value
