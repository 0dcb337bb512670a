"""Run the demo: a camera with a real clip, the signaling server and the sender, as real nodes.

The three are processes of their own with DDS between them, as on a robot. Ctrl-C ends them all.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from rtc_signaling.ros.transport import image_transport_environment
from rtc_signaling.tokens import load

REPOSITORY = Path(__file__).resolve().parent.parent
# Each node ends by itself within 4 s; what is left after this time hangs.
STOP_TIMEOUT_S = 6.0
POLL_S = 0.2


class NodeEndedError(Exception):
    """A node has ended by itself."""


class StopRequestedError(Exception):
    """A signal asked to end the demo."""


class Demo:
    """Own the demo's processes."""

    def __init__(self, port: int, synthetic: bool, ice_addresses: str) -> None:
        self._port = port
        self._home = tempfile.TemporaryDirectory(prefix='rtc_signaling_demo.')
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._stopping = False
        self._token_file = f'{self._home.name}/tokens.json'
        token_file = f'auth.token_file:={self._token_file}'
        clip = REPOSITORY / 'rtc_signaling' / 'clips' / 'walking.mp4'
        self._arguments = {
            'signaling_server': ['host:=127.0.0.1', f'port:={port}', token_file],
            'test_camera': [] if synthetic else [f'video_file:={clip}'],
            'camera_sender': [f'server_url:=ws://127.0.0.1:{port}', token_file],
        }
        if ice_addresses:
            self._arguments['camera_sender'].append(f'ice_addresses:=[{ice_addresses}]')

    def run(self) -> int:
        """Start everything, print the viewer's URL, and wait; return the exit code."""
        # SIGHUP: the nodes are sessions of their own, and would outlive a closed terminal.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        try:
            self._start('signaling_server')
            self._start('test_camera')
            # In this order, so that no node has to warn that another one is not there yet.
            self._wait_for(self._server_answers)
            self._start('camera_sender')
            self._wait_for(self._camera_is_there)
            self._print_url()
            self._wait_for(lambda: False)
        except NodeEndedError as error:
            sys.stderr.write(f'{error}\n')
            return 1
        except StopRequestedError:
            pass  # the other way out, which is no error
        finally:
            self._stop()
            self._home.cleanup()
        return 0

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _start(self, name: str) -> None:
        environment = {
            'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
            **os.environ,
            **image_transport_environment(REPOSITORY / 'config'),
        }
        arguments = [word for value in self._arguments[name] for word in ('-p', value)]
        self._processes[name] = subprocess.Popen(
            [
                str(Path(sys.executable).parent / name),
                *('--ros-args', '--log-level', 'warn'),
                *arguments,
            ],
            env=environment,
            # A session of its own: Ctrl-C in the terminal comes here alone, and is passed on.
            start_new_session=True,
            stdin=subprocess.DEVNULL,
        )

    @property
    def _token(self) -> str:
        return load(Path(self._token_file)).receiver

    def _print_url(self) -> None:
        sys.stdout.write(
            f'Open http://127.0.0.1:{self._port}/#token={self._token} in a browser; '
            'Ctrl-C ends it.\n'
        )
        sys.stdout.flush()

    def _server_answers(self) -> bool:
        try:
            with urllib.request.urlopen(f'http://127.0.0.1:{self._port}/healthz', timeout=1.0):
                return True
        except OSError:
            return False

    def _camera_is_there(self) -> bool:
        """Ask the server as a viewer does: whoever opens the page then sees video at once."""
        url, headers = f'ws://127.0.0.1:{self._port}', {'Authorization': f'Bearer {self._token}'}
        try:
            with connect(url, additional_headers=headers, proxy=None, open_timeout=2.0) as socket:
                return bool(json.loads(socket.recv(2.0)).get('peers'))
        except (OSError, WebSocketException):  # that the server has ended is noticed elsewhere
            return False

    def _wait_for(self, condition: Callable[[], bool]) -> None:
        """Return when `condition` is true.

        Raises:
            NodeEndedError: A node has ended by itself.
            StopRequestedError: A signal has come.
        """
        while True:
            if self._stopping:
                raise StopRequestedError
            for name, process in self._processes.items():
                if process.poll() is not None:
                    raise NodeEndedError(f'{name} has ended with exit code {process.returncode}')
            if condition():
                return
            time.sleep(POLL_S)

    def _stop(self) -> None:
        """Stop the processes, the last one first, so that none misses another."""
        for name, process in reversed(self._processes.items()):
            # Not SIGINT: a Python that only just starts up answers that with a traceback.
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                sys.stderr.write(f'{name} did not stop, so it was killed\n')
                process.kill()
                process.wait()


def free_port(text: str) -> int:
    """Return the port that an argument names, if the page can be there.

    The nodes would find out too, but only after the line with the URL could have been printed
    because another server answers at the port.
    """
    port = int(text)
    if not 1 <= port <= 65535:
        raise argparse.ArgumentTypeError(f'{port} is not between 1 and 65535')
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(('127.0.0.1', port))
        except OSError as error:
            raise argparse.ArgumentTypeError(
                f'{port} cannot be used: {error.strerror}; choose another one, for example with '
                'make demo DEMO_ARGS="--port 8766"'
            ) from error
    return port


def main() -> int:
    """Run the demo and return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    # The default is text, so that it is checked as well.
    parser.add_argument('--port', type=free_port, default='8765', help='port of the page (8765)')
    parser.add_argument('--synthetic', action='store_true', help='a drawn scene, not the clip')
    parser.add_argument(
        '--ice-addresses', default='', help='local addresses for video (all but loopback)'
    )
    options = parser.parse_args()
    return Demo(options.port, options.synthetic, options.ice_addresses).run()


if __name__ == '__main__':
    sys.exit(main())
