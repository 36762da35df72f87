"""Code of the user's own: a Python function by its import path."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from ..core.errors import Code, RealmError
from ..core.resources import Resources
from .context import NodeContext
from .sdk import node_type

_PATH = re.compile(r"(?P<module>[^\W\d]\w*(?:\.[^\W\d]\w*)*):(?P<function>[^\W\d]\w*)")


class PythonParameters(BaseModel):
    """Which function, and its further arguments."""

    model_config = ConfigDict(extra="forbid")

    function: str = Field(
        description="Import path `package.module:function`; MIRROR_REALM_PYTHON_ALLOW must name the package or module"
    )
    arguments: dict[str, JsonValue] = Field(
        default_factory=dict,
        description="Keyword arguments after the input; expressions in them are computed",
    )


class PythonInput(BaseModel):
    """Any input; the function gets it as a dict."""

    model_config = ConfigDict(extra="allow")


class PythonOutput(BaseModel):
    """What the function returned: an object's fields, or `result` for any other value."""

    model_config = ConfigDict(extra="allow")


@node_type("script/python", version="1.0.0", resources=Resources(memory_mb=512), side_effects=True)
def python(parameters: PythonParameters, input: PythonInput, context: NodeContext) -> PythonOutput:
    """Call a Python function as `function(input, **arguments)`; it returns JSON.

    A returned object is the output; any other value becomes `{"result": value}`. A function that takes a
    parameter named `context` gets the node's context: progress, artifacts, a private folder. Only allowed
    import paths are called.
    """
    function = _function(parameters.function, context.settings.python_allow)
    arguments: dict[str, Any] = dict(parameters.arguments)
    signature = inspect.signature(function)
    if "context" in signature.parameters:
        arguments.setdefault("context", context)
    given = dict(input.model_extra or {})
    try:
        signature.bind(given, **arguments)
    except TypeError as error:
        raise RealmError(
            Code.INVALID_ARGUMENT,
            f"{parameters.function}{signature} cannot be called with the input and these arguments: {error}",
            hint=f"arguments given: {', '.join(parameters.arguments) or 'none'}",
        ) from None
    result = function(given, **arguments)
    if inspect.iscoroutine(result):
        import asyncio

        result = asyncio.run(result)
    return PythonOutput.model_validate(result if isinstance(result, dict) else {"result": result})


def _function(path: str, allowed: tuple[str, ...]) -> Callable[..., Any]:
    match = _PATH.fullmatch(path)
    if match is None:
        raise RealmError(
            Code.INVALID_ARGUMENT, f"{path!r} is not an import path", hint="write package.module:function"
        )
    module_name, name = match["module"], match["function"]
    if not any(_within(module_name, prefix) or path == prefix for prefix in allowed):
        raise RealmError(
            Code.PERMISSION_DENIED,
            f"script/python may not call {path}",
            hint=f"allow it: MIRROR_REALM_PYTHON_ALLOW={','.join((*allowed, module_name.partition('.')[0]))}",
        )
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not module_name.startswith(error.name):
            raise  # the module is there; what it imports is not
        raise RealmError(
            Code.NOT_FOUND,
            f"there is no module {module_name!r} on this worker",
            hint="install it, or set PYTHONPATH",
        ) from None
    # A module's imports are not its functions: `allowed.module:system` must not reach os.system through `from
    # os import *`.
    function = vars(module).get(name)
    if not inspect.isfunction(function):
        functions = [
            n for n, value in vars(module).items() if inspect.isfunction(value) and not n.startswith("_")
        ]
        raise RealmError(
            Code.NOT_FOUND,
            f"module {module_name!r} has no function {name!r}",
            hint=f"it has {', '.join(functions[:10]) or 'none'}",
        )
    if not any(_within(function.__module__, prefix) or path == prefix for prefix in allowed):
        raise RealmError(
            Code.PERMISSION_DENIED,
            f"{path} is {function.__module__}:{function.__name__}, which script/python may not call",
            hint="name the function where it is defined, and allow that module",
        )
    return function


def _within(module: str, prefix: str) -> bool:
    return module == prefix or module.startswith(f"{prefix}.")
