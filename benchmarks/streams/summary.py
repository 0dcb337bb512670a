"""Turn the figures of a run into the page that people read."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any

from relays.report import Goal, median, ratio, table

from streams import delay
from streams.contenders import BARE, CONTENDERS, GST, NODE, OURS, PLAIN
from streams.cost import figures
from streams.plan import HD, KEY_INTERVAL_FRAMES, PRESET, RATE_HZ, STREAMS, VGA

FRAME_MS = 1000 / RATE_HZ
# A limit of 0.010 CPU-s/s, and so on: two decimals would hide it.
_MILLI = 1000


def document(results: dict[str, Any]) -> str:
    """Return the section of docs/performance.md."""
    makers: dict[str, Callable[[Any], str]] = {
        'cpu': _cpu,
        'latency': _latency,
        'disturbance': _disturbance,
        'join': _join,
        'churn': _churn,
    }
    parts = [_introduction(results), _goals(results)]
    parts += [make(results[name]) for name, make in makers.items() if results.get(name)]
    missing = results.get('missing', {})
    if missing:
        parts.append('\n'.join(f'Not measured: {name}: {why}.' for name, why in missing.items()))
    return '\n\n'.join(part for part in parts if part)


def _introduction(results: dict[str, Any]) -> str:
    machine, plan = results['machine'], results['plan']
    streams = ' and '.join(
        f'{stream.name} at {stream.bitrate_bps / 1e6:g} Mbit/s' for stream in STREAMS.values()
    )
    return (
        '## Media\n\n'
        f'`python benchmarks/media.py {results["command"]}`, {machine["date"]}: '
        f'{machine["cores"]} cores, Linux {machine["kernel"]}, Python {machine["python"]}, '
        f'aiortc {machine["aiortc"]}, PyAV {machine["av"]}, load average '
        f'{machine["load average"]} at the start and {machine.get("load average after", "?")} at '
        f'the end. {streams}, {RATE_HZ} pictures a second, moving and textured; H.264 '
        f'constrained baseline, `{PRESET}`, zerolatency, a key frame each {KEY_INTERVAL_FRAMES} '
        f'pictures. {plan["rounds"]} rounds in which all have their turns; given are medians '
        '(and the range).'
    )


def _goals(results: dict[str, Any]) -> str:
    goals: list[Goal] = []
    for make, part in (
        (_cpu_goals, 'cpu'),
        (_latency_goals, 'latency'),
        (_join_goals, 'join'),
        (_disturbance_goals, 'disturbance'),
        (_churn_goals, 'churn'),
    ):
        if results.get(part):
            goals += make(results[part])
    rows = []
    for goal in goals:
        what, value, limit, verdict = goal.row()
        rows.append([what, value, f'{"at least" if goal.least else "at most"} {limit}', verdict])
    return table(['goal', 'measured', 'limit', ''], rows)


def _cpu_goals(costs: dict[str, Any]) -> list[Goal]:
    goals: list[Goal] = []

    def compare(
        what: str,
        stream: str,
        one: tuple[str, int],
        other: tuple[str, int],
        limit: float,
        *,
        least: bool = False,
    ) -> None:
        values = figures(costs, stream, *one, 'cpu_s')
        others = figures(costs, stream, *other, 'cpu_s')
        if values and others:
            text = f'{what}, {stream}'
            goals.append(Goal(text, ratio(values, others), limit, 'x', least))

    for stream, limit in ((HD.name, 1.20), (VGA.name, 1.30)):
        compare('eight viewers to one', stream, (OURS, 8), (OURS, 1), limit)
    for stream in (HD.name, VGA.name):
        one, eight = (figures(costs, stream, OURS, count, 'cpu_s') for count in (1, 8))
        if one and eight:
            added = (statistics.median(eight) - statistics.median(one)) / 7 * _MILLI
            goals.append(Goal(f'each added viewer, {stream}', added, 10.0, 'CPU-ms/s'))
    compare('one viewer to the encoder alone', HD.name, (OURS, 1), (BARE, 0), 1.25)
    compare('the whole node to the encoder alone', HD.name, (NODE, 1), (BARE, 0), 1.9)
    for stream in (HD.name, VGA.name):
        for count in (1, 8):
            what = f"to GStreamer's tee, viewers: {count}"
            compare(what, stream, (OURS, count), (GST, count), 0.85)
    for stream in (HD.name, VGA.name):
        for count, limit in ((1, 4.0), (4, 12.0)):
            what = f'plain aiortc to ours, viewers: {count}'
            compare(what, stream, (PLAIN, count), (OURS, count), limit, least=True)
    return goals


def _latency_goals(delays: dict[str, Any]) -> list[Goal]:
    goals = []
    for step, most in (('received', 0.75), ('presented', 2.0)):
        for count in ('8',):
            if count in delays:
                p95_ms = delay.percentiles(delays[count][step])[1]
                what = f'published to {step} in Chromium, p95, viewers: {count}, {VGA.name}'
                goals.append(Goal(what, p95_ms / FRAME_MS, most, 'frame periods'))
    return goals


def _join_goals(joins: dict[str, Any]) -> list[Goal]:
    p95_s = statistics.quantiles(joins['first_s'], n=20)[18]
    return [
        Goal("a late joiner's first frame after its answer, p95", p95_s, 0.5, 's'),
        Goal('key frames within 300 ms when 8 join', joins['most_within'], 1, ''),
    ]


def _disturbance_goals(disturbance: dict[str, Any]) -> list[Goal]:
    delays = disturbance['delays']
    clean_ms = delay.percentiles(delays[delay.CLEAN]['received'])[1]
    goals = []
    for case in (delay.LOSSY, delay.SLOW):
        change = (delay.percentiles(delays[case]['received'])[1] / clean_ms - 1) * 100
        goals.append(Goal(f"one viewer with {case}: the others' p95, change", change, 10, '%'))
    return goals


def _churn_goals(churn: dict[str, Any]) -> list[Goal]:
    before, after = churn['before'], churn['after']
    grown_mb = (after['rss_kb'] - before['rss_kb']) / 1000
    return [
        Goal(f'{churn["joins"]} joins and leaves: memory', grown_mb, 5, 'MB'),
        *(
            Goal(f'the same: {what}', after[what] - before[what], 0, '')
            for what in ('tasks', 'threads', 'descriptors')
        ),
    ]


def _cpu(costs: dict[str, Any]) -> str:
    parts = [
        '### CPU\n\nCPU-seconds of the sending process, all threads, for each streamed second: 30 '
        "frames at each viewer. Below, frames a second where the viewers' average is under 29."
    ]
    for stream, contenders in costs.items():
        counts = sorted({int(count) for by_count in contenders.values() for count in by_count})
        # The encoder alone has none, and stands in the first column.
        counts = [count for count in counts if count] or [0]
        rows = [
            [CONTENDERS[key].name, *(_cell(costs, stream, key, count) for count in counts)]
            for key, by_count in contenders.items()
            if by_count
        ]
        head = [stream, *(f'viewers: {count}' for count in counts)]
        parts.append(table(head, rows))
    parts.append(_quality(costs))
    return '\n\n'.join(parts)


def _cell(costs: dict[str, Any], stream: str, key: str, count: int) -> str:
    if not CONTENDERS[key].viewers:
        count = 0 if count <= 1 else -1
    values = figures(costs, stream, key, count, 'cpu_s')
    if not values:
        return ''
    fps = statistics.median(figures(costs, stream, key, count, 'fps'))
    slow = f'<br>{fps:.0f} fps' if fps < 29 else ''
    return median(values, 3) + slow


def _quality(costs: dict[str, Any]) -> str:
    """Say what came of the streams, so that nobody looks cheap by sending less."""
    rows = []
    for stream, contenders in costs.items():
        for key, by_count in contenders.items():
            for count in by_count:
                least, lost, share = (
                    figures(costs, stream, key, int(count), name)
                    for name in ('least_fps', 'incomplete', 'viewers_cpu_s')
                )
                rate = figures(costs, stream, key, int(count), 'mbps')
                rows.append(
                    [
                        stream,
                        key,
                        count,
                        f'{statistics.median(rate):.2f}',
                        f'{statistics.median(least):.1f}' if least else '',
                        f'{sum(lost):.0f}' if lost else '',
                        f'{statistics.median(share):.2f}' if share else '',
                    ]
                )
    head = [
        'size', 'sender', 'viewers', 'Mbit/s each', "the worst viewer's fps", 'frames not whole',
        "all viewers' CPU-s/s",
    ]  # fmt: skip
    return (
        'What arrived, of frames that were whole: every packet up to the marker bit, in order.\n\n'
        + table(head, rows)
    )


def _percentile_rows(cases: dict[str, Any], steps: Sequence[str]) -> list[list[str]]:
    return [
        [
            case,
            step,
            *(f'{value:.1f}' for value in delay.percentiles(delays[step])),
            f'{statistics.median(delays["fps"]):.1f}',
        ]
        for case, delays in cases.items()
        for step in steps
    ]


def _latency(delays: dict[str, Any]) -> str:
    rows = _percentile_rows(delays, delay.STEPS)
    return (
        f'### Latency\n\n{VGA.name}, over DDS and by the whole node, from the call of `publish` '
        'to the picture with the same index in headless Chromium, in ms. Received: its last '
        'packet; presented: given to the compositor; displayed: when Chromium expects it on the '
        'screen.\n\n' + table(['viewers', 'until', 'p50', 'p95', 'p99', 'fps'], rows)
    )


def _disturbance(disturbance: dict[str, Any]) -> str:
    rows = _percentile_rows(disturbance['delays'], ('received', 'presented'))
    weak_fps = {case: statistics.median(fps) for case, fps in disturbance['weak_fps'].items()}
    fps = ', '.join(f'{case} {value:.1f}' for case, value in weak_fps.items())
    return (
        '### One viewer with a weak link\n\nThe same among 8 viewers, of which one is behind a '
        f'weak link. What that one got, in frames a second, with packets sent again: {fps}.\n\n'
        + table(['weak link', 'until', 'p50 ms', 'p95 ms', 'p99 ms', 'fps'], rows)
    )


def _join(joins: dict[str, Any]) -> str:
    late_ms = [first_s * 1000 for first_s in joins['first_s']]
    crowd_ms = [first_s * 1000 for first_s in joins['burst_first_s']]
    counts = ', '.join(map(str, joins['key_frames']))
    return (
        '### Joining\n\nFrom the answer to the first whole key frame, ICE and DTLS included: '
        f'alone {median(late_ms, 0)} ms ({len(late_ms)} joins), of 8 within 300 ms '
        f'{median(crowd_ms, 0)} ms. Key frames that a viewer got who was there before, for each '
        f'such crowd: {counts}.'
    )


def _churn(churn: dict[str, Any]) -> str:
    held = ('rss_kb', 'threads', 'descriptors', 'tasks')
    rows = [
        [moment, *(str(churn[moment][what]) for what in held)] for moment in ('before', 'after')
    ]
    return (
        f'### Coming and going\n\n{churn["joins"]} viewers join and leave, one after the other, '
        'while another watches on.\n\n'
        + table(['', 'RSS kB', 'threads', 'descriptors', 'tasks'], rows)
    )
