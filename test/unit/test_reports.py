"""How the nodes are judged: levels and words, from figures."""

from __future__ import annotations

import dataclasses

import pytest

from rtc_signaling import sender_reports, server_reports
from rtc_signaling.image_flow import ImageFlow
from rtc_signaling.media.timing import Pacer
from rtc_signaling.metrics import SAMPLES, Quantiles, ServerSnapshot, Traffic
from rtc_signaling.report import Level, worst
from rtc_signaling.sender_config import SenderConfig
from rtc_signaling.sender_metrics import (
    EncoderFigures,
    PictureAges,
    PictureMeter,
    SenderMeter,
    SenderSnapshot,
    ViewerFigures,
)
from rtc_signaling.server_config import ServerConfig

NOTHING = Traffic({}, 0, 0.0, 0.0)
SERVER = ServerSnapshot(
    url='wss://robot:8765/', senders=1, receivers=2, away=0, connections=3, received=NOTHING,
    sent=NOTHING, errors={}, error_rate=0.0, sessions={}, ping_s=Quantiles(0.01, 0.02, 0.03, 3),
    setup_s=Quantiles(), connected_s=Quantiles(), latency_s=Quantiles(), waiting=0, too_slow=0,
    refused={}, problems=(),
)  # fmt: skip
SENDER = SenderSnapshot(
    server_url='ws://robot:8765', linked=True, refusal='', viewers=1, viewers_connected=1,
    images_received=90, images_replaced=0, images_bad=0, pictures_shown=90, last_error='',
    fps=30.0, viewer_figures=(ViewerFigures('v1', 'connected', 1e6),),
)  # fmt: skip
FLOW = ImageFlow(
    topic='/camera/image_raw', reliable=False, publishers=(), received=90, lost=0, incompatible=0,
    incompatible_policy='', received_hz=30.0, published_hz=30.0, reported_lost_hz=0.0,
    silence_s=0.03, age_s=0.01,
)  # fmt: skip
CONFIG = SenderConfig()
H264 = EncoderFigures('h264', 'libx264', '', 2, 3, Quantiles(0.017, 0.02, 0.03, 90))


def server_part(name, config=None, **changes):
    reports = server_reports.diagnostics(
        dataclasses.replace(SERVER, **changes), config or ServerConfig()
    )
    return next(report for report in reports if report.part == name)


def sender_part(name, flow=FLOW, config=CONFIG, **changes):
    snapshot = dataclasses.replace(SENDER, **changes)
    reports = sender_reports.diagnostics(snapshot, {'': flow}, config)
    return next(report for report in reports if report.part == name)


def test_the_worst_finding_counts_and_of_two_the_first():
    assert worst([], 'well') == (Level.OK, 'well')
    findings = [(Level.WARN, 'a'), (Level.WARN, 'b')]
    assert worst(findings, 'well') == (Level.WARN, 'a')
    assert worst([*findings, (Level.STALE, 'c')], 'well') == (Level.STALE, 'c')
    assert worst([*findings, (Level.STALE, 'c'), (Level.ERROR, 'd')], '') == (Level.ERROR, 'd')


@pytest.mark.parametrize('name', ['server', 'connections', 'errors', 'latency'])
def test_a_server_that_is_well_is_ok_in_each_part(name):
    assert server_part(name).level is Level.OK


@pytest.mark.parametrize(
    ('name', 'changes', 'level', 'words'),
    [
        ('server', {'problems': ('the disk is full',)}, Level.ERROR, 'the disk is full'),
        ('connections', {'senders': 0}, Level.WARN, 'no robot is connected'),
        ('connections', {'receivers': 9}, Level.WARN, 'all 10 places are taken'),
        ('errors', {'error_rate': 2.0}, Level.WARN, '2 errors a second, more than'),
        (
            'latency', {'ping_s': Quantiles(0.1, 0.6, 0.7, 9)}, Level.WARN,
            'pings take 600 ms, more than warn.latency',
        ),
        ('latency', {'ping_s': Quantiles()}, Level.OK, 'nobody was pinged yet'),
    ],
)  # fmt: skip
def test_what_is_not_well_at_the_server_is_named(name, changes, level, words):
    report = server_part(name, **changes)
    assert report.level is level
    assert report.message.startswith(words)


@pytest.mark.parametrize('name', ['camera', 'encoder', 'signaling link', 'viewer v1'])
def test_a_sender_that_is_well_is_ok_in_each_part(name):
    assert sender_part(name).level is Level.OK


