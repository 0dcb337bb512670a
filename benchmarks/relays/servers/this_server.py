"""Run this project's server with everything on: the token, the checks, metrics, rate limits.

Usage: this_server.py PORT [--loop asyncio|uvloop] [--limits high|default]
    [--tls CERTIFICATE KEY] [--profile FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import logging
import signal
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from relays.dialects import RECEIVER, SENDER, TOKEN

from rtc_signaling.auth import TokenAuthenticator, Tokens
from rtc_signaling.parameter import Parameter, parameters
from rtc_signaling.server import SignalingServer
from rtc_signaling.server_config import ServerConfig

# What is asked for, by the parameter's name; a version that lacks one runs without it.
_MAX_CONNECTIONS = 5000
_LIMIT_PREFIXES = ('limits.', 'rate_limit')


def values(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the configuration's fields: limits are on, but too high to be met."""
    chosen: dict[str, Any] = {
        'host': '127.0.0.1',
        'port': arguments.port,
        'max_connections': _MAX_CONNECTIONS,
    }
    if arguments.tls:
        chosen['tls.certificate'], chosen['tls.key'] = arguments.tls
    result: dict[str, Any] = {}
    for attribute, spec in parameters(ServerConfig).items():
        if spec.name in chosen:
            result[attribute] = chosen.pop(spec.name)
        elif arguments.limits == 'high' and spec.name.startswith(_LIMIT_PREFIXES):
            result[attribute] = _highest(spec)
    if chosen:
        raise SystemExit(f'this version of the server has no parameter {", ".join(chosen)}')
    return result


def _highest(spec: Parameter) -> Any:
    if isinstance(spec.default, int | float) and spec.maximum is not None:
        return type(spec.default)(spec.maximum)
    return spec.default


async def serve(arguments: argparse.Namespace) -> None:
    """Serve until SIGTERM."""
    config = dataclasses.replace(ServerConfig(), **values(arguments))
    authenticator = TokenAuthenticator(
        Tokens(**{role: f'{TOKEN}-{role}' for role in (SENDER, RECEIVER)})
    )
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with SignalingServer(config, authenticator).run():
        await stop.wait()


def main() -> None:
    """Take the arguments and run."""
    parser = argparse.ArgumentParser()
    parser.add_argument('port', type=int)
    parser.add_argument('--loop', choices=('asyncio', 'uvloop'), default='uvloop')
    parser.add_argument(
        '--limits',
        choices=('high', 'default'),
        default='high',
        help='high: rate limits are on, and out of reach',
    )
    parser.add_argument('--tls', nargs=2, metavar=('CERTIFICATE', 'KEY'))
    parser.add_argument('--profile', metavar='FILE', help='write a cProfile of the whole run')
    arguments = parser.parse_args()
    # As `python -m rtc_signaling.server` has it.
    logging.basicConfig(level=logging.WARNING, format='%(levelname)s %(name)s: %(message)s')
    logging.getLogger('rtc_signaling').setLevel(logging.INFO)
    run: Any = asyncio.run
    if arguments.loop == 'uvloop':
        import uvloop  # noqa: PLC0415  # the other loop is there to run without it

        run = uvloop.run
    if arguments.profile:
        import cProfile  # noqa: PLC0415

        with cProfile.Profile() as profile:
            run(serve(arguments))
        profile.dump_stats(arguments.profile)
    else:
        run(serve(arguments))


if __name__ == '__main__':
    main()
