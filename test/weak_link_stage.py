"""A sender and two viewers on the link of `weak_link`, and what they said."""

from __future__ import annotations

import contextlib
import json
import time
from itertools import pairwise

from fakes import until
from weak_link import Program

# The operator's bitrate is three times of what the thin link carries.
SETTINGS = {'bitrate_bps': 1_500_000}
# Three programs start, one of them a browser.
START_S = 30.0


class Stage:
    """Hold the programs, and what they said."""

    def __init__(self, link, sender, near, far):
        self.link = link
        self.sender, self.near, self.far = sender, near, far

    @property
    def layer(self):
        """The layer of the viewer at the far end: a browser has a name of its own."""
        viewers = self.sender.now['viewers']
        return next((viewers[name]['layer'] for name in viewers if name != 'near'), None)

    def show(self):
        """Print how everything went, for the report of a test that fails."""
        for line in self.sender.said[::5]:
            print(f'{line["time"]:.1f}', line['viewers'], line['encodes'])


@contextlib.asynccontextmanager
async def staged(link, far_loss=0.0, far_program='view', **settings):
    """Run a sender and two viewers; yields when both have pictures."""
    async with contextlib.AsyncExitStack() as stack:
        begun = str(time.monotonic())

        async def program(namespace, *arguments):
            result = await Program.start(namespace, *arguments)
            stack.push_async_callback(result.stop)
            return result

        sender = await program(link.near, 'send', begun, json.dumps(SETTINGS | settings))
        port = str((await until(lambda: sender.now, 'the sender', START_S))['port'])
        near, far = [
            await program(namespace, what, port, name, begun, str(loss))
            for what, namespace, name, loss in (
                ('view', link.near, 'near', 0.0),
                (far_program, link.far, 'far', far_loss),
            )
        ]
        await until(lambda: near.now and far.now, 'pictures', START_S)
        stage = Stage(link, sender, near, far)
        stack.callback(stage.show)
        yield stage


def between(lines, begin_s, end_s):
    return [line for line in lines if begin_s <= line['time'] < end_s]


def ages(lines):
    return sorted(line['age'] for line in lines if line['age'] is not None)


def p95(values):
    return values[int(len(values) * 0.95)]


def longest_gap_s(lines):
    return max(after['time'] - before['time'] for before, after in pairwise(lines))


async def pictures(program, count):
    """Wait for more pictures of a viewer."""
    wanted = len(program.said) + count
    await until(lambda: len(program.said) >= wanted, f'{count} pictures')