@pytest.mark.parametrize(
    ('name', 'changes', 'level', 'words'),
    [
        ('signaling link', {'linked': False}, Level.WARN, 'no connection to the signaling server'),
        ('signaling link', {'refusal': 'wrong token'}, Level.ERROR, 'wrong token'),
        ('camera', {'last_error': 'unknown encoding'}, Level.ERROR, 'unknown encoding'),
        ('camera', {'enabled': False, 'last_error': 'x'}, Level.OK, 'switched off'),
        ('encoder', {'drop_rate': 0.5}, Level.WARN, 'too slow: 50% of the images were replaced'),
        ('encoder', {'viewers': 0}, Level.OK, 'nobody watches'),
        ('encoder', {'encoder_error': 'libx264: failed'}, Level.ERROR, 'libx264: failed'),
        ('encoder', {'encoders': (H264,)}, Level.OK, '30.0 pictures a second'),
        (
            'encoder', {'encoders': (dataclasses.replace(H264, note='h264_nvenc: no device'),)},
            Level.WARN, 'h264_nvenc: no device; libx264 is used',
        ),
        # One after the other, two codecs take 34 ms of 33.
        (
            'encoder', {'encoders': (H264, dataclasses.replace(H264, codec='vp8'))}, Level.WARN,
            'over budget: a picture takes 34 ms, at 30 Hz',
        ),
        (
            'encoder', {'encoders': (H264, dataclasses.replace(H264, codec='vp8', viewers=0))},
            Level.OK, '30.0 pictures a second',
        ),
        (
            'encoder', {'key_frame_wait_s': 7.0}, Level.WARN,
            'viewers wait 7.0 s by now for a key frame of the camera; set it to one each second',
        ),
        (
            'encoder', {'key_frame_wait_s': 7.0, 'key_frame_spacing_s': 10.0}, Level.WARN,
            'viewers wait 7.0 s by now for a key frame of the camera, the last ones were 10.0 s',
        ),
        (
            'viewer v1', {'viewer_figures': (ViewerFigures('v1', 'connecting', 0.0),)}, Level.WARN,
            'its connection is connecting',
        ),
        (
            'viewer v1', {'viewer_figures': (ViewerFigures('v1', 'connected', 0.0, loss=0.1),)},
            Level.WARN, '10.0% of its packets are lost',
        ),
        (
            'viewer v1',
            {'viewer_figures': (ViewerFigures('v1', 'connected', 0.0, latency_s=0.8),)},
            Level.WARN, 'its pictures are 0.80 s old, more than warn.latency',
        ),
        (
            'viewer v1',
            {'viewer_figures': (ViewerFigures('v1', 'connected', 0.0, layer='half'),)},
            Level.WARN, 'its link is too thin for the whole picture: it gets the layer half',
        ),
        (
            'viewer v1',
            {'viewer_figures': (ViewerFigures('v1', 'connected', 0.0, layer='full'),)},
            Level.OK, 'connected',
        ),
    ],
)  # fmt: skip
def test_what_is_not_well_at_the_sender_is_named(name, changes, level, words):
    report = sender_part(name, **changes)
    assert report.level is level
    assert report.message.startswith(words)


@pytest.mark.parametrize(
    ('flow', 'config', 'level', 'words'),
    [
        ({'silence_s': 9.0}, {}, Level.STALE, 'no images'),
        ({}, {'expected_rate_hz': 60.0}, Level.WARN, '30.0 images a second, 60 expected'),
        ({'age_s': 0.73}, {}, Level.WARN, 'images are 0.70 s old when they come'),
        ({'age_s': 1.01, 'silence_s': 1.0}, {}, Level.OK, '30.0 images a second'),
        ({'age_s': None}, {}, Level.OK, '30.0 images a second'),
    ],
)
def test_images_that_do_not_come_as_they_should_are_named(flow, config, level, words):
    report = sender_part(
        'camera', dataclasses.replace(FLOW, **flow), dataclasses.replace(CONFIG, **config)
    )
    assert report.level is level
    assert report.message.startswith(words)


@pytest.mark.parametrize(
    ('changes', 'level', 'message'),
    [
        ({}, Level.OK, 'running: 1 robot(s), 2 viewer(s)'),
        ({'senders': 0}, Level.WARN, 'running: no robot, 2 viewer(s)'),
        ({'problems': ('overloaded', 'late')}, Level.ERROR, 'overloaded; late'),
    ],
)
def test_the_servers_status_says_who_is_there(changes, level, message):
    report = server_reports.status(dataclasses.replace(SERVER, **changes))
    assert (report.level, report.message) == (level, message)


