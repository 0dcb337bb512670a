"""How old the pictures are: what the page measures against what the pictures say themselves.

The camera of these tests draws the time of each image into it; the page's figures come by the
header stamp, DDS, RTP and the timing channel. All processes have one clock, which no test adjusts.
"""

from __future__ import annotations

import contextlib
import re
import statistics
import sys
import urllib.request
from datetime import UTC, datetime

import cv2
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from processes import REPOSITORY, Process, running_stack, wait_until
from prometheus_client.parser import text_string_to_metric_families
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from std_msgs.msg import Float64

from rtc_signaling.media.scene import read_index

DOMAIN_ID = 95
READY_S = 20.0
FRAME_MS = 1000 / 30
# Of the same moment, the two figures of a picture have to be this close.
AGREE_MS = 10
HOUR_S = 3600

# Before anything of the page runs: note what it reports to the robot.
_OVERHEAR = """
window.testReports = [];
const send = WebSocket.prototype.send;
WebSocket.prototype.send = function (text) {
  const message = JSON.parse(text);
  if (message.type === 'stats') window.testReports.push(message.latency_ms ?? null);
  return send.call(this, text);
};
"""

# Note of each picture what is drawn into it, and what the page makes of its metadata.
_COMPARE = """
async () => {
  const { Ages } = await import('/timing.js');
  const video = document.getElementById('video');
  const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
  const context = canvas.getContext('2d', { willReadFrequently: true });
  const { width, height } = canvas;
  const side = Math.min(Math.floor(width / 8), Math.floor(height / 4));
  const place = (bit) => side + Math.floor((width - 2 * side) * bit / 16);

  /** As scene.read_index does: ms modulo 65536, or null. */
  const readDrawn = () => {
    context.drawImage(video, 0, 0);
    let drawn = 0;
    for (let bit = 0; bit < 16; bit += 1) {
      const [left, right] = [place(bit), place(bit + 1)];
      const [x, y] = [Math.round((left + right) / 2), Math.round(side / 2)];
      const [level] = context.getImageData(x, y, 1, 1).data;
      if (level > 88 && level < 168) return null;
      drawn = drawn * 2 + (level >= 168 ? 1 : 0);
    }
    return drawn;
  };

  const frames = window.testFrames = [];
  const stamped = Ages.prototype.stamped;
  // The page's own way, for one picture alone.
  Ages.prototype.stamped = function (runs, clock) {
    for (const frame of frames.filter(({ measured }) => measured === undefined)) {
      const ages = new Ages();
      ages.presented(frame.rtp, frame.shown);
      stamped.call(ages, runs, clock);
      const found = ages.at(frame.shown);
      if (found.unknown !== 'waiting') frame.measured = found.p50_ms ?? found.unknown;
    }
    return stamped.call(this, runs, clock);
  };
  const onFrame = (_, { rtpTimestamp, expectedDisplayTime }) => {
    const now = performance.now();
    const drawn = readDrawn();
    if (drawn !== null) {
      const ageAt = (at) => (((performance.timeOrigin + at - drawn) % 65536) + 65536) % 65536;
      frames.push({
        rtp: rtpTimestamp, shown: expectedDisplayTime, drawn: ageAt(expectedDisplayTime),
        called: ageAt(now),
      });
    }
    if (frames.length < 300) video.requestVideoFrameCallback(onFrame);
  };
  video.requestVideoFrameCallback(onFrame);
}
"""

_COMPARED = '() => window.testFrames.filter(({ measured }) => measured !== undefined)'


class Listener:
    """Be another node, which hears what the camera sender publishes."""

    def __init__(self, node, executor):
        self.latencies_s = []
        self._diagnostics = []
        self._executor = executor
        self._subscriptions = [
            node.create_subscription(
                Float64, '/camera_sender/latency', lambda m: self.latencies_s.append(m.data), 10
            ),
            node.create_subscription(
                DiagnosticArray, '/diagnostics', self._diagnostics.append, 10
            ),
        ]

    def spin(self):
        self._executor.spin_once(timeout_sec=0.02)

    def viewer_latencies_ms(self):
        return [
            float(value.value)
            for array in self._diagnostics
            for status in array.status
            if status.name.startswith('camera_sender: viewer ')
            for value in status.values
            if value.key == 'latency_ms'
        ]


