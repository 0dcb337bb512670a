"""What a camera's encoder thread does: convert the latest image, encode it once for each codec."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import av
import cv2

from rtc_signaling.errors import MediaError
from rtc_signaling.media.clock_sync import StampTable
from rtc_signaling.media.encoder import (
    BUFFER_S,
    CODECS,
    THIN_BUFFER_S,
    Encoder,
    EncoderError,
    Encoders,
)
from rtc_signaling.media.feed import Encoded, Feed, Times
from rtc_signaling.media.frames import Pixels
from rtc_signaling.media.h264 import Sps
from rtc_signaling.media.h264_stream import AccessUnit, Picture
from rtc_signaling.media.layers import LAYERED
from rtc_signaling.media.mailbox import Mailbox
from rtc_signaling.media.passthrough import CAMERA, Passthrough, packet_of
from rtc_signaling.media.scaling import halved
from rtc_signaling.media.timing import USUAL_RATES, Pacer, RtpClock, usual_rate

logger = logging.getLogger(__name__)

# Makes I420 of an image, in the array that is given if that fits; raises MediaError.
Convert = Callable[[Any, Pixels | None], Pixels]
# Says what is wrong with an image of which this I420 was made, '' if nothing is.
Doubt = Callable[[Any, Pixels], str]

# The same error is logged again after so long.
REPEAT_S = 10.0
# Errors that are remembered for that, at most.
MAX_REMEMBERED = 64
# A camera's own H.264 is of use only without gaps; half a second of it may wait for this thread.
QUEUED_UNITS = 16
_NUMBERS = re.compile(r'[0-9]+')
# An encoder that could not be opened is tried again after so long.
RETRY_S = 1.0
# Of an encoder that cannot change its bitrate while it runs: a step of this share makes it worth a
# new one, which begins with a key frame, and not more often than this.
REOPEN_STEP = 0.2
REOPEN_PERIOD_S = 5.0


@dataclass(frozen=True, slots=True)
class EncodingSettings:
    """Hold what an operator chooses of the encoding; see `SenderConfig`."""

    encoder: str = 'auto'
    preset: str = ''
    bitrate_bps: int = 2_500_000
    key_frame_interval_s: float = 0.0
    adaptation: str = LAYERED


class Arrival(NamedTuple):
    """Hold an image on its way to the encoder thread.

    Attributes:
        image: What the conversion takes, or an AccessUnit.
        stamp_ns: Its header stamp.
        arrival_ns: When it arrived, by the monotonic clock.
        age_ns: How old it was then, 0 if that is not known.
        number: One more than that of the image that came before it.
    """

    image: Any
    stamp_ns: int
    arrival_ns: int
    age_ns: int
    number: int = 0


@dataclass(slots=True)
class EncodingCounts:
    """Count what became of images; written in the encoder thread, read anywhere.

    Attributes:
        bad: Images that could not be converted, or in which nothing is.
        failed: Pictures that an encoder failed at.
        encoded: Pictures that were encoded or passed on, each counted once.
    """

    bad: int = 0
    failed: int = 0
    encoded: int = 0


class Encoding:
    """Do the work of a camera's encoder thread: `run` is that thread.

    Args:
        convert: Makes I420 of an image, or raises MediaError.
        feeds: Where packets go; those that nobody takes are not made.
        passed_on: Where a camera's own H.264 goes as it is.
        hand_over: Called with the feed, the picture and the encoder's name, to have `deliver`
            called in the loop; then `delivered` is to be called.
        on_stream: Called when the camera begins to give H.264, with what it is, when that changes,
            and with None when it ends, to have the viewers brought to the feeds that they can take
            in the loop; then `delivered` is to be called.
        doubt: Says what is wrong with an image that `convert` could take; '' for nothing.

    Attributes:
        settings: To be replaced as a whole, by any thread.
        pacer: Which images are taken.
        stamps: The header stamps of the last images, by RTP time.
        counts: What became of images.
        last_error: What is wrong with the images now, or ''.
        encoder_error: What is wrong with an encoder now, or ''.
        notes: Of each codec, why its encoder is not the wished one.
        own_h264: Whether the camera gives H.264 of its own.
    """

    def __init__(
        self,
        convert: Convert,
        feeds: Sequence[Feed],
        passed_on: Feed,
        hand_over: Callable[[Feed, Encoded, str], None],
        on_stream: Callable[[Sps | None], None],
        *,
        doubt: Doubt,
        name: str = '',
    ) -> None:
        self._prefix = f'{name}: ' if name else ''
        self.settings = EncodingSettings()
        self.pacer = Pacer()
        self.stamps = StampTable()
        self.counts = EncodingCounts()
        self.last_error = ''
        self.encoder_error = ''
        self.notes = dict.fromkeys(CODECS, '')
        self.own_h264 = False
        self._convert = convert
        self._doubt = doubt
        self._feeds = feeds
        self._passed_on = passed_on
        self._on_stream = on_stream
        self._passthrough = Passthrough(self._tell_stream)
        self._hand_over = hand_over
        self._mailbox: Mailbox[Arrival] = Mailbox()
        self._clock = RtpClock()
        self._last_pts = -1
        self._steps: deque[int] = deque(maxlen=8)
        self._buffer: Pixels | None = None
        self._encoders = Encoders()
        self._running: dict[str, Encoder] = {}
        self._opened_s: dict[str, float] = {}
        self._not_before_s: dict[str, float] = {}
        self._logged: dict[str, float] = {}
        # Each is written by one thread: by how much they differ is what is on its way.
        self._handed_over = 0
        self._delivered = 0
        self._all_delivered = threading.Event()
        self._all_delivered.set()

    @property
    def key_frame_spacing_s(self) -> float:
        """How long the camera's own H.264 was last without a key frame, in s; 0 if unknown."""
        return self._passthrough.key_frame_spacing_s

    def put(self, arrival: Arrival) -> int:
        """Leave an image, in any thread; return how many it replaced that nobody looked at."""
        follows = isinstance(arrival.image, AccessUnit)
        return self._mailbox.put(arrival, QUEUED_UNITS if follows else 1)

    def delivered(self) -> None:
        """Note, in the loop, that what was handed over has been delivered."""
        self._delivered += 1
        if self._delivered == self._handed_over:
            self._all_delivered.set()

    def stop(self) -> None:
        """Have `run` return; any thread."""
        self._mailbox.close()
        self._all_delivered.set()

    def run(self) -> None:
        """Encode until `stop`.

        The next image is taken only when the loop has the packets of the last: until then newer
        images replace it in the mailbox, instead of packets queueing up for a loop that is busy.
        """
        # Waking OpenCV's workers for each picture costs half as much again as the conversion, and
        # saves 0.3 ms. It is one setting for the process.
        cv2.setNumThreads(1)
        while (arrival := self._mailbox.take()) is not None:
            self._take(arrival)
            self._all_delivered.wait()
        self._running.clear()

    def _take(self, arrival: Arrival) -> None:
        # Two images with (nearly) the same stamp: encoders want time to move.
        pts = max(self._clock.pts(arrival.stamp_ns, arrival.arrival_ns), self._last_pts + 1)
        self._steps.append(pts - self._last_pts)
        self._last_pts = pts
        self.stamps.note(pts, arrival.stamp_ns)
        begun_ns = time.monotonic_ns()
        try:
            picture = self._own_h264(arrival, pts)
            passed_on = picture is not None and self._passed_on.wanted
            if picture is not None and passed_on:
                self._give(self._passed_on, packet_of(picture, pts), arrival, begun_ns, CAMERA)
                self.counts.encoded += 1
            wanted = self._wanted()
            i420 = self._i420(arrival, picture, bool(wanted))
        except MediaError as error:
            self._note_bad(str(error), 'the image is skipped, and others like it')
            return
        if i420 is not None or (picture is not None and not wanted):
            self.last_error = ''
        if i420 is not None:
            if picture is None and (text := self._doubt(arrival.image, i420)):
                self._note_bad(text, 'the image is shown, and others like it')
            encoded = self._encode_all(wanted, arrival, i420, pts, begun_ns)
            self.counts.encoded += encoded and not passed_on

    def _note_bad(self, text: str, consequence: str) -> None:
        self.counts.bad += 1
        self.last_error = text
        self._log(text, consequence)

    def _own_h264(self, arrival: Arrival, pts: int) -> Picture | None:
        """Return the picture that can be passed on as it is, if it is H.264 already."""
        self.own_h264 = isinstance(arrival.image, AccessUnit)
        if isinstance(arrival.image, AccessUnit):
            # Even if nobody watches: parameter sets may come only once.
            return self._passthrough.take(bytes(arrival.image.data), arrival.number, pts)
        self._passthrough.end()
        return None

    def _wanted(self) -> list[Feed]:
        """Return the feeds to encode for, and forget the encoders of the others."""
        wanted = [feed for feed in self._feeds if feed.wanted]
        for name in self._running.keys() - {feed.name for feed in wanted}:
            del self._running[name]
        return wanted

    def _i420(self, arrival: Arrival, picture: Picture | None, wanted: bool) -> Pixels | None:
        """Return the pixels to encode; None if there are none, or nobody to encode them for.

        Raises:
            MediaError: There is something wrong with the image.
        """
        if picture is not None:
            i420 = self._passthrough.decoded(picture, wanted)
            return i420 if wanted and self.pacer.admits(arrival.arrival_ns) else None
        if isinstance(arrival.image, AccessUnit):
            return None
        if not wanted or not self.pacer.admits(arrival.arrival_ns):
            return None
        return self._convert(arrival.image, self._buffer)

    def _tell_stream(self, stream: Sps | None) -> None:
        """Have the loop bring the viewers to the feeds that they can take from now on."""
        self._handed_over += 1
        self._all_delivered.clear()
        self._on_stream(stream)
        self._all_delivered.wait()

    def _encode_all(
        self, wanted: list[Feed], arrival: Arrival, i420: Pixels, pts: int, begun_ns: int
    ) -> bool:
        """Encode for each feed; return whether a picture came of it."""
        made = []
        half: Pixels | None = None
        for feed in wanted:
            if not feed.admits(arrival.arrival_ns):
                continue
            if feed.layer.halved and half is None:
                half = halved(i420)
            pixels = half if feed.layer.halved and half is not None else i420
            made.append(self._encode(feed, arrival, pixels, pts, begun_ns))
            begun_ns = time.monotonic_ns()
        if made and all(made):
            self.encoder_error = ''
        # Hardware may still read from it when the next image is there.
        kept = any(encoder.kind.hardware for encoder in self._running.values())
        self._buffer = None if kept else i420
        return any(made)

    def _encode(self, feed: Feed, arrival: Arrival, i420: Pixels, pts: int, begun_ns: int) -> bool:
        """Encode for one feed and hand over; return whether nothing failed."""
        settings = self.settings
        try:
            encoder = self._ready(feed, i420, settings)
            if encoder is None:
                return False
            due = feed.key_frame_due(begun_ns / 1e9, settings.key_frame_interval_s)
            packet = encoder.encode(i420, pts, due)
        except EncoderError as error:
            self.counts.failed += 1
            self._give_up(feed.name, str(error))
            return False
        if packet is None:
            return True
        if packet.is_keyframe:
            feed.key_frame_made(time.monotonic())
        self._give(feed, packet, arrival, begun_ns, encoder.name)
        return True

    def _give(
        self, feed: Feed, packet: av.Packet[Any], arrival: Arrival, begun_ns: int, maker: str
    ) -> None:
        taken_ns = arrival.arrival_ns - arrival.age_ns
        times = Times(taken_ns, arrival.arrival_ns, begun_ns, time.monotonic_ns())
        self._handed_over += 1
        self._all_delivered.clear()
        self._hand_over(feed, Encoded(packet, packet.is_keyframe, times), maker)

    def _ready(self, feed: Feed, i420: Pixels, settings: EncodingSettings) -> Encoder | None:
        """Return the running encoder, or a new one where that does not fit any more.

        Returns:
            None if it could not be opened a moment ago.
        """
        now_s = time.monotonic()
        name, bitrate_bps = feed.name, feed.allowed_bps
        height, width = i420.shape[0] * 2 // 3, i420.shape[1]
        encoder = self._running.get(name)
        if encoder is not None and (encoder.width, encoder.height) == (width, height):
            if self._follows(encoder, bitrate_bps, now_s - self._opened_s[name]):
                return encoder
        elif encoder is None and now_s < self._not_before_s.get(name, 0.0):
            return None
        self._running.pop(name, None)
        self._opened_s[name] = now_s
        encoder = self._encoders.open(
            feed.codec,
            settings.encoder,
            width,
            height,
            bitrate_bps,
            preset=settings.preset,
            fps=min(usual_rate(self._steps), int(feed.layer.max_fps) or USUAL_RATES[-1]),
            buffer_s=THIN_BUFFER_S if feed.layer.halved else BUFFER_S,
        )
        self._running[name] = encoder
        self.notes[feed.codec] = note = self._encoders.notes[feed.codec]
        logger.info('%s%s: %dx%d by %s', self._prefix, name, width, height, encoder.name)
        if note:
            self._log(note, f'{encoder.name} is used')
        return encoder

    @staticmethod
    def _follows(encoder: Encoder, bitrate_bps: int, age_s: float) -> bool:
        """Set the bitrate; return whether the encoder may go on as it is."""
        if encoder.bitrate_bps == bitrate_bps or encoder.follow(bitrate_bps):
            return True
        step = abs(bitrate_bps / encoder.bitrate_bps - 1)
        return step <= REOPEN_STEP or age_s < REOPEN_PERIOD_S

    def _give_up(self, name: str, text: str) -> None:
        """Be without an encoder after an error, and open another one soon."""
        now_s = time.monotonic()
        failed = self._running.pop(name, None)
        if failed is not None:
            self._encoders.refuse(failed.name, text)
        # At once the first time; not for each image, where it fails at its first picture.
        if failed is None or now_s - self._opened_s[name] < RETRY_S:
            self._not_before_s[name] = now_s + RETRY_S
        self.encoder_error = text
        self._log(text, 'an encoder is opened again')

    def _log(self, text: str, consequence: str) -> None:
        """Log an error, unless it was logged a moment ago."""
        now_s = time.monotonic()
        # What differs in its sizes alone is the same error: of garbage each image has others.
        kind = _NUMBERS.sub('0', text)
        if now_s - self._logged.get(kind, -REPEAT_S) < REPEAT_S:
            return
        if len(self._logged) >= MAX_REMEMBERED:
            self._logged.clear()
        self._logged[kind] = now_s
        logger.error('%s%s; %s', self._prefix, text, consequence)
