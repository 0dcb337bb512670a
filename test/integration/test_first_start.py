"""The sender and the server start together, and the server has yet to make the tokens."""

from __future__ import annotations

import contextlib

from fakes import TOKENS

from rtc_signaling.auth import TokenAuthenticator
from rtc_signaling.backoff import Backoff
from rtc_signaling.client import SignalingClient
from rtc_signaling.messages import Connected
from rtc_signaling.server import SignalingServer
from rtc_signaling.server_config import ServerConfig


async def test_a_client_without_a_token_yet_comes_back_until_there_is_one():
    shown = []

    def read_token():
        shown.append(TOKENS.sender if len(shown) == 2 else '')
        return shown[-1]

    config = ServerConfig(host='127.0.0.1', port=0)
    async with SignalingServer(config, TokenAuthenticator(TOKENS)).run() as server:
        client = SignalingClient(
            f'ws://127.0.0.1:{server.port}',
            'sender',
            read_token=read_token,
            backoff=Backoff(0.01, 0.02, lambda low, high: high),
        )
        async with contextlib.aclosing(client.messages()) as incoming:
            async for message in incoming:
                if isinstance(message, Connected):
                    break
    assert shown == ['', '', TOKENS.sender]
