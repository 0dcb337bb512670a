"""Fixtures of the tests whose servers, senders and clients run in this process."""

from __future__ import annotations

import aioice.ice
import pytest


@pytest.fixture(autouse=True)
def _addresses_as_before(monkeypatch):
    """Undo what a sender and the doctor do to aioice in this process."""
    monkeypatch.setattr(aioice.ice, 'get_host_addresses', aioice.ice.get_host_addresses)
