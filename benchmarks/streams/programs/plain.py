"""Plain aiortc: a track of BGR frames and an encoder for each viewer, as its examples do it.

The bitrate is set, the preset only if the third argument is `superfast`: aiortc itself sets none,
which is x264's `medium`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator

import aioice.ice
import aiortc.codecs
import av
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription, VideoStreamTrack
from aiortc.codecs import h264

from streams import talk
from streams.film import Film
from streams.h264 import encoder
from streams.plan import RATE_HZ, Stream, from_arguments


class BgrTrack(VideoStreamTrack):
    """Show the film; aiortc converts and encodes each frame for this viewer alone."""

    def __init__(self, film: Film) -> None:
        super().__init__()
        self._film = film

    async def recv(self) -> av.VideoFrame:
        """Return the next frame, 30 a second."""
        pts, time_base = await self.next_timestamp()
        index = round(pts * time_base * RATE_HZ)
        frame = av.VideoFrame.from_ndarray(
            self._film.pictures[self._film.at(index)], format='bgr24'
        )
        frame.pts, frame.time_base = pts, time_base
        return frame


class PresetEncoder(h264.H264Encoder):
    """Be aiortc's encoder with the settings that all others have."""

    def _encode_frame(self, frame: av.VideoFrame, force_keyframe: bool) -> Iterator[bytes]:
        if self.codec is None:
            self.codec = encoder(frame.width, frame.height, self.target_bitrate)
        return super()._encode_frame(frame, force_keyframe)


async def main(stream: Stream, preset: str) -> None:
    """Serve viewers at a TCP port until the harness is done."""
    h264.DEFAULT_BITRATE = h264.MIN_BITRATE = h264.MAX_BITRATE = stream.bitrate_bps
    if preset == 'superfast':
        aiortc.codecs.H264Encoder = PresetEncoder
    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ['127.0.0.1']
    film = Film(stream)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        connection.addTrack(BgrTrack(film))
        sdp = json.loads(await reader.readline())['sdp']
        await connection.setRemoteDescription(RTCSessionDescription(sdp, 'offer'))
        await connection.setLocalDescription(await connection.createAnswer())
        answer = {'sdp': connection.localDescription.sdp}
        writer.write(json.dumps(answer).encode() + b'\n')
        await reader.read()
        writer.close()
        await connection.close()

    async with await asyncio.start_server(serve, '127.0.0.1', 0) as server:
        await talk.serve({}, port=server.sockets[0].getsockname()[1])


if __name__ == '__main__':
    asyncio.run(main(from_arguments(sys.argv[1:]), sys.argv[4]))
