"""The camera sender without ROS: a signaling client, cameras, and a peer for each viewer."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping

from aiortc import RTCIceServer
from msgspec import UNSET

from rtc_signaling.auth import SENDER
from rtc_signaling.backoff import Backoff
from rtc_signaling.client import SignalingClient
from rtc_signaling.errors import ConnectionFailedError, ProtocolError, RefusedError
from rtc_signaling.media._aiortc import offer_addresses, quicken_clock
from rtc_signaling.media.encoding import EncodingSettings
from rtc_signaling.media.peer import ViewerPeer
from rtc_signaling.media.sender_figures import SenderFigures, SignalingLink
from rtc_signaling.media.track import Camera
from rtc_signaling.messages import (
    CONNECTION_LOST,
    Bye,
    Connected,
    Error,
    FromServer,
    IceCandidate,
    IceServer,
    Message,
    Offer,
    PeerJoined,
    PeerLeft,
    Stats,
)
from rtc_signaling.sender_config import SenderConfig
from rtc_signaling.sender_metrics import SenderSnapshot

logger = logging.getLogger(__name__)

SNAPSHOT_PERIOD_S = 1.0
# A viewer that is let go is told so; if that takes longer, it has noticed by itself.
BYE_TIMEOUT_S = 5.0
# When a viewer for whom there is no place may ask again.
BUSY_RETRY_S = 5.0
# The reason of a `bye` of a camera that is switched off.
DISABLED = 'disabled'
# Close code for "a newer connection took this client_id" (docs/protocol.md).
REPLACED = 4409


class CameraSender:
    """Send cameras to every receiver that asks for them.

    Use it in one event loop: `async with CameraSender(...).run():`. Everything but `camera.put`
    belongs to that loop's thread.

    Args:
        config: The operator's settings.
        cameras: Where images are put: one camera without a name, or several by their names.
        read_token: Returns the credential, or None; called at each connection attempt.
        on_snapshot: Called in the loop with the figures, on each change and each second.
        now_ns: Returns the time of the clock that stamps are of, in ns; None if that is simulated.
    """

    def __init__(
        self,
        config: SenderConfig,
        cameras: Camera | Mapping[str, Camera],
        read_token: Callable[[], str | None],
        on_snapshot: Callable[[SenderSnapshot], None],
        now_ns: Callable[[], int | None] = time.time_ns,
    ) -> None:
        self._config = config
        self._cameras = {'': cameras} if isinstance(cameras, Camera) else dict(cameras)
        names = tuple(filter(None, self._cameras))
        self._on_snapshot = on_snapshot
        self._now_ns = now_ns
        self._client = SignalingClient(
            config.server_url,
            SENDER,
            config.client_id,
            read_token=read_token,
            backoff=Backoff(config.reconnect_min_s, config.reconnect_max_s, random.uniform),
            on_link=lambda up: self._report(),
            cameras=names,
        )
        self._server_ice: list[IceServer] = []
        self._present: set[str] = set()
        self._peers: dict[str, ViewerPeer] = {}
        self._tasks: dict[asyncio.Task[str], ViewerPeer] = {}
        self._byes: dict[asyncio.Task[None], str] = {}
        self._refusal = ''
        self._off = set() if config.enabled else set(self._cameras)
        self._switch()
        self._figures = SenderFigures(self._cameras)
        self._configure_cameras()

    @contextlib.asynccontextmanager
    async def run(self) -> AsyncIterator[CameraSender]:
        """Send while the context lasts; leaving it closes every peer connection.

        Raises:
            RefusedError: Another sender took this one's name.
        """
        offer_addresses(self._config.ice_addresses)
        quicken_clock()
        refusal: Exception | None = None
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    *(group.create_task(camera.run()) for camera in self._cameras.values()),
                    group.create_task(self._talk()),
                    group.create_task(self._report_periodically()),
                ]
                try:
                    yield self
                finally:
                    for task in tasks:
                        task.cancel()
        except* RefusedError as refusals:
            # Raised below: the first Pythons 3.11 put what is raised here into a group again.
            refusal = refusals.exceptions[0]
        finally:
            await self._close_peers()
        if refusal is not None:
            raise refusal

    def reconfigure(self, config: SenderConfig) -> None:
        """Take up the parameters that are live; what is read at the start stays."""
        self._config = config
        self._configure_cameras()
        for peer in self._peers.values():
            peer.timeout_s = config.viewer_timeout_s

    def _configure_cameras(self) -> None:
        config = self._config
        settings = EncodingSettings(
            config.encoder,
            config.encoder_preset,
            config.bitrate_bps,
            config.key_frame_interval_s,
            config.adaptation,
        )
        for camera in self._cameras.values():
            camera.pacer.max_fps = config.max_fps
            camera.configure(settings)

    def set_enabled(self, enabled: bool, name: str | None = None) -> int:
        """Switch a camera on or off, all of them without a name.

        A viewer that has no other camera is let go. One that has keeps its connection; when the
        camera is switched on again, its pictures go on there.

        Returns:
            How many viewers do not get it any more.
        """
        names = set(self._cameras) if name is None else {name}
        self._off = self._off - names if enabled else self._off | names
        self._switch()
        count = 0
        for peer in [*self._peers.values()] if not enabled else ():
            lost = peer.cameras & names
            if (peer.cameras or set(self._cameras)) <= self._off:
                self._drop(peer.client_id)
                self._say_bye(
                    Bye(client_id=peer.client_id, offer_id=peer.offer_id, reason=DISABLED)
                )
                count += 1
            elif lost:
                # Without the camera's name it would be the end of everything.
                for gone in sorted(lost) if peer.chooses else ():
                    self._say_bye(peer.bye_of(gone, DISABLED, 'is switched off'))
                count += 1
        self._report()
        return count

    def _switch(self) -> None:
        for name, camera in self._cameras.items():
            camera.enabled = name not in self._off

    def _asked(self, offer: Offer) -> set[str]:
        """Return the cameras that an offer is about."""
        names = list(self._cameras)
        if offer.cameras is not UNSET and names != ['']:
            names = [name for name in offer.cameras if name in names]
        return set(names[: offer.sdp.count('\nm=video ')])

    def request_key_frame(self, name: str | None = None) -> int:
        """Send every viewer of a camera, or of any, a key frame soon; return how many."""
        names = set(self._cameras) if name is None else {name}
        return sum(peer.request_key_frame(names) for peer in self._peers.values())

    def snapshot(self) -> SenderSnapshot:
        """Return the figures of now."""
        link = SignalingLink(self._config.server_url, self._client.connected, self._refusal)
        viewers = [peer.figures for peer in self._peers.values()]
        return self._figures.snapshot(link, viewers, self._off)

    async def _talk(self) -> None:
        """Stay connected to the server, whatever it says, and serve its messages."""
        while True:
            try:
                async with contextlib.aclosing(self._client.messages()) as incoming:
                    async for message in incoming:
                        self._take(message)
            except RefusedError as error:
                if error.close_code == REPLACED:
                    raise
                if str(error) != self._refusal:
                    logger.error(
                        '%s; trying again every %g s', error, self._config.reconnect_max_s
                    )
                self._refusal = str(error)
            await asyncio.sleep(self._config.reconnect_max_s)

    def _take(self, message: FromServer) -> None:
        if isinstance(message, Connected):
            self._refusal = ''
            self._server_ice = message.ice_servers
            self._present = {peer.client_id for peer in message.peers}
        elif isinstance(message, Offer):
            self._take_offer(message)
        elif isinstance(message, IceCandidate | Bye | Stats):
            self._take_of_viewer(message)
        elif isinstance(message, PeerJoined):
            self._present.add(message.client_id)
        elif isinstance(message, PeerLeft):
            self._present.discard(message.client_id)
            # Of a viewer whose connection was only lost the video goes on, while it is received.
            if message.reason != CONNECTION_LOST:
                self._drop(message.client_id)
        elif isinstance(message, Error) and self._client.connected:
            # What comes before the welcome is a refusal, and reported as one.
            # What expired was for a viewer that is gone, which nobody has to look at.
            level = logging.INFO if message.code == 'expired' else logging.WARNING
            logger.log(level, 'the server says %s: %s', message.code, message.message)

    def _take_of_viewer(self, message: IceCandidate | Bye | Stats) -> None:
        """Take what belongs to an offer; if that was another, or let go, it is too late."""
        peer = self._peers.get(message.client_id or '')
        if peer is None:
            return
        if isinstance(message, IceCandidate):
            peer.put(message)
        elif isinstance(message, Stats):
            peer.take_stats(message)
        elif message.offer_id in (UNSET, peer.offer_id):
            self._drop(peer.client_id)

    def _take_offer(self, offer: Offer) -> None:
        client_id = offer.client_id or ''
        # An offer is always of a new peer connection of the viewer's: aiortc can neither restart
        # ICE nor roll back.
        self._drop(client_id)
        if (self._asked(offer) or set(self._cameras)) <= self._off:
            self._say_bye(Bye(client_id=client_id, offer_id=offer.offer_id, reason=DISABLED))
            return
        if len(self._peers) >= self._config.max_viewers:
            logger.warning(
                'viewer %s: not served, there are %d already (max_viewers)',
                client_id,
                len(self._peers),
            )
            self._say_bye(
                Bye(
                    client_id=client_id,
                    offer_id=offer.offer_id,
                    reason='busy',
                    retry_after_s=BUSY_RETRY_S,
                )
            )
            return
        peer = ViewerPeer(
            client_id,
            self._cameras,
            lambda: self._off,
            self._ice_servers(),
            self._send_to_viewer,
            timeout_s=self._config.viewer_timeout_s,
            now_ns=self._now_ns,
            codecs=self._config.codec_preference,
        )
        peer.put(offer)
        self._peers[client_id] = peer
        task = asyncio.create_task(peer.run(), name=f'viewer {client_id}')
        self._tasks[task] = peer
        task.add_done_callback(self._on_peer_done)
        logger.info('viewer %s: joining', client_id)
        self._report()

    async def _send_to_viewer(self, message: Message) -> None:
        try:
            await self._client.deliver(message)
        except (ConnectionFailedError, ProtocolError) as error:
            logger.warning('an answer did not reach its viewer: %s', error)

    def _say_bye(self, bye: Bye) -> None:
        """Tell a viewer, in a task, that it is let go, if it can be told."""
        client_id = bye.client_id or ''
        if client_id not in self._present:
            return
        task = asyncio.create_task(self._send_bye(bye), name=f'bye {client_id}')
        self._byes[task] = client_id
        task.add_done_callback(self._byes.pop)

    async def _send_bye(self, bye: Bye) -> None:
        try:
            await self._client.deliver(bye, BYE_TIMEOUT_S)
        except (ConnectionFailedError, ProtocolError) as error:
            logger.debug('viewer %s was not told that it is let go: %s', bye.client_id, error)

    def _ice_servers(self) -> list[RTCIceServer]:
        own = [RTCIceServer(urls=url) for url in self._config.ice_servers]
        return own + [
            RTCIceServer(
                urls=server.urls,
                username=None if server.username is UNSET else server.username,
                credential=None if server.credential is UNSET else server.credential,
            )
            for server in self._server_ice
        ]

    def _drop(self, client_id: str) -> None:
        peer = self._peers.pop(client_id, None)
        for task, owner in self._tasks.items():
            if owner is peer:
                task.cancel()
        for bye, name in self._byes.items():
            if name == client_id:
                bye.cancel()

    def _on_peer_done(self, task: asyncio.Task[str]) -> None:
        peer = self._tasks.pop(task)
        client_id = peer.client_id
        reason = ''
        if task.cancelled():
            logger.info('viewer %s: left', client_id)
        elif (error := task.exception()) is not None:
            logger.warning('viewer %s: let go, its messages make no sense: %r', client_id, error)
            reason = 'failed'
        else:
            logger.info('viewer %s: gone, %s', client_id, task.result())
            reason = 'lost'
        if self._peers.get(client_id) is peer:
            del self._peers[client_id]
            if reason:
                bye = Bye(client_id=client_id, offer_id=peer.offer_id, reason=reason)
                self._say_bye(bye)
        self._report()

    async def _close_peers(self) -> None:
        tasks = [*self._tasks, *self._byes]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _report(self) -> None:
        self._on_snapshot(self.snapshot())

    async def _report_periodically(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._figures.look(loop.time())
            self._report()
            await asyncio.sleep(SNAPSHOT_PERIOD_S)
