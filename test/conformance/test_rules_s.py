"""Section 3: what is forwarded, to whom, and what is not."""

from __future__ import annotations

import json

import pytest
import words

FORWARDED = {'type', 'seq', 'client_id', 'sender_id'}


async def test_s1_an_offer_reaches_the_sender(desk):
    pilot, camera = await desk.pair()
    await pilot.send('offer', sdp=words.sdp(), sender_id=camera.id, client_id=pilot.id)
    offer = await camera.expect('offer', client_id=pilot.id, sender_id=camera.id)
    desk.check(offer['sdp'] == words.sdp(), 'the SDP was changed')


async def test_s1_an_answer_reaches_the_receiver(desk):
    pilot, camera = await desk.pair()
    await pilot.deliver('offer', sdp=words.sdp(), sender_id=camera.id)
    await camera.send('answer', sdp=words.answer(), client_id=pilot.id)
    answer = await pilot.expect('answer', client_id=pilot.id, sender_id=camera.id)
    desk.check(answer['sdp'] == words.answer(), 'the SDP was changed')


async def test_s1_the_sender_may_offer_too(desk):
    pilot, camera = await desk.pair()
    await camera.send('offer', sdp=words.sdp(), client_id=pilot.id)
    await pilot.expect('offer', client_id=pilot.id, sender_id=camera.id, sdp=words.sdp())
    await pilot.send('answer', sdp=words.answer(), sender_id=camera.id)
    await camera.expect('answer', client_id=pilot.id, sender_id=camera.id, sdp=words.answer())


async def test_s1_sender_id_is_the_senders_whatever_it_says(desk):
    pilot, camera = await desk.pair()
    await camera.send('offer', sdp=words.sdp(), client_id=pilot.id, sender_id=desk.name('fake'))
    offer = await pilot.expect('offer')
    desk.check(offer['sender_id'] == camera.id, f'it is {offer["sender_id"]}')


@pytest.mark.parametrize('from_receiver', [True, False], ids=['from_receiver', 'from_sender'])
async def test_s1_the_order_is_kept(desk, from_receiver):
    pilot, camera = await desk.pair()
    source, sink = (pilot, camera) if from_receiver else (camera, pilot)
    target = {'client_id': pilot.id, 'sender_id': camera.id}
    await source.send('offer', sdp=words.sdp(), **target)
    for number in range(30):
        await source.send('ice_candidate', **words.candidate(number), **target)
    await source.deliver('offer', sdp=words.sdp('second'), **target)
    messages = await sink.drain()
    lines = [message.get('candidate') for message in messages]
    expected = [words.candidate(number)['candidate'] for number in range(30)]
    desk.check(lines == [None, *expected, None], f'they came as {lines}')


async def test_s1_several_receivers_are_kept_apart(desk):
    pilot, camera = await desk.pair()
    visitor = await desk.receiver('visitor')
    for peer in (pilot, visitor):
        await peer.deliver('offer', sdp=words.sdp(peer.id), sender_id=camera.id)
    for peer in (visitor, pilot):
        await camera.deliver('answer', sdp=words.answer(peer.id), client_id=peer.id)
    for peer in (pilot, visitor):
        messages = await peer.drain()
        sdps = [message['sdp'] for message in messages]
        desk.check(sdps == [words.answer(peer.id)], f'{peer} got {messages}')


@pytest.mark.parametrize('kind', ['offer', 'answer', 'ice_candidate', 'stats'])
async def test_s2_a_receiver_may_name_nobody_but_itself(desk, kind):
    pilot, camera = await desk.pair()
    visitor = await desk.receiver('visitor')
    members = {
        'offer': {'sdp': words.sdp()},
        'answer': {'sdp': words.answer()},
        'ice_candidate': words.candidate(),
        'stats': {'fps': 30.0},
    }[kind]
    for client_id in (visitor.id, desk.name('nobody'), camera.id):
        await pilot.refused(
            'forbidden_client_id', kind, client_id=client_id, sender_id=camera.id, **members
        )
    for peer in (camera, visitor):
        messages = await peer.drain()
        desk.check(not messages, f'{peer} got {messages}')


async def test_s2_a_receiver_may_name_itself(desk):
    pilot, camera = await desk.pair()
    await pilot.deliver('offer', sdp=words.sdp(), client_id=pilot.id, sender_id=camera.id)


