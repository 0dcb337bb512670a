"""An examination of a server, and of the camera's topic meanwhile."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from rtc_signaling.doctor import media_verdicts, ros_verdicts
from rtc_signaling.doctor.diagnosis import Diagnosis
from rtc_signaling.doctor.findings import ROS_CHECKS, Findings
from rtc_signaling.doctor.media_verdicts import Stage
from rtc_signaling.doctor.ros_verdicts import CameraFacts
from rtc_signaling.doctor.tally import ErrorTally
from rtc_signaling.doctor.target import Target
from rtc_signaling.doctor.wire_checks import WireChecks
from rtc_signaling.doctor.wire_verdicts import TokenSource
from rtc_signaling.media._aiortc import offer_addresses
from rtc_signaling.media.probe import Patience, watch
from rtc_signaling.media.turn_probe import allocate
from rtc_signaling.messages import IceServer

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
        self._options = options
        self._observe_camera = observe_camera
        self._findings = Findings()
        self._tally = ErrorTally(target, token, options.errors_s)
        self._wire = WireChecks(target, token, source, self._findings, self._tally)
        self._video_came = False

    async def run(self) -> Diagnosis:
        """Make all checks and return what they found."""
        stop = threading.Event()
        observing = asyncio.create_task(self._observe(stop.is_set))
        try:
            async with asyncio.timeout(self._options.timeout_s):
                await self._examine_server()
                await asyncio.wait({observing})
        except TimeoutError:
            pass  # what is missing then is said below
        finally:
            in_time = observing.done()
            stop.set()  # it looks at that several times a second
            await asyncio.wait({observing})
        if in_time:
            self._judge_camera(observing.result())
        self._findings.time_is_over(self._options.timeout_s)
        return Diagnosis.of(self._target.websocket_url, self._findings.all(), [self._token])

    async def _examine_server(self) -> None:
        welcome = await self._wire.run()
        if welcome is None:
            return
        await self._session(welcome.ice_servers)
        await self._turn(welcome.ice_servers)
        self._findings.add(await self._tally.end())

    async def _session(self, servers: list[IceServer]) -> None:
        offer_addresses(self._options.ice_addresses)
        session = await watch(
            self._target.websocket_url,
            f'doctor.{secrets.token_hex(4)}',
            self._token,
            self._options.camera,
            self._options.patience,
        )
        self._video_came = session.stage is Stage.PICTURE
        self._findings.add(
            media_verdicts.judge_session(session), media_verdicts.judge_ice(session, servers)
        )

    async def _turn(self, servers: list[IceServer]) -> None:
        urls = media_verdicts.turn_urls(servers)
        # One after the other would take as long as all of their deadlines.
        allocations = await asyncio.gather(*(allocate(url, server) for url, server in urls))
        self._findings.add(media_verdicts.judge_turn(allocations))

    async def _observe(self, stopped: Callable[[], bool]) -> CameraFacts | str:
        if isinstance(self._observe_camera, str):
            return self._observe_camera
        return await asyncio.to_thread(self._observe_camera, stopped)

    def _judge_camera(self, facts: CameraFacts | str) -> None:
        if isinstance(facts, str):
            self._findings.skip_rest(ROS_CHECKS, facts)
        else:
            self._findings.add(*ros_verdicts.judge(facts, self._video_came))
