"""A network that is cut, changed or closed to video, and a device that sleeps.

All of it is done for real: the robot, its viewer and a guest have network namespaces of their own.
Each time there is video again without a click, and before that the page says what is the matter.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import signal
import time
from pathlib import Path

import pytest
from network import ROBOT, Network, NoNamespacesError, inside
from processes import NODES, descendants, running_stack, wait_until

DOMAIN_ID = 98
PICTURES_S = 20.0
# The page gives up an agreement without a connection after 15 s.
BLOCKED_S = 30.0

# Note all that the page says, with the time.
_LISTEN = """
window.testSaid = [];
addEventListener('DOMContentLoaded', () => new MutationObserver(() => {
  const [line, hint] = ['line', 'hint'].map((id) => document.getElementById(id).textContent);
  const { state } = document.documentElement.dataset;
  const text = `${line} ${hint}`;
  const at = Math.round(performance.now());
  if (window.testSaid.at(-1)?.text !== text) window.testSaid.push({ text, state, at });
}).observe(document, { subtree: true, childList: true, attributes: true }));
"""


# Note every age that the page shows.
_WATCH_AGE = """
() => {
  const age = document.getElementById('age');
  window.testAges = [];
  new MutationObserver(() => {
    const text = age.hidden ? '' : age.textContent;
    if (window.testAges.at(-1) !== text) window.testAges.push(text);
  }).observe(age, { subtree: true, childList: true, attributes: true, characterData: true });
}
"""

# By how much the header stamp of the picture is ahead of the browser's clock, in ms.
_AHEAD = """
async () => {
  const { timing } = window.rtcViewer;
  const metadata = await new Promise((resolve) => {
    document.getElementById('video').requestVideoFrameCallback((_, it) => resolve(it));
  });
  return (await timing?.stampOf(metadata.rtpTimestamp) ?? NaN) - Date.now();
}
"""


@pytest.fixture(scope='module')
def network():
    if os.geteuid() != 0:
        pytest.skip('network namespaces want root')
    try:
        network = Network()
    except NoNamespacesError as error:
        pytest.skip(f'no network namespaces: {error}')
    yield network
    network.close()


@pytest.fixture(scope='module')
def stack(tmp_path_factory, network):
    directory = tmp_path_factory.mktemp('stack')
    with running_stack(directory, DOMAIN_ID, address=ROBOT, prefix=network.robot.prefix) as stack:
        stack.process('camera_sender').wait_for_output('connected to the signaling server')
        yield stack


@pytest.fixture(scope='module')
def browsers(network, tmp_path_factory):
    """Run a Chromium for the viewer, whose process id comes first, and one for the guest."""
    pytest.importorskip('playwright')
    viewer = importlib.import_module('viewer')
    if (program := viewer.chromium_path()) is None:
        pytest.skip('no Chromium or Chrome: install one, or set CHROMIUM=PATH')
    directory = tmp_path_factory.mktemp('browsers')
    spaces = (network.viewer, network.guest)
    scripts = [inside(space, program, directory) for space in spaces]
    with viewer.running_chromium(*(script for script, _ in scripts)) as browsers:
        yield (int(scripts[0][1].read_text()), *browsers)


@pytest.fixture(scope='module', autouse=True)
def guest(stack, browsers):
    """Open the page where UDP is dropped, before all else: it takes it a while to be sure."""
    viewer = importlib.import_module('viewer').Viewer(browsers[2], stack.url, script=_LISTEN)
    yield viewer
    viewer.close()


@pytest.fixture(scope='module')
def viewer(stack, browsers):
    """Open one page for all: it has to live through everything."""
    viewer = importlib.import_module('viewer').Viewer(browsers[1], stack.url, script=_LISTEN)
    viewer.wait_for_state('live', PICTURES_S)
    viewer.watch(5, PICTURES_S)
    yield viewer
    viewer.close()


@pytest.fixture(scope='module')
def clock(tmp_path_factory):
    """Return the file that says how wrong the robot's clock is; None where it cannot be."""
    return tmp_path_factory.mktemp('clock') / 'offset' if faketime() else None


def faketime():
    """Return libfaketime, if it is there; the other one, without MT, is not for threads."""
    return next(Path('/usr/lib').glob('*/faketime/libfaketimeMT.so.1'), None)


def set_clock(clock, offset_s):
    """Make the clocks of the programs with this file wrong by so many seconds, at once."""
    part = clock.with_suffix('.part')
    part.write_text(f'{offset_s:+d}\n')
    part.replace(clock)  # an empty file stops libfaketime


