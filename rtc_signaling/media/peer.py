"""One viewer: its peer connection, from its offer to its end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet

from aiortc import (
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.sdp import SessionDescription, candidate_from_sdp
from msgspec import UNSET, UnsetType

from rtc_signaling.media.allotment import allot
from rtc_signaling.media.link import Link
from rtc_signaling.media.timing_channel import TimingChannel
from rtc_signaling.media.track import Camera
from rtc_signaling.media.viewer_stream import ViewerStream
from rtc_signaling.messages import Answer, Bye, IceCandidate, Message, Offer, Stats
from rtc_signaling.sender_metrics import ViewerFigures

logger = logging.getLogger(__name__)

WATCH_PERIOD_S = 1.0
# Longer than ICE and DTLS take on a bad network, shorter than a person waits.
CONNECT_TIMEOUT_S = 30.0
# A browser sends some ten candidates for each connection.
MAX_INBOX = 128

# aioice is not told that no more candidates come: from then on it fails as soon as all pairs that
# it knows have, while the viewer's checks are still on their way from an address that nobody has
# offered. RFC 8863 wants it to wait for those; CONNECT_TIMEOUT_S is the end of that.
_END_OF_CANDIDATES = re.compile(r'^a=end-of-candidates\r?\n?', re.MULTILINE)


class ViewerPeer:
    """Serve one viewer: answer its offer, send it its cameras, notice when it is gone.

    Messages are worked off one after the other in a task of this viewer's own, so that a slow or
    hostile one holds up nobody else. Use it in the loop.

    Args:
        client_id: The viewer's name in the signaling protocol.
        cameras: Those that there are, by name; one without a name has the key ''.
        off: Returns those of them that are switched off now.
        ice_servers: STUN and TURN servers; never aiortc's public default.
        send: Sends a message to the viewer.
        timeout_s: Receiver reports missing for so long, while packets go out, mean it is gone.
        now_ns: Returns the time of the clock that stamps are of, in ns; None if that is simulated.
        codecs: The codecs that may be used, the preferred one first; empty for all.

    Attributes:
        offer_id: That of the viewer's offer.
        timeout_s: As above; may be changed.
        chooses: Whether the viewer's offer names cameras, so that it can be told of single ones.
    """

    def __init__(
        self,
        client_id: str,
        cameras: Mapping[str, Camera],
        off: Callable[[], AbstractSet[str]],
        ice_servers: list[RTCIceServer],
        send: Callable[[Message], Awaitable[None]],
        *,
        timeout_s: float,
        now_ns: Callable[[], int | None],
        codecs: Sequence[str] = (),
    ) -> None:
        self.client_id = client_id
        self.offer_id: str | UnsetType = UNSET
        self.timeout_s = timeout_s
        self._cameras = cameras
        self._off = off
        self._send = send
        self._now_ns = now_ns
        self._codecs = codecs
        self._inbox: asyncio.Queue[Offer | IceCandidate] = asyncio.Queue(MAX_INBOX)
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=ice_servers))
        self._link = Link()
        self._streams: list[ViewerStream] = []
        self._timing: TimingChannel | None = None
        self.chooses = False

    @property
    def connection_state(self) -> str:
        """The W3C RTCPeerConnectionState."""
        return str(self._connection.connectionState)

    @property
    def figures(self) -> tuple[ViewerFigures, ...]:
        """How the video of each of its cameras is; without one, how its connection is."""
        state = self.connection_state
        ignored = 0 if self._timing is None else self._timing.ignored
        found = [stream.figures(self.client_id, state, ignored) for stream in self._streams]
        return tuple(found) or (ViewerFigures(self.client_id, state, 0.0),)

    def take_stats(self, stats: Stats) -> None:
        """Keep what the viewer reports of a video; without a name, of its first."""
        for stream in self._streams:
            if stats.camera in (UNSET, stream.name):
                stream.take_stats(stats)
                break

    def request_key_frame(self, names: Collection[str]) -> bool:
        """Have a key frame of these cameras come soon; return whether it has one of them."""
        asked = [stream for stream in self._streams if stream.name in names]
        for stream in asked:
            stream.request_key_frame()
        return bool(asked)

    @property
    def cameras(self) -> set[str]:
        """The names of the cameras that it gets, once its offer was taken."""
        return {stream.name for stream in self._streams}

    def put(self, message: Offer | IceCandidate) -> None:
        """Leave a message of the viewer's; one too many is dropped, with a warning."""
        if isinstance(message, Offer):
            self.offer_id = message.offer_id
        try:
            self._inbox.put_nowait(message)
        except asyncio.QueueFull:
            logger.warning('viewer %s: too many messages at once, dropped one', self.client_id)

    async def run(self) -> str:
        """Serve the viewer until it is gone, and return why in words; cancel it to end it.

        Raises:
            Exception: Whatever aiortc makes of a malformed description; the viewer's own fault,
                and the end of this viewer alone.
        """
        worker = asyncio.create_task(self._work())
        watcher = asyncio.create_task(self._watch())
        try:
            done, _ = await asyncio.wait({worker, watcher}, return_when=asyncio.FIRST_COMPLETED)
            return str(done.pop().result())
        finally:
            worker.cancel()
            watcher.cancel()
            await asyncio.gather(worker, watcher, return_exceptions=True)
            for stream in self._streams:
                stream.close()
            await self._connection.close()

    async def _work(self) -> str:
        while True:
            message = await self._inbox.get()
            if isinstance(message, Offer):
                await self._answer(message)
            else:
                await self._add_candidate(message)

    async def _answer(self, offer: Offer) -> None:
        connection = self._connection
        sdp = _END_OF_CANDIDATES.sub('', offer.sdp)
        offered = SessionDescription.parse(sdp)
        if not offered.media:
            raise ValueError('the offer has no media section')
        unknown = self._allot(offer, offered)
        await connection.setRemoteDescription(RTCSessionDescription(sdp, 'offer'))
        if self._timing is not None:
            self._timing.guard()
        description = await connection.createAnswer()
        answered = SessionDescription.parse(description.sdp)
        for stream in self._streams:
            stream.agree(offered, answered)
        await connection.setLocalDescription(description)
        # aiortc gathers before it returns: the answer carries all of its candidates.
        answer = Answer(
            sdp=connection.localDescription.sdp,
            client_id=self.client_id,
            offer_id=offer.offer_id,
        )
        await self._send(answer)
        for name in unknown:
            there = ', '.join(self._cameras)
            await self._send(self.bye_of(name, 'unknown_camera', f'there are {there}'))
        for name in sorted(self.cameras & self._off() if self.chooses else ()):
            await self._send(self.bye_of(name, 'disabled', 'is switched off'))

    def _allot(self, offer: Offer, offered: SessionDescription) -> Sequence[str]:
        """Make the streams that the offer asks for; return the names that are no cameras here.

        aiortc gives the video sections of an offer to transceivers in their order.
        """
        names = list(self._cameras)
        # To names a camera without one has nothing to say.
        wanted = None if offer.cameras is UNSET or names == [''] else offer.cameras
        self.chooses = wanted is not None
        count = sum(media.kind == 'video' for media in offered.media)
        allotment = allot(count, wanted, names)
        for name in allotment.sections:
            if name is None:
                self._connection.addTransceiver('video', direction='inactive')
            else:
                camera = self._cameras[name]
                self._streams.append(
                    ViewerStream(self._connection, name, camera, self._codecs, self._link)
                )
        self._timing = TimingChannel(self._connection, self._streams, self._now_ns, self.client_id)
        return allotment.unknown

    def bye_of(self, name: str, reason: str, why: str) -> Bye:
        """Return what tells a viewer that names cameras why one does not come, or no more."""
        logger.info('viewer %s: does not get the camera %s: %s', self.client_id, name, why)
        return Bye(
            client_id=self.client_id,
            offer_id=self.offer_id,
            reason=reason,
            camera=name,
            message=f'camera = {name!r}: {why}',
        )

    async def _add_candidate(self, message: IceCandidate) -> None:
        if self._connection.remoteDescription is None:
            logger.debug('viewer %s: a candidate before the offer, ignored', self.client_id)
            return
        line = (message.candidate or '').removeprefix('candidate:')
        if not line:
            return  # see _END_OF_CANDIDATES
        try:
            candidate = candidate_from_sdp(line)
            if not 1 <= candidate.port <= 65535:  # sending to it would end asyncio's transport
                raise ValueError(f'port {candidate.port}')
        except (ValueError, AssertionError, IndexError) as error:
            logger.warning('viewer %s: malformed candidate, ignored: %r', self.client_id, error)
            return
        candidate.sdpMid = message.sdp_mid or None
        index = message.sdp_m_line_index
        candidate.sdpMLineIndex = index if isinstance(index, int) else None
        if candidate.sdpMid is None and candidate.sdpMLineIndex is None:
            candidate.sdpMLineIndex = 0
        with contextlib.suppress(ValueError):  # of a type or transport that aioice does not know
            await self._connection.addIceCandidate(candidate)

    async def _watch(self) -> str:
        """Return when the viewer is gone, with the reason."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + CONNECT_TIMEOUT_S
        silent_s = 0.0
        while True:
            await asyncio.sleep(WATCH_PERIOD_S)
            state = self.connection_state
            if state in ('failed', 'closed'):
                return f'its connection {state}'
            if state != 'connected':
                if loop.time() > deadline_s:
                    return f'no connection within {CONNECT_TIMEOUT_S:.0f} s'
                continue
            looks = [await stream.look(WATCH_PERIOD_S) for stream in [*self._streams]]
            # Reports stop by themselves when nothing is sent; then ICE's consent checks decide.
            sending = any(sent for sent, _ in looks)
            silent_s = silent_s + WATCH_PERIOD_S if sending else 0.0
            if any(reported for _, reported in looks):
                silent_s = 0.0
            if silent_s >= self.timeout_s:
                return f'no receiver report for {silent_s:.0f} s'
