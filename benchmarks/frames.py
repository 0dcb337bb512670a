"""Measure what it costs to make I420 of an image, for every encoding.

    .venv/bin/python benchmarks/frames.py [--rounds 60] [--only bgr8]

Each figure is the median over rounds, in which all conversions have one turn each, of the CPU
time that the process used for one image (user and system, all threads), in ms, into a kept
buffer. The second table compares ways to the matrix of BT.709 with the one call that there is for
BT.601 (docs/decisions.md). Run it from the environment that `make` makes, with nothing else busy.
"""

from __future__ import annotations

import argparse
import statistics
import time
from array import array
from collections.abc import Callable
from types import SimpleNamespace

import cv2
import numpy as np

from rtc_signaling.media.compressed import compressed_to_i420
from rtc_signaling.media.frames import DEPTH_FORMATS, FORMATS, DepthMapping, to_i420
from rtc_signaling.media.pixels import Pixels, Planes, planes
from rtc_signaling.media.scene import Scene

SIZES = ((640, 480), (1280, 720))
# BT.709 of BGR, in limited range (ITU-R BT.709-6, 3 and 4): rows are Y, Cb, Cr.
KR, KB = 0.2126, 0.0722
LUMA = np.array([KB, 1 - KR - KB, KR])
ROWS_709 = np.array(
    [
        219 / 255 * LUMA,
        224 / 255 / (2 - 2 * KB) * (np.array([1, 0, 0]) - LUMA),
        224 / 255 / (2 - 2 * KR) * (np.array([0, 0, 1]) - LUMA),
    ]
)
MATRIX_709 = np.column_stack([ROWS_709, [16, 128, 128]])

TURBO = DepthMapping(colour='turbo')

Conversion = Callable[[], object]


def by_transform(bgr: Pixels, i420: Pixels) -> None:
    """All pixels by one matrix, then chroma made smaller."""
    to = planes(i420)
    yuv = cv2.transform(bgr, MATRIX_709)
    cv2.extractChannel(yuv, 0, to.luma)
    small = cv2.resize(yuv, to.u.shape[::-1], interpolation=cv2.INTER_AREA)
    cv2.extractChannel(small, 1, to.u)
    cv2.extractChannel(small, 2, to.v)


def by_planes(bgr: Pixels, i420: Pixels) -> None:
    """Luma by weighted sums of planes, chroma by a matrix at the size that it has."""
    to = planes(i420)
    blue, green, red = cv2.split(bgr)
    part = cv2.addWeighted(blue, ROWS_709[0, 0], green, ROWS_709[0, 1], 0)
    cv2.addWeighted(part, 1, red, ROWS_709[0, 2], 16, to.luma)
    chroma_by_matrix(bgr, to)


def by_xyz(bgr: Pixels, i420: Pixels) -> None:
    """Luma as the Y of CIE XYZ, whose weights are those of BT.709; chroma as above."""
    to = planes(i420)
    full = cv2.extractChannel(cv2.cvtColor(bgr, cv2.COLOR_BGR2XYZ), 1)
    cv2.LUT(full, np.round(16 + np.arange(256) * 219 / 255).astype(np.uint8), to.luma)
    chroma_by_matrix(bgr, to)


def by_correction(bgr: Pixels, i420: Pixels) -> None:
    """BT.601 by OpenCV, and from there; of luma within a block of 2x2 it is not exact."""
    to = planes(i420)
    cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420, i420)
    u, v = to.u.copy(), to.v.copy()
    cv2.addWeighted(u, 1.0186, v, 0.1146, 128 * (1 - 1.0186 - 0.1146), to.u)
    cv2.addWeighted(v, 1.0253, u, 0.0750, 128 * (1 - 1.0253 - 0.0750), to.v)
    shift = cv2.addWeighted(u, -0.1156, v, -0.2079, 128 * (0.1156 + 0.2079) + 64)
    large = cv2.resize(shift, to.luma.shape[::-1], interpolation=cv2.INTER_NEAREST)
    cv2.addWeighted(to.luma, 1, large, 1, -64, to.luma)


def chroma_by_matrix(bgr: Pixels, to: Planes) -> None:
    small = cv2.resize(bgr, to.u.shape[::-1], interpolation=cv2.INTER_AREA)
    yuv = cv2.transform(small, MATRIX_709)
    cv2.extractChannel(yuv, 1, to.u)
    cv2.extractChannel(yuv, 2, to.v)


