"""What every proxy does for Pamps: pass requests on, and say who sent them."""

import pytest

from tests.proxies.servers import haproxy, nginx


@pytest.mark.parametrize("proxy", [nginx, haproxy])
def test_requests_pass(pamps, proxy):
    with proxy(pamps) as client:
        assert client.get("/post/").json() == []
