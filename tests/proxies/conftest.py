"""Fixtures of the tests behind real proxies."""

from collections.abc import Iterator

import pytest

from tests.proxies import servers


@pytest.fixture(scope="session")
def pamps() -> Iterator[int]:
    """The port of a Pamps that trusts proxies on this machine."""
    with servers.upstream(SERVER__trusted_proxies='["127.0.0.1"]') as port:
        yield port
