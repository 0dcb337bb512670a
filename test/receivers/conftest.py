"""Receivers of others: each is a real WebRTC stack that watches the real nodes.

They are installed apart, by `make receivers`; what is not there is skipped, with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from processes import Stack, own_domain, running_stack

DOMAIN_ID = own_domain(96)


@pytest.fixture(scope='package')
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Run the nodes, once for all receivers; the camera is there when this returns.

    The camera offers the machine's own addresses, since libnice has no loopback. It is a slow
    one, so that a busy machine has no need to skip pictures.
    """
    directory = tmp_path_factory.mktemp('stack')
    with running_stack(directory, DOMAIN_ID, ice_addresses='', rate_hz=10.0) as stack:
        yield stack