def test_the_servers_status_has_its_figures_the_most_important_first():
    snapshot = dataclasses.replace(
        SERVER, received=Traffic({'offer': 3, 'ping': 4}, 900, 1.5, 300.0), errors={'timeout': 2},
        refused={'origin': 5}, sessions={'stable': 1},
    )  # fmt: skip
    values = server_reports.status(snapshot).values
    assert [key for key, _ in values[:4]] == ['senders', 'receivers', 'away', 'url']
    figures = dict(values)
    assert (figures['messages_received'], figures['messages_received_per_s']) == (7, 1.5)
    assert (figures['errors'], figures['ping_p50_ms']) == (2, 10.0)
    assert (figures['errors.timeout'], figures['refused.origin']) == (2, 5)
    assert figures['sessions.stable'] == 1


def test_the_layers_of_weak_links_are_told():
    viewers = (
        ViewerFigures('a', 'connected', 0.0, layer='half', estimate_bps=400_000.0),
        *(ViewerFigures(name, 'connected', 0.0, layer='fewer') for name in 'bc'),
        ViewerFigures('d', 'connected', 0.0, layer='full'),
        ViewerFigures('e', 'connecting', 0.0),
    )
    half = dataclasses.replace(H264, layer='half', bitrate_bps=360_000)
    snapshot = dataclasses.replace(SENDER, viewer_figures=viewers, encoders=(H264, half))
    values = dict(sender_reports.status(snapshot, FLOW, '', CONFIG).values)
    assert values['weak_links'] == '2 fewer, 1 half'
    assert values['encoders'] == 'h264 by libx264, h264 half by libx264'
    parts = {
        r.part: dict(r.values) for r in sender_reports.diagnostics(snapshot, {'': FLOW}, CONFIG)
    }
    assert parts['encoder']['h264_half_bitrate_bps'] == 360_000
    assert parts['encoder']['h264_half_viewers'] == 2
    assert 'h264_bitrate_bps' not in parts['encoder']
    assert (parts['viewer a']['layer'], parts['viewer a']['estimate_bps']) == ('half', 400_000.0)
    assert 'estimate_bps' not in parts['viewer d']
    assert 'layer' not in parts['viewer e']


def test_a_status_tells_of_the_link_before_the_camera():
    silent = dataclasses.replace(FLOW, silence_s=9.0)
    lost = dataclasses.replace(SENDER, linked=False)
    assert sender_reports.status(lost, silent, '', CONFIG).level is Level.WARN
    assert sender_reports.status(SENDER, silent, '', CONFIG).level is Level.STALE
    off = dataclasses.replace(SENDER, enabled=False)
    assert sender_reports.status(off, silent, '', CONFIG).message == 'switched off (set_enabled)'


def test_several_cameras_are_judged_each_for_itself():
    viewer = ViewerFigures('v1', 'connected', 1e6, camera='rear')
    cameras = {
        'front': dataclasses.replace(SENDER, viewers=0, viewer_figures=()),
        'rear': dataclasses.replace(SENDER, last_error='no such encoding'),
    }
    snapshot = dataclasses.replace(SENDER, cameras=cameras, viewer_figures=(viewer,))
    flows = {'front': dataclasses.replace(FLOW, silence_s=9.0), 'rear': FLOW}
    reports = sender_reports.diagnostics(snapshot, flows, CONFIG)
    assert {report.part: report.level for report in reports} == {
        'camera front': Level.STALE, 'encoder front': Level.OK, 'camera rear': Level.ERROR,
        'encoder rear': Level.OK, 'signaling link': Level.OK, 'viewer v1 rear': Level.OK,
    }  # fmt: skip
    status = sender_reports.status_of_all(snapshot, flows, {'front': '', 'rear': '64x64'}, CONFIG)
    assert (status.level, status.message) == (Level.ERROR, 'rear: no such encoding')
    values = dict(status.values)
    assert (values['cameras'], values['rear_image']) == ('front, rear', '64x64')
    off = {name: dataclasses.replace(camera, enabled=False) for name, camera in cameras.items()}
    snapshot = dataclasses.replace(snapshot, cameras=off, enabled=False)
    status = sender_reports.status_of_all(snapshot, flows, dict.fromkeys(flows, ''), CONFIG)
    assert (status.level, status.message) == (Level.OK, 'switched off (set_enabled)')


def test_the_latency_of_all_viewers_is_the_median_of_those_that_measured():
    viewers = tuple(
        ViewerFigures(name, 'connected', 0.0, latency_s=latency_s)
        for name, latency_s in (('a', 0.1), ('b', None), ('c', 0.3), ('d', 0.2))
    )
    assert dataclasses.replace(SENDER, viewer_figures=viewers).latency_s == 0.2
    assert SENDER.latency_s is None


