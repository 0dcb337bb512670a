"""What /metrics says, as far as the doctor wants to know: how often which error happened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

from rtc_signaling.exposition import PREFIX


@dataclass(frozen=True, slots=True)
class Readings:
    """Hold counts since the server's start.

    Attributes:
        errors: Errors that clients were told, by code.
        refused: Connections that were refused, by reason.
        too_slow: Clients that were cut off because they did not read.
    """

    errors: Mapping[str, float] = field(default_factory=dict)
    refused: Mapping[str, float] = field(default_factory=dict)
    too_slow: float = 0.0

    def since(self, earlier: Readings) -> Readings:
        """Return what was added after `earlier`; kinds of which there were none are left out."""
        return Readings(
            _added(self.errors, earlier.errors),
            _added(self.refused, earlier.refused),
            self.too_slow - earlier.too_slow,
        )

    def without(self, errors: Mapping[str, int]) -> Readings:
        """Return the rest when so many errors, by code, are left out."""
        left = {code: count - errors.get(code, 0) for code, count in self.errors.items()}
        return Readings(
            {code: count for code, count in left.items() if count > 0}, self.refused, self.too_slow
        )


def read(text: str) -> Readings:
    """Return the counts in Prometheus's text.

    Raises:
        ValueError: It is not that, or not of this server.
    """
    errors: dict[str, float] = {}
    refused: dict[str, float] = {}
    too_slow: float | None = None
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == f'{PREFIX}_errors_total':
                errors[sample.labels['code']] = sample.value
            elif sample.name == f'{PREFIX}_refused_total':
                refused[sample.labels['reason']] = sample.value
            elif sample.name == f'{PREFIX}_too_slow_total':
                too_slow = sample.value
    if too_slow is None:
        raise ValueError(f'there is no {PREFIX}_too_slow_total in it')
    return Readings(errors, refused, too_slow)


def _added(now: Mapping[str, float], earlier: Mapping[str, float]) -> dict[str, float]:
    differences = {name: count - earlier.get(name, 0.0) for name, count in now.items()}
    return {name: difference for name, difference in differences.items() if difference}
