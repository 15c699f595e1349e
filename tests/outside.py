"""The HTTP tests of the suite, with production as `deploy/try.sh` brings it up.

    python -m tests.outside [arguments of pytest]

Their clients send requests to HAProxy. Tests that use the process or its settings cannot run there:
they are left out, and counted by file at the end. Between two tests all rows are deleted, directly
on the primary.
"""

import os
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest
from sqlalchemy import URL, make_url

from tests import helpers
from tests.databases import execute
from tests.deploy.trials import trial

ADDRESS, DATABASE, SECRET = "OUTSIDE_ADDRESS", "OUTSIDE_DATABASE", "OUTSIDE_SECRET_KEY"
# As in the environment `testing`, for which the tests are written.
SETTINGS = {
    "RATE_LIMIT__enabled": "false",
    "SECURITY__ARGON2_MEMORY_COST": "8",
    "SECURITY__ARGON2_TIME_COST": "1",
    "SECURITY__PASSWORD_MIN_LENGTH": "1",
    "SECURITY__PASSWORD_REFUSE_WEAK": "false",
    "SECURITY__SIGN_IN_FAILURE_MILLISECONDS": "50",
}
# Fixtures that change or watch this process.
INSIDE = {"monkeypatch", "caplog", "capsys", "rate_limits", "on_other_database"}
# Tests that look for the address of the client in this process.
ADDRESSED = {
    "test_a_superuser_deletes_any_post",
    "test_a_superuser_s_deletion_of_himself_is_on_record",
}
left_out: Counter[str] = Counter()


class Balancer(httpx.BaseTransport):
    """The way to HAProxy, whichever host a test asks for. Connections outlive the clients."""

    def __init__(self) -> None:
        self.transport = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        headers = httpx.Headers(request.headers)
        headers["X-Forwarded-Proto"] = request.url.scheme
        address = httpx.URL(os.environ[ADDRESS])
        url = request.url.copy_with(scheme="http", host=address.host, port=address.port)
        return self.transport.handle_request(
            httpx.Request(
                request.method,
                url,
                headers=headers,
                stream=request.stream,
                extensions=request.extensions,
            )
        )


class Client(helpers.User):
    """A client of the API behind HAProxy, in place of that of the API in this process."""

    transport = Balancer()

    def __init__(self, server: helpers.TestClient, token: str | None = None, address: str = ""):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if address:
            headers["X-Forwarded-For"] = address
        super().__init__(
            base_url="http://testserver", headers=headers, transport=self.transport, timeout=10
        )
        self.app, self.portal = server.app, server.portal
        self.event_hooks = {"response": [self.check]}

    check = staticmethod(helpers.Client.check)


@pytest.hookimpl(trylast=True)  # after conftest.py has chosen a database
def pytest_configure() -> None:
    os.environ["PAMPS_DB__uri"] = os.environ[DATABASE]
    os.environ["PAMPS_SECURITY__SECRET_KEY"] = os.environ[SECRET]
    helpers.Client = Client


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Function]) -> None:
    """Leave out the tests without a client of the API, and those of the process."""
    kept = []
    for item in items:
        if "server" not in item.fixturenames:
            continue
        if not INSIDE.intersection(item.fixturenames) and item.name not in ADDRESSED:
            kept.append(item)
        else:
            left_out[item.nodeid.partition("::")[0]] += 1
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for file, count in left_out.items():
        terminalreporter.write_line(f"left out of {file}: {count}")


@pytest.fixture(autouse=True)
def deleted_everywhere() -> Iterator[None]:
    """No replica shows what was deleted after the test, without a request that would say so."""
    from pamps.models.write_position import FLOOR

    yield
    now = f"SET position = pg_current_wal_lsn() - '0/0' WHERE caller = {FLOOR}"
    execute(make_url(os.environ[DATABASE]), f"UPDATE write_position {now}")


def main(*arguments: str) -> int:
    settings = {f"PAMPS_{name}": value for name, value in SETTINGS.items()}
    with trial(**settings) as up:
        # For tests that lock rows and see who waits.
        up.psql("primary", "GRANT SET ON PARAMETER deadlock_timeout TO pamps")
        secrets = tomllib.loads((up.folder / "secrets" / "secrets.toml").read_text())["production"]
        password = secrets["db"]["connect_args"]["password"]
        port = up.port("run/primary", " -p ")
        database = URL.create("postgresql", "pamps", password, "127.0.0.1", port, "pamps")
        environment = os.environ | {
            ADDRESS: str(up.client.base_url),
            DATABASE: database.render_as_string(hide_password=False),
            SECRET: secrets["security"]["SECRET_KEY"],
        }
        command = [sys.executable, "-m", "pytest", "-p", "tests.outside", "-n", "0", *arguments]
        return subprocess.run(command, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
