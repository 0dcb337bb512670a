"""Receive one video by GStreamer's webrtcbin and show its pictures. For the system's Python.

It writes its offer and reads the answer, each a line of JSON; then a line for each picture that it
decoded, whose pixels (BGR) it has put into a file. Arguments: H264 or VP8, that file.
"""

import json
import os
import sys
import threading
import time

import gi

gi.require_version('Gst', '1.0')
gi.require_version('GstSdp', '1.0')
gi.require_version('GstWebRTC', '1.0')
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

GATHERING_S = 20.0
DECODERS = {'H264': 'rtph264depay ! avdec_h264', 'VP8': 'rtpvp8depay ! vp8dec'}
CAPS = {
    'H264': 'packetization-mode=(string)1,profile-level-id=(string)42e01f,payload=97',
    'VP8': 'payload=96',
}


def say(**words):
    """Write a line that the test reads."""
    sys.stdout.write(json.dumps(words) + '\n')
    sys.stdout.flush()


class Receiver:
    """Offer to receive, and decode what comes."""

    def __init__(self, codec, path):
        self._codec = codec
        self._path = path
        self._pipeline = Gst.Pipeline.new()
        self._webrtc = Gst.ElementFactory.make('webrtcbin')
        self._webrtc.set_property('bundle-policy', GstWebRTC.WebRTCBundlePolicy.MAX_BUNDLE)
        self._pipeline.add(self._webrtc)
        self._webrtc.connect('pad-added', self._on_stream)
        self._pipeline.get_bus().add_signal_watch()
        self._pipeline.get_bus().connect('message::error', self._on_error)
        self._pipeline.set_state(Gst.State.PLAYING)
        caps = Gst.Caps.from_string(
            f'application/x-rtp,media=video,clock-rate=90000,encoding-name={codec},{CAPS[codec]}'
        )
        direction = GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY
        self._webrtc.emit('add-transceiver', direction, caps)

    def offer(self):
        """Return the offer, with all candidates in it."""
        reply = self._wait_for('create-offer', None)
        self._wait_for('set-local-description', reply.get_value('offer'))
        deadline_s = time.monotonic() + GATHERING_S
        while self._webrtc.get_property('ice-gathering-state').value_nick != 'complete':
            if time.monotonic() > deadline_s:
                raise TimeoutError('candidates are still being gathered')
            time.sleep(0.01)
        sdp = self._webrtc.get_property('local-description').sdp.as_text()
        # Its certificate is of RSA, which aiortc takes only as the server of DTLS.
        return sdp.replace('a=setup:actpass', 'a=setup:active')

    def take_answer(self, sdp):
        """Take the camera's answer."""
        message = GstSdp.SDPMessage.new_from_text(sdp)[1]
        answer = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, message)
        self._wait_for('set-remote-description', answer)

    def stop(self):
        """End everything."""
        self._pipeline.set_state(Gst.State.NULL)

    def _wait_for(self, signal, argument):
        promise = Gst.Promise.new()
        self._webrtc.emit(signal, argument, promise)
        promise.wait()
        reply = promise.get_reply()
        if reply is not None and reply.has_field('error'):
            raise RuntimeError(f'{signal}: {reply.get_value("error")}')
        return reply

    def _on_stream(self, _, pad):
        if pad.get_direction() != Gst.PadDirection.SRC:
            return
        decoder = Gst.parse_bin_from_description(
            f'{DECODERS[self._codec]} ! videoconvert ! video/x-raw,format=BGR'
            ' ! appsink name=pictures emit-signals=true sync=false',
            True,
        )
        decoder.get_by_name('pictures').connect('new-sample', self._on_picture)
        self._pipeline.add(decoder)
        decoder.sync_state_with_parent()
        pad.link(decoder.get_static_pad('sink'))

    def _on_picture(self, sink):
        sample = sink.emit('pull-sample')
        structure = sample.get_caps().get_structure(0)
        buffer = sample.get_buffer()
        with open(f'{self._path}.new', 'wb') as file:
            file.write(buffer.extract_dup(0, buffer.get_size()))
        os.replace(f'{self._path}.new', self._path)
        say(
            width=structure.get_value('width'),
            height=structure.get_value('height'),
            pts_ns=buffer.pts,
        )
        return Gst.FlowReturn.OK

    def _on_error(self, _, message):
        sys.stderr.write(f'{message.parse_error()}\n')


def main():
    """Receive until standard input ends."""
    Gst.init(None)
    threading.Thread(target=GLib.MainLoop().run, daemon=True).start()
    receiver = Receiver(*sys.argv[1:])
    say(sdp=receiver.offer())
    receiver.take_answer(json.loads(sys.stdin.readline())['sdp'])
    sys.stdin.read()
    receiver.stop()


if __name__ == '__main__':
    main()
