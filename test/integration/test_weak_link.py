"""Viewers on a real link that is thin or lossy, beside one that is well."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from itertools import pairwise

import pytest
from fakes import until
from weak_link import Program, WeakLink

SETTINGS = {'bitrate_bps': 1_500_000}
# A frame period: neither clocks nor event loops are finer on a busy machine.
PERIOD_S = 1 / 30


@pytest.fixture
def link():
    try:
        result = WeakLink()
    except OSError as error:
        pytest.skip(f'no network namespaces here: {error}')
    yield result
    result.close()


class Stage:
    """Hold the programs."""

    def __init__(self, sender, near, far):
        self.sender, self.near, self.far = sender, near, far

    def layer(self, name='far'):
        return self.sender.now['viewers'].get(name, {}).get('layer')

    def show(self):
        """Return, for a failed test, how everything went."""
        lines = [
            f'{line["time"] % 1000:.1f} {line["viewers"]} {line["encodes"]}'
            for line in self.sender.said
        ]
        return '\n'.join(lines[::3])


@contextlib.asynccontextmanager
async def staged(link, **settings):
    async with contextlib.AsyncExitStack() as stack:
        begun = str(time.monotonic())

        async def program(namespace, *arguments):
            result = await Program.start(namespace, *arguments)
            stack.push_async_callback(result.stop)
            return result

        sender = await program(link.near, 'send', begun, json.dumps(SETTINGS | settings))
        port = str((await until(lambda: sender.now, 'the sender', 20.0))['port'])
        near, far = [
            await program(namespace, 'view', port, name, begun)
            for namespace, name in ((link.near, 'near'), (link.far, 'far'))
        ]
        await until(lambda: near.now and far.now, 'pictures', 20.0)
        stage = Stage(sender, near, far)
        try:
            yield stage
        finally:
            with open('/tmp/congestion/log', 'w') as f:
                f.write(stage.show())
                f.write(
                    '\n'
                    + '\n'.join(
                        f'{l["time"] % 1000:.2f} {l["age"]} {l["width"]}' for l in stage.far.said
                    )
                )


def ages(lines):
    return sorted(line['age'] for line in lines if line['age'] is not None)


def p95(values):
    return values[int(len(values) * 0.95)]


def longest_gap(lines):
    return max(after['time'] - before['time'] for before, after in pairwise(lines))


async def test_a_thin_link_gets_smaller_pictures_and_comes_back_and_nobody_else_notices(link):
    async with staged(link) as stage:
        begun_s = time.monotonic()
        await asyncio.sleep(3.0)
        link.limit(500)
        limited_s = time.monotonic()
        before = [line for line in stage.near.since(begun_s) if line['time'] < limited_s]
        await until(lambda: stage.layer() == 'half', 'half', 15.0)
        half_s = time.monotonic()
        await until(lambda: stage.far.now['width'] == 320, 'smaller pictures', 12.0)
        await asyncio.sleep(8.0)
        link.lift()
        lifted_s = time.monotonic()
        during = [line for line in stage.near.since(limited_s) if line['time'] < lifted_s]
        thin = [line for line in stage.far.since(half_s + 2.0) if line['time'] < lifted_s]
        print(
            f'limited {limited_s % 1000:.1f} half after {half_s - limited_s:.1f}, lifted {lifted_s % 1000:.1f}; far: {len(thin)} pictures, ages p50 {ages(thin)[len(thin) // 2]:.3f} p95 {p95(ages(thin)):.3f} gap {longest_gap(thin):.2f}; near p95 {p95(ages(before)):.3f} -> {p95(ages(during)):.3f} gap {longest_gap(before):.2f} -> {longest_gap(during):.2f}'
        )
        await until(lambda: stage.layer() == 'full', 'back', 30.0)
        await until(lambda: stage.far.now['width'] == 640, 'whole pictures', 12.0)
        print('back after', time.monotonic() - lifted_s)
        await until(lambda: stage.sender.now['encodes']['half']['viewers'] == 0, 'not encoded')
