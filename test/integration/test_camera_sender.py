"""The camera sender with a real server and real WebRTC viewers, all on loopback."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import json
import logging
import sys
import time

import pytest
from aiortc.mediastreams import MediaStreamError
from fakes import DEADLINE_S, TOKENS, FakeImage, Viewer, scene_image, until, viewing, welcomed

from rtc_signaling.auth import OpenAuthenticator, TokenAuthenticator
from rtc_signaling.errors import RefusedError
from rtc_signaling.ice import IceManager
from rtc_signaling.media import peer
from rtc_signaling.media.codecs import preferences
from rtc_signaling.media.feed import ON_ITS_WAY_S, CameraTrack
from rtc_signaling.media.key_frames import SHARED_PERIOD_S
from rtc_signaling.media.scene import read_index
from rtc_signaling.media.sender import CameraSender
from rtc_signaling.media.track import Camera
from rtc_signaling.sdp import SdpManager
from rtc_signaling.sender_config import SenderConfig
from rtc_signaling.server import SignalingServer
from rtc_signaling.server_config import ServerConfig

# A server that can be killed: it has to be a process of its own.
SERVER_PROGRAM = """
import asyncio, sys
from rtc_signaling.auth import OpenAuthenticator
from rtc_signaling.server_config import ServerConfig
from rtc_signaling.server import SignalingServer

async def serve():
    config = ServerConfig(host='127.0.0.1', port=int(sys.argv[1]))
    async with SignalingServer(config, OpenAuthenticator()).run() as server:
        print(server.port, flush=True)
        await asyncio.Event().wait()

asyncio.run(serve())
"""


@pytest.fixture
def trusting_server(monkeypatch):
    """Let every description and candidate through: a sender cannot rely on its server."""
    monkeypatch.setattr(SdpManager, 'check', lambda self, sdp, kind: None)
    monkeypatch.setattr(IceManager, 'check_candidate', lambda self, candidate: None)


class Sending:
    """Hold a running sender, with its camera and the figures that it reported."""

    def __init__(self):
        self.camera = Camera()
        self.snapshots = []
        self.size = (320, 240)

    @property
    def now(self):
        return self.snapshots[-1]

    @property
    def key_frames(self):
        return sum(figures.key_frames for figures in self.camera.encoders)

    async def film(self):
        """Be the driver: an image of the scene, 30 times a second."""
        index = 0
        while True:
            self.camera.put(scene_image(index, *self.size), index * 33_333_333)
            index += 1
            await asyncio.sleep(1 / 30)


@contextlib.asynccontextmanager
async def sending(port, *, token=lambda: None, film=True, **settings):
    """Run a camera sender; yields once the server has let it in, if it does."""
    config = SenderConfig(
        server_url=f'ws://127.0.0.1:{port}', ice_addresses=('127.0.0.1',),
        **{'reconnect_min_s': 0.05, 'reconnect_max_s': 0.2} | settings,
    )  # fmt: skip
    result = Sending()
    sender = CameraSender(config, result.camera, token, result.snapshots.append)
    result.sender = sender
    async with sender.run():
        driver = asyncio.create_task(result.film() if film else asyncio.sleep(0))
        try:
            await until(
                lambda: result.snapshots and (result.now.linked or result.now.refusal), 'linked'
            )
            yield result
        finally:
            driver.cancel()
            await asyncio.gather(driver, return_exceptions=True)


@contextlib.asynccontextmanager
async def serving(tokens=None, resume_window_s=0.0):
    # Here a lost connection is a lost client at once, and floods of messages come through.
    config = ServerConfig(
        host='127.0.0.1',
        port=0,
        resume_window_s=resume_window_s,
        connection_burst=1_000_000,
        failed_logins=1_000_000,
        message_burst=1_000_000,
    )
    authenticator = OpenAuthenticator() if tokens is None else TokenAuthenticator(tokens)
    async with SignalingServer(config, authenticator).run() as server:
        yield server


@contextlib.asynccontextmanager
async def server_process(port=0):
    """Run a server in a process of its own; yields the process and its port."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, '-c', SERVER_PROGRAM, str(port), stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(DEADLINE_S):
            line = await process.stdout.readline()
        yield process, int(line)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_moving_pictures_arrive_in_the_right_colours():
    async with serving() as server, sending(server.port) as sender:
        async with viewing(server.port) as viewer:
            await viewer.join()
            indices = await viewer.watch(10)
            assert indices == sorted(set(indices))
            assert viewer.connection.connectionState == 'connected'
            await until(lambda: sender.now.viewers_connected == 1, 'counted')
            assert sender.now.viewers == 1
        # A connection that is closed in order is a goodbye.
        await until(lambda: sender.now.viewers == 0, 'let go', deadline_s=3.0)
    assert sender.now.images_bad == 0
    assert 10 <= sender.now.pictures_shown <= sender.now.images_received