async def test_s3_sender_id_names_the_sender(desk):
    pilot, camera = await desk.pair()
    other = await desk.sender('other')
    await pilot.deliver('offer', sdp=words.sdp(), sender_id=other.id)
    await other.expect('offer', client_id=pilot.id, sender_id=other.id)
    messages = await camera.drain()
    desk.check(not messages, f'the other sender got {messages}')


async def test_s3_the_only_session_is_meant(desk):
    pilot, camera = await desk.pair()
    other = await desk.sender('other')
    await pilot.deliver('offer', sdp=words.sdp(), sender_id=other.id)
    await pilot.deliver('ice_candidate', **words.candidate())
    await other.expect('ice_candidate', client_id=pilot.id, sender_id=other.id)
    messages = await camera.drain()
    desk.check(not messages, f'the other sender got {messages}')


async def test_s3_a_message_that_is_refused_makes_no_session(desk):
    pilot, _ = await desk.pair()
    other = await desk.sender('other')
    await pilot.refused('invalid_state', 'answer', sdp=words.answer(), sender_id=other.id)
    await pilot.refused('ambiguous_target', 'offer', sdp=words.sdp())


async def test_s3_the_only_sender_is_meant(desk):
    pilot, camera = await desk.pair()
    senders = [peer['client_id'] for peer in pilot.welcome['peers']]
    if senders != [camera.id]:
        pytest.skip(f'needs a server without other senders, it has {senders}')
    await pilot.deliver('offer', sdp=words.sdp())
    await camera.expect('offer', client_id=pilot.id, sender_id=camera.id)


async def test_s3_of_several_senders_one_has_to_be_named(desk):
    pilot, camera = await desk.pair()
    other = await desk.sender('other')
    await pilot.refused('ambiguous_target', 'offer', sdp=words.sdp())
    for peer in (camera, other):
        messages = await peer.drain()
        desk.check(not messages, f'{peer} got {messages}')


async def test_s3_of_several_sessions_one_has_to_be_named(desk):
    pilot, camera = await desk.pair()
    other = await desk.sender('other')
    for peer in (camera, other):
        await pilot.deliver('offer', sdp=words.sdp(), sender_id=peer.id)
    await pilot.refused('ambiguous_target', 'ice_candidate', **words.candidate())


async def test_s4_client_id_names_the_receiver(desk):
    pilot, camera = await desk.pair()
    visitor = await desk.receiver('visitor')
    await camera.deliver('offer', sdp=words.sdp(), client_id=visitor.id)
    await visitor.expect('offer', client_id=visitor.id, sender_id=camera.id)
    messages = await pilot.drain()
    desk.check(not messages, f'the other receiver got {messages}')


async def test_s4_the_only_receiver_is_meant(desk):
    pilot = await desk.receiver()
    camera = await desk.sender()
    receivers = [peer['client_id'] for peer in camera.welcome['peers']]
    if receivers != [pilot.id]:
        pytest.skip(f'needs a server without other receivers, it has {receivers}')
    await camera.deliver('offer', sdp=words.sdp())
    await pilot.expect('offer', client_id=pilot.id, sender_id=camera.id)


async def test_s4_of_several_receivers_one_has_to_be_named(desk):
    pilot, camera = await desk.pair()
    visitor = await desk.receiver('visitor')
    await pilot.deliver('offer', sdp=words.sdp(), sender_id=camera.id)
    await camera.refused('ambiguous_target', 'answer', sdp=words.answer())
    for peer in (pilot, visitor):
        messages = await peer.drain()
        desk.check(not messages, f'{peer} got {messages}')


async def test_s4_nothing_goes_from_receiver_to_receiver(desk):
    pilot, camera = await desk.pair()
    visitor = await desk.receiver('visitor')
    await pilot.refused('peer_unavailable', 'offer', sdp=words.sdp(), sender_id=visitor.id)
    for peer in (visitor, camera):
        messages = await peer.drain()
        desk.check(not messages, f'{peer} got {messages}')


async def test_s4_nothing_goes_from_sender_to_sender(desk):
    camera = await desk.sender()
    other = await desk.sender('other')
    await camera.refused('peer_unavailable', 'offer', sdp=words.sdp(), client_id=other.id)
    messages = await other.drain()
    desk.check(not messages, f'the other sender got {messages}')