WAYS_TO_709 = {
    'cv2.transform, resize': by_transform,
    'planes by addWeighted, chroma by transform': by_planes,
    'BGR2XYZ, chroma by transform': by_xyz,
    'BGR2YUV_I420 and a correction': by_correction,
}


def image_of(encoding: str, width: int, height: int) -> SimpleNamespace:
    """Make an image of noise; depth is between 0 and 12 m."""
    random = np.random.default_rng(0)
    if encoding == '32FC1':
        rows = random.uniform(0, 12, (height, width)).astype('<f4')
    elif encoding == '16UC1':
        rows = random.integers(0, 12_000, (height, width)).astype('<u2')
    else:
        found = FORMATS[encoding]
        count = height + height // 2 if found.chroma_rows else height
        rows = random.integers(0, 256, (count, width * found.pixel_bytes), dtype=np.uint8)
    return SimpleNamespace(
        encoding=encoding, height=height, width=width, step=rows.strides[0], is_bigendian=0,
        data=array('B', rows.tobytes()),
    )  # fmt: skip


def conversions(width: int, height: int) -> dict[str, Conversion]:
    """Return what is measured, by name."""
    found: dict[str, Conversion] = {}
    for encoding in [*FORMATS, *DEPTH_FORMATS]:
        image = image_of(encoding, width, height)
        out = to_i420(image)
        found[encoding] = lambda image=image, out=out: to_i420(image, out)
        if encoding in DEPTH_FORMATS:
            found[f'{encoding}, turbo'] = lambda i=image, out=out: to_i420(i, out, TURBO)
    picture = Scene(width, height).render(1.0, 7)
    for ending in ('jpg', 'png'):
        data = array('B', cv2.imencode(f'.{ending}', picture)[1].tobytes())
        file = SimpleNamespace(format=f'bgr8; {ending} compressed bgr8', data=data)
        out = compressed_to_i420(file)
        found[f'compressed: {ending}'] = lambda f=file, out=out: compressed_to_i420(f, out)
    return found


def ways(width: int, height: int) -> dict[str, Conversion]:
    """Return the ways from BGR to BT.709, and the one to BT.601, by name."""
    bgr = np.ascontiguousarray(
        np.frombuffer(image_of('bgr8', width, height).data, np.uint8).reshape(height, width, 3)
    )
    out = np.empty((height * 3 // 2, width), np.uint8)
    found: dict[str, Conversion] = {
        'BT.601: BGR2YUV_I420': lambda: cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420, out)
    }
    for name, way in WAYS_TO_709.items():
        found[f'BT.709: {name}'] = lambda way=way: way(bgr, out)
    return found


def measure(found: dict[str, Conversion], rounds: int) -> dict[str, float]:
    """Return the median CPU time of each, in ms."""
    times: dict[str, list[float]] = {name: [] for name in found}
    for turn in range(rounds + 1):
        for name, convert in found.items():
            start_ns = time.process_time_ns()
            convert()
            # The first round warms up.
            if turn:
                times[name].append((time.process_time_ns() - start_ns) / 1e6)
    return {name: statistics.median(values) for name, values in times.items()}


def table(what: str, make: Callable[[int, int], dict[str, Conversion]], rounds: int, only: str):
    """Print one table, a row for each conversion."""
    columns = []
    for size in SIZES:
        found = {name: way for name, way in make(*size).items() if only in name}
        columns.append(measure(found, rounds))
    if not columns[0]:
        return
    heads = [f'{width}x{height}' for width, height in SIZES]
    print(f'| {what} | {" | ".join(heads)} |')
    print('|---|' + '---|' * len(heads))
    for name in columns[0]:
        print(f'| {name} | ' + ' | '.join(f'{column[name]:.2f}' for column in columns) + ' |')
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--rounds', type=int, default=60)
    parser.add_argument('--only', default='', help='what the names have to contain')
    arguments = parser.parse_args()
    table('encoding, ms', conversions, arguments.rounds, arguments.only)
    table('BGR to I420, ms', ways, arguments.rounds, arguments.only)


if __name__ == '__main__':
    main()
