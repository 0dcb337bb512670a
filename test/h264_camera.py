"""A camera that gives H.264: the scene, encoded by PyAV."""

from __future__ import annotations

import fractions

import av

from rtc_signaling.media.scene import Scene


class H264Camera:
    """Encode the scene, picture by picture.

    Args:
        width: In pixels, even.
        height: In pixels, even.
        profile: x264's name of one.
        key_frame_each: How many pictures there are from one key frame to the next.
        pixel_format: FFmpeg's name.
        params: x264's own settings.
        options: FFmpeg's options.
    """

    def __init__(
        self, width=320, height=240, profile='baseline', key_frame_each=10, *,
        pixel_format='yuv420p', params='', **options,
    ):  # fmt: skip
        codec = av.CodecContext.create('libx264', 'w')
        codec.width, codec.height, codec.pix_fmt = width, height, pixel_format
        codec.time_base, codec.framerate = fractions.Fraction(1, 30), 30
        codec.gop_size = key_frame_each
        settings = f'scenecut=0:{params}' if params else 'scenecut=0'
        codec.options = {
            'preset': 'veryfast', 'tune': 'zerolatency', 'forced-idr': '1', 'crf': '20',
            **({'profile': profile} if profile else {}), 'x264-params': settings, **options,
        }  # fmt: skip
        self._codec = codec
        self._scene = Scene(width, height)
        self._format = pixel_format

    def picture(self, index):
        """Return the next picture's H.264, which shows that index; b'' if it is held back."""
        frame = av.VideoFrame.from_ndarray(self._scene.render(index / 30, index), 'bgr24')
        frame = frame.reformat(format=self._format)
        frame.pts = index
        return b''.join(bytes(packet) for packet in self._codec.encode(frame))

    def film(self, count):
        """Return the H.264 of so many pictures."""
        return [self.picture(index) for index in range(count)]