@pytest.mark.parametrize('role', ['receiver', 'sender'])
async def test_s5_who_is_not_there_is_unavailable(desk, role):
    client = await (desk.receiver() if role == 'receiver' else desk.sender())
    member = 'sender_id' if role == 'receiver' else 'client_id'
    target = {member: desk.name('nobody')}
    error = await client.refused('peer_unavailable', 'offer', sdp=words.sdp(), **target)
    desk.check(error['retry'] is True, f'retry is not true in {error}')


async def test_s6_unknown_members_are_dropped(desk):
    pilot, camera = await desk.pair()
    await pilot.send(
        'offer', sdp=words.sdp(), sender_id=camera.id, msg_id='7', seq=99, smuggled={'a': [1]}
    )
    offer = await camera.expect('offer')
    more = offer.keys() - FORWARDED - {'sdp'}
    desk.check(not more, f'{more} came with it')


async def test_s6_unknown_members_of_a_candidate_are_forwarded(desk):
    pilot, camera = await desk.pair()
    unknown = {
        'network': {'id': 7, 'cost': [1, 2.5, True, None], 'name': 'ümläut \U0001f4f7'},
        'relayProtocol': 'udp',
        'extra': [],
        'nothing': None,
    }
    members = words.candidate() | {'usernameFragment': 'kitu'} | unknown
    await pilot.send('ice_candidate', **members, sender_id=camera.id, msg_id='7')
    candidate = await camera.expect('ice_candidate')
    rest = {key: value for key, value in candidate.items() if key not in FORWARDED}
    desk.check(rest == members, f'{members} became {rest}')


async def test_s6_of_a_member_that_stands_twice_the_last_counts(desk):
    pilot, camera = await desk.pair()
    names = json.dumps(desk.name('nobody')), json.dumps(camera.id)
    sdps = [json.dumps(words.sdp(tag)) for tag in ('first', 'last')]
    await pilot.send_text(
        f'{{"type": "offer", "sdp": {sdps[0]}, "sdp": {sdps[1]}, '
        f'"sender_id": {names[0]}, "sender_id": {names[1]}}}'
    )
    offer = await camera.expect('offer')
    desk.check(offer['sdp'] == words.sdp('last'), 'the first sdp counted')


async def test_s6_of_a_type_that_stands_twice_the_last_does_not_count(desk):
    pilot = await desk.receiver()
    await pilot.send_text('{"type": "pong", "type": "ping"}')
    messages = await pilot.drain({'pong'})
    desk.check(not messages, f'it was answered by {messages}')


async def test_s6_of_a_candidates_member_that_stands_twice_the_last_counts(desk):
    pilot, camera = await desk.pair()
    lines = [json.dumps(words.candidate(number)['candidate']) for number in (1, 2)]
    await pilot.send_text(
        f'{{"type": "ice_candidate", "candidate": {lines[0]}, "candidate": {lines[1]}, '
        f'"unknown": 1, "unknown": 2, "sender_id": {json.dumps(camera.id)}}}'
    )
    candidate = await camera.expect('ice_candidate')
    got = (json.dumps(candidate['candidate']), candidate['unknown'])
    desk.check(got == (lines[1], 2), f'candidate and unknown became {got}')


@pytest.mark.parametrize('line', ['', None], ids=['empty', 'null'])
@pytest.mark.parametrize('from_receiver', [True, False], ids=['from_receiver', 'from_sender'])
async def test_s7_the_end_of_candidates_is_forwarded(desk, line, from_receiver):
    pilot, camera = await desk.pair()
    source, sink = (pilot, camera) if from_receiver else (camera, pilot)
    nulls = dict.fromkeys(('sdpMid', 'sdpMLineIndex', 'usernameFragment'))
    await source.send(
        'ice_candidate', candidate=line, **nulls, client_id=pilot.id, sender_id=camera.id
    )
    candidate = await sink.expect('ice_candidate')
    rest = {key: value for key, value in candidate.items() if key not in FORWARDED}
    expected = {'candidate': line, **nulls}
    desk.check(rest == expected, f'{expected} became {rest}')