async def test_only_the_chosen_address_is_offered():
    async with serving() as server, sending(server.port), viewing(server.port) as viewer:
        await viewer.offer()
        answer = await viewer.answer()
        candidates = [line for line in answer.splitlines() if line.startswith('a=candidate')]
        assert candidates
        assert {line.split()[4] for line in candidates} == {'127.0.0.1'}
        assert 'a=sendonly' in answer


async def test_candidates_may_come_one_by_one_and_malformed_ones_do_no_harm(trusting_server):
    async with (
        serving() as server,
        sending(server.port) as sender,
        viewing(server.port) as viewer,
    ):
        await viewer.client.send(type='ice_candidate', candidate='before the offer')
        await viewer.connection.setLocalDescription(await viewer.connection.createOffer())
        lines = viewer.connection.localDescription.sdp.splitlines(keepends=True)
        bare = [line for line in lines if 'candidate' not in line]
        await viewer.client.send(type='offer', sdp=''.join(bare))
        for malformed in (
            'x', 'candidate:1 1', 'candidate:1 1 udp many 127.0.0.1 9 typ host',
            'candidate:1 1 udp 1 not-an-address 9 typ host',
            'candidate:1 1 udp 1 127.0.0.1 9 typ nothing',
            'candidate:1 1 udp 1 127.0.0.1 99999 typ host',
            'candidate:1 1 carrier-pigeon 1 127.0.0.1 9 typ host',
            '\0' * 20,
        ):  # fmt: skip
            await viewer.client.send(type='ice_candidate', candidate=malformed, sdpMid='0')
        good = 'candidate:9 1 udp 1 127.0.0.1 9 typ host'
        await viewer.client.send(type='ice_candidate', candidate=good, sdpMid='no such')
        await viewer.client.send(type='ice_candidate', candidate=good, sdpMLineIndex=255)
        for line in lines:
            if line.startswith('a=candidate'):
                await viewer.client.send(
                    type='ice_candidate', candidate=line.strip().removeprefix('a='),
                    sdpMid=None, sdpMLineIndex=None,
                )  # fmt: skip
        await viewer.client.send(type='ice_candidate', candidate=None)
        await viewer.take_answer()
        await viewer.watch()
        assert sender.now.viewers == 1


async def test_when_one_of_two_viewers_leaves_the_other_goes_on():
    async with (
        serving() as server,
        sending(server.port) as sender,
        viewing(server.port) as stays,
    ):
        await stays.join()
        async with viewing(server.port) as leaves:
            await leaves.join()
            await asyncio.gather(stays.watch(), leaves.watch())
            await until(lambda: sender.now.viewers_connected == 2, 'both counted')
            await leaves.client.send(type='leave')
            await until(lambda: sender.now.viewers == 1, 'one let go', deadline_s=3.0)
        last = (await stays.watch(1))[0]
        assert (await stays.watch(10))[-1] > last


