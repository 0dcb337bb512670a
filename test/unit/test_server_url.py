"""Addresses to which no client can connect are told in one line, not by a traceback."""

import pytest

from rtc_signaling.client import SignalingClient
from rtc_signaling.errors import ConfigurationError


@pytest.mark.parametrize(
    'url', ['ws://robot:abc', 'ws://robot:99999', 'ws://[::1:8765', 'http://robot', 'robot']
)
def test_an_address_that_is_none_is_refused_at_once(url):
    with pytest.raises(ConfigurationError, match=r'^server_url = .*: cannot be used: '):
        SignalingClient(url, 'sender')


async def test_a_host_name_that_cannot_be_is_complained_of(caplog):
    client = SignalingClient('ws://robot..local:8765', 'sender', backoff=StopTheClient())
    with pytest.raises(StopTheClient):
        await anext(client.messages())
    assert 'cannot reach the signaling server at ws://robot..local:8765' in caplog.text


class StopTheClient(Exception):  # noqa: N818  # no error: it ends the test at the first retry
    def next_s(self):
        raise self