@pytest.mark.parametrize(
    'line',
    [
        'candidate:1 1 TCP 1518280447 2001:db8::7 9 typ host tcptype active',
        'candidate:842163049 1 udp 1677729535 198.51.100.7 46154 typ srflx raddr 0.0.0.0 rport 0 '
        'generation 0 ufrag kitu network-cost 999',
        'candidate:1 1 UDP 2122252543 01234567-89ab-cdef-0123-456789abcdef.local 58949 typ host',
    ],
    ids=['tcp_ipv6', 'srflx', 'mdns'],
)
async def test_s7_candidates_of_browsers_are_forwarded(desk, line):
    pilot, camera = await desk.pair()
    await pilot.deliver('ice_candidate', candidate=line, sdpMid='0', sender_id=camera.id)
    await camera.expect('ice_candidate', candidate=line)


BAD_SDPS = {
    'empty': '',
    'no_sdp': 'hello',
    'no_version': words.sdp().removeprefix('v=0\r\n'),
    'other_version': words.sdp().replace('v=0', 'v=1'),
    'no_media': words.sdp().partition('m=')[0],
    'no_ufrag': words.sdp().replace('a=ice-ufrag:kitu\r\n', ''),
    'no_pwd': words.sdp().replace('a=ice-pwd:kitkitkitkitkitkitkitkit\r\n', ''),
    'no_fingerprint': words.sdp().replace('a=fingerprint:', 'a=fingertips:'),
    'too_large': words.sdp(size_bytes=48 * 1024 + 1),
}


@pytest.mark.parametrize('name', BAD_SDPS)
async def test_s8_a_bad_offer_is_refused(desk, name):
    pilot, camera = await desk.pair()
    await pilot.refused('invalid_sdp', 'offer', sdp=BAD_SDPS[name], sender_id=camera.id)
    messages = await camera.drain()
    desk.check(not messages, f'the sender got {messages}')


async def test_s8_a_bad_answer_is_refused(desk):
    pilot, camera = await desk.pair()
    await pilot.deliver('offer', sdp=words.sdp(), sender_id=camera.id)
    await camera.refused('invalid_sdp', 'answer', sdp='v=0\r\n', client_id=pilot.id)
    await camera.deliver('answer', sdp=words.answer(), client_id=pilot.id)


async def test_s8_the_largest_sdp_is_forwarded(desk):
    pilot, camera = await desk.pair()
    sdp = words.sdp(size_bytes=48 * 1024)
    await pilot.deliver('offer', sdp=sdp, sender_id=camera.id)
    await camera.expect('offer', sdp=sdp)


@pytest.mark.parametrize(
    'line',
    [
        'hello',
        'candidate:1 1 udp 2113937151 192.0.2.7 50000',
        'candidate:1 1 udp 2113937151 192.0.2.7 65536 typ host',
        'candidate:1 1 udp 2113937151 192.0.2.777 50000 typ host',
        'candidate:1 0 udp 2113937151 192.0.2.7 50000 typ host',
        'candidate:1 1 udp -1 192.0.2.7 50000 typ host',
        'candidate:1 1 udp 2113937151 192.0.2.7 50000 typ host\r\na=x',
    ],
    ids=['text', 'short', 'port', 'address', 'component', 'priority', 'two_lines'],
)
async def test_s8_a_bad_candidate_is_refused(desk, line):
    pilot, camera = await desk.pair()
    await pilot.refused('invalid_candidate', 'ice_candidate', candidate=line, sender_id=camera.id)
    messages = await camera.drain()
    desk.check(not messages, f'the sender got {messages}')


async def test_s9_an_answer_without_an_offer_is_refused(desk):
    pilot, camera = await desk.pair()
    await pilot.refused('invalid_state', 'answer', sdp=words.answer(), sender_id=camera.id)
    await camera.refused('invalid_state', 'answer', sdp=words.answer(), client_id=pilot.id)
    for peer in (pilot, camera):
        messages = await peer.drain()
        desk.check(not messages, f'{peer} got {messages}')


async def test_s9_an_offer_is_answered_once(desk):
    pilot, camera = await desk.pair()
    for tag in ('first', 'second'):
        await pilot.deliver('offer', sdp=words.sdp(tag), sender_id=camera.id)
    await camera.deliver('answer', sdp=words.answer(), client_id=pilot.id)
    await camera.refused('invalid_state', 'answer', sdp=words.answer(), client_id=pilot.id)


async def test_s9_nobody_answers_itself(desk):
    pilot, camera = await desk.pair()
    await pilot.deliver('offer', sdp=words.sdp(), sender_id=camera.id)
    await pilot.refused('invalid_state', 'answer', sdp=words.answer(), sender_id=camera.id)


