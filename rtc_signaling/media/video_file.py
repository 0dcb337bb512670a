"""A video file as an endless camera."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.video.stream import VideoStream

from rtc_signaling.errors import MediaError

Pixels = npt.NDArray[np.uint8]
Frames = Generator[tuple[float, Pixels], None, None]


class VideoFileError(MediaError):
    """Say which file cannot be played, why, and what to do."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(path, reason)

    def __str__(self) -> str:
        return f'{self.path}: {self.reason}'


class VideoFile:
    """Play a video file over and over.

    Nothing stays open between calls; what `frames()` opens, it closes.

    Args:
        path: A local file, in any format that FFmpeg reads.

    Attributes:
        path: The file.
        width: In pixels.
        height: In pixels.
        rate_hz: Pictures a second, on average.

    Raises:
        VideoFileError: There is no such file, or no video in it.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path).expanduser()
        with _opened(self.path) as (_, stream):
            self.width = stream.width
            self.height = stream.height
            self.rate_hz = float(stream.average_rate or stream.guessed_rate or 25)

    def frames(self) -> Frames:
        """Yield (time_s, picture) for ever.

        `time_s` begins at 0, follows the file's own timestamps and always grows: after the last
        picture the first one follows as if the file went on. Pictures are BGR, (height, width, 3).

        Close the generator, as `contextlib.closing` does, to close the file early. One thread at a
        time.

        Raises:
            VideoFileError: The file has gone, or is damaged.
        """
        start_s = 0.0
        while True:
            end_s = start_s
            with closing(self._once()) as once:
                for time_s, bgr in once:
                    yield start_s + time_s, bgr
                    end_s = start_s + time_s + 1 / self.rate_hz
            if end_s == start_s:
                raise VideoFileError(self.path, 'there is no picture in it; choose another file')
            start_s = end_s

    def _once(self) -> Frames:
        """Yield the pictures from the first to the last, time from 0."""
        first_s: float | None = None
        last_s = -1 / self.rate_hz
        with _opened(self.path) as (container, stream):
            for frame in container.decode(stream):
                if first_s is None:
                    first_s = frame.time or 0.0
                time_s = -1.0 if frame.time is None else frame.time - first_s
                # Some files have pictures without a time, or with one that runs backwards.
                last_s = time_s if time_s > last_s else last_s + 1 / self.rate_hz
                yield last_s, np.asarray(frame.to_ndarray(format='bgr24'), np.uint8)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open the file's first video; FFmpeg's errors in the body are turned into ours."""
    # FFmpeg would also open URLs, devices and folders.
    if not path.is_file():
        raise VideoFileError(path, 'there is no such file; check the path')
    try:
        with av.open(str(path.absolute())) as container:
            if not container.streams.video:
                raise VideoFileError(path, 'there is no video in it; choose another file')
            yield container, container.streams.video[0]
    except av.FFmpegError as error:
        raise VideoFileError(
            path, f'cannot be played as video ({error.strerror}); choose another file'
        ) from error
