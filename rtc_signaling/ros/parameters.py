"""ROS parameters from the tables of `config`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.exceptions import InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter

from rtc_signaling.errors import ConfigurationError, RtcSignalingError
from rtc_signaling.parameter import Parameter, from_values, parameters, with_values

logger = logging.getLogger(__name__)

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


class LiveParameters(Generic[ConfigT]):
    """Follow `ros2 param set`: check, refuse with the reason, or hand on.

    Use it on the executor's thread.

    Args:
        node: The node, whose parameters were declared by `declare`.
        config: What `declare` returned.
        apply: Called with the new configuration after each change. It cannot refuse any more, so
            it should only hand over.
        require: Called before a change; raises an RtcSignalingError if it could not act now. The
            change is then refused, and not told as done and left undone.
    """

    def __init__(
        self,
        node: Node,
        config: ConfigT,
        apply: Callable[[ConfigT], None],
        require: Callable[[], None],
    ) -> None:
        self._config = config
        self._names = {spec.name for spec in parameters(type(config)).values()}
        self._apply = apply
        self._require = require
        node.add_on_set_parameters_callback(self._check)
        node.add_post_set_parameters_callback(self._changed)

    def _check(self, changes: Sequence[RosParameter]) -> SetParametersResult:
        try:
            if self._changed_config(changes) != self._config:
                self._require()
        except ConfigurationError as error:
            return SetParametersResult(successful=False, reason=str(error))
        except RtcSignalingError as error:
            names = ', '.join(change.name for change in changes)
            return SetParametersResult(successful=False, reason=f'{names}: not set, {error}')
        return SetParametersResult(successful=True)

    def _changed(self, changes: Sequence[RosParameter]) -> None:
        config = self._changed_config(changes)
        if config != self._config:
            self._config = config
            self._apply(config)
            logger.info('set %s', ', '.join(f'{new.name} to {new.value}' for new in changes))

    def _changed_config(self, changes: Sequence[RosParameter]) -> ConfigT:
        # Others are rclpy's own, such as those that override QoS.
        ours = {change.name: change.value for change in changes if change.name in self._names}
        return with_values(self._config, ours)


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
        read_only=not spec.live,
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
