"""A viewer for one picture: joins a camera by the signaling server, and tells how far it came."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, replace

from aiortc import (
    InvalidAccessError,
    InvalidStateError,
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.exceptions import OperationError
from aiortc.mediastreams import MediaStreamError
from aiortc.sdp import candidate_from_sdp
from av import VideoFrame
from msgspec import UNSET

from rtc_signaling.auth import RECEIVER
from rtc_signaling.client import SignalingClient
from rtc_signaling.doctor.media_verdicts import Pair, Session, Stage
from rtc_signaling.errors import RtcSignalingError
from rtc_signaling.media._aiortc import chosen_candidates
from rtc_signaling.messages import (
    Answer,
    Bye,
    Connected,
    FromServer,
    IceCandidate,
    IceServer,
    Offer,
)

OFFER_ID = 'doctor'
# What comes of a malformed answer or candidate. aiortc's parser checks little and reads on, so
# most of it is what its own code makes of a part that is missing: no value to split, no codec of
# that number (a StopIteration, in a coroutine a RuntimeError), no address to look up (OSError).
MALFORMED = (
    ValueError, LookupError, TypeError, AttributeError, AssertionError, RuntimeError, OSError,
    InvalidAccessError, InvalidStateError, OperationError,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Patience:
    """Say how long to wait for each step of a session, in s."""

    welcome_s: float = 5.0
    answer_s: float = 10.0
    connection_s: float = 15.0
    picture_s: float = 8.0


class Probe:
    """Watch one camera until the first picture; use it once, in a loop.

    Args:
        client: A client as a receiver, which nobody else iterates over.
        wanted: The camera's client_id; '' for the first that there is.
        patience: For how long to wait.
    """

    def __init__(self, client: SignalingClient, wanted: str, patience: Patience) -> None:
        self._client = client
        self._wanted = wanted
        self._patience = patience
        self._session = Session(Stage.NOT_IN, wanted)
        loop = asyncio.get_running_loop()
        self._welcome: asyncio.Future[Connected] = loop.create_future()
        self._answer: asyncio.Future[Answer | Bye] = loop.create_future()
        self._candidates: asyncio.Queue[IceCandidate] = asyncio.Queue()

    async def watch(self) -> Session:
        """Return how far it came; whatever was opened is closed again then."""
        reader = asyncio.create_task(self._read())
        watcher = asyncio.create_task(self._watch())
        try:
            await asyncio.wait({reader, watcher}, return_when=asyncio.FIRST_COMPLETED)
            if watcher.done():
                watcher.result()
            elif (error := reader.exception()) is not None:
                self._ended(self._session.stage, str(error))
        finally:
            # The watcher first: it says goodbye by the connection that the reader holds.
            for task in (watcher, reader):
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        return self._session

    async def _read(self) -> None:
        async with contextlib.aclosing(self._client.messages()) as incoming:
            async for message in incoming:
                self._take(message)

    def _take(self, message: FromServer) -> None:
        if isinstance(message, Connected):
            if not self._welcome.done():
                self._welcome.set_result(message)
        elif isinstance(message, Answer | Bye):
            if not self._answer.done() and message.offer_id in (UNSET, OFFER_ID):
                self._answer.set_result(message)
        elif isinstance(message, IceCandidate):
            self._candidates.put_nowait(message)

    async def _watch(self) -> None:
        try:
            async with asyncio.timeout(self._patience.welcome_s):
                welcome = await self._welcome
        except TimeoutError:
            self._ended(Stage.NOT_IN, 'no welcome', self._patience.welcome_s)
            return
        cameras = tuple(peer.client_id for peer in welcome.peers)
        camera = self._wanted or (cameras[0] if cameras else '')
        self._session = replace(self._session, camera=camera, cameras=cameras)
        if camera not in cameras:
            self._ended(Stage.NO_CAMERA)
            return
        servers = [_ice_server(server) for server in welcome.ice_servers]
        connection = RTCPeerConnection(RTCConfiguration(iceServers=servers))
        try:
            await self._talk(connection, camera)
        finally:
            await connection.close()

    async def _talk(self, connection: RTCPeerConnection, camera: str) -> None:
        loop = asyncio.get_running_loop()
        transceiver = connection.addTransceiver('video', direction='recvonly')
        await connection.setLocalDescription(await connection.createOffer())
        sdp = connection.localDescription.sdp
        self._session = replace(self._session, local_types=_types(sdp))
        offered_s = loop.time()
        answer = await self._negotiate(Offer(sdp=sdp, sender_id=camera, offer_id=OFFER_ID))
        if answer is None or not await self._accept(connection, answer):
            return
        adder = asyncio.create_task(self._add_candidates(connection))
        try:
            if not await self._connect(connection):
                return
        finally:
            adder.cancel()
            await asyncio.gather(adder, return_exceptions=True)
            self._note_pair(chosen_candidates(transceiver.receiver))
        try:
            async with asyncio.timeout(self._patience.picture_s):
                frame = await transceiver.receiver.track.recv()
        except (TimeoutError, MediaStreamError):
            self._ended(Stage.NO_PICTURE, waited_s=self._patience.picture_s)
            return
        assert isinstance(frame, VideoFrame)  # noqa: S101  # the transceiver is for video
        self._session = replace(
            self._session,
            stage=Stage.PICTURE,
            picture=f'{frame.width}x{frame.height}',
            picture_ms=(loop.time() - offered_s) * 1000,
        )

    async def _negotiate(self, offer: Offer) -> Answer | None:
        """Send the offer; return the answer, or None if there is none."""
        try:
            await self._client.deliver(offer, self._patience.answer_s)
        except RtcSignalingError as error:
            self._ended(Stage.NOT_TAKEN, str(error))
            return None
        try:
            async with asyncio.timeout(self._patience.answer_s):
                answer = await self._answer
        except TimeoutError:
            self._ended(Stage.NO_ANSWER, waited_s=self._patience.answer_s)
            return None
        if isinstance(answer, Bye):
            self._ended(Stage.BYE, answer.reason)
            return None
        self._session = replace(self._session, remote_types=_types(answer.sdp))
        return answer

    async def _accept(self, connection: RTCPeerConnection, answer: Answer) -> bool:
        try:
            await connection.setRemoteDescription(RTCSessionDescription(answer.sdp, 'answer'))
        except MALFORMED as error:
            self._ended(Stage.BAD_ANSWER, repr(error))
            return False
        return True

    async def _add_candidates(self, connection: RTCPeerConnection) -> None:
        """Add those candidates that come one by one; malformed ones are passed over."""
        while True:
            message = await self._candidates.get()
            text = (message.candidate or '').removeprefix('candidate:')
            with contextlib.suppress(*MALFORMED):
                candidate = candidate_from_sdp(text)
                candidate.sdpMLineIndex = 0  # there is one medium
                await connection.addIceCandidate(candidate)
                types = {*self._session.remote_types, candidate.type}
                self._session = replace(self._session, remote_types=tuple(sorted(types)))

    async def _connect(self, connection: RTCPeerConnection) -> bool:
        """Wait until the connection is up, or has failed, or the time is over."""
        changed = asyncio.Event()
        connection.on('connectionstatechange', changed.set)
        try:
            async with asyncio.timeout(self._patience.connection_s):
                while connection.connectionState in ('new', 'connecting'):
                    changed.clear()
                    await changed.wait()
        except TimeoutError:
            pass
        if connection.connectionState == 'connected':
            return True
        self._ended(Stage.NO_CONNECTION, waited_s=self._patience.connection_s)
        return False

    def _note_pair(self, pair: tuple[object, object] | None) -> None:
        if pair is not None:
            ends = [
                (
                    getattr(end, 'type', ''),
                    f'{getattr(end, "host", "")}:{getattr(end, "port", "")}',
                )
                for end in pair
            ]
            self._session = replace(self._session, pair=Pair(*ends[0], *ends[1]))

    def _ended(self, stage: Stage, detail: str = '', waited_s: float = 0.0) -> None:
        self._session = replace(self._session, stage=stage, detail=detail, waited_s=waited_s)


async def watch(url: str, client_id: str, token: str, camera: str, patience: Patience) -> Session:
    """Watch a camera until its first picture and return how far that came; never for long.

    Args:
        url: The signaling server's WebSocket URL.
        client_id: The name to have there.
        token: The credential; '' for none.
        camera: The camera's client_id; '' for the first that there is.
        patience: For how long to wait.
    """
    client = SignalingClient(url, RECEIVER, client_id, read_token=lambda: token or None)
    return await Probe(client, camera, patience).watch()


def _ice_server(server: IceServer) -> RTCIceServer:
    return RTCIceServer(
        urls=server.urls,
        username=None if server.username is UNSET else server.username,
        credential=None if server.credential is UNSET else server.credential,
    )


def _types(sdp: str) -> tuple[str, ...]:
    """Return the types of an SDP's candidates, each once."""
    words = [line.split() for line in sdp.splitlines() if line.startswith('a=candidate:')]
    return tuple(sorted({line[7] for line in words if len(line) > 7}))
