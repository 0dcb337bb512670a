"""The doctor: `ros2 run rtc_signaling doctor`, or `python -m rtc_signaling.doctor` without ROS."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Sequence

from rtc_signaling.doctor import tokens
from rtc_signaling.doctor.event_loop import UnhurriedLoop
from rtc_signaling.doctor.examination import Examination, ObserveCamera, Options
from rtc_signaling.doctor.target import DEFAULT_URL, parse
from rtc_signaling.errors import ConfigurationError

ROS_ARGUMENTS = '--ros-args'
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Examine a server and a camera, and print what was found.

    Args:
        arguments: The command line without the program's name; None takes the process's own.

    Returns:
        The exit code: 0 if nothing failed, 1 if something did, 2 for wrong arguments (argparse
        raises SystemExit for those), 130 when interrupted.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    at = given.index(ROS_ARGUMENTS) if ROS_ARGUMENTS in given else len(given)
    parser = _parser()
    options = parser.parse_args(given[:at])
    try:
        target = parse(options.url)
        observe = _camera_observer(options.topic, given[at:])
    except ConfigurationError as error:
        parser.error(str(error))
    # What the parts log is for nodes that run on; here each failure is a finding.
    logging.basicConfig(level=logging.CRITICAL)
    token, source = tokens.find(options.token or target.token, options.token_file, os.environ)
    examination = Examination(
        target,
        token,
        source,
        Options(options.camera, tuple(options.ice_addresses), options.timeout),
        observe,
    )
    try:
        with asyncio.Runner(loop_factory=UnhurriedLoop) as runner:
            diagnosis = runner.run(examination.run())
    except KeyboardInterrupt:
        return INTERRUPTED
    sys.stdout.write(diagnosis.as_json() if options.json else diagnosis.as_text())
    return diagnosis.exit_code


def _camera_observer(topic: str, ros_arguments: list[str]) -> ObserveCamera | str:
    """Return what observes the camera's topic, or why that cannot be done here."""
    try:
        from rtc_signaling.ros.camera_probe import CameraProbe  # noqa: PLC0415  # see below
    except ImportError as error:
        # Without ROS everything else can be examined all the same.
        return (
            f'it needs ROS, which cannot be imported here ({error}): source its setup.bash, and '
            'use the Python that it is made for'
        )
    return CameraProbe(topic, ros_arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='doctor',
        description='Find out why there is no picture: tries the server, the token, a session and '
        "the camera's topic, and says what to do. A wrong token is tried once, which counts as a "
        'failed login. ROS arguments may follow --ros-args.',
        epilog='Exit code: 0 if nothing failed (warnings there may be), 1 if something failed, '
        '2 for wrong arguments.',
    )
    parser.add_argument(
        'url', nargs='?', default=DEFAULT_URL,
        help='ws://host:port, or the address of the page with its #token=... (%(default)s)',
    )  # fmt: skip
    parser.add_argument(
        '--token', default='', help='the token; others see it in the list of processes'
    )
    parser.add_argument(
        '--token-file', default='', metavar='FILE',
        help="file with the tokens (signaling_server's auth.token_file)",
    )  # fmt: skip
    parser.add_argument(
        '--camera', default='', metavar='ID', help='the camera to watch (the first)'
    )
    parser.add_argument(
        '--topic', default='', metavar='NAME', help="the camera's topic (camera/image_raw)"
    )
    parser.add_argument(
        '--ice-addresses', nargs='+', default=[], metavar='IP',
        help='local addresses for video (all but loopback)',
    )  # fmt: skip
    parser.add_argument(
        '--timeout', type=_seconds, default=90.0, metavar='S',
        help='how long all of it may take, in s (%(default)g)',
    )  # fmt: skip
    parser.add_argument('--json', action='store_true', help='print JSON')
    return parser


def _seconds(text: str) -> float:
    value = float(text)
    if not 1 <= value <= 3600:
        raise argparse.ArgumentTypeError(f'{text}: must be at least 1 and at most 3600')
    return value
