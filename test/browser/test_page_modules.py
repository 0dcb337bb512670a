"""Single modules of the page, in a browser, with a clock and a network that the test plays."""

from __future__ import annotations

import pytest
from processes import Stack

DOMAIN_ID = 99

# What is said of a picture that stands still, by a clock of the test's own, in ms.
_STANDS_STILL = """
async () => {
  const { View } = await import('/view.js');
  const part = { framesAt: 1000, stats: {}, timing: { presented() {} } };
  const media = { connected: true, bytesAt: 1000, parts: [part] };
  const client = Object.assign(new EventTarget(), { sender: 'camera', media });
  const video = document.createElement('video');
  let onFrame;
  video.requestVideoFrameCallback = (callback) => { onFrame = callback; };
  let now = 1000;
  performance.now = () => now;
  View.visibleSince = 0;
  const view = new View(video, client);
  const be = (state, more) => {
    Object.assign(client, { state, detail: { state, ...more } });
    client.dispatchEvent(new Event('state'));
  };
  const at = (time, figures = {}) => {
    now = time;
    const { bytesAt, framesAt } = figures;
    if (bytesAt) media.bytesAt = bytesAt;
    if (framesAt !== undefined) part.framesAt = framesAt;
    const { state, line, frozenFor, moves } = view.read();
    return [state, line.split(/[,.]/)[0], frozenFor, moves];
  };
  be('live');
  at(1000);
  onFrame(0, { presentedFrames: 1 });
  const said = [
    at(2000), at(4500), at(4700, { bytesAt: 4700 }), at(8000, { bytesAt: 8000 }),
    at(8100, { framesAt: 8100 }),
  ];
  be('reconnecting', { flows: true });
  said.push(at(8200));
  be('live');
  said.push(at(9000, { framesAt: null, bytesAt: 9000 }), at(11300, { bytesAt: 11300 }));
  return said;
}
"""

# What the link takes the cause for, when its attempts end so and /healthz answers so.
_CAUSES = """
async (attempts) => {
  const { Link } = await import('/link.js');
  const sockets = [];
  window.WebSocket = class { constructor() { sockets.push(this); } close() {} };
  window.WebSocket.OPEN = 1;
  Math.random = () => 0;
  const settled = async (condition) => {
    while (!condition()) await new Promise((resolve) => { setTimeout(resolve, 5); });
  };
  const kinds = [];
  const link = new Link(new URL('ws://robot/ws'), '', () => {}, () => {});
  link.open();
  for (const [code, status] of attempts) {
    let asked = false;
    window.fetch = async () => {
      asked = true;
      if (!status) throw new TypeError('Failed to fetch');
      return { status };
    };
    const socket = sockets.at(-1);
    socket.onclose({ code });
    await settled(() => asked);
    await Promise.resolve();
    kinds.push(link.cause.kind);
    await settled(() => sockets.at(-1) !== socket);
  }
  link.close();
  return kinds;
}
"""


@pytest.fixture(scope='module')
def stack(tmp_path_factory, browser):
    stack = Stack(tmp_path_factory.mktemp('stack'), DOMAIN_ID)
    try:
        stack.start('signaling_server')
        yield stack
    finally:
        stack.stop()


@pytest.fixture
def page(stack, new_viewer):
    return new_viewer(stack.url).page


def test_what_is_said_of_a_picture_that_stands_still_is_true(page):
    said = page.evaluate(_STANDS_STILL)
    assert said == [
        ['live', 'Live', '', True],
        ['frozen', 'Nothing comes from the robot any more', 'frozen for 3.5 s', False],
        # Something came, but the camera has had no time yet.
        ['frozen', 'Nothing comes from the robot any more', 'frozen for 3.7 s', False],
        ['frozen', 'The robot is connected', 'frozen for 7.0 s', False],
        ['frozen', 'No new picture is coming', 'frozen for 7.1 s', False],
        ['reconnecting', 'Server lost', 'frozen for 7.2 s', False],
        # A new connection, whose first picture is on its way.
        ['negotiating', 'Setting up video …', 'frozen for 8.0 s', False],
        ['frozen', 'The robot is connected', 'frozen for 10.3 s', False],
    ]


def test_a_network_that_comes_back_is_not_taken_for_a_refusal(page):
    attempts = [[1006, 200], [1006, 0], [1006, 200], [1006, 200], [1006, 503]]
    causes = page.evaluate(_CAUSES, attempts)
    assert causes == ['full', 'unreachable', None, 'full', 'unwell']