def test_a_meter_gives_rates_from_one_look_to_the_next():
    meter = SenderMeter()
    assert (meter.fps, meter.drop_rate) == (0.0, 0.0)
    meter.look(10.0, 100, 10, 90)
    meter.look(12.0, 160, 25, 150)
    assert (meter.fps, meter.drop_rate) == (30.0, 25 / 160)
    meter.look(13.0, 160, 25, 150)
    assert (meter.fps, meter.drop_rate) == (0.0, 25 / 160)


def test_what_was_replaced_is_told_for_some_looks_and_then_forgotten():
    meter = SenderMeter()
    for second in range(1, 11):
        meter.look(second, 30 * second, 0, 30 * second)
    meter.look(11.0, 330, 15, 315)
    told = []
    for second in range(12, 18):
        told.append(meter.drop_rate)
        meter.look(second, 30 * second, 15, 30 * second - 15)
    assert told == [15 / 150] * 5 + [0.0]


@pytest.mark.parametrize(
    ('camera_hz', 'max_fps', 'sent_hz'),
    [
        (30, 0.0, 30),
        (30, 30.0, 30),
        (30, 60.0, 30),
        (30, 20.0, 20),
        (30, 10.0, 10),
        (30, 0.5, 0.5),
        (60, 25.0, 25),
    ],
)
def test_a_pacer_takes_so_many_images_as_are_wanted(camera_hz, max_fps, sent_hz):
    pacer = Pacer(max_fps)
    start_ns = 77_000_000_000
    taken = sum(
        pacer.admits(start_ns + i * 1_000_000_000 // camera_hz) for i in range(10 * camera_hz)
    )
    assert abs(taken - 10 * sent_hz) <= 1


def test_a_pacer_does_not_make_up_for_a_pause():
    pacer = Pacer(10.0)
    assert pacer.admits(0)
    times_ns = [5_000_000_000 + i * 33_000_000 for i in range(31)]
    assert sum(pacer.admits(at_ns) for at_ns in times_ns) <= 11


def test_a_camera_that_is_held_to_fewer_pictures_is_judged_by_those():
    config = dataclasses.replace(CONFIG, max_fps=20.0)
    slow = dataclasses.replace(H264, encode_s=Quantiles(0.045, 0.05, 0.06, 90))
    assert sender_part('encoder', encoders=(slow,)).level is Level.WARN
    assert sender_part('encoder', config=config, encoders=(slow,)).level is Level.OK


def test_the_figures_of_the_encoders_and_the_ages_of_pictures_are_values():
    ages = PictureAges(arrived=Quantiles(0.001, 0.002, 0.003, 9), sent=Quantiles(0.01, 0.02, 1, 9))
    values = dict(sender_part('encoder', encoders=(H264,), ages=ages).values)
    assert (values['h264_encoder'], values['h264_key_frames']) == ('libx264', 3)
    assert (values['h264_encode_ms_p50'], values['h264_encode_ms_p95']) == (17.0, 20.0)
    assert (values['age_arrived_ms_p50'], values['age_sent_ms_p95']) == (1.0, 20.0)
    assert 'age_encoded_ms_p50' not in values


def test_what_the_camera_encodes_itself_is_told():
    changes = {'stream': '640x480, High, level 3', 'key_frame_spacing_s': 1.5}
    values = dict(sender_part('encoder', **changes).values)
    assert values['passed_on_stream'] == '640x480, High, level 3'
    assert values['passed_on_key_frame_spacing'] == 1.5


def test_a_meter_of_pictures_keeps_their_ages_and_times():
    meter = PictureMeter()
    assert meter.ages == PictureAges()
    assert meter.encode_s('h264') == Quantiles()
    for i in range(3):
        meter.encoded('h264', arrived_s=1.0, begun_s=1.5, encoded_s=2.0 + i)
    meter.encoded('vp8', arrived_s=1.0, begun_s=2.0, encoded_s=2.25)
    meter.sent(4.0)
    ages = meter.ages
    assert (ages.arrived.count, ages.begun.p50, ages.encoded.p95) == (4, 1.5, 4.0)
    assert (ages.sent.p50, ages.sent.count) == (4.0, 1)
    assert meter.encode_s('h264') == Quantiles(1.5, 2.5, 2.5, 3)
    assert meter.encode_s('vp8').p50 == 0.25
    for _ in range(2 * SAMPLES):
        meter.encoded('h264', arrived_s=1.0, begun_s=1.5, encoded_s=2.0)
        meter.sent(4.0)
    ages = meter.ages
    counts = {q.count for q in (ages.arrived, ages.begun, ages.encoded, ages.sent)}
    assert counts | {meter.encode_s('h264').count} == {SAMPLES}
