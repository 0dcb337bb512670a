"""Case 7: the attacks of test/integration/test_attacks.py, and a hostile peer, during video."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

from processes import wait_until
from under_attack import Stage

from faults import REPOSITORY
from faults.load import cpu_of
from faults.report import Row, Section
from faults.rig import PROGRAMS, Rig, running_rig
from faults.watch import Lines, Watcher
from rtc_signaling.tokens import load

if (_attacks := str(REPOSITORY / 'test/integration')) not in sys.path:
    sys.path.append(_attacks)

CAMERA = 'front'
ATTACKS = (
    'slow_handshake', 'silent_after_connect', 'fragmented_giant', 'ping_flood_that_reads',
    'ping_flood_that_never_reads', 'pong_flood', 'deflate_bomb', 'messages_that_are_none',
    'nonsense_without_end', 'words_for_the_log', 'a_sender_that_floods',
    'floods_of_offers_to_the_robot', 'token_brute_force', 'two_thousand_connections',
    'a_slow_crowd_keeps_no_robot_out', 'plain_requests_in_masses',
    'many_upgrades_with_wrong_urls',
)  # fmt: skip
# What the rogue (`programs/rogue.py`) does, in words.
ROGUERIES = {
    'malformed_sdp': 'offers with malformed SDP, 40 kinds',
    'candidates': 'candidates of addresses that lead nowhere, 40 a second',
    'stun': 'garbage STUN to the media port, 2,000 a second',
    'dtls': 'garbage DTLS to the media port, 2,000 a second',
    'rtp': 'garbage RTP and RTCP to the media port, 2,000 a second',
    'renegotiate': 'a storm of offers, 40 a second',
    'pli': 'a flood of PLI, 200 a second',
}
GAP_S = 0.5
AGE_MS = 500.0
GROWTH_MB = 30.0
SETTLE_S = 45.0
# The time-outs that the attacks of the tests are made for.
SERVER = ('auth.timeout:=1.5', 'timeout:=6.0', 'resume_window:=2.0')


class Scene(Stage):
    """The stage of the tests' attacks, with the server of a rig."""

    def __init__(self, rig: Rig) -> None:
        tokens = load(rig.directory / 'tokens.json')
        self.tokens = {'sender': tokens.sender, 'receiver': tokens.receiver}
        self.process = rig.processes['server']
        self.port = rig.port


def attacks(directory: Path, domain: int) -> Section:
    """Attack the server while somebody watches."""
    import test_attacks  # noqa: PLC0415  # the folder is in the path only since this module

    section = Section()
    with running_rig(
        directory / 'attacks', domain, server=SERVER, sender=(f'client_id:={CAMERA}',)
    ) as rig:
        viewer = rig.watch('viewer', camera=CAMERA)
        viewer.wait_for_pictures(60, 30.0)
        for name in ATTACKS:
            attack: Callable[[Stage], None] = getattr(test_attacks, f'test_{name}')
            section.add(_attack_row(rig, viewer, name, attack))
    section.notes.append(
        'A robot and a viewer that only talk exchange 20 offers and answers a second meanwhile, '
        'and lose none; memory and log are bounded as `test/integration/test_attacks.py` has it.'
    )
    return section


def _attack_row(rig: Rig, viewer: Watcher, name: str, attack: Callable[[Stage], None]) -> Row:
    start_s, wrong = time.time(), ''
    try:
        attack(Scene(rig))
    except (AssertionError, OSError) as error:
        wrong = f'{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ""}'
    seen, kept = video(viewer, start_s)
    ill = settled(rig)
    return Row(
        name.replace('_', ' '),
        f'bounded and told apart as the test says; video: no gap over {GAP_S:g} s, age p95 under '
        f'{AGE_MS:.0f} ms; well afterwards',
        '; '.join(part for part in (seen, wrong, ill) if part),
        kept and not wrong and not ill,
    )


def video(viewer: Watcher, start_s: float) -> tuple[str, bool]:
    """Say how the video was since then, and whether it was undisturbed."""
    end_s = time.time()
    gap_s = viewer.longest_gap_s(start_s, end_s)
    _, p95 = viewer.ages_ms(start_s, end_s)
    text = f'{end_s - start_s:.0f} s: longest gap {gap_s * 1000:.0f} ms, age p95 {p95:.0f} ms'
    return text, gap_s <= GAP_S and p95 <= AGE_MS


def settled(rig: Rig) -> str:
    """Wait until all is well and one viewer is left; return what is not, in words."""
    try:
        rig.wait_until_well(SETTLE_S)
        wait_until(lambda: rig.peers() == 1, SETTLE_S, 'one peer is left')
    except TimeoutError as error:
        return str(error)
    return ''


def peer(directory: Path, domain: int, duration_s: float) -> Section:
    """Have a viewer with a token attack the camera sender."""
    section = Section()
    with running_rig(directory / 'peer', domain, server=('resume_window:=2.0',)) as rig:
        viewer = rig.watch('viewer')
        viewer.wait_for_pictures(60, 30.0)
        for name, done in ROGUERIES.items():
            section.add(_rogue_row(rig, viewer, name, done, duration_s))
    return section


def _rogue_row(rig: Rig, viewer: Watcher, name: str, done: str, duration_s: float) -> Row:
    sender = rig.processes['sender']
    before = rig.holdings()['sender']
    cpu_s, written = cpu_of(sender.pid), len(sender.output)
    start_s = time.time()
    command = [sys.executable, str(PROGRAMS / 'rogue.py'), rig.url, rig.token, name,
               str(duration_s)]  # fmt: skip
    rogue = Lines('rogue', command, rig.environment)
    rogue.wait(duration_s + 60.0)
    rig.ended.append(rogue)
    told = (rogue.new_lines() or [{'failed': True}])[-1]
    seen, kept = video(viewer, start_s)
    cpu = (cpu_of(sender.pid) - cpu_s) / (time.time() - start_s)
    ill = settled(rig)
    growth_mb = (rig.holdings()['sender'].memory_kb - before.memory_kb) / 1024
    log = sender.output[written:]
    ill += '; a traceback of the sender' if 'Traceback' in log else ''
    ill += '; the rogue failed' if 'failed' in told else ''
    lines = len(log.splitlines())
    return Row(
        done,
        f'video of others: no gap over {GAP_S:g} s, age p95 under {AGE_MS:.0f} ms; memory under '
        f'+{GROWTH_MB:.0f} MB; well afterwards, no traceback',
        f'{told.get("did", "")}; {seen}; memory {growth_mb:+.1f} MB, {cpu:.2f} cores, {lines} '
        f'lines of log{"; " + ill.strip("; ") if ill else ""}',
        kept and growth_mb <= GROWTH_MB and not ill,
    )
