"""What a person does with the viewer page: keys, panels, files, several cameras, a telephone.

One stack with two cameras for all: `camera`, and `rear`, which is grey and smaller.
"""

from __future__ import annotations

import functools
import importlib
import json
import re
import signal
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import numpy as np
import pytest
from processes import REPOSITORY, Stack, wait_until

from rtc_signaling.media.scene import CORNERS, read_corners, read_index

DOMAIN_ID = 70
PICTURES_S = 20.0
SOON_S = 10.0
# The page gives up an agreement without a connection after 15 s.
BLOCKED_S = 30.0
WCAG = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']
UPRIGHT = {'width': 390, 'height': 844}
ON_ITS_SIDE = {'width': 844, 'height': 390}
TELEPHONE = {'is_mobile': True, 'has_touch': True, 'device_scale_factor': 2}

# Before anything of the page runs: note what it reports to the robot.
_OVERHEAR = """
window.testReports = [];
const send = WebSocket.prototype.send;
WebSocket.prototype.send = function (text) {
  const message = JSON.parse(text);
  if (message.type === 'stats') window.testReports.push(message);
  return send.call(this, text);
};
"""

# As if nothing went through the network but by a TURN server, of which there is none; and what the
# page says to it.
_BLOCKED = """
new MutationObserver(() => {
  const texts = ['line', 'hint'].map((id) => document.getElementById(id).textContent);
  if (document.documentElement.dataset.cause === 'blocked') window.testSaid ??= texts;
}).observe(document, { subtree: true, attributeFilter: ['data-cause'] });
window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(options) { super({ ...options, iceTransportPolicy: 'relay' }); }
};
"""

_VIDEOS = """
() => [...document.querySelectorAll('video')].map((video) => [
  video.videoWidth, video.getVideoPlaybackQuality().totalVideoFrames,
])
"""


class Site:
    """Be the web server of somebody else's page.

    Attributes:
        origin: Of its pages.
    """

    def __init__(self, directory: Path) -> None:
        handler = functools.partial(QuietHandler, directory=str(directory))
        self._server = ThreadingHTTPServer(('127.0.0.1', 0), handler)
        self.origin = f'http://127.0.0.1:{self._server.server_port}'
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('site')


@pytest.fixture(scope='module')
def site(folder):
    site = Site(folder)
    yield site
    site.close()


@pytest.fixture(scope='module')
def stack(tmp_path_factory, browser, site) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp('stack'), DOMAIN_ID)
    stack.set('signaling_server', f'allowed_origins:=["{site.origin}"]')
    try:
        stack.start('signaling_server', 'test_camera', 'camera_sender')
        stack.start_camera('rear', 'width:=320', 'height:=240', 'encoding:=mono8')
        for sender in map(stack.process, ('camera_sender', 'rear/camera_sender')):
            sender.wait_for_output('connected to the signaling server')
        yield stack
    finally:
        stack.stop()


@pytest.fixture(scope='module', autouse=True)
def blocked(stack, browser):
    """Open a page that gets no video, before all others: it takes it a while to be sure."""
    viewer = importlib.import_module('viewer').Viewer(browser, stack.url, script=_BLOCKED)
    yield viewer
    viewer.close()


@pytest.fixture
def open_page(stack, new_viewer):
    """Open the page, live: its path, and the options of a window."""

    def open_page(path='/?camera=camera', **options):
        address, _, token = stack.url.partition('/#')
        viewer = new_viewer(f'{address}{path}#{token}', **options)
        viewer.wait_for_state('live', PICTURES_S)
        return viewer

    return open_page


def press(viewer, *keys):
    for key in keys:
        viewer.page.keyboard.press(key)


def saved_by(viewer, key):
    """Return what the browser downloads when a key is pressed."""
    with viewer.page.expect_download(timeout=PICTURES_S * 1000) as download:
        press(viewer, key)
    return download.value


def overflow(viewer):
    """Return by how many pixels the page is wider and higher than its window."""
    return viewer.page.evaluate(
        '() => { const { scrollWidth, scrollHeight } = document.documentElement;'
        ' return [scrollWidth - innerWidth, scrollHeight - innerHeight]; }'
    )


