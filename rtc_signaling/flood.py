"""Against floods: how much one client may send, and how much is logged of it."""

from __future__ import annotations

import logging
import math

from rtc_signaling.errors import ProtocolError
from rtc_signaling.limits import TokenBucket, Violations
from rtc_signaling.server_config import ServerConfig
from rtc_signaling.sessions import Client

# A client that sends more than this, within this time, before it was told to is cut off.
MAX_REFUSALS = 50
REFUSALS_WINDOW_S = 10.0
# One line a second of each kind; the others are counted and told in the next line.
LOG_PERIOD_S = 1.0


class _Budget:
    """Hold what one client may still send, and what it was told.

    Attributes:
        messages: Of messages.
        octets: Of bytes.
        until_s: When the last message that was refused will be taken.
        refusals: Those since the client last kept silent for as long as it was told.
    """

    __slots__ = ('messages', 'octets', 'refusals', 'until_s')

    def __init__(self, config: ServerConfig) -> None:
        self.messages = TokenBucket(config.message_rate_hz, config.message_burst)
        # Whatever is no longer than a message may be has to fit, or it could never be sent.
        largest = max(config.byte_burst, config.max_message_bytes)
        self.octets = TokenBucket(config.byte_rate, largest)
        self.until_s = -math.inf
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

    def reconfigure(self, config: ServerConfig) -> None:
        """Judge by other limits from now on; everybody begins anew."""
        self._config = config
        self._budgets.clear()

    def control_bucket(self) -> TokenBucket:
        """Return a new connection's bucket for control frames."""
        rate_hz = self._config.control_rate_hz
        return TokenBucket(rate_hz, 2 * rate_hz)

    def judge(self, client: Client, size_bytes: int, now_s: float) -> ProtocolError | None:
        """Count a message; return the error to answer with if it is one too many."""
        budget = self._budgets.get(client)
        if budget is None:
            budget = self._budgets[client] = _Budget(self._config)
        if budget.messages.take(now_s):
            if budget.octets.take(now_s, size_bytes):
                return None
            budget.messages.put_back()
        return self._refuse(budget, size_bytes, now_s)

    def _refuse(self, budget: _Budget, size_bytes: int, now_s: float) -> ProtocolError:
        """Return the error that says when the message will be taken.

        Each is told a time of its own, after that of the one before, so that they are not all
        refused again when each comes again just then.
        """
        config = self._config
        if budget.refusals is None or now_s >= budget.until_s:
            budget.refusals = Violations(MAX_REFUSALS, REFUSALS_WINDOW_S)
        apart_s = max(1 / config.message_rate_hz, size_bytes / config.byte_rate)
        wait_s = max(budget.messages.wait_s(now_s), budget.octets.wait_s(now_s, size_bytes))
        # But who does not wait is not told ever later times.
        queue_s = min(budget.until_s - now_s + apart_s, wait_s + REFUSALS_WINDOW_S)
        again_s = max(wait_s, queue_s)
        # In whole ms, and one more than it takes, since none of this is exact.
        retry_after_s = (math.ceil(again_s * 1000) + 1) / 1000
        budget.until_s = now_s + retry_after_s
        return ProtocolError(
            'rate_limited',
            f'more than {config.message_rate_hz:g} messages or {config.byte_rate:g} bytes per s',
            retry=True,
            retry_after_s=retry_after_s,
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
