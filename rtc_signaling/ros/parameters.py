"""ROS parameters from the tables of `config`."""

from __future__ import annotations

from typing import Any, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import InvalidParameterValueException
from rclpy.node import Node

from rtc_signaling.parameter import Parameter, from_values, parameters

ConfigT = TypeVar('ConfigT')


def declare(node: Node, config: type[ConfigT]) -> ConfigT:
    """Declare every parameter of a configuration dataclass on `node` and read them.

    Raises:
        ConfigurationError: A given value has the wrong type or breaks a rule.
    """
    values = {spec.name: _declare_one(node, spec) for spec in parameters(config).values()}
    # An empty list in YAML has no type for rcl, which hands out None in its place.
    return from_values(
        config, {name: value for name, value in values.items() if value is not None}
    )


def _declare_one(node: Node, spec: Parameter) -> Any:
    # rclpy takes an empty list for a list of bytes; a list with an empty string is what ROS
    # users write for "none", and `Parameter.check` reads it so.
    default = (list(spec.default) or ['']) if isinstance(spec.default, tuple) else spec.default
    try:
        return node.declare_parameter(spec.name, default, descriptor(spec)).value
    except InvalidParameterValueException:
        # Read it without the range, so that `Parameter.check` refuses it, in the package's words.
        loose = ParameterDescriptor(dynamic_typing=True)
        return node.declare_parameter(spec.name, default, loose).value


def descriptor(spec: Parameter) -> ParameterDescriptor:
    """Return the descriptor for `ros2 param describe`.

    Typing is dynamic because rclpy would refuse `rate:=30` for a float; `Parameter.check` is the
    strict one, and tells the rule.
    """
    result = ParameterDescriptor(
        name=spec.name,
        description=spec.description,
        read_only=True,
        dynamic_typing=True,
        additional_constraints=', '.join(spec.choices),
    )
    if spec.minimum is None or spec.maximum is None:
        return result
    if isinstance(spec.default, float):
        result.floating_point_range = [
            FloatingPointRange(from_value=float(spec.minimum), to_value=float(spec.maximum))
        ]
    else:
        result.integer_range = [
            IntegerRange(from_value=int(spec.minimum), to_value=int(spec.maximum))
        ]
    return result
