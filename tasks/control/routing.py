"""Nodes that decide which way to go. Their targets become edges when a definition is compiled
(``compiler/passes/edges_from_control``), so that a graph shows every way."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StrictBool, Tag, model_validator

from ..context import NodeContext
from ..sdk import NodeName, node_type
from ..unions import by_shape
from .shared import NO_COMPUTE, Anything

Name = Annotated[str, Field(min_length=1)]
Target = Annotated[NodeName, Field(min_length=1)]
Targets = Annotated[
    Annotated[Target, Tag("text")] | Annotated[list[Target], Field(min_length=1), Tag("list")],
    by_shape("text", "list"),
]


def label_of(name: str | None, target: Any, values: Sequence[Any] = ()) -> str | None:
    """What the output calls a case: its name, else the node or nodes that it leads to, else its values.

    The edges of a case read this label, so it is the same when a definition is compiled and when it runs.

    >>> label_of(None, ["thumb", "archive"]), label_of("big", "thumb"), label_of(None, None, ["jpeg", 3])
    ('thumb, archive', 'big', 'jpeg, 3')
    """
    if name:
        return name
    if target and isinstance(target, str | list):
        return target if isinstance(target, str) else ", ".join(map(str, target))
    return ", ".join(map(text_of, values)) or None


def text_of(value: Any) -> str:
    """A value as a key of a mapping spells it.

    >>> text_of("jpeg"), text_of(3), text_of(2.0), text_of(True), text_of(None)
    ('jpeg', '3', '2', 'true', 'null')
    """
    if isinstance(value, str):
        return value
    whole = isinstance(value, float) and value.is_integer()
    return json.dumps(int(value) if whole else value, ensure_ascii=False, sort_keys=True)


def same(left: Any, right: Any) -> bool:
    """Whether two JSON values are equal; true is not 1, as in expressions.

    >>> same(2, 2.0), same(1, True), same([1, {"a": None}], [1, {"a": None}]), same("1", 1)
    (True, False, True, False)
    """
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    return left == right


def _one_target_a_label(cases: Sequence[tuple[str | None, Any]]) -> None:
    """Raise ValueError where a case has no label, or one label leads two ways."""
    targets: dict[str, Any] = {}
    for label, target in cases:
        if label is None:
            raise ValueError("each case needs a name or a target")
        if targets.setdefault(label, target) != target:
            raise ValueError(f"two cases have the same name {label!r} and different targets")


class Case(BaseModel):
    """One way out."""

    model_config = ConfigDict(extra="forbid")

    name: Name | None = Field(
        default=None, description="The case's name, in the output's `case`; default the target"
    )
    target: Targets | None = Field(
        default=None, description="Node or nodes that follow when this case is taken; none only names it"
    )
    when: StrictBool = Field(description="The condition, an expression that is true or false")

    @property
    def label(self) -> str | None:
        """What the output calls this case."""
        return label_of(self.name, self.target)


class ConditionParameters(BaseModel):
    """Either one condition with its two paths, or several cases."""

    model_config = ConfigDict(extra="forbid")

    condition: StrictBool | None = Field(default=None, description="An expression that is true or false")
    true_path: Targets | None = Field(default=None, description="Node or nodes that follow when it holds")
    false_path: Targets | None = Field(default=None, description="Node or nodes that follow when it does not")
    cases: list[Case] | None = Field(
        default=None, min_length=1, description="Cases; the first that holds is taken"
    )
    default: Targets | None = Field(default=None, description="Node or nodes that follow when no case holds")

    @model_validator(mode="after")
    def _one_of_two(self) -> ConditionParameters:
        if (self.condition is None) == (self.cases is None):
            raise ValueError("give either condition or cases")
        if self.cases is not None and (self.true_path or self.false_path):
            raise ValueError("true_path and false_path go with condition; give each case a target")
        if self.condition is not None and self.default:
            raise ValueError("default goes with cases; write false_path")
        _one_target_a_label([(case.label, case.target) for case in self.cases or []])
        return self


class ConditionOutput(BaseModel):
    """The input, and what was decided."""

    model_config = ConfigDict(extra="allow")

    result: bool = Field(description="Whether the condition, or any case, holds")
    case: str | None = Field(
        description="The case taken: `true` or `false` for a condition, null when no case holds"
    )


@node_type("control/condition", version="1.1.0", resources=NO_COMPUTE, idempotent=True, where="flow")
def condition(parameters: ConditionParameters, input: Anything, context: NodeContext) -> ConditionOutput:
    """Decide which way to go by conditions. The input is passed through; `true_path` and `false_path`, the targets of
    the cases, or edges that read `result` or `case`, lead on.

    A condition is an expression such as `{{ input.width > 100 }}`; anything but true or false is an error. With cases,
    the first that holds is taken, and `default` when none does:
    `cases: [{when: "{{ input.width > 4000 }}", target: shrink}, {when: "{{ input.width < 500 }}", target: enlarge}]`.
    """
    if parameters.cases is None:
        result = bool(parameters.condition)
        case = "true" if result else "false"
    else:
        case = next((case.label for case in parameters.cases if case.when), None)
        result = case is not None
    return ConditionOutput.model_validate({**(input.model_extra or {}), "result": result, "case": case})


class SwitchCase(BaseModel):
    """One way out, for one value or several."""

    model_config = ConfigDict(extra="forbid")

    name: Name | None = Field(
        default=None,
        description="The case's name, in the output's `case`; default the target, else the value",
    )
    value: JsonValue = Field(default=None, description="The value for which this case is taken")
    values: list[JsonValue] | None = Field(default=None, min_length=1, description="Or several values")
    target: Targets | None = Field(
        default=None, description="Node or nodes that follow when this case is taken; none only names it"
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> SwitchCase:
        if ("value" in self.model_fields_set) == (self.values is not None):
            raise ValueError("give either value or values")
        return self

    @property
    def all_values(self) -> list[JsonValue]:
        """The values of this case."""
        return [self.value] if self.values is None else self.values

    @property
    def label(self) -> str | None:
        """What the output calls this case."""
        return label_of(self.name, self.target, self.all_values)


class SwitchParameters(BaseModel):
    """A value, and what follows for which."""

    model_config = ConfigDict(extra="forbid")

    value: JsonValue = Field(description="What decides, an expression such as {{ input.media_type }}")
    cases: Annotated[
        Annotated[list[SwitchCase], Field(min_length=1), Tag("list")]
        | Annotated[dict[str, Targets], Field(min_length=1), Tag("mapping")],
        by_shape("list", "mapping"),
    ] = Field(
        description="Cases, of which the first with that value is taken; or in short {value: target}, where "
        "numbers, true, false and null are written as text"
    )
    default: Targets | None = Field(
        default=None, description="Node or nodes that follow when no case has the value"
    )

    @model_validator(mode="after")
    def _labels(self) -> SwitchParameters:
        if isinstance(self.cases, list):
            _one_target_a_label([(case.label, case.target) for case in self.cases])
        return self

    def matching(self) -> Iterator[str | None]:
        """The labels of the cases that have the value."""
        if isinstance(self.cases, list):
            for case in self.cases:
                if any(same(self.value, value) for value in case.all_values):
                    yield case.label
        elif (target := self.cases.get(text_of(self.value))) is not None:
            yield label_of(None, target)


class SwitchOutput(BaseModel):
    """The input, and what was decided."""

    model_config = ConfigDict(extra="allow")

    value: JsonValue = Field(description="The value that decided")
    result: bool = Field(description="Whether a case has the value")
    case: str | None = Field(description="The case taken, null when none has the value")


@node_type("control/switch", version="1.0.0", resources=NO_COMPUTE, idempotent=True, where="flow")
def switch(parameters: SwitchParameters, input: Anything, context: NodeContext) -> SwitchOutput:
    """Decide which way to go by a value. The input is passed through; the targets of the cases lead on.

    In short: `{value: "{{ input.kind }}", cases: {photo: enhance, video: transcode}, default: archive}`. In full, with
    several values and a name: `cases: [{values: [jpeg, png], target: enhance, name: picture}]`. Values are equal as in
    expressions: 2 is 2.0, but true is not 1, and "1" is not 1.
    """
    case = next(parameters.matching(), None)
    decided = {"value": parameters.value, "result": case is not None, "case": case}
    return SwitchOutput.model_validate({**(input.model_extra or {}), **decided})
