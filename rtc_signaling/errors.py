"""The errors of this package.

    RtcSignalingError
    +-- ConfigurationError     a parameter or a file is wrong: mend it, start again
    +-- ProtocolError          a message broke the protocol: answered on the wire, see `code`
    |   +-- WrongTokenError    a credential that nobody gave out, perhaps a guess
    +-- ConnectionFailedError  the other side is not there or hung up: the caller tries again
    +-- RefusedError           the other side said no: trying again with the same words is no use
    +-- MediaError             a picture or a video file cannot be used; the next one may be
    +-- BusyError              a thread did not answer in time: it may still do what was asked
    +-- NotRunningError        a call to something that was not started or has stopped: a bug

The caller handles ConfigurationError (ends the process with one line), ProtocolError (answers its
peer), ConnectionFailedError and RefusedError (back off, or give up), MediaError (skips the
picture) and BusyError (tells whoever asked). NotRunningError is a programming error. No message
here ever holds a secret.
"""

from __future__ import annotations


class RtcSignalingError(Exception):
    """Be the base of every error that this package raises on purpose."""


class ConfigurationError(RtcSignalingError):
    """Say which setting is wrong, what it was, and the rule that it breaks."""

    def __init__(self, name: str, value: object, rule: str) -> None:
        self.name = name
        self.value = value
        self.rule = rule
        super().__init__(name, value, rule)

    def __str__(self) -> str:
        return f'{self.name} = {self.value!r}: {self.rule}'


class ProtocolError(RtcSignalingError):
    """Carry what goes over the wire in an `error` message (docs/protocol.md).

    Args:
        code: One of the protocol's stable error codes.
        message: What was wrong: the field, the value and the rule.
        retry: Whether the same message may succeed later.
        retry_after_s: When it may, in s, if that is known.
        fatal: Whether the connection must end, since the peer cannot be understood.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        retry: bool = False,
        retry_after_s: float | None = None,
        fatal: bool = False,
    ) -> None:
        self.code = code
        self.message = message
        self.retry = retry
        self.retry_after_s = retry_after_s
        self.fatal = fatal
        super().__init__(code, message)

    def __str__(self) -> str:
        return f'{self.code}: {self.message}'


class WrongTokenError(ProtocolError):
    """Say that a credential was never given out; the address that showed it is watched.

    One that was and is not good (any more), or none at all, is an ordinary `unauthorized`.
    """

    def __init__(self, message: str) -> None:
        super().__init__('unauthorized', message, fatal=True)


class ConnectionFailedError(RtcSignalingError):
    """Say that the other side cannot be reached or hung up; coming back later is right."""


class RefusedError(RtcSignalingError):
    """Say that the other side refused; `close_code` tells the class of the refusal."""

    def __init__(self, message: str, close_code: int) -> None:
        self.close_code = close_code
        super().__init__(message)


class MediaError(RtcSignalingError):
    """Say that a picture or a video file cannot be used."""


class BusyError(RtcSignalingError):
    """Say that a thread hangs or has too much to do; what was asked of it may still happen."""


class NotRunningError(RtcSignalingError):
    """Say that something was used before it started or after it stopped."""