def problems(viewer, only=None):
    """Return what axe-core finds: by all rules of WCAG, or by one alone."""
    axe = pytest.importorskip('axe_playwright_python.sync_playwright').Axe()
    rules = {'type': 'rule', 'values': [only]} if only else {'type': 'tag', 'values': WCAG}
    found = axe.run(viewer.page, options={'runOnly': rules, 'resultTypes': ['violations']})
    return [
        (violation['id'], violation['help'], [node['html'] for node in violation['nodes']])
        for violation in found.response['violations']
    ]


def assert_accessible(viewer):
    assert problems(viewer) == []
    viewer.page.emulate_media(color_scheme='dark')
    assert problems(viewer, 'color-contrast') == []


def test_all_that_the_page_loads_is_the_servers_own(stack, new_viewer):
    viewer = new_viewer('about:blank')
    loaded = {}
    viewer.page.on('response', lambda response: loaded.update({response.url: response.status}))
    viewer.page.goto(stack.url)
    viewer.wait_for_state('live', PICTURES_S)
    assert len(loaded) > 10
    assert {url.startswith(f'http://127.0.0.1:{stack.port}/') for url in loaded} == {True}
    assert set(loaded.values()) == {200}
    assert viewer.complaints == []
    # Script in the page's text does not run, and a browser of today takes none from a string.
    planted = """() => {
      const script = document.createElement('script');
      script.text = 'window.planted = true';
      document.body.append(script);
    }"""
    with pytest.raises(Exception, match='TrustedScript'):
        viewer.page.evaluate(planted)
    assert not viewer.page.evaluate('window.planted')


def test_axe_core_finds_nothing(stack, open_page, new_viewer):
    login = new_viewer(stack.url.partition('#')[0])
    login.wait_for_state('refused', SOON_S)
    assert login.page.evaluate('document.activeElement.id') == 'token'
    viewer = open_page('/?camera=*')
    press(viewer, 'i')
    viewer.page.get_by_role('button', name='rear').wait_for(timeout=SOON_S * 1000)
    viewer.page.get_by_role('button', name='Menu').click()
    # Each picture of the grid has a name below it.
    assert viewer.text('caption') == 'camera'
    assert viewer.text('camera') == ''
    camera = stack.process('rear/test_camera')
    camera.signal(signal.SIGSTOP)
    try:
        viewer.page.locator('.frozen:visible').wait_for(timeout=SOON_S * 1000)
        for each in (login, viewer):
            assert_accessible(each)
    finally:
        camera.signal(signal.SIGCONT)


def test_the_details_are_shown_copied_and_reported(stack, open_page):
    viewer = open_page(script=_OVERHEAR, permissions=['clipboard-read'])
    assert not viewer.page.get_by_role('region', name='Details').is_visible()
    press(viewer, 'i')
    names = viewer.page.locator('dt').all_text_contents()

    def values():
        return dict(zip(names, viewer.page.locator('dd').all_text_contents(), strict=True))

    wait_until(lambda: '\u2013' not in values().values(), PICTURES_S, f'all figures: {values()}')
    shown = values()
    assert (shown['Width'], shown['Height'], shown['Codec']) == ('640 px', '480 px', 'H264')
    # Of a camera of 30 pictures a second on a machine that may be busy.
    for name in ('Sent', 'Received', 'Rendered'):
        assert re.fullmatch(r'\d+/s', shown[name])
        assert 0 < int(shown[name].removesuffix('/s')) < 60
    assert shown['Age, median'].endswith(' ms')
    wait_until(
        lambda: viewer.page.locator('#path').get_attribute('d').count('L') > 3, SOON_S, 'a plot'
    )
    viewer.page.get_by_role('button', name='Copy as JSON').click()
    copied = json.loads(viewer.page.evaluate('navigator.clipboard.readText()'))
    assert copied['camera'] == 'camera'
    assert copied['codec'] == 'H264'
    assert copied['latency_p95_ms'] >= copied['latency_ms'] > 0
    assert {'sent_fps', 'received_fps', 'rendered_fps', 'framesDropped'} <= set(copied)

    reports = wait_until(
        lambda: found if len(found := viewer.page.evaluate('window.testReports')) > 1 else None,
        PICTURES_S,
        'reports',
    )
    members = {
        'type', 'client_id', 'sender_id', 'fps', 'bitrate_bps', 'rtt_ms', 'jitter_ms', 'loss',
        'freezes', 'latency_ms',
    }  # fmt: skip
    assert set(reports[-1]) == members
    assert [('setup_ms' in report) for report in reports[:2]] == [True, False]
    press(viewer, 'i')
    assert not viewer.page.get_by_role('region', name='Details').is_visible()
    assert viewer.complaints == []