async def test_the_video_of_a_viewer_outlives_its_signaling_connection():
    async with (
        serving() as server,
        sending(server.port) as sender,
        viewing(server.port, client_id='viewer') as viewer,
    ):
        await viewer.join()
        last = (await viewer.watch())[-1]
        viewer.client.socket.transport.abort()
        await until(lambda: 'viewer' not in server.clients, 'lost')
        assert (await viewer.watch(15))[-1] > last
        assert sender.now.viewers == 1


async def test_the_video_of_a_viewer_that_the_server_sent_away_ends():
    async with (
        serving() as server,
        sending(server.port) as sender,
        viewing(server.port) as viewer,
    ):
        await viewer.join()
        await viewer.watch()
        for _ in range(6):
            await viewer.client.send(type='no_such_type')
        assert (await viewer.client.closed())[0] == 4400
        await until(lambda: sender.now.viewers == 0, 'let go', deadline_s=3.0)


async def test_a_viewer_that_vanishes_is_let_go_and_the_other_goes_on():
    async with (
        serving() as server,
        sending(server.port, viewer_timeout_s=2.0) as sender,
        viewing(server.port) as stays,
        viewing(server.port) as vanishes,
    ):
        for viewer in (stays, vanishes):
            await viewer.join()
            await viewer.watch()
        await until(lambda: sender.now.viewers_connected == 2, 'both counted')
        vanishes.vanish()
        start_s = time.monotonic()
        keeps_watching = asyncio.create_task(stays.watch(100_000))
        await until(lambda: sender.now.viewers == 1, 'let go', deadline_s=2.0 + 4.0)
        assert time.monotonic() - start_s >= 1.0
        assert not keeps_watching.done()
        keeps_watching.cancel()
        await asyncio.gather(keeps_watching, return_exceptions=True)
        await stays.watch()


@pytest.mark.parametrize(
    'sdp',
    [
        '', 'garbage', 'v=0\r\n', 'v=0\r\nm=video\r\n', 'm=video 9 UDP/TLS/RTP/SAVPF 96\r\n',
        'v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n',
    ],
)  # fmt: skip
async def test_a_garbage_offer_is_the_end_of_that_viewer_alone(sdp, caplog, trusting_server):
    async with (
        serving() as server,
        sending(server.port) as sender,
        viewing(server.port) as good,
        viewing(server.port, client_id='bad') as bad,
    ):
        await good.join()
        await good.watch()
        await bad.client.send(type='offer', sdp=sdp)
        await until(lambda: 'viewer bad: let go' in caplog.text, 'let go')
        await until(lambda: sender.now.viewers == 1, 'not counted any more')
        await good.watch()
        # It may do better the next time.
        await bad.join()
        await bad.watch()
    assert 'Traceback' not in caplog.text


async def without_candidates(viewer, added=''):
    await viewer.connection.setLocalDescription(await viewer.connection.createOffer())
    lines = viewer.connection.localDescription.sdp.splitlines(keepends=True)
    bare = ''.join(line for line in lines if 'candidate' not in line)
    await viewer.client.send(type='offer', sdp=bare + added)


@pytest.mark.parametrize('said_in', ['offer', 'message'])
async def test_a_viewer_whose_candidates_lead_nowhere_reaches_the_sender_itself(said_in):
    # As from behind a NAT, or with candidates of names that cannot be resolved: its checks come
    # later than its last candidate, from an address that it has not offered.
    async with (
        serving() as server,
        sending(server.port),
        viewing(server.port) as viewer,
    ):
        await without_candidates(viewer, 'a=end-of-candidates\r\n' if said_in == 'offer' else '')
        if said_in == 'message':
            await viewer.client.send(type='ice_candidate', candidate='')
        await viewer.take_answer()
        # Longer than it takes the sender to look after the connection.
        await viewer.watch(45)


