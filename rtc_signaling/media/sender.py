"""The camera sender without ROS: a signaling client, a camera, and a peer for each viewer."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Callable

from aiortc import RTCIceServer
from msgspec import UNSET

from rtc_signaling.auth import SENDER
from rtc_signaling.backoff import Backoff
from rtc_signaling.client import SignalingClient
from rtc_signaling.config import SenderConfig
from rtc_signaling.errors import ConnectionFailedError, ProtocolError, RefusedError
from rtc_signaling.media._aiortc import offer_addresses
from rtc_signaling.media.peer import ViewerPeer
from rtc_signaling.media.track import Camera
from rtc_signaling.messages import (
    Connected,
    Error,
    FromServer,
    IceCandidate,
    IceServer,
    Message,
    Offer,
    PeerLeft,
)
from rtc_signaling.metrics import SenderSnapshot

logger = logging.getLogger(__name__)

SNAPSHOT_PERIOD_S = 1.0
CONNECTION_LOST = 'connection_lost'  # reason of `peer_left`
# Close code for "a newer connection took this client_id" (docs/protocol.md).
REPLACED = 4409


class CameraSender:
    """Send one camera to every receiver that asks for it.

    Use it in one event loop: `async with CameraSender(...).run():`. Everything but `camera.put`
    belongs to that loop's thread.

    Args:
        config: The operator's settings.
        camera: Where images are put.
        read_token: Returns the credential, or None; called at each connection attempt.
        on_snapshot: Called in the loop with the figures, on each change and each second.
    """

    def __init__(
        self,
        config: SenderConfig,
        camera: Camera,
        read_token: Callable[[], str | None],
        on_snapshot: Callable[[SenderSnapshot], None],
    ) -> None:
        self._config = config
        self._camera = camera
        self._on_snapshot = on_snapshot
        self._client = SignalingClient(
            config.server_url,
            SENDER,
            config.client_id,
            read_token=read_token,
            backoff=Backoff(config.reconnect_min_s, config.reconnect_max_s, random.uniform),
            on_link=lambda up: self._report(),
        )
        self._server_ice: list[IceServer] = []
        self._peers: dict[str, ViewerPeer] = {}
        self._tasks: dict[asyncio.Task[str], ViewerPeer] = {}
        self._refusal = ''

    @contextlib.asynccontextmanager
    async def run(self) -> AsyncIterator[CameraSender]:
        """Send while the context lasts; leaving it closes every peer connection.

        Raises:
            RefusedError: Another sender took this one's name.
        """
        offer_addresses(self._config.ice_addresses)
        refusal: Exception | None = None
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._camera.run()),
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

    def snapshot(self) -> SenderSnapshot:
        """Return the figures of now."""
        states = [peer.connection_state for peer in self._peers.values()]
        counts = self._camera.counts
        return SenderSnapshot(
            server_url=self._config.server_url,
            linked=self._client.connected,
            refusal=self._refusal,
            viewers=len(states),
            viewers_connected=states.count('connected'),
            images_received=counts.received,
            images_replaced=counts.replaced,
            images_bad=counts.bad,
            pictures_shown=counts.shown,
            last_error=self._camera.last_error,
        )

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
        elif isinstance(message, Offer):
            self._take_offer(message)
        elif isinstance(message, IceCandidate):
            peer = self._peers.get(message.client_id or '')
            if peer is not None:
                peer.put(message)
        elif isinstance(message, PeerLeft) and message.reason != CONNECTION_LOST:
            # Of a viewer whose connection was only lost the video goes on, while it is received.
            self._drop(message.client_id)
        elif isinstance(message, Error) and self._client.connected:
            # What comes before the welcome is a refusal, and reported as one.
            logger.warning('the server says %s: %s', message.code, message.message)

    def _take_offer(self, offer: Offer) -> None:
        client_id = offer.client_id or ''
        # An offer is always of a new peer connection of the viewer's: aiortc can neither restart
        # ICE nor roll back.
        self._drop(client_id)
        if len(self._peers) >= self._config.max_viewers:
            logger.warning(
                'viewer %s: not served, there are %d already (max_viewers)',
                client_id,
                len(self._peers),
            )
            return
        peer = ViewerPeer(
            client_id,
            self._camera,
            self._ice_servers(),
            self._send_to_viewer,
            self._config.viewer_timeout_s,
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

    def _on_peer_done(self, task: asyncio.Task[str]) -> None:
        peer = self._tasks.pop(task)
        if self._peers.get(peer.client_id) is peer:
            del self._peers[peer.client_id]
        if task.cancelled():
            logger.info('viewer %s: left', peer.client_id)
        elif (error := task.exception()) is not None:
            logger.warning(
                'viewer %s: let go, its messages make no sense: %r', peer.client_id, error
            )
        else:
            logger.info('viewer %s: gone, %s', peer.client_id, task.result())
        self._report()

    async def _close_peers(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _report(self) -> None:
        self._on_snapshot(self.snapshot())

    async def _report_periodically(self) -> None:
        while True:
            self._report()
            await asyncio.sleep(SNAPSHOT_PERIOD_S)
