"""Each codec in a real browser: one that offers only this gets moving pictures by it."""

from __future__ import annotations

import pytest
from processes import running_stack, wait_until

from rtc_signaling.media.scene import CORNERS, read_corners, read_index

DOMAIN_ID = 92
PICTURES_S = 15.0

_ONLY = """
const original = RTCPeerConnection.prototype.addTransceiver;
RTCPeerConnection.prototype.addTransceiver = function (...words) {
  const transceiver = original.apply(this, words);
  const { codecs } = RTCRtpReceiver.getCapabilities('video');
  transceiver.setCodecPreferences(codecs.filter(({ mimeType }) => mimeType === 'video/CODEC'));
  return transceiver;
};
"""

_CODEC = """
async () => {
  const report = await window.rtcViewer.pc.getStats();
  const stream = [...report.values()].find(({ type }) => type === 'inbound-rtp');
  return report.get(stream?.codecId)?.mimeType;
}
"""


@pytest.fixture(scope='module')
def stack(tmp_path_factory, browser):
    with running_stack(tmp_path_factory.mktemp('stack'), DOMAIN_ID) as stack:
        yield stack


@pytest.mark.parametrize('codec', ['H264', 'VP8'])
def test_a_browser_that_offers_only_this_codec_sees_the_camera(stack, new_viewer, codec):
    viewer = new_viewer(stack.url, script=_ONLY.replace('CODEC', codec))
    viewer.wait_for_state('live', PICTURES_S)
    viewer.watch(10, PICTURES_S)
    assert viewer.page.evaluate(_CODEC) == f'video/{codec}'
    first = wait_until(lambda: read_index(viewer.picture()), PICTURES_S, 'a readable index')
    viewer.watch(5, PICTURES_S)
    picture = viewer.picture()
    assert read_corners(picture) == CORNERS
    assert read_index(picture) > first
