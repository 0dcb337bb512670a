"""The senders that are measured, each in a process of its own with what it needs around it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rtc_signaling.ros.transport import image_transport_environment
from streams.child import BENCHMARKS, PROGRAMS, Child, program
from streams.film import Film
from streams.plan import KEY_INTERVAL_FRAMES, PRESET, RATE_HZ, Stream, sender_settings

DOMAIN_ID = 90
SYSTEM_PYTHON = '/usr/bin/python3'
GST_PACKAGES = (
    'gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly '
    'gstreamer1.0-nice gir1.2-gst-plugins-base-1.0 gir1.2-gst-plugins-bad-1.0 python3-gi'
)
# rclpy's wheels set these for their own Python.
FOREIGN = {'LD_LIBRARY_PATH': '', '_ROS_WHEELS_BOOTSTRAP_COMPLETE': '', 'PYTHONPATH': ''}
_GST_CHECK = """
import gi
for name in ('Gst', 'GstSdp', 'GstVideo', 'GstWebRTC'):
    gi.require_version(name, '1.0')
from gi.repository import Gst, GstSdp, GstVideo, GstWebRTC
Gst.init(None)
missing = [name for name in ('appsrc', 'videoconvert', 'x264enc', 'rtph264pay', 'webrtcbin',
                             'nicesrc', 'dtlssrtpenc') if not Gst.ElementFactory.find(name)]
raise SystemExit('missing: ' + ', '.join(missing) if missing else 0)
"""


@dataclass(frozen=True)
class Sender:
    """A running sender.

    Attributes:
        child: Its process.
        way: How viewers reach it, as `programs/viewers.py` calls it.
        port: Where.
        publisher: The process that publishes to it, if one does.
    """

    child: Child
    way: str
    port: int
    publisher: Child | None = None


@dataclass(frozen=True)
class Contender:
    """One way of sending.

    Attributes:
        key: Its short name.
        name: What it is, in words.
        running: Runs it while a context lasts.
        viewers: Whether it has any; if not, it is measured once a round, alone.
        only: The numbers of viewers that are of interest; empty for all.
    """

    key: str
    name: str
    running: Callable[[Stream], AbstractContextManager[Sender]]
    viewers: bool = True
    only: tuple[int, ...] = ()


@contextlib.contextmanager
def _plain(stream: Stream, preset: str = 'medium') -> Iterator[Sender]:
    with Child(program('plain', *stream.arguments(), preset)) as child:
        yield Sender(child, 'line', child.hello['port'])


@contextlib.contextmanager
def _ours(stream: Stream) -> Iterator[Sender]:
    with Child(program('server')) as server:
        port = server.hello['port']
        with Child(program('ours', *stream.arguments(), str(port))) as child:
            yield Sender(child, 'signaling', port)


@contextlib.contextmanager
def _node(stream: Stream) -> Iterator[Sender]:
    environment = {
        **image_transport_environment(BENCHMARKS.parent / 'config'),
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
        'ROS_DOMAIN_ID': str(DOMAIN_ID),
    }
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(Child(program('server')))
        port = server.hello['port']
        publisher = stack.enter_context(
            Child(program('publisher', *stream.arguments()), environment)
        )
        node = stack.enter_context(Child(_node_command(stream, port), environment, talks=False))
        yield Sender(node, 'signaling', port, publisher)


def _node_command(stream: Stream, port: int) -> list[str]:
    settings: dict[str, Any] = {
        'server_url': f'ws://127.0.0.1:{port}',
        'ice_addresses': ('127.0.0.1',),
        **sender_settings(stream),
    }
    words = [
        f'{name}:={"[" + ",".join(value) + "]" if isinstance(value, tuple) else value}'
        for name, value in settings.items()
    ]
    options = [part for word in words for part in ('-p', word)]
    return [str(Path(sys.executable).parent / 'camera_sender'), '--ros-args', *options]


@contextlib.contextmanager
def _bare(stream: Stream) -> Iterator[Sender]:
    with Child(program('bare', *stream.arguments())) as child:
        yield Sender(child, '', 0)


@contextlib.contextmanager
def _gst(stream: Stream) -> Iterator[Sender]:
    with tempfile.NamedTemporaryFile() as file:
        for picture in Film(stream).pictures:
            file.write(picture.data)
        file.flush()
        settings = [str(RATE_HZ), PRESET, str(KEY_INTERVAL_FRAMES), file.name]
        script = str(PROGRAMS / 'gst.py')
        with Child([SYSTEM_PYTHON, script, *stream.arguments(), *settings], FOREIGN) as child:
            yield Sender(child, 'line-elsewhere', child.hello['port'])


def missing_gstreamer() -> str:
    """Return why GStreamer cannot be measured, in words; '' if it can."""
    environment = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    try:
        check = subprocess.run(
            [SYSTEM_PYTHON, '-c', _GST_CHECK],
            check=False,
            env=environment,
            capture_output=True,
            text=True,
        )
    except OSError as error:
        return f'{SYSTEM_PYTHON} does not run: {error.strerror}'
    if check.returncode == 0:
        return ''
    reason = (check.stderr.strip() or 'unknown').splitlines()[-1]
    return f'{reason} (apt-get install --no-install-recommends {GST_PACKAGES})'


PLAIN, PLAIN_PRESET, OURS, NODE, BARE, GST = (
    'plain', 'plain-superfast', 'ours', 'node', 'bare', 'gst'
)  # fmt: skip
CONTENDERS = {
    contender.key: contender
    for contender in (
        Contender(BARE, 'the encoder alone, I420 in', _bare, viewers=False),
        Contender(OURS, 'rtc_signaling without ROS', _ours),
        Contender(NODE, 'rtc_signaling, the node: with DDS reception', _node),
        Contender(GST, 'GStreamer webrtcbin, tee', _gst),
        Contender(PLAIN, 'plain aiortc', _plain),
        Contender(
            PLAIN_PRESET,
            'plain aiortc, encoder replaced by a superfast one',
            lambda stream: _plain(stream, 'superfast'),
            only=(1, 4),
        ),
    )
}
