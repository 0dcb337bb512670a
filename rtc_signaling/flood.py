"""Against floods: how much one client may send, and how much is logged of it."""

from __future__ import annotations

import logging
import math

from rtc_signaling.config import ServerConfig
from rtc_signaling.errors import ProtocolError
from rtc_signaling.limits import TokenBucket, Violations
from rtc_signaling.sessions import Client

# A client that goes on for so long after it was told is cut off.
MAX_REFUSALS = 50
REFUSALS_WINDOW_S = 10.0
# One line a second of each kind; the others are counted and told in the next line.
LOG_PERIOD_S = 1.0


class _Budget:
    """Hold what one client may still send."""

    __slots__ = ('messages', 'octets', 'refusals')

    def __init__(self, config: ServerConfig) -> None:
        self.messages = TokenBucket(config.message_rate_hz, config.message_burst)
        self.octets = TokenBucket(config.byte_rate, config.byte_burst)
        self.refusals: Violations | None = None


class FloodGuard:
    """Judge how much clients send; one thread.

    Args:
        config: The operator's limits.
    """

    def __init__(self, config: ServerConfig) -> None:
        self._config = config
        self._budgets: dict[Client, _Budget] = {}
        self._logged: dict[str, tuple[float, int]] = {}

    def control_bucket(self) -> TokenBucket:
        """Return a new connection's bucket for control frames."""
        rate_hz = self._config.control_rate_hz
        return TokenBucket(rate_hz, 2 * rate_hz)

    def judge(self, client: Client, size_bytes: int, now_s: float) -> ProtocolError | None:
        """Count a message; return the error to answer with if it is one too many."""
        budget = self._budgets.get(client)
        if budget is None:
            budget = self._budgets[client] = _Budget(self._config)
        if budget.messages.take(now_s) and budget.octets.take(now_s, size_bytes):
            return None
        if budget.refusals is None:
            budget.refusals = Violations(MAX_REFUSALS, REFUSALS_WINDOW_S)
        wait_s = max(budget.messages.wait_s(now_s), budget.octets.wait_s(now_s, size_bytes))
        return ProtocolError(
            'rate_limited',
            f'more than {self._config.message_rate_hz:g} messages or '
            f'{self._config.byte_rate:g} bytes per s',
            retry=True,
            retry_after_s=math.ceil(wait_s * 1000) / 1000 if math.isfinite(wait_s) else None,
            fatal=budget.refusals.add(now_s),
        )

    def forget(self, client: Client) -> None:
        """Forget a client that is gone."""
        self._budgets.pop(client, None)

    def log(self, logger: logging.Logger, text: str, kind: str, now_s: float) -> None:
        """Log a warning, at most one of each kind in LOG_PERIOD_S."""
        last_s, suppressed = self._logged.get(kind, (-LOG_PERIOD_S, 0))
        if now_s - last_s < LOG_PERIOD_S:
            self._logged[kind] = (last_s, suppressed + 1)
            return
        more = f' (and {suppressed} more like it before)' if suppressed else ''
        logger.warning('%s%s', text, more)
        self._logged[kind] = (now_s, 0)
