"""Sections of a config: their settings, and what is said where one is not as it should be."""

import types
import typing
from collections.abc import Collection, Iterable, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from typing_extensions import Self

from .errors import ConfigError

Positive = Annotated[int, Field(ge=1)]
NotNegative = Annotated[int, Field(ge=0)]
PositiveNumber = Annotated[float, Field(gt=0)]


class Section(BaseModel):
    """Values have to be of their types, for nothing is converted; but an integer is a number, too."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Self:
        """The section with these values. Raises ConfigError for what is unknown, missing, of a wrong type or value."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ConfigError(_explanation(error, cls, values)) from None


def one_of(choices: Collection[str]) -> AfterValidator:
    """That a string is one of some choices."""

    def check(value: str) -> str:
        if value not in choices:
            raise ValueError(f"one of {', '.join(choices)}")
        return value

    return AfterValidator(check)


def _explanation(error: ValidationError, top: type["Section"], values: Mapping[str, Any]) -> str:
    """What is wrong: all unknown keys of a section, or all missing ones, or else the first wrong value."""
    faults = error.errors(include_url=False)
    first = min(faults, key=lambda fault: _FIRST.get(fault["type"], len(_FIRST)))
    section = first["loc"][:-1]
    alike = [fault["loc"] for fault in faults if fault["type"] == first["type"] and fault["loc"][:-1] == section]
    if first["type"] == "missing":
        return f"Missing: {_names(alike)}."
    if first["type"] == "extra_forbidden":
        kind, _, _ = _place(section, top, values)
        return f"Unknown: {_names(alike)}. Known there: {_names((*section, key) for key in kind.model_fields)}."
    kind, value, name = _place(first["loc"], top, values)
    if first["type"] == "model_type":
        return f"'{name}' is {value!r}, but is a section: write [{name}]."
    if first["type"] == "value_error" and _is_section(kind):
        return str(first["ctx"]["error"])
    return f"{name} is {value!r}, but must be {_wanted(kind, first)}."


# A key that is misspelt makes another one missing: it is the one to name.
_FIRST = {"extra_forbidden": 0, "missing": 1}


def _place(location: Iterable[Any], kind: Any, value: Any) -> tuple[Any, Any, str]:
    """The type and the value of a setting or section, and its dotted name.

    What follows in the location tells which of several types was tried, and where in a list the fault is.
    """
    keys: list[str] = []
    for key in location:
        if not _is_section(kind):
            break
        kind, value = typing.get_type_hints(kind)[key], value[key]
        keys.append(key)
    return kind, value, ".".join(keys)


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Section)


def _names(locations: Iterable[tuple[Any, ...]]) -> str:
    return ", ".join(".".join(location) for location in locations)


def _wanted(kind: Any, fault: Mapping[str, Any]) -> str:
    if fault["type"] == "value_error":
        return str(fault["ctx"]["error"])
    if not fault["type"].endswith("_type"):
        return str(fault["msg"].removeprefix("Input should be "))
    kinds = typing.get_args(kind) if typing.get_origin(kind) in (typing.Union, types.UnionType) else (kind,)
    return " or ".join(_TYPE_NAMES[typing.get_origin(one) or one] for one in kinds)


_TYPE_NAMES = {
    str: "a string",
    int: "an integer",
    float: "a number",
    bool: "true or false",
    list: "a list of strings",
    dict: "a section",
    types.NoneType: "null",
}
