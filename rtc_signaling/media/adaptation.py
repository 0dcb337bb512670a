"""Bring each viewer to the layer that its link carries, and each encode to its bitrate."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from rtc_signaling.media.feed import CameraTrack, Feed
from rtc_signaling.media.layers import (
    FIRST_HOLD_S,
    HEADROOM,
    LADDERS,
    LAYERED,
    Climber,
    Layer,
    enough_bps,
    wanted_bps,
)

logger = logging.getLogger(__name__)

# Who gets key frames alone gets one so often, at most, in s: the others pay for each.
STILLS_PERIOD_S = 4.0


class Adaptation:
    """Decide, at each viewer's receiver report, who takes which encode; use it in the loop.

    Nobody's link moves anybody else: an encode follows the best served of its viewers alone.

    Args:
        feeds: The encodes that there may be, by codec and the name of the layer.
        first_hold_s: How long a viewer keeps up before it tries the next better layer, in s.
    """

    def __init__(
        self, feeds: Mapping[tuple[str, str], Feed], first_hold_s: float = FIRST_HOLD_S
    ) -> None:
        self._mode = LAYERED
        self._bitrate_bps = 0
        self._first_hold_s = first_hold_s
        self._feeds = feeds
        self._climbers: dict[CameraTrack, Climber] = {}

    def configure(self, mode: str, bitrate_bps: int) -> None:
        """Take up the operator's `adaptation`, before the first viewer, and `bitrate`; any thread.

        An encode that has all of its bitrate has so of the new one at once.
        """
        self._mode = mode
        self._bitrate_bps = bitrate_bps
        for feed in self._feeds.values():
            feed.most_bps = int(feed.layer.most * bitrate_bps)

    @property
    def _ladder(self) -> tuple[Layer, ...]:
        return LADDERS[self._mode]

    def forget(self, track: CameraTrack) -> None:
        """Forget a viewer that is gone."""
        self._climbers.pop(track, None)

    def layer(self, track: CameraTrack) -> Layer:
        """Return the layer of a viewer."""
        climber = self._climbers.get(track)
        return self._ladder[0 if climber is None else climber.rung]

    def whole(self, track: CameraTrack) -> bool:
        """Tell whether a viewer gets pictures of the camera's size."""
        return not self.layer(track).halved

    def feed(self, track: CameraTrack) -> Feed | None:
        """Return the encode of a viewer's codec and layer; None without such a codec."""
        return self._encode(track.codec, self.layer(track))

    def _encode(self, codec: str, layer: Layer) -> Feed | None:
        name = self._ladder[0].name if layer.key_frames_only else layer.name
        return self._feeds.get((codec, name))

    def look(self, track: CameraTrack, now_s: float) -> int:
        """Look at a viewer after its receiver report, and set its encode's bitrate.

        Returns:
            1 if it has to go to the next lower layer, -1 to the next better one, or 0; its
            `layer` is that one already.
        """
        self.set_rates(track.codec)
        current = track.feed
        if current is None:
            return 0
        climber = self._climbers.get(track)
        if climber is None:
            climber = self._climbers[track] = Climber(self._first_hold_s)
        layer = self.layer(track)
        stills = layer.key_frames_only
        taken_bps = track.key_frame_bits / STILLS_PERIOD_S if stills else current.taken_bps
        target_bps = None if stills else current.allowed_bps or None
        enough = enough_bps(layer, self._bitrate_bps, target_bps, taken_bps)
        move = climber.look(now_s, track.link.share_bps, taken_bps, enough, len(self._ladder))
        if move > 0:
            track.link.settle(now_s)
        if move:
            self._moved(track, move)
        elif stills and track.key_frame_age_s(now_s) >= self._stills_period_s(track):
            current.ask(now_s)
        return move

    def set_rates(self, codec: str) -> None:
        """Have each encode of a codec follow the best served of its viewers."""
        for layer in self._ladder:
            feed = self._encode(codec, layer)
            if feed is None or layer.key_frames_only:
                continue
            shares = [track.link.share_bps for track in feed.tracks]
            wish_bps = wanted_bps(layer, self._bitrate_bps, feed.allowed_bps, shares)
            feed.target_bps = None if wish_bps >= feed.most_bps else wish_bps

    def _moved(self, track: CameraTrack, move: int) -> None:
        layer = self.layer(track)
        feed = self._encode(track.codec, layer)
        share_bps = track.link.share_bps
        if feed is None:
            return
        others = feed.tracks - {track}
        if move < 0 and share_bps is not None:
            # It tries: what others get of that encode, else what it begins with. If the link does
            # not carry it, the next reports say so.
            alone_bps = max(layer.least * self._bitrate_bps, share_bps * HEADROOM)
            goal_bps = feed.allowed_bps if others else alone_bps
            track.link.assume(min(goal_bps, layer.most * self._bitrate_bps) / HEADROOM)
        if not others and not layer.key_frames_only:
            # It begins with what its first viewer can take.
            shares = [track.link.share_bps]
            feed.target_bps = wanted_bps(layer, self._bitrate_bps, None, shares)
        logger.info(
            'a viewer %s the layer %s: its link carries %s kbit/s',
            'goes to' if move > 0 else 'tries', layer.name,
            '?' if share_bps is None else f'{share_bps / 1000:.0f}',
        )  # fmt: skip

    @staticmethod
    def _stills_period_s(track: CameraTrack) -> float:
        """Return how long the last key frame takes on the way, twice."""
        share_bps = track.link.share_bps
        needed_s = 0.0 if share_bps is None else 2 * track.key_frame_bits / share_bps
        return max(STILLS_PERIOD_S, needed_s)
