"""One viewer: its peer connection, from its offer to its end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from aiortc import (
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.sdp import candidate_from_sdp
from msgspec import UNSET, UnsetType

from rtc_signaling.media._aiortc import PacketPacer, Resending, watch_feedback
from rtc_signaling.media.codecs import negotiated, offered_h264, preferences
from rtc_signaling.media.link import Link
from rtc_signaling.media.timing_channel import TimingChannel
from rtc_signaling.media.track import Camera
from rtc_signaling.messages import Answer, IceCandidate, Message, Offer, Stats
from rtc_signaling.metrics import ViewerFigures

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


class _Delivery(NamedTuple):
    """Hold what a receiver report and the packet counter said at one look."""

    packets_sent: int
    size_bytes: int
    report_time: float


class ViewerPeer:
    """Serve one viewer: answer its offers, send it the camera, notice when it is gone.

    Messages are worked off one after the other in a task of this viewer's own, so that a slow or
    hostile one holds up nobody else. Use it in the loop.

    Args:
        client_id: The viewer's name in the signaling protocol.
        camera: Where the pictures come from.
        ice_servers: STUN and TURN servers; never aiortc's public default.
        send: Sends a message to the viewer.
        timeout_s: Receiver reports missing for so long, while packets go out, mean it is gone.
        now_ns: Returns the time of the clock that stamps are of, in ns; None if that is simulated.
        codecs: The codecs that may be used, the preferred one first; empty for all.
    """

    def __init__(
        self,
        client_id: str,
        camera: Camera,
        ice_servers: list[RTCIceServer],
        send: Callable[[Message], Awaitable[None]],
        timeout_s: float,
        *,
        now_ns: Callable[[], int | None],
        codecs: Sequence[str] = (),
    ) -> None:
        self.client_id = client_id
        self.offer_id: str | UnsetType = UNSET
        self._camera = camera
        self._send = send
        self.timeout_s = timeout_s
        self._inbox: asyncio.Queue[Offer | IceCandidate] = asyncio.Queue(MAX_INBOX)
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=ice_servers))
        self._link = Link()
        self._track = camera.add_track(self._link)
        self._stats = Stats()
        self._bitrate_bps = 0.0
        transceiver = self._connection.addTransceiver(self._track, direction='sendonly')
        transceiver.setCodecPreferences(preferences(codecs))
        self._feedback = watch_feedback(
            transceiver.sender, self._track.request_key_frame, self._track.take_report
        )
        self._track.forget_sent = Resending(transceiver.sender).forget
        self._track.pace = PacketPacer(transceiver.sender).pace
        self._timing = TimingChannel(
            self._connection, transceiver.sender, camera.stamps, now_ns, client_id
        )

    @property
    def connection_state(self) -> str:
        """The W3C RTCPeerConnectionState."""
        return str(self._connection.connectionState)

    @property
    def figures(self) -> ViewerFigures:
        """How its video is, as far as it is known; what it reports may be stale or untrue."""
        stats = self._stats
        rtt_ms, latency_ms = _known(stats.rtt_ms), _known(stats.latency_ms)
        return ViewerFigures(
            client_id=self.client_id,
            state=self.connection_state,
            bitrate_bps=self._bitrate_bps,
            fps=_known(stats.fps),
            loss=self._feedback.loss if stats.loss is UNSET else float(stats.loss),
            freezes=_known(stats.freezes),
            rtt_s=self._link.rtt_s if rtt_ms is None else rtt_ms / 1000,
            latency_s=None if latency_ms is None else latency_ms / 1000,
            timing_ignored=self._timing.ignored,
            layer='' if self._track.feed is None else self._camera.layer(self._track),
            estimate_bps=self._link.bps,
        )

    def take_stats(self, stats: Stats) -> None:
        """Keep what the viewer reports of its video."""
        self._stats = stats

    def request_key_frame(self) -> None:
        """Have a key frame come soon."""
        self._track.request_key_frame()

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
            self._camera.remove_track(self._track)
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
        await connection.setRemoteDescription(RTCSessionDescription(sdp, 'offer'))
        self._timing.guard()
        description = await connection.createAnswer()
        self._track.h264 = offered_h264(sdp)
        self._track.codec = negotiated(description.sdp) or ''
        await connection.setLocalDescription(description)
        # aiortc gathers before it returns: the answer carries all of its candidates.
        answer = Answer(
            sdp=connection.localDescription.sdp,
            client_id=self.client_id,
            offer_id=offer.offer_id,
        )
        await self._send(answer)

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
        last = _Delivery(0, 0, 0.0)
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
            now = await self._delivery()
            self._bitrate_bps = (now.size_bytes - last.size_bytes) * 8 / WATCH_PERIOD_S
            # Reports stop by themselves when nothing is sent; then ICE's consent checks decide.
            sending = now.packets_sent > last.packets_sent
            silent_s = silent_s + WATCH_PERIOD_S if sending else 0.0
            if now.report_time > last.report_time:
                silent_s = 0.0
            if silent_s >= self.timeout_s:
                return f'no receiver report for {silent_s:.0f} s'
            last = now

    async def _delivery(self) -> _Delivery:
        sender = self._connection.getSenders()[0]
        packets_sent, size_bytes, report_time = 0, 0, 0.0
        for stats in (await sender.getStats()).values():
            if stats.type == 'outbound-rtp':
                packets_sent, size_bytes = stats.packetsSent, stats.bytesSent
            elif stats.type == 'remote-inbound-rtp':
                report_time = stats.timestamp.timestamp()
        return _Delivery(packets_sent, size_bytes, report_time)


def _known(amount: float | UnsetType) -> float | None:
    return None if isinstance(amount, UnsetType) else float(amount)