async def test_a_viewer_whose_connection_never_comes_is_let_go(caplog, monkeypatch):
    monkeypatch.setattr(peer, 'CONNECT_TIMEOUT_S', 1.0)
    caplog.set_level(logging.INFO, 'rtc_signaling')
    async with (
        serving() as server,
        sending(server.port) as sender,
        viewing(server.port, client_id='far') as viewer,
    ):
        await without_candidates(viewer)
        await until(lambda: 'viewer far: gone, no connection within 1 s' in caplog.text, 'let go')
        assert sender.now.viewers == 0


async def test_a_flood_of_candidates_is_dropped_and_the_viewer_served(caplog):
    async with (
        serving() as server,
        sending(server.port) as sender,
        viewing(server.port) as flooding,
        viewing(server.port) as other,
    ):
        await other.join()
        await flooding.offer()
        # All in one segment, so that nobody can work them off in between.
        for i in range(300):
            line = f'candidate:{i} 1 udp {i + 1} 127.0.0.1 {i + 1} typ host'
            message = {'type': 'ice_candidate', 'candidate': line, 'sdpMid': '0'}
            flooding.client.socket.protocol.send_text(json.dumps(message).encode())
        data = b''.join(flooding.client.socket.protocol.data_to_send())
        flooding.client.socket.transport.write(data)
        await until(lambda: 'too many messages at once' in caplog.text, 'dropped')
        await flooding.take_answer()
        await other.watch()
        await flooding.watch()
        assert sender.now.viewers == 2


async def test_a_new_offer_of_a_viewer_takes_the_place_of_its_old_one():
    async with (
        serving() as server,
        sending(server.port) as sender,
        viewing(server.port) as viewer,
    ):
        await viewer.join()
        await viewer.watch()
        again = Viewer(viewer.client)
        await again.join()
        await again.watch()
        assert sender.now.viewers == 1
        await again.close()


async def test_a_viewer_for_whom_there_is_no_place_is_told():
    async with (
        serving() as server,
        sending(server.port, max_viewers=1),
        viewing(server.port) as first,
        viewing(server.port) as late,
    ):
        await first.join()
        await late.offer(offer_id='mine')
        bye = await late.client.expect('bye')
        assert (bye['reason'], bye['offer_id'], bye['retry_after_s']) == ('busy', 'mine', 5.0)
        await first.watch()


async def test_a_viewer_of_whom_nothing_comes_is_told():
    async with (
        serving() as server,
        sending(server.port, viewer_timeout_s=2.0) as sender,
        viewing(server.port) as viewer,
    ):
        await viewer.offer(offer_id='mine')
        await viewer.take_answer()
        await viewer.watch()
        viewer.fall_silent()
        bye = await viewer.client.expect('bye')
        assert (bye['reason'], bye['offer_id']) == ('lost', 'mine')
        assert sender.now.viewers == 0


async def test_a_viewer_whose_offer_makes_no_sense_is_told(trusting_server):
    async with (
        serving() as server,
        sending(server.port),
        viewing(server.port) as viewer,
    ):
        await viewer.client.send(type='offer', sdp='garbage', offer_id='mine')
        bye = await viewer.client.expect('bye')
        assert (bye['reason'], bye['offer_id']) == ('failed', 'mine')


async def test_a_viewer_may_say_goodbye_to_one_camera_and_stay():
    async with (
        serving() as server,
        sending(server.port) as sender,
        viewing(server.port) as viewer,
    ):
        await viewer.offer(offer_id='first')
        await viewer.take_answer()
        await viewer.watch()
        again = Viewer(viewer.client)
        await again.offer(offer_id='second')
        await again.take_answer()
        await again.watch()
        # Of an offer that is gone already: this one is for the server to refuse.
        await viewer.client.send(type='bye', reason='ended', offer_id='first')
        assert (await viewer.client.expect('error'))['code'] == 'invalid_state'
        await again.watch()
        await viewer.client.send(type='bye', reason='ended', offer_id='second')
        await until(lambda: sender.now.viewers == 0, 'let go', deadline_s=3.0)
        assert len(server.clients) == 2
        await again.close()


