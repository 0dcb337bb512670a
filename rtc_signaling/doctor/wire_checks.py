"""The checks of the wire in their order: the next one is made when it has a chance."""

from __future__ import annotations

import secrets

from rtc_signaling.client import UNAUTHORIZED
from rtc_signaling.doctor import wire, wire_verdicts
from rtc_signaling.doctor.findings import WIRE_CHECKS, Findings
from rtc_signaling.doctor.tally import ErrorTally
from rtc_signaling.doctor.target import Target
from rtc_signaling.doctor.wire_verdicts import Login, TokenSource, Trouble
from rtc_signaling.messages import Connected, Error, IceCandidate, Ping

# A name that a camera could have, but none has.
NOBODY = 'doctor.nobody'


class WireChecks:
    """Examine a server as far as messages go; use it once, in a loop.

    Args:
        target: The server.
        token: The token to show, '' for none.
        source: Where it is from.
        findings: Where to put what was found.
        tally: Begun as soon as the server has let us in, and told of what is our doing.
    """

    def __init__(
        self,
        target: Target,
        token: str,
        source: TokenSource,
        findings: Findings,
        tally: ErrorTally,
    ) -> None:
        self._target = target
        self._token = token
        self._source = source
        self._findings = findings
        self._tally = tally

    async def run(self) -> Connected | None:
        """Make them; return the server's welcome, or None if no session can be tried."""
        reach = await wire.open_port(self._target)
        self._findings.add(wire_verdicts.judge_port(self._target, reach))
        if reach.trouble is not Trouble.NONE:
            self._give_up('port')
            return None
        reach = await wire.get(self._target, 'healthz')
        self._findings.add(
            wire_verdicts.judge_health(self._target, reach),
            wire_verdicts.judge_token(self._source),
        )
        async with wire.line(self._target) as line:
            self._findings.add(wire_verdicts.judge_websocket(self._target, line.reach))
            if line.reach.trouble is not Trouble.NONE:
                self._give_up('websocket')
                return None
            self._findings.add(wire_verdicts.judge_clock(line.reach))
            login = await line.log_in(self._token)
            self._findings.add(wire_verdicts.judge_authentication(self._source, login))
            if login.welcome is None:
                self._give_up('authentication')
                return None
            await self._tally.begin()
            await self._messages(line)
        await self._wrong_token()
        return login.welcome

    def _give_up(self, cause: str) -> None:
        self._findings.skip_rest(WIRE_CHECKS, f'{cause} has to be well first')

    async def _messages(self, line: wire.Line) -> None:
        ids = 'doctor.1', 'doctor.2'
        candidate = IceCandidate(
            candidate='', sdp_mid='0', sdp_m_line_index=0, sender_id=NOBODY, msg_id=ids[1]
        )
        pong, error = await line.answer(Ping(msg_id=ids[0])), await line.answer(candidate)
        self._findings.add(wire_verdicts.judge_messages(pong, error, ids))
        if isinstance(error, Error):
            self._tally.own(error.code)

    async def _wrong_token(self) -> None:
        """Show a wrong token, once: each one counts towards a lock-out of this address."""
        async with wire.line(self._target) as line:
            if line.reach.trouble is Trouble.NONE:
                login = await line.log_in(f'wrong-{secrets.token_urlsafe(18)}')
            else:
                login = Login(text=line.reach.detail)
        self._findings.add(wire_verdicts.judge_wrong_token(login))
        if login.close_code == UNAUTHORIZED:
            self._tally.own('unauthorized')
