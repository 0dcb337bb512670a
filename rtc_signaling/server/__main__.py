"""The signaling server without ROS: `python -m rtc_signaling.server --help`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys

from rtc_signaling.credentials import announcement, make_authenticator, make_ice
from rtc_signaling.errors import RtcSignalingError
from rtc_signaling.loop_thread import fast_loop
from rtc_signaling.parameter import Parameter, Value, from_values, parameters
from rtc_signaling.server import SignalingServer
from rtc_signaling.server_config import ServerConfig

logger = logging.getLogger('rtc_signaling.server')


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM; return the exit code."""
    given = vars(_parser().parse_args(arguments))
    logging.basicConfig(level=logging.WARNING, format='%(levelname)s %(name)s: %(message)s')
    logging.getLogger('rtc_signaling').setLevel(logging.INFO)
    try:
        config = from_values(ServerConfig, {k: v for k, v in given.items() if v is not None})
        with asyncio.Runner(loop_factory=fast_loop()) as runner:
            runner.run(_serve(config))
    except RtcSignalingError as error:
        logger.critical('%s', error)
        return 1
    return 0


async def _serve(config: ServerConfig) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    authenticator, token = make_authenticator(config, os.environ)
    server = SignalingServer(config, authenticator, make_ice(config))
    async with server.run():
        logger.info('%s', announcement(config, server.port, token))
        await stop.wait()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='python -m rtc_signaling.server',
        description='A WebRTC signaling server for robots, without ROS.',
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    for spec in parameters(ServerConfig).values():
        text = spec.description.replace('%', '%%')
        if isinstance(spec.default, tuple):
            parser.add_argument(f'--{spec.name}', nargs='*', help=text, metavar='TEXT')
        else:
            parser.add_argument(
                f'--{spec.name}',
                type=type(spec.default),
                help=f'{text} ({spec.default!r})',
                metavar=_metavar(spec),
                default=argparse.SUPPRESS,
            )
    return parser


def _metavar(spec: Parameter) -> str:
    kinds: dict[type[Value], str] = {int: 'N', float: 'X', str: 'TEXT'}
    return '|'.join(spec.choices) or kinds[type(spec.default)]


if __name__ == '__main__':
    sys.exit(main())
