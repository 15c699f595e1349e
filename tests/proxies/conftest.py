"""Fixtures of the tests behind real proxies."""

from collections.abc import Iterator

import pytest

from tests.proxies import missing, servers

# A large package, which not every machine of a developer has.
collect_ignore = ["test_browser.py"] if missing("chromium") else []
collect_ignore += ["test_pgbouncer.py"] if missing("pgbouncer") else []


@pytest.fixture(scope="session")
def pamps() -> Iterator[int]:
    """The port of a Pamps that trusts proxies on this machine."""
    with servers.upstream(SERVER__trusted_proxies='["127.0.0.1"]') as port:
        yield port


@pytest.fixture(scope="session")
def under_api() -> Iterator[int]:
    """The port of a Pamps that a proxy shows under /api."""
    with servers.upstream(SERVER__root_path="/api") as port:
        yield port
