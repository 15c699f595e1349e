"""Fixtures. Pamps is imported in them only, after the worker's database has been chosen."""

import contextlib
import logging
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

import pytest
import redis
from fakeredis import TcpFakeServer
from fastapi.testclient import TestClient
from limits.aio.storage.redis.bridge import RedisBridge
from sqlalchemy.exc import OperationalError

from tests import canary, databases, deploy, web
from tests.clusters import write
from tests.helpers import Client, create_account
from tests.mailbox import Mailbox
from tests.proxies import missing

# Tests that need programs which most machines of developers do not have.
collect_ignore = ["proxies"] if missing() else []
collect_ignore += [] if databases.FAKETIME else ["service/test_clock.py"]
collect_ignore += ["web"] if web.missing() else []
collect_ignore += ["deploy/test_try.py"] if deploy.missing() else []
collect_ignore += ["deploy/test_patroni.py"] if deploy.missing("patroni", "etcd") else []
stack = contextlib.ExitStack()


def pytest_configure(config: pytest.Config) -> None:
    """Makes the databases: the migrated one before there are workers, and for each a copy."""
    if os.environ.get("TEST_WEB") and web.missing():
        raise pytest.UsageError(f"tests/web needs {', '.join(web.missing())}")
    os.environ["PAMPS_ENV"] = "testing"
    # As the repository's would be replaced by one in the checkout.
    os.environ["PAMPS_SECURITY__SECRET_KEY"] = "a-secret-that-signs-the-tokens-of-all-the-tests"
    # Long enough for the hashes of tests, and the suite has hundreds of failures.
    os.environ["PAMPS_SECURITY__SIGN_IN_FAILURE_MILLISECONDS"] = "50"
    # Not 8000, where a developer's own server may listen.
    with socket.create_server(("127.0.0.1", 0)) as free:
        os.environ["PAMPS_SERVER__port"] = str(free.getsockname()[1])
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker is None:
        server = os.environ.get("PAMPS_DB__uri")
        if not server:
            server = stack.enter_context(databases.embedded_server())
        os.environ["TEST_SERVER"] = server
        template = stack.enter_context(databases.migrated_database(server))
        os.environ["TEST_TEMPLATE"] = template
    server, template = os.environ["TEST_SERVER"], os.environ["TEST_TEMPLATE"]
    copy = databases.copied_database(server, template, worker or "main")
    os.environ["PAMPS_DB__uri"] = stack.enter_context(copy)


def pytest_unconfigure() -> None:
    stack.close()


def pytest_report_header() -> list[str]:
    left_out = {
        "tests/proxies": missing(),
        "tests/proxies/test_browser.py": missing("chromium"),
        "tests/proxies/test_pgbouncer.py": missing("pgbouncer"),
        "tests/web": web.missing(),
        "tests/deploy/test_try.py": deploy.missing(),
        "tests/deploy/test_patroni.py": deploy.missing("patroni", "etcd"),
    }
    return [f"{path} is left out: no {', '.join(no)} here" for path, no in left_out.items() if no]


@pytest.fixture(autouse=True)
def empty_database() -> Iterator[None]:
    """Deletes what a test has stored. Its writes are real commits, which other connections see."""
    yield
    try:
        delete_all_rows()
    except OperationalError:
        # A deadlock with a batch of a deletion, which takes the locks in another order.
        delete_all_rows()


def delete_all_rows() -> None:
    from pamps.db import engine
    from pamps.models import SQLModel

    with engine.begin() as connection:
        # No batch of a deletion is under way, and none begins.
        connection.exec_driver_sql('LOCK TABLE "user" IN EXCLUSIVE MODE')
        for table in reversed(SQLModel.metadata.sorted_tables):
            if table.name not in ("primary_epoch", "write_position"):
                connection.execute(table.delete())


@pytest.fixture(scope="session")
def watch() -> Iterator[canary.Watch]:
    watch = canary.Watch()
    logging.getLogger().addHandler(watch)
    yield watch
    logging.getLogger().removeHandler(watch)


@pytest.fixture(autouse=True)
def no_leaks(watch: canary.Watch) -> Iterator[None]:
    """Nothing that a test makes Pamps log has a password or a token in it."""
    yield
    assert watch.leaks == []


@pytest.fixture
def other_database() -> Iterator[str]:
    """The address of a migrated database that a test may wreck."""
    server, template = os.environ["TEST_SERVER"], os.environ["TEST_TEMPLATE"]
    name = os.environ.get("PYTEST_XDIST_WORKER", "main") + "_other"
    with databases.copied_database(server, template, name) as address:
        yield address


@pytest.fixture
def on_other_database(other_database: str) -> Iterator[str]:
    """The same, and the commands in this process work on it."""
    with databases.working_on(other_database) as address:
        yield address


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for a cluster, closed to other users as a home of root's is."""
    parent = Path(tempfile.mkdtemp())
    yield parent / "pamps"
    pid_file = parent / "pamps" / "data" / "postmaster.pid"
    assert not pid_file.exists(), "the server was left running"
    shutil.rmtree(parent)


@pytest.fixture
def redis_uri() -> Iterator[str]:
    """As much of a Redis as counting takes."""
    server = TcpFakeServer(("127.0.0.1", 0), server_type="redis")
    thread = Thread(target=server.serve_forever)
    thread.start()
    uri = f"redis://127.0.0.1:{server.server_address[1]}"
    with redis.Redis.from_url(uri) as client:
        # Asked for a script that it does not know, this one hangs up instead of saying so.
        client.script_load(RedisBridge.SCRIPT_INCR_EXPIRE)
    yield uri
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="session")
def server() -> Iterator[TestClient]:
    """The API as it is served: one event loop for all clients, started and shut down once."""
    from pamps.app import app

    with TestClient(app) as server:
        yield server


@pytest.fixture
def api_client(server: TestClient) -> Client:
    return Client(server)


@pytest.fixture
def sign_up(api_client: Client) -> Callable[..., Client]:
    """Makes an account, and a client that is signed in to it."""

    def sign_up(username: str, **fields: str) -> Client:
        id_, token = create_account(api_client, username, **fields)
        client = Client(api_client, token)
        client.id, client.username = id_, username
        return client

    return sign_up


@pytest.fixture
def api_client_user1(sign_up: Callable[..., Client]) -> Client:
    return sign_up("user1")


@pytest.fixture
def api_client_user2(sign_up: Callable[..., Client]) -> Client:
    return sign_up("user2")


@pytest.fixture
def rate_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """They hold, as they do not in other tests."""
    from pamps.config import settings

    monkeypatch.setitem(vars(settings.rate_limit), "enabled", True)


@pytest.fixture
def mailbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    """An SMTP server, which gets the mails of this process."""
    with Mailbox() as mailbox:
        mailbox.use(monkeypatch)
        yield mailbox


@pytest.fixture(scope="session")
def made_once(tmp_path_factory) -> Path:
    """A cluster with a row in it, for the tests that are not about how it is made."""
    folder = tmp_path_factory.mktemp("cluster") / "pamps"
    assert write(folder) == 1
    return folder / "data"


@pytest.fixture
def used_folder(folder, made_once) -> Path:
    folder.mkdir()
    subprocess.run(["cp", "-a", made_once, folder], check=True)
    return folder
