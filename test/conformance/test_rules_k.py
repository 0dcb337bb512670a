"""Section 9: messages that end the connection, and clients that do not read."""

from __future__ import annotations

import asyncio
import socket
from urllib.parse import urlsplit

import pytest
import words

FRAGMENTS = 64
CUT_OFF_S = 45.0
PROMPT_S = 3.0


def largest(peer):
    return peer.welcome['limits']['max_message_bytes']


async def test_k1_the_largest_message_is_taken(desk):
    pilot = await desk.receiver()
    await pilot.send_text(words.padded('ping', largest(pilot), msg_id='large'))
    await pilot.expect('pong', msg_id='large')


async def test_k1_a_larger_message_closes(desk):
    pilot = await desk.receiver()
    await pilot.send_text(words.padded('ping', largest(pilot) + 1))
    await pilot.expect_close(1009)


async def test_k1_a_larger_message_in_fragments_closes(desk):
    pilot = await desk.receiver()
    text = words.padded('ping', largest(pilot) + 1)
    middle = len(text) // 2
    await pilot.send_fragments([text[:middle], text[middle:]])
    await pilot.expect_close(1009)


async def test_k1_fragments_are_joined(desk):
    pilot = await desk.receiver()
    text = words.padded('ping', 60 * 20, msg_id='joined')
    await pilot.send_fragments([text[i : i + 20] for i in range(0, len(text), 20)])
    await pilot.expect('pong', msg_id='joined')


async def test_k1_too_many_fragments_close(desk):
    pilot = await desk.receiver()
    text = words.padded('ping', FRAGMENTS + 10, msg_id='f')
    await pilot.send_fragments(list(text))
    await pilot.expect_close(1009)


async def test_k2_a_binary_message_closes(desk):
    pilot = await desk.receiver()
    await pilot.socket.send(b'{"type": "ping"}')
    await pilot.expect_close(1003)


async def test_k2_what_is_not_utf8_closes(desk):
    pilot = await desk.receiver()
    await pilot.socket.send(b'{"type": "ping", "x": "\xff"}', text=True)
    await pilot.expect_close(1007)


async def test_k3_who_does_not_read_is_cut_off_and_delays_nobody(desk):
    """The sender floods one that does not read, and goes on talking to another."""
    camera = await desk.sender()
    pilot = await desk.receiver()
    slow = await desk.receiver('slow', connection=await _small_socket(desk))
    slow.stop_reading()
    loop = asyncio.get_running_loop()
    end_s = loop.time() + CUT_OFF_S
    number = 0
    while (status := await _pour(camera, slow.id)) == 'delivered':
        desk.check(loop.time() < end_s, f'{slow} was not cut off within {CUT_OFF_S} s')
        number += 1
        sent_s = loop.time()
        await camera.deliver('ice_candidate', **words.candidate(number), client_id=pilot.id)
        await pilot.expect('ice_candidate', **words.candidate(number))
        delay_s = loop.time() - sent_s
        desk.check(delay_s < PROMPT_S, f'another receiver had to wait for {delay_s:.1f} s')
    desk.check(status == 'queued', f'the sender was told {status}')
    await pilot.check_alive()
    await slow.read_to_the_end()
    # 4413 only if there was room for it: the connection may be just gone.
    desk.check(slow.socket.close_code in (1006, 4413), f'{slow} was {slow.socket.close_code}')


async def _pour(camera, client_id):
    """Send as much as a message holds; return what became of it, when the server has let us."""
    text = {'candidate': '', 'pad': 'p' * 48_000, 'client_id': client_id}
    while True:
        answer = await camera.ask('ice_candidate', **text)
        if answer['type'] == 'ack':
            return answer['status']
        if answer['code'] == 'peer_unavailable':
            return 'queued'
        camera.desk.check(answer['code'] == 'rate_limited', f'it was answered by {answer}')
        # The server has said when to come again.
        await asyncio.sleep(answer['retry_after_s'])


async def _small_socket(desk):
    """Return a connection to the server that holds little in the kernel."""
    parts = urlsplit(desk.target.url)
    if parts.hostname is None:
        pytest.fail(f'{desk.target.url} names no host')
    port = parts.port or (443 if parts.scheme == 'wss' else 80)
    loop = asyncio.get_running_loop()
    infos = await loop.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    family, kind, protocol, _, address = infos[0]
    connection = socket.socket(family, kind, protocol)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.setblocking(False)
    await loop.sock_connect(connection, address)
    return connection
