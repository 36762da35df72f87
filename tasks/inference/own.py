"""Models of your own: every :class:`.models.ModelSpec` in the modules that the setting ``nodes`` names, and in those of
installed packages under the entry points ``mirror_realm.models``.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points

from ...core.errors import Code, RealmError
from .models import MODELS, ModelSpec

ENTRY_POINT_GROUP = "mirror_realm.models"


@cache
def own_specs() -> tuple[ModelSpec, ...]:
    """The models, by name. NOT_FOUND when a module cannot be imported, ALREADY_EXISTS when two models share a name."""
    modules = [point.load() for point in entry_points(group=ENTRY_POINT_GROUP)]
    for name in _named():
        try:
            modules.append(import_module(name))
        except ModuleNotFoundError as error:
            raise RealmError(
                Code.NOT_FOUND,
                f"the module {name!r} of setting `nodes` cannot be imported: {error}",
                hint="install it, or put its folder on PYTHONPATH",
            ) from None
    found = {model.name: model for model in MODELS}
    own: dict[str, ModelSpec] = {}
    for module in modules:
        for value in vars(module).values():
            if not isinstance(value, ModelSpec) or value is found.get(value.name):
                continue  # one of ours that the module imported, or itself under a second name
            if value.name in found:
                raise RealmError(
                    Code.ALREADY_EXISTS,
                    f"two models are named {value.name!r}",
                    hint=f"give the one in {module.__name__} another name",
                )
            found[value.name] = own[value.name] = value
    return tuple(own[name] for name in sorted(own))


def _named() -> Iterable[str]:
    try:
        from ...core.settings import settings
    except ModuleNotFoundError:
        return ()  # A bare machine with torch and numpy alone has no settings.
    return settings().nodes
