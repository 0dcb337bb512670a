"""What is relied on in the private parts of aiortc and aioice: a new version may change it."""

from __future__ import annotations

import aioice.ice
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection

from rtc_signaling.media import _aiortc


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """Make it a machine with these addresses, and undo the hook at the end."""
    addresses = []
    monkeypatch.setattr(aioice.ice, 'get_host_addresses', aioice.ice.get_host_addresses)
    monkeypatch.setattr(_aiortc, 'get_host_addresses', lambda use_ipv4, use_ipv6: list(addresses))
    return addresses


async def offered():
    """Return the addresses that a real peer connection gathers, in their order."""
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    connection.addTransceiver('video')
    await connection.setLocalDescription(await connection.createOffer())
    lines = connection.localDescription.sdp.splitlines()
    await connection.close()
    return [line.split()[4] for line in lines if line.startswith('a=candidate')]


@pytest.mark.parametrize('addresses', [('127.0.0.1',), ('127.0.0.2',), ('127.0.0.3', '127.0.0.2')])
async def test_exactly_the_chosen_addresses_are_offered(addresses, machine):
    machine.append('127.0.0.9')
    _aiortc.offer_addresses(addresses)
    assert sorted(await offered()) == sorted(addresses)


async def test_without_a_choice_those_of_the_machine_are_offered(machine):
    machine += ['127.0.0.5', '127.0.0.6']
    _aiortc.offer_addresses(())
    assert sorted(await offered()) == ['127.0.0.5', '127.0.0.6']


async def test_a_machine_without_a_network_offers_loopback():
    _aiortc.offer_addresses(())
    assert await offered() == ['127.0.0.1']


def test_the_machines_own_addresses_are_asked_for_by_aioices_function():
    # What the fixture stands in for.
    assert 'get_host_addresses' in vars(aioice.ice)
    assert '127.0.0.1' not in aioice.ice.get_host_addresses(use_ipv4=True, use_ipv6=False)


def test_each_kind_of_address_goes_to_who_asks_for_it():
    _aiortc.offer_addresses(('10.0.0.1', 'fe80::1'))
    hook = aioice.ice.get_host_addresses
    assert hook(use_ipv4=True, use_ipv6=False) == ['10.0.0.1']
    assert hook(use_ipv4=False, use_ipv6=True) == ['fe80::1']
    assert hook(use_ipv4=True, use_ipv6=True) == ['10.0.0.1', 'fe80::1']
