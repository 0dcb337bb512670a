"""Asks a TURN server for a relay, and gives it back at once."""

from __future__ import annotations

import asyncio

from aioice.stun import TransactionError, TransactionFailed
from aioice.turn import create_turn_endpoint
from aiortc.rtcicetransport import parse_stun_turn_uri
from msgspec import UNSET, UnsetType

from rtc_signaling.doctor.media_verdicts import Allocation
from rtc_signaling.messages import IceServer

# Unanswered requests are sent again by aioice for some 40 s; a person does not wait so long.
ANSWER_TIMEOUT_S = 5.0
GOODBYE_TIMEOUT_S = 1.0


class _Relayed(asyncio.DatagramProtocol):
    """Be the end of a relay that nothing is sent through."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the relay was given back."""
        self.closed.set()


async def allocate(url: str, server: IceServer) -> Allocation:
    """Get a relay by one URL of a TURN server, and give it back.

    Args:
        url: One of the server's URLs, of the scheme turn or turns.
        server: Whose credential is shown.
    """
    try:
        where = parse_stun_turn_uri(url)
    except ValueError as error:
        return Allocation(url, detail=str(error))
    protocol = _Relayed()
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            transport, _ = await create_turn_endpoint(
                lambda: protocol,
                (where['host'], where['port']),
                _text(server.username),
                _text(server.credential),
                ssl=where['scheme'] == 'turns',
                transport=where['transport'],
            )
    except TransactionFailed as error:
        code, reason = error.response.attributes.get('ERROR-CODE', (0, 'refused'))
        return Allocation(url, code=code, detail=f'{code} {reason}')
    except TimeoutError:
        return Allocation(url, detail=f'no answer within {ANSWER_TIMEOUT_S:.0f} s')
    except (TransactionError, OSError) as error:
        return Allocation(url, detail=str(error))
    host, port = transport.get_extra_info('sockname')
    transport.close()
    try:
        async with asyncio.timeout(GOODBYE_TIMEOUT_S):
            await protocol.closed.wait()
    except TimeoutError:
        pass  # the server forgets it by itself
    return Allocation(url, relay=f'{host}:{port}')


def _text(value: str | UnsetType) -> str | None:
    return None if value is UNSET else value