@pytest.fixture
def listener():
    context = Context()
    context.init([], domain_id=DOMAIN_ID)
    node = rclpy.create_node('listener', context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    yield Listener(node, executor)
    executor.shutdown()
    node.destroy_node()
    context.try_shutdown()


@pytest.fixture(scope='module')
def stack(tmp_path_factory, browser):
    directory = tmp_path_factory.mktemp('latency')
    with running_stack(directory, DOMAIN_ID, 'signaling_server', 'camera_sender') as stack:
        yield stack


@pytest.fixture
def film(stack):
    """Return a function that runs the camera, with its stamps shifted, in place of another."""
    with contextlib.ExitStack() as cameras:

        def start(shift_s=0):
            cameras.close()
            program = str(REPOSITORY / 'test' / 'stamping_camera.py')
            camera = Process('camera', [sys.executable, program, f'{shift_s}'], stack.environment)
            cameras.callback(camera.stop)
            camera.wait_for_output('publishing')

        yield start


def open_viewer(new_viewer, stack):
    viewer = new_viewer('about:blank')
    viewer.page.add_init_script(_OVERHEAR)
    viewer.page.goto(stack.url)
    viewer.wait_for_state('live', READY_S)
    return viewer


def badge(viewer):
    return viewer.text('age'), viewer.page.locator('#age').get_attribute('data-age')


def wait_for_age(viewer):
    wait_until(
        lambda: badge(viewer)[1] in ('fresh', 'late', 'old'), READY_S, f'an age: {badge(viewer)}'
    )


def test_the_age_agrees_with_the_time_that_is_drawn_into_the_pictures(stack, film, new_viewer):
    film()
    viewer = open_viewer(new_viewer, stack)
    wait_for_age(viewer)
    viewer.page.evaluate(_COMPARE)
    frames = wait_until(
        lambda: found if len(found := viewer.page.evaluate(_COMPARED)) > 100 else None,
        READY_S * 2,
        'pictures compared',
    )
    differences_ms = [frame['measured'] - frame['drawn'] for frame in frames]
    drawn_ms, called_ms, measured_ms = (
        statistics.median(frame[name] for frame in frames)
        for name in ('drawn', 'called', 'measured')
    )
    page = viewer.page.evaluate('window.rtcViewer.timing.latency')
    print(
        f'{len(frames)} pictures, p50: drawn {drawn_ms:.1f} ms ({called_ms:.1f} when the page was '
        f'told), measured {measured_ms:.1f} ms; differences {min(differences_ms):.1f} to '
        f'{max(differences_ms):.1f} ms, p50 {statistics.median(differences_ms):.1f} ms; '
        f'page {page}'
    )
    assert measured_ms > 0
    # An error of one picture would be 33 ms.
    assert abs(statistics.median(differences_ms)) <= AGREE_MS
    # A busy browser may paint the next picture for some of them.
    assert abs(measured_ms - drawn_ms) <= AGREE_MS + FRAME_MS
    assert abs(measured_ms - called_ms) <= AGREE_MS + FRAME_MS
    assert viewer.complaints == []


def test_the_age_arrives_in_ros_and_in_the_metrics(stack, film, new_viewer, listener):
    film()
    viewer = open_viewer(new_viewer, stack)
    wait_for_age(viewer)

    def reported():
        listener.spin()
        return [ms for ms in viewer.page.evaluate('window.testReports') if ms is not None]

    def heard():
        sent_ms = reported()
        return [
            s for s in listener.latencies_s if any(abs(s * 1000 - ms) < 1e-6 for ms in sent_ms)
        ]

    [latency_s, *_] = wait_until(heard, READY_S, "the page's figure on camera_sender/latency")
    assert latency_s > 0
    wait_until(
        lambda: (listener.spin(), listener.viewer_latencies_ms())[1], READY_S, 'in /diagnostics'
    )
    request = urllib.request.Request(
        stack.url.partition('#')[0] + 'metrics',
        headers={'Authorization': f'Bearer {stack.token}'},
    )
    with urllib.request.urlopen(request, timeout=READY_S) as response:
        families = {f.name: f for f in text_string_to_metric_families(response.read().decode())}
    quantiles = {
        sample.labels['quantile']: sample.value
        for sample in families['rtc_signaling_latency_seconds'].samples
    }
    assert 0 < quantiles['0.5'] <= quantiles['0.95'] <= quantiles['0.99']


@pytest.mark.parametrize('shift_s', [HOUR_S, -HOUR_S])
def test_stamps_of_another_clock_give_no_figure(stack, film, new_viewer, shift_s):
    film(shift_s)
    viewer = open_viewer(new_viewer, stack)
    wait_until(lambda: badge(viewer) == ('clocks differ', 'unknown'), READY_S, badge(viewer))
    viewer.watch(30, READY_S)
    assert badge(viewer) == ('clocks differ', 'unknown')
    # Of several reports none has a figure.
    wait_until(lambda: len(viewer.page.evaluate('window.testReports')) > 1, READY_S, 'reports')
    assert set(viewer.page.evaluate('window.testReports')) == {None}
    # With a clock that is right again there is a figure again, in the same connection.
    viewer.record()
    film()
    wait_for_age(viewer)
    assert viewer.same_connection()
    assert viewer.complaints == []


@pytest.mark.parametrize('level', ['late', 'old'])
def test_an_old_picture_has_an_amber_or_red_badge(stack, film, new_viewer, level):
    age_s, colour = {
        'late': (0.7, 'rgb(255, 194, 71)'), 'old': (1.4, 'rgb(255, 123, 114)')
    }[level]  # fmt: skip
    film(-age_s)
    viewer = open_viewer(new_viewer, stack)
    wait_until(lambda: badge(viewer)[1] == level, READY_S, f'{level}: {badge(viewer)}')
    background = "getComputedStyle(document.getElementById('age')).backgroundColor"
    assert viewer.page.evaluate(background) == colour


def test_a_saved_picture_is_named_by_its_header_stamp(stack, film, new_viewer, tmp_path):
    film(HOUR_S)
    viewer = open_viewer(new_viewer, stack)
    viewer.watch(30, READY_S)
    with viewer.page.expect_download(timeout=READY_S * 1000) as download:
        viewer.page.keyboard.press('s')
    download.value.save_as(tmp_path / 'picture.png')
    [text] = re.findall(
        r'^camera_([\d-]+T[\d-]+\.\d{3}Z)\.png$', download.value.suggested_filename
    )
    stamp = datetime.strptime(text, '%Y-%m-%dT%H-%M-%S.%fZ').replace(tzinfo=UTC)
    drawn_ms = read_index(cv2.imread(str(tmp_path / 'picture.png')))
    off_ms = (stamp.timestamp() - HOUR_S) * 1000 - drawn_ms
    # The picture on the screen is that of the stamp, or a busy browser painted the next one.
    assert min(off_ms % 65536, -off_ms % 65536) <= FRAME_MS + AGREE_MS


def test_a_viewer_whose_browser_does_not_tell_has_no_age_and_says_so(stack, film, new_viewer):
    film()
    viewer = new_viewer('about:blank')
    viewer.page.add_init_script(
        'delete HTMLVideoElement.prototype.requestVideoFrameCallback;' + _OVERHEAR
    )
    viewer.page.goto(stack.url)
    viewer.wait_for_state('live', READY_S)
    wait_until(lambda: viewer.page.evaluate('window.testReports.length') > 1, READY_S, 'reports')
    assert badge(viewer) == ('age unknown', 'unknown')
    assert 'browser' in viewer.page.locator('#age').get_attribute('title')
    assert set(viewer.page.evaluate('window.testReports')) == {None}


@pytest.fixture(scope='module')
def page(stack, browser):
    """Yield a page that can import the page's modules."""
    page = browser.new_page()
    page.goto(f'http://127.0.0.1:{stack.port}/')
    yield page
    page.close()


def with_timing(page, body):
    return page.evaluate(
        "async () => { const { Offset, Ages } = await import('/timing.js'); " + body + ' }'
    )


def test_the_exchange_of_the_least_round_trip_counts(page):
    # Ahead by 1000, as every exchange has it within half of its round trip.
    best = with_timing(
        page,
        """
      const offset = new Offset();
      offset.add(0, 1090, 1090, 100);
      offset.add(1000, 2002, 2003, 1005);
      return offset.add(2000, 3000, 3000, 2200);
    """,
    )
    assert best['offset'] == 1000
    # It has become less certain by 15 us a second since.
    assert best['error'] == pytest.approx(2 + 1.195 * 0.015)


def test_an_old_exchange_gives_way_when_it_is_less_certain_than_a_new_one(page):
    best = with_timing(
        page,
        """
      const offset = new Offset();
      offset.add(0, 1000, 1000, 0);
      return offset.add(10000, 11000.05, 11000.05, 10000.1);
    """,
    )
    assert best['at'] == pytest.approx(10000.1)
    assert best['offset'] == pytest.approx(1000)
    assert best['error'] == pytest.approx(0.05)


def test_of_two_exchanges_that_exclude_each_other_the_older_are_dropped(page):
    best = with_timing(
        page,
        """
      const offset = new Offset();
      for (const t of [0, 1000, 2000]) offset.add(t, t + 50, t + 50, t + 1);
      return offset.add(3000, 3600050, 3600050, 3100);
    """,
    )
    assert best['offset'] == pytest.approx(3600050 - 3050)
    assert best['error'] == 50


def test_only_the_last_exchanges_are_remembered(page):
    best = with_timing(
        page,
        """
      const offset = new Offset();
      offset.add(0, 1000, 1000, 0);
      let best;
      for (let t = 1000; t <= 16000; t += 1000) best = offset.add(t, t + 1005, t + 1005, t + 10);
      return best;
    """,
    )
    assert best['error'] >= 5


def test_the_age_is_from_the_stamp_to_the_screen_even_where_rtp_time_overflows(page):
    ages = with_timing(
        page,
        """
      const ages = new Ages();
      ages.presented(2 ** 32 - 90, 5000);
      ages.presented(90, 5010);
      ages.presented(91, 5010); // of no run
      ages.stamped([[2 ** 32 - 900, 90, 1000000]], { offset: 100, error: 3 });
      return [ages.at(5020), ages.at(5020 + 5000)];
    """,
    )
    # Stamps of 1009 and 1011 ms; presented at 5100 and 5110 of that clock.
    assert ages[0] == {'p50_ms': 4091, 'p95_ms': 4099, 'error_ms': 3}
    # What was presented long ago is not how old the picture is now.
    assert ages[1] == {'unknown': 'waiting'}


@pytest.mark.parametrize(
    ('age_ms', 'error_ms', 'expected'),
    [
        (80, 1, {'p50_ms': 80, 'p95_ms': 80, 'error_ms': 1}),
        (-1.5, 1, {'p50_ms': 0, 'p95_ms': 0, 'error_ms': 1}),
        (-2.5, 1, {'unknown': 'clocks'}),
        (-3_600_000, 1, {'unknown': 'clocks'}),
        (60_001, 1, {'unknown': 'clocks'}),
        (80, 251, {'unknown': 'waiting'}),
    ],
)
def test_an_age_that_cannot_be_is_not_told(page, age_ms, error_ms, expected):
    assert (
        with_timing(
            page,
            f"""
      const ages = new Ages();
      ages.presented(1, 1000);
      ages.stamped([[1, 1, 0]], {{ offset: {age_ms} - 1000, error: {error_ms} }});
      return ages.at(1000);
    """,
        )
        == expected
    )


def test_the_ages_words_and_colours(page):
    told = page.evaluate("""
      async () => {
        const { describeAge } = await import('/text.js');
        const of = (p50_ms) => describeAge({ p50_ms, p95_ms: 2 * p50_ms, error_ms: 1 });
        return [of(84.6), of(500), of(501), of(1001), describeAge(),
          describeAge({ unknown: 'clocks' })].map(({ level, text }) => [level, text]);
      }
    """)
    assert told == [
        ['fresh', '85 ms'], ['fresh', '500 ms'], ['late', '501 ms'], ['old', '1.0 s'],
        ['unknown', 'age unknown'], ['unknown', 'clocks differ'],
    ]  # fmt: skip


# The last in the module: the sender runs in simulated time from here on.
def test_of_a_robot_in_simulated_time_no_age_is_known(stack, film, new_viewer):
    stack.kill('camera_sender')
    stack.set('camera_sender', 'use_sim_time:=true')
    stack.start('camera_sender')
    film()
    viewer = open_viewer(new_viewer, stack)
    title = viewer.page.locator('#age')
    wait_until(lambda: 'simulated' in title.get_attribute('title'), READY_S, 'said so')
    viewer.watch(30, READY_S)
    wait_until(lambda: len(viewer.page.evaluate('window.testReports')) > 1, READY_S, 'reports')
    assert badge(viewer) == ('age unknown', 'unknown')
    assert set(viewer.page.evaluate('window.testReports')) == {None}
