"""The order of the checks: what depends on what, and how long each may take."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TypeVar

from rtc_signaling.client import UNAUTHORIZED
from rtc_signaling.doctor import media_verdicts, ros_verdicts, wire, wire_verdicts
from rtc_signaling.doctor.media_verdicts import Stage
from rtc_signaling.doctor.readings import Readings, read
from rtc_signaling.doctor.report import CHECKS, Finding, Report, fail, skip
from rtc_signaling.doctor.ros_verdicts import CameraFacts
from rtc_signaling.doctor.target import Target
from rtc_signaling.doctor.wire_verdicts import Login, Reach, TokenSource, Trouble
from rtc_signaling.errors import RtcSignalingError
from rtc_signaling.media._aiortc import offer_addresses
from rtc_signaling.media.probe import Patience, watch
from rtc_signaling.media.turn_probe import allocate
from rtc_signaling.messages import Connected, Error, IceCandidate, IceServer, Ping

# For one connection, one page, one message.
STEP_TIMEOUT_S = 5.0
SESSION_TIMEOUT_S = 45.0
# The server counts anew each second: what is read is up to that old.
SETTLING_S = 1.5
WIRE_CHECKS = CHECKS[: CHECKS.index('camera_topic')]
ROS_CHECKS = CHECKS[CHECKS.index('camera_topic') :]
NOBODY = 'doctor.nobody'

T = TypeVar('T')
# Observes the camera's topic, in a thread, until it has seen enough or is told to stop.
ObserveCamera = Callable[[Callable[[], bool]], CameraFacts]


@dataclass(frozen=True, slots=True)
class Options:
    """Hold what the user wants to be different.

    Attributes:
        camera: The camera to watch; '' for the first.
        ice_addresses: Local addresses for media; empty for all.
        timeout_s: How long all of it may take.
        errors_s: For how long to count errors, at least.
        patience: For how long to wait for each step of the session.
    """

    camera: str = ''
    ice_addresses: tuple[str, ...] = ()
    timeout_s: float = 90.0
    errors_s: float = 3.0
    patience: Patience = field(default_factory=Patience)


class Examination:
    """Examine one server, and the camera's topic; use it once, in a loop.

    Args:
        target: The server.
        token: The token to show, '' for none.
        source: Where it is from.
        options: What the user wants to be different.
        observe_camera: Observes the camera's topic; or why that cannot be done, in words.
    """

    def __init__(
        self,
        target: Target,
        token: str,
        source: TokenSource,
        options: Options,
        observe_camera: ObserveCamera | str,
    ) -> None:
        self._target = target
        self._token = token
        self._source = source
        self._options = options
        self._observe_camera = observe_camera
        self._name = f'doctor.{secrets.token_hex(4)}'
        self._findings: dict[str, Finding] = {}
        # Errors that the doctor itself has provoked, by code.
        self._own_errors: Counter[str] = Counter()
        self._video_came = False

    async def run(self) -> Report:
        """Make all checks and return what they found."""
        stop = threading.Event()
        observing = asyncio.create_task(self._observe(stop.is_set))
        try:
            try:
                async with asyncio.timeout(self._options.timeout_s):
                    await self._examine_wire()
            except TimeoutError:
                late = f'not done within {self._options.timeout_s:g} s'
                for check in self._missing(WIRE_CHECKS):
                    self._add(fail(check, 'nothing', late, 'try again, or raise --timeout'))
            self._judge_camera(await observing)
        finally:
            stop.set()  # it looks at that several times a second
        return Report.of(self._target.websocket_url, [*self._findings.values()], [self._token])

    def _add(self, finding: Finding) -> None:
        self._findings[finding.check] = finding

    def _missing(self, checks: Sequence[str]) -> list[str]:
        return [check for check in checks if check not in self._findings]

    def _skip_rest(self, cause: str) -> None:
        """Skip what cannot be tried since the check `cause` failed."""
        for check in self._missing(WIRE_CHECKS):
            self._add(skip(check, f'{cause} has to be well first'))

    async def _in_time(
        self, check: str, tried: str, remedy: str, trial: Awaitable[T], timeout_s: float
    ) -> T | None:
        """Return what a trial returns, or None when its time is over, which fails the check."""
        try:
            async with asyncio.timeout(timeout_s):
                return await trial
        except TimeoutError:
            self._add(fail(check, tried, f'no answer within {timeout_s:g} s', remedy))
            return None

    # The wire.

    async def _examine_wire(self) -> None:
        if not await self._port():
            self._skip_rest('port')
            return
        reach = await self._get('healthz')
        self._add(wire_verdicts.judge_health(self._target, reach))
        self._add(wire_verdicts.judge_token(self._source))
        async with contextlib.AsyncExitStack() as stack:
            line = await self._websocket(stack)
            if line is None:
                self._skip_rest('websocket')
                return
            welcome = await self._authentication(line)
            if welcome is None:
                self._skip_rest('authentication')
                return
            started_s = asyncio.get_running_loop().time()
            earlier = await self._readings()
            await self._messages(line)
        await self._wrong_token()
        await self._session(welcome.ice_servers)
        await self._turn(welcome.ice_servers)
        await self._errors(earlier, started_s)

    async def _port(self) -> bool:
        reach = await self._in_time(
            'port',
            f'TCP connection to {self._target.authority}',
            'check the address, that both are in one network, and the firewall',
            wire.open_port(self._target),
            STEP_TIMEOUT_S,
        )
        if reach is None:
            return False
        self._add(wire_verdicts.judge_port(self._target, reach))
        return reach.trouble is Trouble.NONE

    async def _get(self, page: str, token: str = '') -> Reach:
        """Get a page in time."""
        try:
            async with asyncio.timeout(STEP_TIMEOUT_S):
                return await wire.get(self._target, page, token)
        except TimeoutError:
            return Reach(Trouble.TIMEOUT, f'no answer within {STEP_TIMEOUT_S:g} s')

    async def _websocket(self, stack: contextlib.AsyncExitStack) -> wire.Line | None:
        """Open a WebSocket; return None if that fails."""
        line = await self._in_time(
            'websocket',
            f'WebSocket to {self._target.websocket_url}',
            wire_verdicts.NOT_OURS,
            stack.enter_async_context(wire.line(self._target)),
            STEP_TIMEOUT_S,
        )
        if line is None:
            return None
        self._add(wire_verdicts.judge_websocket(self._target, line.reach))
        if line.reach.trouble is not Trouble.NONE:
            return None
        self._add(wire_verdicts.judge_clock(line.reach))
        return line

    async def _authentication(self, line: wire.Line) -> Connected | None:
        login = await self._in_time(
            'authentication',
            'log in as a viewer',
            wire_verdicts.NOT_OURS,
            line.log_in(self._token),
            STEP_TIMEOUT_S,
        )
        if login is None:
            return None
        self._add(wire_verdicts.judge_authentication(self._source, login))
        return login.welcome

    async def _messages(self, line: wire.Line) -> None:
        ping = Ping(msg_id='doctor.1')
        # A name that a camera could have, but none has.
        candidate = IceCandidate(
            candidate='', sdp_mid='0', sdp_m_line_index=0, sender_id=NOBODY, msg_id='doctor.2'
        )
        answers = await self._in_time(
            'messages',
            'send a ping, and an ICE candidate',
            'look into the log of signaling_server',
            self._ask_both(line, ping, candidate),
            STEP_TIMEOUT_S,
        )
        if answers is not None:
            self._add(wire_verdicts.judge_messages(*answers, ('doctor.1', 'doctor.2')))
            if isinstance(answers[1], Error):
                self._own_errors[answers[1].code] += 1

    async def _ask_both(
        self, line: wire.Line, ping: Ping, candidate: IceCandidate
    ) -> tuple[object, object]:
        return await line.answer(ping), await line.answer(candidate)

    async def _wrong_token(self) -> None:
        """Show a wrong token, once: each one counts towards a lock-out of this address."""
        login = await self._in_time(
            'wrong_token',
            'log in with a wrong token',
            'look into the log of signaling_server',
            self._log_in_wrongly(),
            STEP_TIMEOUT_S,
        )
        if login is None:
            return
        self._add(wire_verdicts.judge_wrong_token(login))
        if login.close_code == UNAUTHORIZED:
            self._own_errors['unauthorized'] += 1

    async def _log_in_wrongly(self) -> Login:
        async with wire.line(self._target) as line:
            if line.reach.trouble is not Trouble.NONE:
                return Login(text=line.reach.detail)
            return await line.log_in(f'wrong-{secrets.token_urlsafe(18)}')

    # The media.

    async def _session(self, servers: list[IceServer]) -> None:
        offer_addresses(self._options.ice_addresses)
        session = await self._in_time(
            'session',
            'watch a camera as a viewer does',
            'look into the log of camera_sender',
            watch(
                self._target.websocket_url,
                self._name,
                self._token,
                self._options.camera,
                self._options.patience,
            ),
            SESSION_TIMEOUT_S,
        )
        if session is None:
            self._add(skip('ice', 'session has to be well first'))
            return
        self._video_came = session.stage is Stage.PICTURE
        self._add(media_verdicts.judge_session(session))
        self._add(media_verdicts.judge_ice(session, servers))

    async def _turn(self, servers: list[IceServer]) -> None:
        urls = media_verdicts.turn_urls(servers)
        # One after the other would take as long as all of their deadlines.
        allocations = await asyncio.gather(*(allocate(url, server) for url, server in urls))
        self._add(media_verdicts.judge_turn(allocations))

    # The errors.

    async def _readings(self) -> Readings | Reach:
        """Return the counts of /metrics, or why there are none."""
        reach = await self._get('metrics', self._token)
        if reach.status != HTTPStatus.OK:
            return reach
        try:
            return read(reach.detail)
        except ValueError as error:
            return Reach(Trouble.STATUS, str(error), status=reach.status)

    async def _errors(self, earlier: Readings | Reach, started_s: float) -> None:
        loop = asyncio.get_running_loop()
        least_s = max(self._options.errors_s - (loop.time() - started_s), SETTLING_S)
        await asyncio.sleep(least_s)
        later = await self._readings()
        if isinstance(earlier, Reach) or isinstance(later, Reach):
            bad = earlier if isinstance(earlier, Reach) else later
            assert isinstance(bad, Reach)  # noqa: S101  # one of both is
            self._add(wire_verdicts.judge_no_errors_page(bad))
            return
        added = later.since(earlier).without(self._own_errors)
        self._add(wire_verdicts.judge_errors(added, later, loop.time() - started_s))

    # ROS.

    async def _observe(self, stopped: Callable[[], bool]) -> CameraFacts | str:
        if isinstance(self._observe_camera, str):
            return self._observe_camera
        try:
            return await asyncio.to_thread(self._observe_camera, stopped)
        except RtcSignalingError as error:
            return str(error)

    def _judge_camera(self, facts: CameraFacts | str) -> None:
        if isinstance(facts, str):
            for check in ROS_CHECKS:
                self._add(skip(check, facts))
            return
        for finding in ros_verdicts.judge(facts, self._video_came):
            self._add(finding)