@pytest.mark.parametrize('resume_window_s', [0.0, 4.0])
async def test_a_viewer_that_is_gone_altogether_is_nothing_to_warn_of(resume_window_s, caplog):
    caplog.set_level(logging.INFO)
    async with (
        serving(resume_window_s=resume_window_s) as server,
        sending(server.port, viewer_timeout_s=2.0) as sender,
        viewing(server.port) as viewer,
    ):
        await viewer.join()
        await viewer.watch()
        viewer.vanish()
        await until(lambda: sender.now.viewers == 0, 'let go', deadline_s=6.0)
        await until(lambda: len(server.clients) == 1, 'out')
        if resume_window_s:
            await until(lambda: 'says expired' in caplog.text, 'told that its bye was in vain')
        # Not asyncio's, which in debug mode warns of a machine that is busy.
        ours = [record for record in caplog.records if record.name.startswith('rtc_signaling')]
        assert not [record for record in ours if record.levelno >= logging.WARNING]


async def test_an_answer_says_which_offer_it_is_to():
    async with serving() as server, sending(server.port), viewing(server.port) as viewer:
        for members in ({'offer_id': 'first'}, {}):
            await viewer.offer(**members)
            answer = await viewer.client.expect('answer')
            assert answer.get('offer_id') == members.get('offer_id')


async def test_no_more_viewers_than_allowed_are_served(caplog):
    async with (
        serving() as server,
        sending(server.port, max_viewers=1) as sender,
        viewing(server.port) as first,
        viewing(server.port, client_id='late') as late,
    ):
        await first.join()
        await first.watch()
        await late.offer()
        await until(lambda: 'viewer late: not served' in caplog.text, 'refused')
        assert sender.now.viewers == 1
        await first.watch()
        await first.client.send(type='leave')
        await until(lambda: sender.now.viewers == 0, 'let go')
        again = Viewer(late.client)
        await again.join()
        await again.watch()
        await again.close()


async def test_the_video_outlives_the_server_and_the_sender_comes_back():
    async with contextlib.AsyncExitStack() as stack:
        process, port = await stack.enter_async_context(server_process())
        sender = await stack.enter_async_context(sending(port))
        viewer = await stack.enter_async_context(viewing(port))
        await viewer.join()
        await viewer.watch()
        process.kill()
        await process.wait()
        await until(lambda: not sender.now.linked, 'the loss noticed')
        before = (await viewer.watch(1))[0]
        assert (await viewer.watch(15))[-1] > before
        await stack.enter_async_context(server_process(port))
        await until(lambda: sender.now.linked, 'back')
        newcomer = await stack.enter_async_context(viewing(port))
        await newcomer.join()
        await asyncio.gather(viewer.watch(), newcomer.watch())
        assert sender.now.viewers == 2


async def test_stopping_ends_the_viewers_video():
    async with serving() as server, viewing(server.port) as viewer:
        async with sending(server.port):
            await viewer.join()
            await viewer.watch()
        with pytest.raises(MediaStreamError):
            await viewer.watch(1000)
        await until(lambda: 'camera' not in server.clients, 'gone')


async def test_a_newer_sender_of_the_same_name_ends_the_older():
    async with serving() as server:
        with pytest.raises(RefusedError) as refusal:
            async with (
                sending(server.port, client_id='camera'),
                welcomed(server.port, role='sender', client_id='camera'),
            ):
                await asyncio.sleep(DEADLINE_S)
        assert refusal.value.close_code == 4409


