"""The signaling server, open to everybody and without limits that a benchmark would reach."""

from __future__ import annotations

import asyncio

from rtc_signaling.auth import OpenAuthenticator
from rtc_signaling.server import SignalingServer
from rtc_signaling.server_config import ServerConfig
from streams import talk


async def main() -> None:
    """Serve until the harness is done."""
    config = ServerConfig(
        host='127.0.0.1',
        port=0,
        max_connections=100,
        connection_rate_hz=1e6,
        connection_burst=1_000_000,
        resume_window_s=0.0,
    )
    async with SignalingServer(config, OpenAuthenticator()).run() as server:
        await talk.serve({}, port=server.port)


if __name__ == '__main__':
    asyncio.run(main())