async def test_s9_of_two_offers_the_senders_wins(desk):
    pilot, camera = await desk.pair()
    await pilot.deliver('offer', sdp=words.sdp('polite'), sender_id=camera.id)
    await camera.deliver('offer', sdp=words.sdp('impolite'), client_id=pilot.id)
    await camera.expect('offer', sdp=words.sdp('polite'))
    await pilot.expect('offer', sdp=words.sdp('impolite'))
    await pilot.deliver('answer', sdp=words.answer(), sender_id=camera.id)
    await camera.expect('answer', client_id=pilot.id)


async def test_s9_either_may_offer_again(desk):
    pilot, camera = await desk.pair()
    target = {'client_id': pilot.id, 'sender_id': camera.id}
    for one, other in ((pilot, camera), (camera, pilot), (pilot, camera)):
        await one.deliver('offer', sdp=words.sdp(), **target)
        await other.deliver('answer', sdp=words.answer(), **target)


@pytest.mark.parametrize('who', ['receiver', 'sender'])
async def test_s11_a_late_answer_is_not_to_the_newer_offer(desk, who):
    pilot, camera = await desk.pair()
    maker, other = (pilot, camera) if who == 'receiver' else (camera, pilot)
    ids = {'client_id': pilot.id, 'sender_id': camera.id}
    for offer_id in ('one', 'two'):
        await maker.deliver('offer', sdp=words.sdp(offer_id), **ids, offer_id=offer_id)
        await other.expect('offer', sdp=words.sdp(offer_id), offer_id=offer_id)
    late = {'sdp': words.answer('late'), 'offer_id': 'one'}
    await other.refused('invalid_state', 'answer', **late, **ids)
    messages = await maker.drain()
    desk.check(not messages, f'the answer to the older offer reached it: {messages}')
    await other.deliver('answer', sdp=words.answer('right'), **ids, offer_id='two')
    await maker.expect('answer', sdp=words.answer('right'), offer_id='two')


async def test_s11_clients_may_do_without(desk):
    pilot, camera = await desk.pair()
    await pilot.deliver('offer', sdp=words.sdp(), sender_id=camera.id, offer_id='one')
    await camera.deliver('answer', sdp=words.answer(), client_id=pilot.id)
    answer = await pilot.expect('answer')
    desk.check('offer_id' not in answer, f'{answer} has an offer_id')


@pytest.mark.parametrize('who', ['receiver', 'sender'])
async def test_s12_a_bye_reaches_the_other_side(desk, who):
    pilot, camera = await desk.pair()
    ids = {'client_id': pilot.id, 'sender_id': camera.id}
    await pilot.deliver('offer', sdp=words.sdp(), **ids, offer_id='one')
    one, other = (pilot, camera) if who == 'receiver' else (camera, pilot)
    members = {'reason': 'busy', 'retry_after_s': 5.0, 'offer_id': 'one'}
    await one.deliver('bye', **members, **ids)
    await other.expect('bye', **members, **ids)
    # Both are in, and it was not the end of anything at the server.
    await camera.deliver('answer', sdp=words.answer(), **ids, offer_id='one')
    await pilot.expect('answer')
    await pilot.deliver('offer', sdp=words.sdp('two'), **ids, offer_id='two')
    await camera.expect('offer', sdp=words.sdp('two'))


@pytest.mark.parametrize('who', ['receiver', 'sender'])
async def test_s12_a_bye_does_not_end_what_a_newer_offer_began(desk, who):
    pilot, camera = await desk.pair()
    ids = {'client_id': pilot.id, 'sender_id': camera.id}
    for offer_id in ('one', 'two'):
        await pilot.deliver('offer', sdp=words.sdp(), **ids, offer_id=offer_id)
    await camera.drain()
    one, other = (pilot, camera) if who == 'receiver' else (camera, pilot)
    await one.refused('invalid_state', 'bye', reason='lost', **ids, offer_id='one')
    messages = await other.drain()
    desk.check(not messages, f'the other side got {messages}')


async def test_s12_a_bye_needs_no_name(desk):
    pilot, camera = await desk.pair()
    await pilot.deliver('offer', sdp=words.sdp(), sender_id=camera.id)
    await camera.deliver('bye', reason='failed', client_id=pilot.id)
    await pilot.expect('bye', reason='failed')