async def test_a_refused_token_is_reported_and_a_mended_one_taken_up(caplog):
    token = 'wrong'
    async with (
        serving(TOKENS) as server,
        sending(server.port, token=lambda: token, reconnect_max_s=0.3) as sender,
    ):
        assert 'token is missing or wrong' in sender.now.refusal
        refused = server.snapshot().errors['unauthorized']
        await until(lambda: server.snapshot().errors['unauthorized'] > refused, 'a next try')
        token = TOKENS.sender
        await until(lambda: sender.now.linked and not sender.now.refusal, 'in')
    lines = [r for r in caplog.records if r.name == 'rtc_signaling.media.sender']
    assert len(lines) == 1
    assert 'wrong' not in lines[0].getMessage().replace('missing or wrong', '')


async def test_a_bad_image_is_reported_and_a_good_one_shown_again():
    async with (
        serving() as server,
        sending(server.port) as sender,
        viewing(server.port) as viewer,
    ):
        await viewer.join()
        await viewer.watch()
        sender.camera.put(FakeImage(240, 320, 'novel9', 960, b''), 0)
        await until(lambda: sender.now.images_bad == 1, 'counted', deadline_s=3.0)
        await until(lambda: not sender.now.last_error, 'forgotten')
        await viewer.watch()


async def test_three_viewers_get_the_same_pictures_of_one_encoder(monkeypatch):
    asked = []  # by viewers that lost something, on a busy machine
    request = CameraTrack.request_key_frame
    monkeypatch.setattr(
        CameraTrack, 'request_key_frame', lambda track: asked.append(track) or request(track)
    )
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(serving())
        sender = await stack.enter_async_context(sending(server.port))
        viewers = [await stack.enter_async_context(viewing(server.port)) for _ in range(3)]
        for viewer in viewers:
            await viewer.join()

        async def seen(viewer):
            pictures = [await viewer.picture() for _ in range(40)]
            return {read_index(picture): picture for picture in pictures}

        first, *others = await asyncio.gather(*(seen(viewer) for viewer in viewers))
        for other in others:
            common = first.keys() & other.keys()
            assert len(common) > 5
            assert all((first[index] == other[index]).all() for index in common)
        [figures] = sender.camera.encoders
        assert (figures.codec, figures.encoder, figures.viewers) == ('h264', 'libx264', 3)
        # One for all that came together, at most one more for each that came later.
        assert figures.key_frames <= 3 + len(asked)
        assert sender.camera.counts.dropped == 0


async def test_a_viewer_that_lost_a_picture_gets_a_key_frame():
    async with serving() as server, sending(server.port) as sender, viewing(server.port) as viewer:
        await viewer.join()
        await viewer.watch()
        await asyncio.sleep(ON_ITS_WAY_S)
        before = sender.key_frames
        stats = (await viewer.receiver.getStats()).values()
        ssrc = next(entry.ssrc for entry in stats if entry.type == 'inbound-rtp')
        await viewer.receiver._send_rtcp_pli(ssrc)
        await until(lambda: sender.key_frames > before, 'a key frame')
        await viewer.watch()


async def test_the_service_for_a_key_frame_makes_one():
    async with serving() as server, sending(server.port) as sender, viewing(server.port) as viewer:
        assert sender.sender.request_key_frame() == 0
        await viewer.join()
        await viewer.watch()
        await asyncio.sleep(ON_ITS_WAY_S)
        before = sender.key_frames
        assert sender.sender.request_key_frame() == 1
        await until(lambda: sender.key_frames > before, 'a key frame')


def only(viewer, name):
    """Have a viewer offer one codec alone, as some browsers do."""
    [transceiver] = viewer.connection.getTransceivers()
    transceiver.setCodecPreferences(preferences([name]))


@pytest.mark.parametrize('name', ['h264', 'vp8'])
async def test_packets_that_are_lost_are_sent_again(name):
    async with serving() as server, sending(server.port) as sender, viewing(server.port) as viewer:
        only(viewer, name)
        lost, handle = [], viewer.receiver._handle_rtp_packet

        async def lossy(packet, arrival_time_ms):
            # Not what is sent again, nor the first pictures.
            if packet.sequence_number % 12 == 0 and arrivals[packet.payload_type] > 30:
                lost.append(packet.sequence_number)
                return
            arrivals[packet.payload_type] += 1
            await handle(packet, arrival_time_ms)

        arrivals = collections.Counter()
        viewer.receiver._handle_rtp_packet = lossy
        await viewer.join()
        await viewer.watch(90)
        assert lost
        await until(lambda: sender.now.viewer_figures[0].loss, 'the loss reported')


