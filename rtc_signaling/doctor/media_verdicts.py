"""What the facts of a session mean: whether a picture came, by which way, and the TURN servers.

Pure: facts in, a finding out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from rtc_signaling.doctor.findings import Finding, fail, ok, skip, warn
from rtc_signaling.messages import IceServer

HOST, REFLEXIVE, RELAY = 'host', 'srflx', 'relay'


class Stage(StrEnum):
    """Say how far a session came; `PICTURE` is all the way."""

    NOT_IN = 'not_in'
    NO_CAMERA = 'no_camera'
    NOT_TAKEN = 'not_taken'
    NO_ANSWER = 'no_answer'
    BYE = 'bye'
    BAD_ANSWER = 'bad_answer'
    NO_CONNECTION = 'no_connection'
    NO_PICTURE = 'no_picture'
    PICTURE = 'picture'


@dataclass(frozen=True, slots=True)
class Pair:
    """Hold the two ends of the way that ICE has chosen: types (RFC 8445, 4) and addresses."""

    local_type: str
    local_address: str
    remote_type: str
    remote_address: str

    def __str__(self) -> str:
        return (
            f'{self.local_address} ({self.local_type}) to '
            f'{self.remote_address} ({self.remote_type})'
        )


@dataclass(frozen=True, slots=True)
class Session:
    """Hold how a session with a camera went.

    Attributes:
        stage: How far it came.
        camera: The camera's client_id; '' if there is none.
        cameras: All that are there.
        detail: What the other side said, where it went no further.
        waited_s: For how long was waited where it went no further.
        local_types: The types of the candidates that the doctor offered.
        remote_types: Those of the camera's.
        pair: The way that was chosen.
        picture: The size of the picture that came, such as `640x480`.
        picture_ms: Time from the offer to the picture.
    """

    stage: Stage
    camera: str = ''
    cameras: tuple[str, ...] = ()
    detail: str = ''
    waited_s: float = 0.0
    local_types: tuple[str, ...] = ()
    remote_types: tuple[str, ...] = ()
    pair: Pair | None = None
    picture: str = ''
    picture_ms: float = 0.0


def judge_session(session: Session) -> Finding:
    """Judge whether a viewer gets a picture."""
    tried = f'watch camera {session.camera!r} as a viewer does'
    if session.stage is Stage.PICTURE:
        seen = f'a picture of {session.picture} after {session.picture_ms:.0f} ms'
        others = [camera for camera in session.cameras if camera != session.camera]
        more = f' (also there: {", ".join(others)}; --camera chooses)' if others else ''
        return ok('session', tried, seen + more)
    if session.stage is Stage.NO_CAMERA:
        return _no_camera(session)
    seen, remedy = _where_it_ended(session)
    return fail('session', tried, seen, remedy)


def _no_camera(session: Session) -> Finding:
    if session.camera:
        there = f'there are: {", ".join(session.cameras)}' if session.cameras else 'there is none'
        return fail(
            'session',
            f'watch camera {session.camera!r}',
            f'it is not connected; {there}',
            "choose one of those, or start that camera's camera_sender",
        )
    return fail(
        'session',
        'watch a camera as a viewer does',
        'no camera is connected',
        'start camera_sender (ros2 launch rtc_signaling robot.launch.py); if it runs, its log and '
        'camera_sender/status say why it is not let in',
    )


def _where_it_ended(session: Session) -> tuple[str, str]:
    within = f'within {session.waited_s:.0f} s'
    log = 'look into the log of camera_sender'
    busy = 'busy: there is no place for another viewer', 'close viewers, or raise max_viewers'
    ends = {
        Stage.NOT_IN: (f'not let in: {session.detail}', 'try again; see authentication'),
        Stage.NOT_TAKEN: (f'the offer was not taken: {session.detail}', log),
        Stage.NO_ANSWER: (f'no answer to the offer {within}', f'{log}, and restart it'),
        Stage.BYE: busy if session.detail == 'busy' else (f'let go: {session.detail}', log),
        Stage.BAD_ANSWER: (f'an answer that makes no sense: {session.detail}', log),
        Stage.NO_CONNECTION: (f'an answer, but no connection {within}', 'see ice'),
        Stage.NO_PICTURE: (
            f'connected, but no picture came {within}',
            'camera_sender gets no images: see camera_topic, and camera_sender/status',
        ),
    }
    return ends[session.stage]


def judge_ice(session: Session, servers: Sequence[IceServer]) -> Finding:
    """Judge the way that the media takes."""
    if session.stage not in (Stage.NO_CONNECTION, Stage.NO_PICTURE, Stage.PICTURE):
        return skip('ice', 'there was no session to find a way for')
    tried = f'find a way for video to camera {session.camera!r}'
    if session.pair is None:
        return _no_way(session, servers, tried)
    seen = f'UDP from {session.pair}'
    if RELAY in (session.pair.local_type, session.pair.remote_type):
        return ok('ice', tried, f'{seen}, by a TURN relay, which takes more time')
    if _urls(servers, 'stun') and REFLEXIVE not in session.local_types:
        return warn(
            'ice',
            tried,
            f'{seen}; but the STUN server has told this machine no address',
            'check ice_servers: viewers in other networks need it',
        )
    return ok('ice', tried, seen)


def _no_way(session: Session, servers: Sequence[IceServer], tried: str) -> Finding:
    seen = (
        f'none: this machine offered {_list(session.local_types)}, '
        f'the camera {_list(session.remote_types)}'
    )
    if not session.remote_types:
        remedy = 'camera_sender offers no address: check its ice_addresses'
    elif not session.local_types:
        remedy = 'this machine has no address to offer: check its network and --ice-addresses'
    elif _urls(servers, 'turn'):
        remedy = 'UDP is blocked, and TURN does not help: see turn'
    else:
        remedy = (
            'let UDP through between both machines (firewall, guest network, container), check '
            'ice_addresses of camera_sender, or set up a TURN server (ice_servers, '
            'turn.secret_file)'
        )
    return fail('ice', tried, seen, remedy)


def _list(types: Sequence[str]) -> str:
    return ', '.join(types) or 'nothing'


@dataclass(frozen=True, slots=True)
class Allocation:
    """Hold how an attempt to get a relay from a TURN server went.

    Attributes:
        url: The server's.
        relay: The relay's address; '' if there is none.
        code: The server's error code (RFC 8656, 19), 0 if it said none.
        detail: What was wrong, in words.
    """

    url: str
    relay: str = ''
    code: int = 0
    detail: str = ''


def judge_turn(allocations: Sequence[Allocation]) -> Finding:
    """Judge the TURN servers that the signaling server hands out."""
    if not allocations:
        return skip(
            'turn',
            'the server hands out no TURN server; only viewers in other networks need one',
        )
    tried = f'get a relay from {", ".join(found.url for found in allocations)}'
    bad = [found for found in allocations if not found.relay]
    if not bad:
        return ok('turn', tried, f'relays at {", ".join(found.relay for found in allocations)}')
    seen = '; '.join(f'{found.url}: {found.detail}' for found in bad)
    remedy = 'check the address, that the TURN server runs, and the firewall (3478, UDP and TCP)'
    if any(found.code == 401 for found in bad):
        remedy = (
            'its secret and turn.secret_file are not the same, or the clocks differ: see '
            'static-auth-secret and use-auth-secret in turnserver.conf'
        )
    elif any(found.code for found in bad):
        remedy = 'look into the log of the TURN server'
    # Video that needs no relay works without it.
    return warn('turn', tried, seen, remedy)


def turn_urls(servers: Sequence[IceServer]) -> list[tuple[str, IceServer]]:
    """Return each TURN URL, with the server whose credential it wants."""
    return _urls(servers, 'turn')


def _urls(servers: Sequence[IceServer], scheme: str) -> list[tuple[str, IceServer]]:
    return [
        (url, server)
        for server in servers
        for url in ([server.urls] if isinstance(server.urls, str) else server.urls)
        if url.partition(':')[0] in (scheme, f'{scheme}s')
    ]
