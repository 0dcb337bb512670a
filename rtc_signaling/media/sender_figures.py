"""The camera sender's figures: of each of its cameras, and of all together."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping

from rtc_signaling.media.track import Camera
from rtc_signaling.sender_metrics import SenderMeter, SenderSnapshot, ViewerFigures


@dataclasses.dataclass(frozen=True, slots=True)
class SignalingLink:
    """Hold how the link to the signaling server is.

    Attributes:
        server_url: The server.
        linked: Whether it has let the sender in.
        refusal: Why it refuses it, or ''.
    """

    server_url: str
    linked: bool
    refusal: str


class SenderFigures:
    """Measure the rates of a sender's cameras, and make snapshots; in the loop.

    Args:
        cameras: By name; one without a name has the key ''.
    """

    def __init__(self, cameras: Mapping[str, Camera]) -> None:
        self._cameras = cameras
        self._meters = {name: SenderMeter() for name in cameras}

    def look(self, now_s: float) -> None:
        """Take the rates over the time since the call before."""
        for name, camera in self._cameras.items():
            counts = camera.counts
            self._meters[name].look(now_s, counts.received, counts.replaced, counts.shown)

    def snapshot(
        self, link: SignalingLink, viewers: list[tuple[ViewerFigures, ...]], off: Collection[str]
    ) -> SenderSnapshot:
        """Return the figures of now.

        Args:
            link: How the link to the server is.
            viewers: Of each viewer, the figures of each of its videos.
            off: The cameras that are switched off.
        """
        if '' in self._cameras:
            [camera] = self._cameras.values()
            return self._of_camera('', camera, link, viewers, '' not in off)
        cameras = {
            name: self._of_camera(
                name, camera, link,
                [(one,) for figures in viewers for one in figures if one.camera == name],
                name not in off,
            )
            for name, camera in self._cameras.items()
        }  # fmt: skip
        return _together(cameras, link, viewers)

    def _of_camera(
        self,
        name: str,
        camera: Camera,
        link: SignalingLink,
        viewers: list[tuple[ViewerFigures, ...]],
        enabled: bool,
    ) -> SenderSnapshot:
        counts, meter = camera.counts, self._meters[name]
        figures = tuple(one for of_viewer in viewers for one in of_viewer)
        return SenderSnapshot(
            server_url=link.server_url,
            linked=link.linked,
            refusal=link.refusal,
            viewers=len(viewers),
            viewers_connected=_connected(viewers),
            images_received=counts.received,
            images_replaced=counts.replaced,
            images_bad=counts.bad,
            pictures_shown=counts.shown,
            last_error=camera.last_error,
            enabled=enabled,
            fps=meter.fps,
            bitrate_bps=sum((one.bitrate_bps for one in figures), start=0.0),
            drop_rate=meter.drop_rate,
            viewer_figures=figures,
            pictures_dropped=counts.dropped,
            encoder_error=camera.encoder_error,
            encoder_failures=counts.failed,
            encoders=camera.encoders,
            ages=camera.ages,
            stream=camera.stream,
            key_frame_wait_s=camera.key_frame_wait_s,
            key_frame_spacing_s=camera.key_frame_spacing_s,
        )


def _connected(viewers: list[tuple[ViewerFigures, ...]]) -> int:
    return sum(figures[0].state == 'connected' for figures in viewers)


def _together(
    cameras: dict[str, SenderSnapshot],
    link: SignalingLink,
    viewers: list[tuple[ViewerFigures, ...]],
) -> SenderSnapshot:
    """Return what holds for the whole sender; a viewer of two cameras is one viewer."""
    parts = cameras.values()
    errors = [f'{name}: {part.last_error}' for name, part in cameras.items() if part.last_error]
    return SenderSnapshot(
        server_url=link.server_url,
        linked=link.linked,
        refusal=link.refusal,
        viewers=len(viewers),
        viewers_connected=_connected(viewers),
        images_received=sum(part.images_received for part in parts),
        images_replaced=sum(part.images_replaced for part in parts),
        images_bad=sum(part.images_bad for part in parts),
        pictures_shown=sum(part.pictures_shown for part in parts),
        last_error='; '.join(errors),
        enabled=any(part.enabled for part in parts),
        fps=sum((part.fps for part in parts), start=0.0),
        bitrate_bps=sum((part.bitrate_bps for part in parts), start=0.0),
        viewer_figures=tuple(one for figures in viewers for one in figures),
        pictures_dropped=sum(part.pictures_dropped for part in parts),
        encoder_failures=sum(part.encoder_failures for part in parts),
        cameras=cameras,
    )
