"""The tables of sections 8 and 9, and what section 9 says about HTTP: row by row."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import document
import pytest
import words
from peer import DEADLINE_S
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus
from websockets.uri import parse_uri

ERRORS = document.errors()
TOO_MANY = 6
# Pings that are sent at once, and how many times more than the burst allows.
BATCH = 50
MORE_BATCHES = 40
# One message each that gets the error, from the receiver of a pair; the others have their tests.
PROVOCATIONS = {
    'invalid_json': 'hello',
    'invalid_message': {'type': 'no_such_type'},
    'invalid_sdp': {'type': 'offer', 'sdp': 'hello'},
    'invalid_candidate': {'type': 'ice_candidate', 'candidate': 'hello'},
    'invalid_state': {'type': 'answer', 'sdp': words.answer()},
    'forbidden_client_id': {'type': 'offer', 'sdp': words.sdp(), 'client_id': 'kit:another'},
    'peer_unavailable': {'type': 'offer', 'sdp': words.sdp(), 'sender_id': 'kit:nobody'},
}


async def provoke(client, code, message):
    """Send `message` until it is clear whether it counts as a violation."""
    desk, row = client.desk, ERRORS[code]
    for _ in range(TOO_MANY):
        if isinstance(message, str):
            await client.send_text(message)
        else:
            await client.send(**{'kind': message['type'], **_without_type(message)})
        error = await client.expect('error')
        desk.check(error['code'] == code, f'{message!r:.100} was answered by {error}')
        desk.check(error['retry'] is row.retry, f'retry = {error["retry"]} in {error}')
    if row.violation:
        await client.expect_close(4400)
    else:
        await client.check_alive()


@pytest.mark.parametrize('code', PROVOCATIONS)
async def test_error_in_a_session(desk, code):
    pilot, camera = await desk.pair()
    message = PROVOCATIONS[code]
    if isinstance(message, dict):
        message = {'sender_id': camera.id} | message
    await provoke(pilot, code, message)


async def test_error_forbidden_message(desk):
    pilot, camera = await desk.pair()
    message = {'type': 'stats', 'fps': 1, 'client_id': pilot.id}
    await provoke(camera, 'forbidden_message', message)


async def test_error_ambiguous_target(desk):
    pilot, _ = await desk.pair()
    await desk.sender('other')
    await provoke(pilot, 'ambiguous_target', {'type': 'offer', 'sdp': words.sdp()})


async def test_error_forbidden_camera(subjects_desk):
    desk = subjects_desk
    if not desk.target.restricted_token:
        pytest.skip('needs --restricted-token')
    camera = await desk.sender()
    guest = await desk.receiver('guest', token=desk.target.restricted_token)
    message = {'type': 'offer', 'sdp': words.sdp(), 'sender_id': camera.id}
    await provoke(guest, 'forbidden_camera', message)
    messages = await camera.drain()
    desk.check(not messages, f'the sender got {messages}')


async def test_error_peer_unavailable_when_too_many_wait(desk):
    pilot, camera = await desk.pair()
    limit = pilot.welcome['limits']['queue_messages']
    await pilot.drop()
    await desk.until_away(pilot, camera)
    for number in range(limit):
        members = words.candidate(number) | {'client_id': pilot.id}
        await camera.send('ice_candidate', **members, msg_id=f'q{number}')
    answers = [
        (await camera.expect_answer(f'q{number}')).get('code', 'queued') for number in range(limit)
    ]
    # One waits already.
    expected = ['queued'] * (limit - 1) + ['peer_unavailable']
    desk.check(answers == expected, f'the answers were {answers}')
    await desk.resume(pilot)


async def test_error_peer_unavailable_when_too_much_waits(desk):
    pilot, camera = await desk.pair()
    limits = pilot.welcome['limits']
    await pilot.drop()
    await desk.until_away(pilot, camera)
    pad = 'p' * (limits['max_message_bytes'] - 1000)
    fitting = limits['queue_bytes'] // len(pad)
    for number in range(fitting + 1):
        answer = await camera.ask('ice_candidate', candidate='', pad=pad, client_id=pilot.id)
        expected = 'queued' if number < fitting - 1 else 'peer_unavailable'
        if number in (fitting - 2, fitting):
            got = answer.get('code', answer.get('status'))
            desk.check(got == expected, f'number {number + 1} of {len(pad)} bytes: {answer}')
    await desk.resume(pilot)


async def test_error_expired(desk):
    pilot, camera = await desk.pair()
    window_s = pilot.welcome['limits']['resume_window_s']
    await pilot.drop()
    await desk.until_away(pilot, camera)
    error = await camera.expect('error', within_s=window_s, code='expired')
    desk.check(error['retry'] is ERRORS['expired'].retry, f'retry is wrong in {error}')


async def test_error_unauthorized(desk):
    pilot = await desk.open(token='no-such-token-0123456789')
    await fatal(pilot, 'unauthorized')


async def test_error_forbidden_role(desk):
    camera = await desk.open(token=desk.target.token, role='sender')
    await fatal(camera, 'forbidden_role')


async def test_error_timeout(desk):
    pilot = await desk.open()
    await fatal(pilot, 'timeout')


async def test_error_name_taken(subjects_desk):
    desk = subjects_desk
    if not desk.target.other_token:
        pytest.skip('needs --other-token')
    pilot = await desk.receiver()
    thief = await desk.open(token=desk.target.other_token, client_id=pilot.id)
    await fatal(thief, 'name_taken')


async def test_error_too_many_connections(own_desk):
    desk, _ = own_desk(max_connections=1)
    await desk.receiver()
    # The place that is kept for a sender lets it in, but it turns out to be none.
    liar = await desk.open(role='sender', auth='message')
    await liar.send('authenticate', token=desk.target.token, role='receiver')
    await fatal(liar, 'too_many_connections')


async def fatal(client, code):
    """See that the connection ends as the table says."""
    row = ERRORS[code]
    messages = await client.expect_close(row.close_code, code)
    error = messages[-1]
    client.desk.check(error['retry'] is row.retry, f'retry is wrong in {error}')


async def test_error_rate_limited(desk):
    """Send more than is allowed, and then go on."""
    pilot = await desk.receiver()
    limits = pilot.welcome['limits']
    if limits['burst'] > 2000:
        pytest.skip(f'a burst of {limits["burst"]} is too much')
    messages = []
    for batch in range(limits['burst'] // BATCH + MORE_BATCHES):
        for number in range(BATCH):
            await pilot.send_if_open('ping', msg_id=f'{batch}-{number}')
        came = await pilot.collect(BATCH)
        messages += came
        if len(came) < BATCH:
            break
    await pilot.expect_close(ERRORS['rate_limited'].close_code)
    pongs = [message for message in messages if message['type'] == 'pong']
    errors = [message for message in messages if message['type'] == 'error']
    desk.check(len(pongs) >= limits['burst'], f'{len(pongs)} were served of {limits["burst"]}')
    first = errors[0]
    desk.check(first['code'] == 'rate_limited', f'it was refused with {first}')
    desk.check(first['retry'] is True and first['retry_after_s'] >= 0, f'when again? {first}')
    desk.check('msg_id' in first, f'[A1] is broken: {first} has no msg_id')
    desk.check(len(errors) > 1, 'it was closed at the first message too many')


async def test_close_1001_when_the_server_stops(own_desk):
    desk, server = own_desk()
    pilot = await desk.receiver()
    server.terminate()
    await pilot.expect_close(1001)


async def test_close_1002_frames_that_are_none(desk):
    pilot = await desk.receiver()
    # An opcode that RFC 6455 reserves, in a masked frame without data.
    pilot.socket.transport.write(b'\x83\x80\0\0\0\0')
    await pilot.expect_close(1002)


async def test_close_4408_who_answers_no_ping(own_desk):
    desk, _ = own_desk(timeout=1.0)
    code = await _close_code_of_the_silent(desk)
    desk.check(code == 4408, f'it was closed with {code}')


async def _close_code_of_the_silent(desk):
    """Return with what a client is closed that answers no WebSocket ping."""
    protocol = ClientProtocol(parse_uri(desk.target.url))
    request = protocol.connect()
    request.headers['Authorization'] = f'Bearer {desk.target.token}'
    protocol.send_request(request)
    parts = urlsplit(desk.target.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(b''.join(protocol.data_to_send()))
    async with asyncio.timeout(DEADLINE_S):
        while data := await reader.read(65536):
            protocol.receive_data(data)
            protocol.data_to_send()  # the pongs: nobody gets them
    protocol.receive_eof()
    writer.close()
    await writer.wait_closed()
    return protocol.close_code


async def test_compression_is_not_negotiated(desk):
    headers = {'Sec-WebSocket-Extensions': 'permessage-deflate; client_max_window_bits'}
    pilot = await desk.open(token=desk.target.token, headers=headers)
    extensions = pilot.socket.response.headers.get('Sec-WebSocket-Extensions')
    desk.check(extensions is None, f'the server chose {extensions}')
    await pilot.expect_welcome()


@pytest.mark.parametrize(
    ('path', 'headers', 'status'),
    [
        ('/elsewhere', {}, 404),
        ('', {'Origin': 'http://elsewhere.example'}, 403),
    ],
    ids=['path', 'origin'],
)
async def test_http_refusal(desk, path, headers, status):
    with pytest.raises(InvalidStatus) as refusal:
        await desk.open(path=path, token=desk.target.token, headers=headers)
    got = refusal.value.response.status_code
    desk.check(got == status, f'{path} {headers}: HTTP {got} and not {status}')


async def test_http_refusal_of_a_foreign_host(desk):
    if desk.target.url.startswith('wss:'):
        pytest.skip('the name would not be that of the certificate either')
    response = await desk.refusal(name='elsewhere.example', token=desk.target.token)
    desk.check(response.status_code == 403, f'HTTP {response.status_code}')


async def test_http_503_when_all_places_are_taken(own_desk):
    desk, _ = own_desk(max_connections=1)
    await desk.receiver()
    response = await desk.refusal(token=desk.target.token)
    desk.check(response.status_code == 503, f'HTTP {response.status_code}')
    desk.check('Retry-After' in response.headers, 'it does not say when to come again')
    await desk.sender()


async def test_http_429_when_an_address_connects_too_often(own_desk):
    desk, _ = own_desk(**{'limits.connection_rate': 0.1, 'limits.connection_burst': 2})
    for name in ('one', 'two'):
        await desk.receiver(name)
    response = await desk.refusal(token=desk.target.token)
    desk.check(response.status_code == 429, f'HTTP {response.status_code}')


async def test_http_429_when_an_address_guesses_tokens(own_desk):
    desk, _ = own_desk(**{'limits.failed_logins': 3})
    for _ in range(3):
        await (await desk.open(token='no-such-token-0123456789')).expect_close(4401)
    response = await desk.refusal(token=desk.target.token)
    desk.check(response.status_code == 429, f'HTTP {response.status_code}')


def _without_type(message):
    return {key: value for key, value in message.items() if key != 'type'}
