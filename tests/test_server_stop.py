"""A stop that no client notices."""

import signal

import httpx
import pytest

from tests.helpers import refused_for_now
from tests.servers import served


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_stop_that_no_client_notices(other_database, workers):
    """Who has a connection is told that it ends, and what was asked for is answered."""
    with served({"PAMPS_DB__uri": other_database}, "--workers", workers) as (process, client):
        limits = httpx.Limits(max_connections=1)
        with httpx.Client(base_url=client.base_url, limits=limits) as busy:
            assert busy.get("/health/ready").status_code == 200
            process.send_signal(signal.SIGTERM)
            while (ready := busy.get("/health/ready")).status_code == 200:
                pass
            assert refused_for_now(ready) == "stopping"
            while (answer := busy.get("/health/live")).headers.get("connection") != "close":
                assert answer.status_code == 200
            assert answer.status_code == 200
            # Nobody listens any more.
            with pytest.raises(httpx.ConnectError):
                busy.get("/post/")
    assert process.returncode == 0
