"""Turn the figures of a run into the page that people read."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

from relays.contenders import contenders, in_band
from relays.report import Goal, median, ratio, table

OURS, PEER, UWS = 'ours', 'peerserver', 'uws'
FEW, MANY = '10 idle', '1000 idle'


def document(results: dict[str, Any]) -> str:
    """Return the section of docs/performance.md."""
    parts = [_introduction(results), _goals(results)]
    makers: dict[str, Callable[[Any], str]] = {
        'relay': _relay,
        'set-up': _set_up,
        'idle': _idle,
        'tls': _tls,
        'grow': _grow,
        'attack': _attack,
        'autobahn': _autobahn,
    }
    parts += [make(results[name]) for name, make in makers.items() if results.get(name)]
    return '\n\n'.join(part for part in parts if part)


def _names() -> dict[str, str]:
    found = {key: contender.dialect.name for key, contender in contenders().items()}
    return found | {in_band().key: in_band().dialect.name}


def _introduction(results: dict[str, Any]) -> str:
    machine, plan = results['machine'], results['plan']
    options = (
        f'--rounds {plan["rounds"]} --saturate {plan["saturate_s"]:g} --pace {plan["pace_s"]:g} '
        f'--set-ups {plan["set_ups"]} --attack {plan["attack_s"]:g}'
    )
    autobahn = ' --wstest PATH' if 'autobahn' in results else ''
    return (
        '## Signaling server\n\n'
        f'`python benchmarks/signaling.py {options}{autobahn} --document`, {machine["date"]}: '
        f'{machine["cores"]} cores, Linux {machine["kernel"]}, Python {machine["python"]}, '
        f'Node {machine["node"]}, load average {machine["load average"]} at the start. '
        f'npm packages: peer {machine["peer"]}, y-webrtc {machine["y-webrtc"]}, '
        f'ws {machine["ws"]}, uwebsockets {machine["uwebsockets"]}.\n\n'
        f'Offers with an SDP of {plan["size_bytes"]} bytes go receiver -> server -> sender. Each '
        'server has one core, the load generator the other. CPU is user and system time of the '
        "server's process, all threads. All servers run at once and have their turns one after "
        f'the other, {plan["rounds"]} times; given are medians (and the range).'
    )


def _goals(results: dict[str, Any]) -> str:
    goals = _relay_goals(results.get('relay', {}))
    for make, part in (
        (_set_up_goals, 'set-up'),
        (_idle_goals, 'idle'),
        (_tls_goals, 'tls'),
        (_grow_goals, 'grow'),
        (_attack_goals, 'attack'),
    ):
        if results.get(part):
            goals += make(results[part])
    return table(['goal', 'measured', 'at most', ''], [goal.row() for goal in goals])


def _relay_goals(figures: dict[str, Any]) -> list[Goal]:
    goals = []
    for what, figure, other, limit in (
        ('CPU per message, saturated, to PeerServer', 'saturated CPU us', PEER, 0.90),
        ('CPU per message, 200/s, to PeerServer', 'paced CPU us', PEER, 0.65),
        ('p50 at 200/s, to PeerServer', 'paced p50 us', PEER, 1.0),
        ('p99 at 200/s, to PeerServer', 'paced p99 us', PEER, 1.0),
        ('CPU per message, saturated, to raw uWebSockets', 'saturated CPU us', UWS, 4.5),
    ):
        values = figures.get(figure, {})
        if OURS in values and other in values:
            goals.append(Goal(what, ratio(values[OURS], values[other]), limit, 'x'))
    return goals


def _set_up_goals(figures: dict[str, Any]) -> list[Goal]:
    values = figures['set-up CPU us']
    if OURS not in values or PEER not in values:
        return []
    value = ratio(values[OURS], values[PEER])
    return [Goal('CPU to set up a connection, to PeerServer', value, 1.0, 'x')]


def _idle_goals(figures: dict[str, Any]) -> list[Goal]:
    values = figures['idle kB']
    if OURS not in values:
        return []
    return [Goal('memory of an idle connection', statistics.median(values[OURS]), 18, 'kB')]


def _tls_goals(figures: dict[str, Any]) -> list[Goal]:
    size_kb = statistics.median(figures['idle kB with TLS']['uvloop'])
    return [Goal('the same with TLS (uvloop)', size_kb, 60, 'kB')]


def _grow_goals(figures: dict[str, Any]) -> list[Goal]:
    goals = []
    for what, figure in (
        ('CPU per message, saturated, 1,000 to 10 idle', 'saturated CPU us'),
        ('CPU per message, 200/s, the same', 'paced CPU us without keep-alive'),
        ('p50 at 200/s, the same', 'paced p50 us'),
    ):
        goals.append(Goal(what, ratio(figures[figure][MANY], figures[figure][FEW]), 1.1, 'x'))
    return goals


def _attack_goals(figures: dict[str, Any]) -> list[Goal]:
    if OURS not in figures:
        return []
    ours = figures[OURS]
    bombs = [ours['empty_fragments'], ours['small_fragments']]
    stall = ours['stall']
    return [
        Goal("a stalled viewer: the others' lost messages", stall['lost'], 0, ''),
        Goal(
            'a stalled viewer: messages not taken from the robot',
            stall['due'] - stall['accepted'],
            stall['due'] / 1000,
            '',
        ),
        Goal('a stalled viewer: memory', stall['growth_mb'], 2, 'MB'),
        Goal('fragment bomb: memory', max(bomb['growth_mb'] for bomb in bombs), 15, 'MB'),
        Goal('fragment bomb: ends not 1009', sum(b['end'] != '1009' for b in bombs), 0, ''),
        Goal('ping flood: memory', ours['pings']['growth_mb'], 2, 'MB'),
    ]


def _relay(figures: dict[str, Any]) -> str:
    names = _names()
    head = [
        'server',
        'saturated: CPU us a message',
        "its core's use",
        "the generator's CPU us",
        '200/s: CPU us a message',
        'p50 us',
        'p99 us',
    ]
    keys = [
        'saturated CPU us',
        'saturated server share',
        'saturated generator us',
        'paced CPU us',
        'paced p50 us',
        'paced p99 us',
    ]
    rows = [
        [names[server], *(_cell(figures[key][server], key) for key in keys)]
        for server in figures[keys[0]]
    ]
    note = (
        'Server and generator have a core each and wait for nothing but each other, so the one '
        'that uses more CPU for a message is the bottleneck: the server, in every row where its '
        "figure is above the generator's."
    )
    return f'### Relaying\n\n{table(head, rows)}\n\n{note}'


def _cell(values: list[float], key: str) -> str:
    if key.endswith('share'):
        return f'{statistics.median(values) * 100:.0f} %'
    return median(values)


def _set_up(figures: dict[str, Any]) -> str:
    names = _names()
    rows = [
        [names[server], median(values, 0)] for server, values in figures['set-up CPU us'].items()
    ]
    return (
        '### Setting up a connection\n\nConnect, show the token, be welcomed, close in order; '
        'one after the other. y-webrtc has no authentication.\n\n'
        + table(['server', 'CPU us'], rows)
    )


def _idle(figures: dict[str, Any]) -> str:
    names = _names()
    rows = [[names[server], median(values)] for server, values in figures['idle kB'].items()]
    return '### Idle connections\n\n' + table(['server', 'kB each (of 1,000)'], rows)


def _tls(figures: dict[str, Any]) -> str:
    rows = [[loop, median(values)] for loop, values in figures['idle kB with TLS'].items()]
    return table(['rtc_signaling with TLS', 'kB each (of 1,000)'], rows)


def _grow(figures: dict[str, Any]) -> str:
    rows = [
        [figure, median(values[FEW]), median(values[MANY])]
        for figure, values in figures.items()
        if not figure.endswith('share')
    ]
    return (
        '### From 10 to 1,000 idle connections\n\nTwo processes of rtc_signaling side by side. '
        '`rest` is what keep-alive costs while nothing is relayed.\n\n'
        + table(['', '10', '1,000'], rows)
    )


def _attack(figures: dict[str, Any]) -> str:
    names = _names()
    head = [
        'server',
        "stalled viewer: others' losses",
        'robot: taken of due',
        'memory',
        'cut off',
        'empty fragments',
        'small fragments',
        'ping flood',
    ]
    rows = []
    for server, attack in figures.items():
        stall = attack['stall']
        floods = [attack[name] for name in ('empty_fragments', 'small_fragments', 'pings')]
        rows.append(
            [
                names[server],
                str(stall['lost']),
                f'{stall["accepted"]} of {stall["due"]}',
                f'+{stall["growth_mb"]:.1f} MB',
                'yes' if stall['cut_off'] else 'no',
                *(f'+{flood["growth_mb"]:.1f} MB, {flood["end"]}' for flood in floods),
            ]
        )
    return (
        '### Clients that behave badly\n\nA new process for each attack. `open`: the connection '
        'was still served at the end; a number is the close code.\n\n' + table(head, rows)
    )


def _autobahn(result: tuple[dict[str, int], list[str]]) -> str:
    counts, failed = result
    verdict = ', '.join(f'{count} {name}' for name, count in sorted(counts.items()))
    return (
        "### Autobahn's test suite\n\nCases 1 to 7 and 10 against an echo over the server's own "
        f'connection class: {verdict}. Failed: {", ".join(failed) or "none"}.'
    )