def test_a_recording_is_a_file_that_plays(open_page, tmp_path):
    viewer = open_page()
    press(viewer, 'v')
    viewer.watch(30, PICTURES_S)
    assert viewer.page.evaluate("'recording' in document.documentElement.dataset")
    download = saved_by(viewer, 'v')
    assert re.fullmatch(r'camera_[\dT.-]+Z\.webm', download.suggested_filename)
    download.save_as(tmp_path / 'video.webm')
    with av.open(tmp_path / 'video.webm') as video:
        pictures = [frame.to_ndarray(format='bgr24') for frame in video.decode(video=0)]
    # A busy machine records some of them.
    assert len(pictures) > 1
    assert read_corners(pictures[-1]) == CORNERS


def test_the_picture_is_mirrored_and_rotated_for_the_eye(open_page):
    viewer = open_page()
    top_left, top_right, bottom_left, bottom_right = CORNERS

    def seen():
        return read_corners(viewer.picture_in(viewer.screenshot()))

    press(viewer, 'm')
    mirrored = (top_right, top_left, bottom_right, bottom_left)
    wait_until(lambda: seen() == mirrored, SOON_S, 'a mirrored picture')
    press(viewer, 'm', 'r', 'r')
    upside_down = (bottom_right, bottom_left, top_right, top_left)
    wait_until(lambda: seen() == upside_down, SOON_S, 'a picture upside down')
    press(viewer, 'r')
    video, cell = (viewer.page.locator(f'#{name}').bounding_box() for name in ('video', 'main'))
    assert video == pytest.approx(cell)
    assert viewer.page.evaluate("document.getElementById('video').offsetWidth") < cell['width']


def test_full_screen_and_picture_in_picture(open_page):
    viewer = open_page()
    for key, element in (('f', 'fullscreenElement'), ('p', 'pictureInPictureElement')):
        press(viewer, key)
        wait_until(lambda e=element: viewer.page.evaluate(f'!!document.{e}'), SOON_S, element)
        viewer.watch(5, PICTURES_S)
        press(viewer, key)
        wait_until(lambda e=element: viewer.page.evaluate(f'!document.{e}'), SOON_S, element)
    assert viewer.text('note') == ''


def test_the_page_is_used_by_keyboard_alone_and_heard(open_page):
    viewer = open_page()
    heard = viewer.page.locator('body').aria_snapshot()
    # What a screen reader has of it: state, choice, menu, picture, and no label that ticks.
    for words in ('status: Live.', 'combobox "Camera"', 'button "Menu"', 'main:'):
        assert words in heard
    assert viewer.page.get_by_label("The robot's camera").is_visible()

    def focused():
        return viewer.page.evaluate(
            '() => { const { ariaLabel, textContent } = document.activeElement;'
            ' return ariaLabel ?? textContent; }'
        )

    press(viewer, 'Tab')
    assert focused() == 'Camera'
    press(viewer, 'Tab')
    assert focused() == 'Menu'
    press(viewer, 'Enter', 'Tab')
    assert focused() == 'Details'
    assert viewer.page.evaluate('getComputedStyle(document.activeElement).outlineStyle') == 'solid'
    press(viewer, 'Enter')
    viewer.page.get_by_role('region', name='Details').wait_for(timeout=SOON_S * 1000)
    assert viewer.page.locator('[data-key=i]').get_attribute('aria-pressed') == 'true'
    press(viewer, 'Escape')
    wait_until(lambda: viewer.text('menu') == '', SOON_S, 'a closed menu')
    assert focused() == 'Menu'


