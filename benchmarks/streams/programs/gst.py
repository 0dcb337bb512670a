"""GStreamer: one x264enc, a tee, and a webrtcbin for each viewer. For the system's Python.

Nothing of this project is imported, since GStreamer's Python is another one. Arguments: width,
height, bitrate in bit/s, rate in Hz, preset, key frame interval in frames, a file of BGR pictures.
"""

import itertools
import json
import re
import socketserver
import sys
import threading
import time

import gi

gi.require_version('Gst', '1.0')
gi.require_version('GstSdp', '1.0')
gi.require_version('GstVideo', '1.0')
gi.require_version('GstWebRTC', '1.0')
from gi.repository import GLib, Gst, GstSdp, GstVideo, GstWebRTC  # noqa: E402

DEADLINE_S = 20.0


class Sender:
    """Run the pipeline, from the first viewer's offer on: that has the payload type."""

    def __init__(self, words):
        width, height, bitrate_bps, rate_hz = map(int, words[:4])
        self._rate_hz = rate_hz
        self._size = width * height * 3
        self._description = (
            'appsrc name=camera is-live=true do-timestamp=true format=time max-buffers=2'
            ' leaky-type=downstream block=false'
            f' caps=video/x-raw,format=BGR,width={width},height={height},framerate={rate_hz}/1'
            ' ! videoconvert n-threads=1 ! video/x-raw,format=I420'
            f' ! x264enc name=encoder tune=zerolatency speed-preset={words[4]} threads=1'
            f' bitrate={bitrate_bps // 1000} key-int-max={words[5]}'
            ' ! video/x-h264,profile=constrained-baseline,stream-format=byte-stream'
            ' ! rtph264pay config-interval=-1 aggregate-mode=zero-latency mtu=1300 pt={payload}'
            ' ! tee name=tee allow-not-linked=true'
        )
        with open(words[6], 'rb') as file:
            self._pictures = [
                Gst.Buffer.new_wrapped(data) for data in iter(lambda: file.read(self._size), b'')
            ]
        self._pipeline = None
        self._payload = None
        self._lock = threading.Lock()

    def add(self, sdp):
        """Return a viewer's webrtcbin and the answer to its offer."""
        with self._lock:
            if self._pipeline is None:
                self._start(sdp)
            return self._add(sdp)

    def _start(self, sdp):
        self._payload = payload_type(sdp)
        self._pipeline = Gst.parse_launch(self._description.format(payload=self._payload))
        self._pipeline.get_bus().add_signal_watch()
        self._pipeline.get_bus().connect('message::error', on_error)
        self._pipeline.set_state(Gst.State.PLAYING)
        threading.Thread(target=self._feed, daemon=True).start()

    def _feed(self):
        camera = self._pipeline.get_by_name('camera')
        last = len(self._pictures) - 1
        start_s = time.monotonic()
        for index in itertools.count():
            wait_s = start_s + index / self._rate_hz - time.monotonic()
            if wait_s > 0:
                time.sleep(wait_s)
            else:
                start_s -= wait_s
            place = index % (2 * last)
            picture = self._pictures[min(place, 2 * last - place)]
            # A buffer of its own around the same memory.
            shared = picture.copy_region(Gst.BufferCopyFlags.MEMORY, 0, self._size)
            camera.emit('push-buffer', shared)

    def _add(self, sdp):
        queue = Gst.ElementFactory.make('queue')
        webrtc = Gst.ElementFactory.make('webrtcbin')
        webrtc.set_property('bundle-policy', GstWebRTC.WebRTCBundlePolicy.MAX_BUNDLE)
        for element in (queue, webrtc):
            self._pipeline.add(element)
            element.sync_state_with_parent()
        caps = Gst.Caps.from_string(
            'application/x-rtp,media=video,encoding-name=H264,clock-rate=90000,'
            f'payload={self._payload}'
        )
        direction = GstWebRTC.WebRTCRTPTransceiverDirection.SENDONLY
        webrtc.emit('add-transceiver', direction, caps)
        queue.get_static_pad('src').link(webrtc.request_pad_simple('sink_0'))
        pad = self._pipeline.get_by_name('tee').request_pad_simple('src_%u')
        pad.link(queue.get_static_pad('sink'))
        answer = negotiate(webrtc, sdp)
        webrtc.connect('notify::connection-state', self._on_state)
        return (pad, queue, webrtc), answer

    def _on_state(self, webrtc, _):
        # A viewer begins with a key frame.
        if webrtc.get_property('connection-state').value_nick == 'connected':
            event = GstVideo.video_event_new_upstream_force_key_unit(Gst.CLOCK_TIME_NONE, True, 0)
            self._pipeline.get_by_name('encoder').get_static_pad('src').send_event(event)

    def remove(self, elements):
        """Let a viewer go."""
        pad, queue, webrtc = elements
        with self._lock:
            pad.unlink(queue.get_static_pad('sink'))
            self._pipeline.get_by_name('tee').release_request_pad(pad)
            for element in (queue, webrtc):
                element.set_state(Gst.State.NULL)
                self._pipeline.remove(element)


def negotiate(webrtc, sdp):
    """Return the answer, with all candidates in it."""
    offer = GstWebRTC.WebRTCSessionDescription.new(
        GstWebRTC.WebRTCSDPType.OFFER, GstSdp.SDPMessage.new_from_text(sdp)[1]
    )
    wait_for(webrtc, 'set-remote-description', offer)
    reply = wait_for(webrtc, 'create-answer', None)
    wait_for(webrtc, 'set-local-description', reply.get_value('answer'))
    deadline_s = time.monotonic() + DEADLINE_S
    while webrtc.get_property('ice-gathering-state').value_nick != 'complete':
        if time.monotonic() > deadline_s:
            raise TimeoutError('candidates are still being gathered')
        time.sleep(0.01)
    return webrtc.get_property('local-description').sdp.as_text()


def wait_for(webrtc, signal, argument):
    """Emit a signal that answers by a promise, and return the reply."""
    promise = Gst.Promise.new()
    webrtc.emit(signal, argument, promise)
    if promise.wait() != Gst.PromiseResult.REPLIED:
        raise RuntimeError(f'{signal} was not answered')
    reply = promise.get_reply()
    if reply is not None and reply.has_field('error'):
        raise RuntimeError(f'{signal}: {reply.get_value("error")}')
    return reply


def payload_type(sdp):
    """Return the number of constrained baseline H.264 in an offer."""
    return int(re.search(r'a=fmtp:(\d+) .*profile-level-id=42e01f', sdp)[1])


def on_error(_, message):
    """Say what is wrong with the pipeline."""
    sys.stderr.write(f'{message.parse_error()}\n')


class Handler(socketserver.StreamRequestHandler):
    """Serve one viewer: its offer, the answer, and the end."""

    def handle(self):
        """Serve it until the connection ends."""
        sdp = json.loads(self.rfile.readline())['sdp']
        elements, answer = self.server.sender.add(sdp)
        self.wfile.write(json.dumps({'sdp': answer}).encode() + b'\n')
        self.rfile.read()
        self.server.sender.remove(elements)


def main():
    """Serve viewers until the harness is done."""
    Gst.init(None)
    loop = GLib.MainLoop()
    threading.Thread(target=loop.run, daemon=True).start()
    server = socketserver.ThreadingTCPServer(('127.0.0.1', 0), Handler)
    server.daemon_threads = True
    server.sender = Sender(sys.argv[1:])
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(json.dumps({'port': server.server_address[1], 'gstreamer': Gst.version_string()}))
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == '__main__':
    main()
