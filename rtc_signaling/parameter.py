"""How a parameter is declared: its default, its rules, and the check of a value."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass, field
from typing import Any, TypeVar

from rtc_signaling.errors import ConfigurationError

Value = bool | int | float | str | tuple[str, ...]
ConfigT = TypeVar('ConfigT')
_TYPE_NAMES: dict[type, str] = {
    bool: 'true or false',
    int: 'an integer',
    float: 'a number',
    str: 'a string',
    tuple: 'a list of strings',
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """Describe one parameter.

    Attributes:
        name: The ROS name; dots make groups.
        default: Its default, whose type is the parameter's type.
        description: One line for people; it ends with the unit where there is one.
        minimum: Lowest allowed number, or None.
        maximum: Highest allowed number, or None.
        choices: The allowed strings; empty allows all.
        pattern: What a string, or each string of a list, must match whole; None allows all.
        live: Whether it can be changed while the node runs.
    """

    name: str
    default: Value
    description: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    pattern: re.Pattern[str] | None = None
    live: bool = False

    def check(self, value: Any) -> Value:
        """Return `value` in the parameter's type.

        Raises:
            ConfigurationError: It has another type, or breaks a rule.
        """
        typed = self._typed(value)
        if isinstance(typed, int | float):  # a bool is an int that has no bounds
            self._check_range(typed)
        for text in typed if isinstance(typed, tuple) else (typed,):
            if isinstance(text, str):
                self._check_text(text)
        return typed

    def _typed(self, value: Any) -> Value:
        kind = type(self.default)
        if kind is tuple and isinstance(value, list | tuple):
            if all(isinstance(item, str) for item in value):
                # An empty list in YAML has no type, so [''] is how ROS users write "none".
                return tuple(item for item in value if item)
        elif kind is float and isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        elif type(value) is kind:
            return value
        raise ConfigurationError(self.name, value, f'must be {_TYPE_NAMES[kind]}')

    def _check_range(self, number: float) -> None:
        low, high = self.minimum, self.maximum
        # Written so that NaN, which is neither below nor above anything, is refused.
        if not ((low is None or number >= low) and (high is None or number <= high)):
            bounds = [f'at least {low:g}'] if low is not None else []
            bounds += [f'at most {high:g}'] if high is not None else []
            raise ConfigurationError(self.name, number, f'must be {" and ".join(bounds)}')

    def _check_text(self, text: str) -> None:
        if self.choices and text not in self.choices:
            raise ConfigurationError(self.name, text, f'must be one of {", ".join(self.choices)}')
        if text and self.pattern is not None and not self.pattern.fullmatch(text):
            raise ConfigurationError(self.name, text, f'must match {self.pattern.pattern}')


def parameter(default: Value, description: str, *, name: str, **rules: Any) -> Any:
    """Declare a field of a configuration dataclass; `rules` are those of `Parameter`."""
    spec = Parameter(name, default, description, **rules)
    return field(default=default, metadata={'parameter': spec})


def parameters(config: type[Any]) -> dict[str, Parameter]:
    """Return the parameters of a configuration dataclass, by field name, in their order."""
    return {f.name: f.metadata['parameter'] for f in dataclasses.fields(config)}


def with_values(config: ConfigT, values: dict[str, Any]) -> ConfigT:
    """Return a configuration with some values replaced, by ROS names, checking each.

    Raises:
        ConfigurationError: A value has the wrong type or breaks a rule, a name is unknown, or the
            parameter cannot be changed while the node runs.
    """
    fields = {spec.name: (field, spec) for field, spec in parameters(type(config)).items()}
    changes = {}
    for name, value in values.items():
        if name not in fields:
            raise ConfigurationError(name, value, 'there is no such parameter')
        field, spec = fields[name]
        if not spec.live:
            raise ConfigurationError(
                name, value, 'needs a restart: it is read when the node starts'
            )
        changes[field] = spec.check(value)
    return dataclasses.replace(config, **changes)  # type: ignore[type-var]


def from_values(config: type[ConfigT], values: dict[str, Any]) -> ConfigT:
    """Build a configuration from ROS names and raw values, checking each.

    Raises:
        ConfigurationError: A value has the wrong type or breaks a rule, or a name is unknown.
    """
    table = parameters(config)
    unknown = values.keys() - {spec.name for spec in table.values()}
    if unknown:
        name = min(unknown)
        raise ConfigurationError(name, values[name], 'there is no such parameter')
    return config(
        **{
            attribute: spec.check(values.get(spec.name, spec.default))
            for attribute, spec in table.items()
        }
    )
