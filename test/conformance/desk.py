"""Where a test gets its clients, and what it can do with them.

Everything waits for messages, with a deadline. Names are random, messages about clients of others
are passed over, and what a test leaves behind is logged out: a server may be in use meanwhile.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from typing import Any
from urllib.parse import urlencode, urlsplit

import words
from peer import DEADLINE_S, Json, Peer
from target import Target
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus
from websockets.http11 import Response

# How long to go on when there is no place, or when the server says that we come too often.
ROOM_S = 60.0
# A server that is busy may see the end of a connection late.
AWAY_TRIES = 50
AWAY_POLL_S = 0.02
BUSY = (429, 503)


class RuleBrokenError(AssertionError):
    """Say which rule a server has broken."""


class Desk:
    """Hand out clients of one server, for one test.

    Args:
        target: The server.
        rule: What is tested, for the texts of failures.
    """

    def __init__(self, target: Target, rule: str) -> None:
        self.target = target
        self.rule = rule
        self.names: set[str] = set()
        self._prefix = f'kit-{secrets.token_hex(4)}'
        self._peers: list[Peer] = []

    def failure(self, text: str) -> RuleBrokenError:
        """Return what to raise when the rule was broken, as `text` says."""
        return RuleBrokenError(f'{self.rule}\n  but: {text}')

    def check(self, is_kept: object, text: str) -> None:
        """Fail the test unless the rule was kept; `text` says what was wrong."""
        if not is_kept:
            raise self.failure(text)

    def name(self, name: str) -> str:
        """Return a client_id that nobody else has."""
        full_name = name if name.startswith(self._prefix) else f'{self._prefix}-{name}'
        self.names.add(full_name)
        return full_name

    async def receiver(self, name: str = 'pilot', token: str = '', **options: Any) -> Peer:
        """Return a receiver that is in."""
        return await self._enter('receiver', name, token or self.target.token, **options)

    async def sender(self, name: str = 'camera', token: str = '') -> Peer:
        """Return a sender that is in."""
        return await self._enter('sender', name, token or self.target.sender_token)

    async def sender_of(self, *cameras: str, name: str = 'robot') -> Peer:
        """Return a sender that is in and has named its cameras."""
        token = self.target.sender_token
        name = self.name(name)
        peer = await self.open(role='sender', client_id=name, auth='message')
        peer.token = token
        await peer.send('authenticate', token=token, cameras=list(cameras))
        await peer.expect_welcome()
        return peer

    async def pair(self) -> tuple[Peer, Peer]:
        """Return a receiver and a sender that know each other."""
        sender = await self.sender()
        receiver = await self.receiver()
        await sender.expect('peer_joined', client_id=receiver.id)
        return receiver, sender

    async def until_away(self, gone: Peer, other: Peer) -> list[str]:
        """Let `other` send candidates until they wait for `gone`; return those sent."""
        receiver, sender = (gone, other) if gone.role == 'receiver' else (other, gone)
        sent = []
        for number in range(1000, 1000 + AWAY_TRIES):
            members = words.candidate(number)
            sent.append(members['candidate'])
            status = await other.deliver(
                'ice_candidate', **members, client_id=receiver.id, sender_id=sender.id
            )
            if status == 'queued':
                return sent
            await asyncio.sleep(AWAY_POLL_S)
        raise self.failure(f'{gone} lost its connection, but messages for it are never `queued`')

    async def resume(self, peer: Peer, resume_token: str = '', **members: Any) -> Peer:
        """Return the client that comes back for `peer`, and has been welcomed again."""
        members = {'last_seq': peer.seq} | members
        again = await self.open(auth='message', role=peer.role, client_id=peer.id)
        again.role, again.token = peer.role, members.get('token', peer.token)
        await again.send(
            'authenticate',
            **{
                'token': peer.token,
                'role': peer.role,
                'client_id': peer.id,
                'resume_token': resume_token or peer.welcome['resume_token'],
            }
            | {key: value for key, value in members.items() if value is not None},
        )
        await again.expect_welcome(members['last_seq'])
        return again

    async def open(
        self,
        path: str = '',
        token: str = '',
        headers: Json | None = None,
        connection: socket.socket | None = None,
        **query: str,
    ) -> Peer:
        """Return a client whose WebSocket is open; nothing was sent yet.

        Args:
            path: Of the URL, if not that of the target.
            token: To be shown with the request.
            headers: More of the request.
            connection: A TCP connection that exists already.
            query: Of the URL.

        Raises:
            InvalidStatus: It was refused; not only because the server has no place at the moment.
        """
        headers = dict(headers or {})
        if token:
            headers['Authorization'] = f'Bearer {token}'
        options = {} if connection is None else {'sock': connection}
        url = self.url(path, **query)
        peer = Peer(self, await self._connect(url, headers, **options))
        peer.token, peer.role = token, query.get('role', 'receiver')
        self._peers.append(peer)
        return peer

    async def refusal(self, name: str = '', token: str = '') -> Response:
        """Return the HTTP response that refuses a receiver, on the first attempt.

        Args:
            name: The host's name in the request, if not that of the target.
            token: To be shown with the request.
        """
        response = await self._knock(name, token)
        if response is None:
            raise self.failure('it was not refused')
        return response

    async def check_admitted(self) -> None:
        """See that a receiver may connect, on the first attempt."""
        response = await self._knock('', self.target.token)
        if response is not None:
            raise self.failure(f'it was refused: HTTP {response.status_code}')

    async def _knock(self, name: str, token: str) -> Response | None:
        parts = urlsplit(self.target.url)
        url = parts._replace(netloc=f'{name}:{parts.port}').geturl() if name else self.target.url
        try:
            opened = await connect(
                url,
                host=parts.hostname,
                port=parts.port,
                additional_headers={'Authorization': f'Bearer {token}'},
                proxy=None,
            )
        except InvalidStatus as error:
            return error.response
        await opened.close()
        return None

    def url(self, path: str = '', **query: str) -> str:
        """Return the server's URL with another path and with a query."""
        parts = urlsplit(self.target.url)
        return parts._replace(path=path or parts.path or '/', query=urlencode(query)).geturl()

    async def clear(self) -> None:
        """Log out everybody, those who are away as well."""
        away = {}
        for peer in self._peers:
            away.pop(peer.id, None)
            if peer.is_dropped and peer.id:
                away[peer.id] = peer
            await peer.close()
        for peer in away.values():
            query = {'role': peer.role, 'client_id': peer.id}
            socket = await self._connect(
                self.url(**query), {'Authorization': f'Bearer {peer.token}'}
            )
            await socket.close()

    async def _enter(self, role: str, name: str, token: str, **options: Any) -> Peer:
        name = self.name(name)
        peer = await self.open(token=token, role=role, client_id=name, **options)
        await peer.expect_welcome()
        return peer

    async def _connect(self, url: str, headers: Json, **options: Any) -> ClientConnection:
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + ROOM_S
        while True:
            try:
                return await connect(
                    url,
                    additional_headers=headers,
                    compression=None,
                    ping_interval=None,
                    open_timeout=DEADLINE_S,
                    close_timeout=DEADLINE_S,
                    max_queue=None,
                    proxy=None,
                    **options,
                )
            except InvalidStatus as error:
                wait_s = float(error.response.headers.get('Retry-After', '1'))
                status = error.response.status_code
                if status not in BUSY or loop.time() + wait_s > deadline_s:
                    raise
                # The server has said when to come again.
                await asyncio.sleep(wait_s)
