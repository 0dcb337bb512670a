"""What the page makes of a camera that lets it go, and of what is about an older offer.

The camera is played by the test, so that it says what a real one says only now and then.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from processes import Stack
from websockets.sync.client import connect

from rtc_signaling.tokens import load

DOMAIN_ID = 82
# The page's answer to anything; it waits up to twice its back-off, and two busy cores add some.
SOON_S = 10.0

# A page that has made an offer, and what it makes of answers and byes.
_MEDIA = """
async () => {
  const { Media } = await import('/media.js');
  const sent = [];
  const media = new Media(['camera'], [], (message) => sent.push(message), () => {}, () => {});
  await media.offer();
  const [{ offer_id }] = sent;
  await media.take({ type: 'answer', sdp: 'the answer to another', offer_id: 'another' });
  const state = media.pc.signalingState;
  const isFrom = [media.isFrom(offer_id), media.isFrom(undefined), media.isFrom('another')];
  media.close();
  return { offer_id, state, isFrom };
}
"""

# Closes the page's next connection in its making: nothing tells the page what became of it then.
_CLOSE_THE_NEXT = """
() => {
  const { setLocalDescription } = RTCPeerConnection.prototype;
  RTCPeerConnection.prototype.setLocalDescription = function () {
    RTCPeerConnection.prototype.setLocalDescription = setLocalDescription;
    const end = setLocalDescription.call(this);
    this.close();
    return end;
  };
}
"""


@pytest.fixture(scope='module')
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp('stack')


@pytest.fixture(scope='module')
def stack(directory, browser):
    stack = Stack(directory, DOMAIN_ID)
    try:
        stack.start('signaling_server')
        yield stack
    finally:
        stack.stop()


class Camera:
    """Be a camera that never sends any video."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket

    def next_offer(self) -> dict[str, Any]:
        """Return the next offer that comes."""
        while True:
            message: dict[str, Any] = json.loads(self._socket.recv(SOON_S))
            if message['type'] == 'offer':
                return message

    def bye(self, offer: dict[str, Any], **members: Any) -> None:
        """Tell who made an offer that nothing comes of it."""
        ids = {name: offer[name] for name in ('client_id', 'offer_id')}
        self._socket.send(json.dumps({'type': 'bye', **ids, **members}))


@pytest.fixture
def camera(stack, directory) -> Iterator[Camera]:
    headers = {'Authorization': f'Bearer {load(directory / "tokens.json").sender}'}
    url = f'{stack.server_url}?role=sender&client_id=camera'
    with connect(url, additional_headers=headers, proxy=None) as socket:
        yield Camera(socket)
        with contextlib.suppress(OSError):
            socket.send('{"type": "leave"}')


@pytest.mark.parametrize(
    ('reason', 'words'),
    [
        ('busy', 'as many viewers as it serves'),
        ('disabled', 'switched off'),
        ('lost', 'heard nothing'),
        ('ended', 'ended the video'),
        ('a reason of tomorrow', 'ended the video'),
    ],
)
def test_a_camera_that_lets_the_page_go_is_asked_again(stack, camera, new_viewer, reason, words):
    viewer = new_viewer(stack.url)
    first = camera.next_offer()
    camera.bye(first, reason=reason, retry_after_s=2.0)
    cause = 'ended' if ' ' in reason else reason
    viewer.wait_for_state('failed', SOON_S, cause=cause)
    assert words in viewer.text('line')
    second = camera.next_offer()
    assert second['offer_id'] != first['offer_id']
    viewer.wait_for_state('negotiating', SOON_S)


def test_a_connection_closed_in_its_making_holds_up_no_other(stack, camera, new_viewer):
    viewer = new_viewer(stack.url)
    first = camera.next_offer()
    viewer.page.evaluate(_CLOSE_THE_NEXT)
    camera.bye(first, reason='ended')
    viewer.wait_for_state('failed', SOON_S, cause='blocked')
    assert camera.next_offer()['offer_id'] != first['offer_id']
    viewer.wait_for_state('negotiating', SOON_S)


def test_what_is_about_another_offer_changes_nothing(stack, new_viewer):
    result = new_viewer(stack.url).page.evaluate(_MEDIA)
    assert 1 <= len(result['offer_id']) <= 64
    assert result['state'] == 'have-local-offer'
    assert result['isFrom'] == [True, True, False]