def fake_time(clock):
    """Return an environment in which programs have the offset of a file, in s, in their clocks."""
    return {
        'LD_PRELOAD': str(faketime()),
        'FAKETIME_TIMESTAMP_FILE': str(clock),
        'FAKETIME_CACHE_DURATION': '1',
        'DONT_FAKE_MONOTONIC': '1',
    }


@contextlib.contextmanager
def trouble(viewer):
    """Have a trouble in the context, then wait for video; tell how long that took."""
    viewer.page.evaluate('window.testSaid.length = 0')
    viewer.record()
    try:
        yield
        since = time.monotonic()
        viewer.wait_for_state('live', PICTURES_S, cause='')
        viewer.watch(10, PICTURES_S)
        print(f'video {time.monotonic() - since:.1f} s after the end of it')
    finally:
        said = [f'{each["at"]} ms, {each["state"]}: {each["text"]}' for each in said_by(viewer)]
        print('the page said:', *said, sep='\n  ')


def said_by(viewer):
    return viewer.page.evaluate('window.testSaid')


def wait_until_said(viewer, words, timeout_s=PICTURES_S):
    wait_until(
        lambda: any(words in each['text'] for each in said_by(viewer)), timeout_s,
        f'{words}: {viewer.state}',
    )  # fmt: skip


def is_ahead(viewer, hours):
    """Tell whether the stamps are of a clock that is so many hours ahead, within a minute."""
    return abs(viewer.page.evaluate(_AHEAD) / 1000 - hours * 3600) < 60


def test_the_robot_is_rebooted_while_the_network_is_down(network, stack, viewer, clock):
    with trouble(viewer):
        network.unplug('wifi')
        wait_until_said(viewer, 'This device is not connected to any network.')
        viewer.look_at_stale()
        for name in NODES:
            stack.kill(name)
        network.plug('wifi')
        wait_until_said(viewer, f"The robot's server does not answer at {ROBOT}:{stack.port}.")
        viewer.look_at_stale()
        # A robot without a battery for its clock is wrong about the time until it has asked.
        if clock is not None:
            set_clock(clock, 3600)
            stack.environment.update(fake_time(clock))
        stack.start(*NODES)


def test_the_age_is_right_while_the_robots_clock_is_wrong_and_once_it_is_set(viewer, clock):
    if clock is None:
        pytest.skip('no libfaketime: run "make receivers"')
    assert is_ahead(viewer, hours=1)
    viewer.page.evaluate(_WATCH_AGE)
    wait_until(lambda: viewer.text('age').endswith(' ms'), PICTURES_S, 'an age')
    set_clock(clock, -3600)
    wait_until(lambda: is_ahead(viewer, hours=-1), PICTURES_S, 'a clock that was set')
    wait_until(lambda: viewer.text('age').endswith(' ms'), PICTURES_S, 'an age again')
    viewer.watch(30, PICTURES_S)
    ages = viewer.page.evaluate('window.testAges')
    print(ages)
    assert {age for age in ages if not re.fullmatch(r'\d+ ms', age)} <= {
        '', 'age unknown', 'clocks differ',
    }  # fmt: skip


def test_wifi_is_lost_without_a_word_and_then_there_is_a_cable(network, viewer):
    with trouble(viewer):
        network.silence()
        wait_until_said(viewer, 'Nothing comes from the robot any more.')
        viewer.look_at_stale()
        network.unplug('wifi')
        network.plug('cable')
        network.end_silence()


def test_the_device_sleeps_and_wakes(browsers, stack, viewer):
    pid = browsers[0]
    sender = stack.process('camera_sender')
    before = sender.output.count('no receiver report')
    asleep = [pid, *descendants(pid)]
    with trouble(viewer):
        try:
            for each in asleep:
                os.kill(each, signal.SIGSTOP)
            wait_until(
                lambda: sender.output.count('no receiver report') > before, PICTURES_S, 'a loss'
            )
        finally:
            for each in asleep:
                os.kill(each, signal.SIGCONT)
        wait_until(lambda: not viewer.same_connection(), PICTURES_S, 'a new connection')


def test_a_network_that_blocks_video_is_told_and_gets_video_once_it_does_not(network, guest):
    wait_until_said(
        guest, 'The network between this device and the robot blocks video.', BLOCKED_S
    )
    assert any('TURN' in each['text'] for each in said_by(guest))
    assert 'refused' not in {each['state'] for each in said_by(guest)}
    network.mend_guest()
    guest.wait_for_state('live', BLOCKED_S)
    guest.watch(5, PICTURES_S)
