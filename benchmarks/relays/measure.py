"""The parts of the benchmark: each interleaves its servers and keeps the figures of each round."""

from __future__ import annotations

import contextlib
import gc
import ssl
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from relays import attacks, certificate, idle, load
from relays.contenders import Contender, ours
from relays.dialects import Ours
from relays.load import Cost, Relay
from rtc_signaling.parameter import parameters
from rtc_signaling.server_config import ServerConfig

# figures[part][contender's key] holds one value a round.
Figures = dict[str, dict[str, list[float]]]


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    Attributes:
        rounds: How often each server has its turn.
        saturate_s: Length of one turn at saturation.
        pace_s: Length of one turn at `rate_hz`.
        rate_hz: Offers a second.
        pairs: Receiver and sender pairs.
        window: Offers of each pair that are in flight at saturation.
        size_bytes: Size of the SDP of an offer.
        set_ups: Connections made in one turn.
        idle: Idle connections.
        attack_s: Length of one attack.
        core: Where servers run, or None for anywhere.
    """

    rounds: int = 5
    saturate_s: float = 2.0
    pace_s: float = 5.0
    rate_hz: float = 200.0
    pairs: int = 8
    window: int = 8
    size_bytes: int = 2048
    set_ups: int = 300
    idle: int = 1000
    attack_s: float = 8.0
    core: int | None = 0


def new_figures() -> Figures:
    """Return an empty collection."""
    return defaultdict(lambda: defaultdict(list))


def _note(figures: Figures, prefix: str, key: str, cost: Cost) -> None:
    figures[f'{prefix} CPU us'][key].append(cost.server_us)
    figures[f'{prefix} generator us'][key].append(cost.generator_us)
    figures[f'{prefix} server share'][key].append(cost.server_share)
    figures[f'{prefix} generator share'][key].append(cost.generator_share)
    if cost.latencies_us:
        figures[f'{prefix} p50 us'][key].append(cost.p50_us)
        figures[f'{prefix} p99 us'][key].append(cost.p99_us)


def relaying(plan: Plan, contenders: Sequence[Contender]) -> Figures:
    """All servers run; each relays in its turn, and the turns go round.

    The first round warms up (a JIT has to compile) and is not kept.
    """
    figures = new_figures()
    with contextlib.ExitStack() as stack:
        relays: list[tuple[Contender, Relay]] = []
        for contender in contenders:
            server = stack.enter_context(contender.running(plan.core))
            pairs = load.connect_pairs(contender.dialect, server, plan.pairs, plan.size_bytes)
            stack.callback(load.close_pairs, pairs)
            relays.append((contender, Relay(server, pairs, [])))
        gc.collect()
        gc.freeze()
        for number in range(plan.rounds + 1):
            for contender, relay in relays:
                for other, waiting in relays:
                    waiting.keep_alive(other.dialect.heartbeat())
                saturated = relay.saturate(plan.saturate_s, plan.window)
                paced = relay.pace(plan.pace_s, plan.rate_hz)
                if number:
                    _note(figures, 'saturated', contender.key, saturated)
                    _note(figures, 'paced', contender.key, paced)
    return figures


def setting_up(plan: Plan, contenders: Sequence[Contender]) -> Figures:
    """All servers run; each is connected to in its turn."""
    figures = new_figures()
    with contextlib.ExitStack() as stack:
        servers = [(c, stack.enter_context(c.running(plan.core))) for c in contenders]
        for number in range(plan.rounds + 1):
            for contender, server in servers:
                cost = load.set_up(contender.dialect, server, plan.set_ups)
                if number:
                    _note(figures, 'set-up', contender.key, cost)
    return figures


def idling(plan: Plan, contenders: Sequence[Contender]) -> Figures:
    """A new process of each server in its turn: memory belongs to a process for good."""
    figures = new_figures()
    for _ in range(min(plan.rounds, 3)):
        for contender in contenders:
            with contender.running(plan.core) as server:
                size_kb = idle.memory_kb(contender.dialect, server, plan.idle)
                figures['idle kB'][contender.key].append(size_kb)
    return figures


def growing(plan: Plan, contender: Contender) -> Figures:
    """Compare a server with 10 idle connections and one with many, side by side.

    Keep-alive costs CPU in proportion to the connections, whether messages flow or not. It is
    measured apart (`rest`), and the CPU of a message is also given without it.
    """
    figures = new_figures()
    with contextlib.ExitStack() as stack:
        relays: list[tuple[str, Relay]] = []
        for count in (10, plan.idle):
            server = stack.enter_context(contender.running(plan.core))
            pairs = load.connect_pairs(contender.dialect, server, plan.pairs, plan.size_bytes)
            others = stack.enter_context(idle.connected(contender.dialect, server, count))
            relays.append((f'{count} idle', Relay(server, pairs, others)))
        gc.collect()
        gc.freeze()
        for number in range(plan.rounds + 1):
            for key, relay in relays:
                for _, waiting in relays:
                    waiting.keep_alive('')
                rest_share = relay.rest(plan.pace_s)
                saturated = relay.saturate(plan.saturate_s, plan.window)
                paced = relay.pace(plan.pace_s, plan.rate_hz)
                if number:
                    _note(figures, 'saturated', key, saturated)
                    _note(figures, 'paced', key, paced)
                    figures['rest us/s'][key].append(rest_share * 1e6)
                    net_us = paced.server_us - rest_share * 1e6 / plan.rate_hz
                    figures['paced CPU us without keep-alive'][key].append(net_us)
    return figures


@dataclass(frozen=True)
class Attacked:
    """What the attacks did to one server."""

    stall: attacks.Stall
    empty_fragments: attacks.Flood
    small_fragments: attacks.Flood
    pings: attacks.Flood


def attacked(plan: Plan, contender: Contender, stall_rate_hz: float = 3000.0) -> Attacked:
    """Attack one server, a new process for each attack."""
    with contender.running(plan.core) as server:
        viewers = attacks.StalledViewer(contender.dialect, server, plan.size_bytes)
        stall = viewers.run(plan.attack_s, stall_rate_hz)
    contender = contender.with_default_limits()
    floods = []
    for payload in (b'', b'x'):
        with contender.running(plan.core) as server:
            floods.append(attacks.fragments(contender.dialect, server, payload, plan.attack_s))
    with contender.running(plan.core) as server:
        pings = attacks.pings(contender.dialect, server, plan.attack_s)
    return Attacked(stall, floods[0], floods[1], pings)


def idling_with_tls(plan: Plan) -> Figures:
    """Measure this server's idle connections with TLS, on both event loops.

    Empty if this version of the server has no TLS.
    """
    figures = new_figures()
    if 'tls.certificate' not in {spec.name for spec in parameters(ServerConfig).values()}:
        return figures
    with tempfile.TemporaryDirectory() as directory:
        files = certificate.make(Path(directory))
        client = ssl.create_default_context(cafile=files[0])
        client.check_hostname = False
        for _ in range(min(plan.rounds, 3)):
            for loop in ('uvloop', 'asyncio'):
                contender = ours(loop, Ours(loop), '--loop', loop, '--tls', *files)
                with contender.running(plan.core) as server:
                    size_kb = idle.memory_kb(contender.dialect, server, plan.idle, client)
                    figures['idle kB with TLS'][loop].append(size_kb)
    return figures