def test_a_camera_is_chosen_or_all_are_shown(stack, open_page):
    viewer = open_page()
    choice = viewer.page.get_by_role('combobox', name='Camera')
    choice.wait_for(timeout=SOON_S * 1000)
    assert choice.input_value() == 'camera'
    choice.select_option('rear')
    viewer.wait_for_state('live', PICTURES_S)
    viewer.watch(10, PICTURES_S)
    picture = viewer.picture().astype(int)
    assert picture.shape == (240, 320, 3)
    assert np.ptp(picture, axis=2).max() < 16
    assert viewer.page.url.endswith('/?camera=rear')
    # It was told that nobody looks any more, and does not have to find out.
    sender = stack.process('camera_sender')
    client_id = viewer.page.evaluate('window.rtcViewer.clientId')
    sender.wait_for_output(f'viewer {client_id}: left', SOON_S)

    choice.select_option('All cameras')
    tile = viewer.page.get_by_role('button', name='camera · live')
    tile.wait_for(timeout=PICTURES_S * 1000)
    before = dict(viewer.page.evaluate(_VIDEOS))
    assert sorted(before) == [320, 640]
    viewer.page.reload()
    tile = viewer.page.get_by_role('button', name='rear · live')
    tile.wait_for(timeout=PICTURES_S * 1000)

    def all_move():
        now = viewer.page.evaluate(_VIDEOS)
        return len(now) == 2 and all(frames > 5 for _, frames in now)

    wait_until(all_move, PICTURES_S, 'two pictures that move')
    tile.click()
    wait_until(lambda: len(viewer.page.evaluate(_VIDEOS)) == 1, SOON_S, 'one picture')
    assert viewer.page.url.endswith('/?camera=rear')
    assert viewer.complaints == []


def test_a_link_has_the_token_only_if_that_is_asked_for(stack, open_page):
    viewer = open_page('/?camera=rear', permissions=['clipboard-read'])
    link = f'http://127.0.0.1:{stack.port}/?camera=rear'

    def copied(*keys):
        press(viewer, *keys)
        viewer.page.get_by_text('Copied.').wait_for(timeout=SOON_S * 1000)
        return viewer.page.evaluate('navigator.clipboard.readText()')

    assert copied('c') == link
    assert copied('t') == f'{link}#token={stack.token}'
    # Without the keys nothing happens, and the menu still works.
    press(viewer, 'k', 'i', 'm')
    assert not viewer.page.get_by_role('region', name='Details').is_visible()
    viewer.page.get_by_role('button', name='Menu').click()
    viewer.page.get_by_role('button', name='Details').click()
    viewer.page.get_by_role('region', name='Details').wait_for(timeout=SOON_S * 1000)


def test_everything_fits_on_a_telephone_upright_and_on_its_side(open_page, tmp_path):
    viewer = open_page(viewport=UPRIGHT, **TELEPHONE)
    press(viewer, 'i')
    for window in (UPRIGHT, ON_ITS_SIDE):
        viewer.page.set_viewport_size(window)
        viewer.watch(5, PICTURES_S)
        viewer.screenshot(tmp_path / f'details_{window["width"]}.png')
        assert overflow(viewer) == [0, 0]
        for element in ('#age', '.icon', '#cameras', '#copy'):
            viewer.page.locator(element).scroll_into_view_if_needed()
            box = viewer.page.locator(element).bounding_box()
            assert box['x'] >= 0
            assert box['x'] + box['width'] <= window['width']
    press(viewer, 'i', 'a')
    viewer.page.get_by_role('button', name='rear · live').wait_for(timeout=PICTURES_S * 1000)
    for window in (ON_ITS_SIDE, UPRIGHT):
        viewer.page.set_viewport_size(window)
        viewer.watch(5, PICTURES_S)
        seen = viewer.screenshot(tmp_path / f'grid_{window["width"]}.png')
        assert overflow(viewer) == [0, 0]
        assert read_corners(viewer.picture_in(seen)) == CORNERS


def test_a_blocked_network_is_told_from_a_lost_robot(blocked):
    line, hint = wait_until(
        lambda: blocked.page.evaluate('window.testSaid'), BLOCKED_S, f'blocked: {blocked.state}'
    )
    assert 'blocks video' in line
    assert 'TURN' in hint
    assert_accessible(blocked)


def test_the_example_of_the_documents_shows_the_robot(stack, site, folder, new_viewer):
    text = (REPOSITORY / 'docs/page.md').read_text('utf-8')
    [example] = re.findall(r'```html\n(.*?)```', text, re.DOTALL)
    assert len(example.splitlines()) <= 10
    example = example.replace('robot:8765', f'127.0.0.1:{stack.port}')
    (folder / 'mine.html').write_text(example.replace('TOKEN', stack.token), 'utf-8')
    viewer = new_viewer(f'{site.origin}/mine.html')
    viewer.page.get_by_text('live').wait_for(timeout=PICTURES_S * 1000)
    viewer.page.wait_for_function("document.getElementById('video').videoWidth > 0")
    wait_until(lambda: read_index(viewer.picture()), PICTURES_S, 'a readable index')
    # Its browser asks for an icon that is not there.
    assert [text for text in viewer.complaints if '404' not in text] == []