async def test_viewers_of_two_codecs_are_served_by_one_encoder_each():
    async with (
        serving() as server,
        sending(server.port) as sender,
        viewing(server.port) as any_codec,
        viewing(server.port) as first,
        viewing(server.port) as second,
    ):
        for viewer in (first, second):
            only(viewer, 'vp8')
        for viewer in (any_codec, first, second):
            await viewer.join()
        await asyncio.gather(*(viewer.watch(10) for viewer in (any_codec, first, second)))
        assert {f.codec: (f.encoder, f.viewers) for f in sender.camera.encoders} == {
            'h264': ('libx264', 1), 'vp8': ('libvpx', 2),
        }  # fmt: skip


async def test_the_operators_preference_decides_where_a_viewer_has_both():
    async with (
        serving() as server,
        sending(server.port, codec_preference=('vp8', 'h264')) as sender,
        viewing(server.port) as viewer,
        viewing(server.port) as other,
    ):
        only(other, 'h264')
        await viewer.join()
        await other.join()
        await asyncio.gather(viewer.watch(), other.watch())
        assert {f.codec: f.viewers for f in sender.camera.encoders} == {'h264': 1, 'vp8': 1}


async def test_a_viewer_without_a_codec_that_may_be_used_is_told():
    async with (
        serving() as server,
        sending(server.port, codec_preference=('h264',)),
        viewing(server.port) as viewer,
    ):
        only(viewer, 'vp8')
        await viewer.offer(offer_id='mine')
        bye = await viewer.client.expect('bye')
        assert (bye['reason'], bye['offer_id']) == ('failed', 'mine')


async def test_another_size_in_mid_stream_is_seen_by_all():
    async with (
        serving() as server,
        sending(server.port) as sender,
        viewing(server.port) as viewer,
        viewing(server.port) as other,
    ):
        for one in (viewer, other):
            await one.join()
            await one.watch()
        sender.size = (640, 480)
        for one in (viewer, other):
            async with asyncio.timeout(DEADLINE_S):
                while (await one.picture()).shape != (480, 640, 3):
                    pass
            await one.watch()


async def test_without_a_viewer_and_when_switched_off_nothing_is_encoded():
    async with serving() as server, sending(server.port) as sender:
        await until(lambda: sender.camera.counts.received > 5, 'filmed')
        assert sender.camera.counts.shown == 0
        async with viewing(server.port) as viewer:
            await viewer.join()
            await viewer.watch()
            sender.sender.set_enabled(False)
            await until(lambda: not sender.camera.encoders[0].viewers, 'off')
            # One may be in the encoder thread still.
            received, shown = sender.camera.counts.received, sender.camera.counts.shown
            await until(lambda: sender.camera.counts.received > received + 5, 'filmed')
            assert sender.camera.counts.shown <= shown + 1


async def test_a_late_viewer_begins_soon_and_one_key_frame_serves_many():
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(serving())
        sender = await stack.enter_async_context(sending(server.port))
        first = await stack.enter_async_context(viewing(server.port))
        await first.join()
        await first.watch(20)
        before = sender.key_frames
        late = [await stack.enter_async_context(viewing(server.port)) for _ in range(4)]
        start_s = time.monotonic()
        await asyncio.gather(*(viewer.join() for viewer in late))
        await asyncio.gather(*(viewer.watch(1) for viewer in late))
        took_s = time.monotonic() - start_s
        assert sender.key_frames - before <= 1 + took_s / SHARED_PERIOD_S
        await asyncio.gather(*(viewer.watch() for viewer in (first, *late)))