def nested(levels):
    """Return so many lists, one in the other."""
    value = []
    for _ in range(levels - 1):
        value = [value]
    return value


async def test_s13_a_member_may_have_32_levels_and_reaches_who_was_away(desk):
    pilot, camera = await desk.pair()
    await camera.drop()
    await desk.until_away(camera, pilot)
    extra = {'list': nested(32), 'object': {'a': nested(31)}}
    await pilot.deliver('ice_candidate', **words.candidate(500), sender_id=camera.id, **extra)
    again = await desk.resume(camera)
    desk.check(again.welcome['resumed'], 'resumed is false')
    candidate = (await again.drain())[-1]
    kept = {name: candidate.get(name) for name in extra}
    desk.check(kept == extra, f'the members became {kept}')


@pytest.mark.parametrize('levels', [33, 900])
@pytest.mark.parametrize('wrap', [list, dict], ids=['list', 'object'])
async def test_s13_a_member_of_more_levels_is_refused(desk, levels, wrap):
    pilot, camera = await desk.pair()
    value = nested(levels) if wrap is list else {'a': nested(levels - 1)}
    target = {'sender_id': camera.id, 'deep': value}
    await pilot.refused('invalid_message', 'ice_candidate', **words.candidate(1), **target)
    messages = await camera.drain()
    desk.check(not messages, f'the sender got {messages}')


def restricted_token(desk):
    if not desk.target.restricted_token:
        pytest.skip('needs --restricted-token')
    return desk.target.restricted_token


async def test_s5_to_a_camera_that_is_not_admitted_there_is_nobody(subjects_desk):
    desk = subjects_desk
    guest = await desk.receiver('guest', token=restricted_token(desk))
    camera = await desk.sender()
    for _ in range(6):
        await camera.refused('peer_unavailable', 'offer', sdp=words.sdp(), client_id=guest.id)
    await camera.check_alive()
    messages = await guest.drain()
    desk.check(not messages, f'the receiver got {messages}')


async def test_s10_a_camera_is_forbidden_whether_or_not_it_is_there(subjects_desk):
    desk = subjects_desk
    camera = await desk.sender()
    guest = await desk.receiver('guest', token=restricted_token(desk))
    texts = set()
    for name in (camera.id, desk.name('absent')):
        offer = {'sdp': words.sdp(), 'sender_id': name}
        error = await guest.refused('forbidden_camera', 'offer', **offer)
        texts.add(error['message'].replace(name, 'NAME'))
    desk.check(len(texts) == 1, f'the texts tell the one from the other: {texts}')


async def test_s10_a_camera_that_is_not_admitted_is_not_the_only_one(subjects_desk):
    desk = subjects_desk
    camera = await desk.sender()
    guest = await desk.receiver('guest', token=restricted_token(desk))
    await guest.refused('peer_unavailable', 'offer', sdp=words.sdp())
    messages = await camera.drain()
    desk.check(not messages, f'the sender got {messages}')


async def test_s14_the_names_of_cameras_are_forwarded(desk):
    pilot = await desk.receiver()
    robot = await desk.sender_of('front', 'rear')
    target = {'sender_id': robot.id, 'client_id': pilot.id}
    await pilot.deliver('offer', sdp=words.sdp(), cameras=['rear', 'moon'], **target)
    await robot.expect('offer', cameras=['rear', 'moon'], **target)
    bye = {'reason': 'unknown_camera', 'camera': 'moon', 'message': 'there are front, rear'}
    await robot.deliver('bye', **bye, **target)
    await pilot.expect('bye', **bye, **target)
    await pilot.deliver('stats', fps=30, camera='rear', **target)
    await robot.expect('stats', fps=30, camera='rear', **target)


@pytest.mark.parametrize(
    'cameras',
    ['front', [''], ['a:b'], [1], [f'c{number}' for number in range(13)]],
    ids=['text', 'empty', 'colon', 'number', 'many'],
)
async def test_s14_names_that_are_none_are_refused(desk, cameras):
    pilot = await desk.receiver()
    robot = await desk.sender_of('front', 'rear')
    error = await pilot.refused(
        'invalid_message', 'offer', sdp=words.sdp(), sender_id=robot.id, cameras=cameras
    )
    desk.check('cameras' in error['message'], f'{error} does not name the member')
    messages = await robot.drain({'offer'})
    desk.check(not messages, f'the sender got {messages}')
