"""`pamps serve` as a process: it brings its database up, answers, and takes all down with it."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import httpx
from jose import jwt
from sqlalchemy import make_url

from tests import canary
from tests.databases import PAMPS
from tests.test_cli import assert_one_red_line, pamps, run
from tests.test_embedded import is_running, kill_server

USER = {"email": "ana@pamps.com", "username": "ana", "password": "lalala"}


def embedded(folder: Path) -> dict[str, str]:
    return {"PAMPS_DB__uri": "", "PAMPS_DB__embedded_dir": str(folder)}


@contextmanager
def served(
    settings: dict[str, str], *arguments: str, log: list[str] | None = None
) -> Iterator[tuple[subprocess.Popen, httpx.Client]]:
    """A development server with these settings, and a client for it. `log` gets what it logs.

    It has one worker if nothing says otherwise, as each takes a second to start.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = [] if log is None else log
    with subprocess.Popen(
        [PAMPS, "serve", "--port", str(port), *arguments],
        env=os.environ | {"PAMPS_ENV": "development", "PAMPS_SERVER__workers": "1"} | settings,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            for line in process.stderr:
                log.append(line)
                if "Application startup complete" in line:
                    break
            # Whoever logs waits when nobody reads.
            reader = Thread(target=log.extend, args=[process.stderr])
            reader.start()
            address = f"http://127.0.0.1:{port}"
            with httpx.Client(base_url=address, timeout=20) as client:
                yield process, client
            process.wait(timeout=20)
            reader.join()
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
    canary.assert_unseen("".join(log))


def test_serve_with_two_workers(folder):
    with served(embedded(folder), "--workers", "2") as (process, client):
        assert client.post("/user/", json=USER).status_code == 201
        assert "server" not in client.get("/user/ana/").headers
        assert is_running(folder)
        os.killpg(process.pid, signal.SIGTERM)  # as a service manager stops it: the whole group
    assert not is_running(folder)


def test_a_killed_database_comes_back_and_so_does_the_data(folder):
    with served(embedded(folder)) as (process, client):
        client.post("/user/", json=USER)
        assert client.get("/user/ana/").status_code == 200
        kill_server(folder)
        # That it is gone is seen before a request needs it, or by the request.
        away = client.get("/user/ana/")
        assert away.status_code == 200 or (away.status_code, away.headers["retry-after"]) == (
            503,
            "1",
        )
        assert client.get("/user/ana/").status_code == 200
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does it for Ctrl-C
    assert not is_running(folder)
    with served(embedded(folder)) as (process, client):
        assert client.get("/user/ana/").status_code == 200
        process.terminate()


def test_requests_are_in_the_log_while_it_serves(folder):
    log: list[str] = []
    with served(embedded(folder), log=log) as (process, client):
        number = client.get("/post/").headers["x-request-id"]
        deadline = time.monotonic() + 10
        while not any(number in line for line in log):
            assert time.monotonic() < deadline
        os.killpg(process.pid, signal.SIGTERM)


def test_workers_stop_when_the_parent_is_killed(folder):
    with served(embedded(folder), "--workers", "2") as (process, client):
        assert client.get("/post/").status_code == 200
        process.kill()
        deadline = time.monotonic() + 15
        with contextlib.suppress(OSError):
            while time.monotonic() < deadline:
                socket.create_connection(("127.0.0.1", client.base_url.port), timeout=1).close()
    assert time.monotonic() < deadline
    while is_running(folder):
        assert time.monotonic() < deadline


# The one in .secrets.toml.
PUBLIC_SECRET = "development-only-secret-that-everyone-can-read"


def test_nothing_is_signed_with_the_secret_that_everybody_can_read(folder):
    settings = embedded(folder) | {"PAMPS_SECURITY__SECRET_KEY": PUBLIC_SECRET}

    def status(client: httpx.Client, token: str) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        return client.get("/user/me/", headers=headers).status_code

    with served(settings, "--host", "0.0.0.0", "--workers", "2") as (process, client):
        client.post("/user/", json=USER)
        token = client.post("/token", data=USER).json()["access_token"]
        forged = jwt.encode(jwt.get_unverified_claims(token), PUBLIC_SECRET, "HS256")
        for _ in range(8):  # to both workers
            assert (status(client, token), status(client, forged)) == (200, 401)
        process.terminate()
    secret = folder / "secret"
    assert secret.stat().st_mode & 0o777 == 0o600
    assert jwt.decode(token, secret.read_text(), "HS256")
    with served(settings) as (process, client):
        assert (status(client, token), status(client, forged)) == (200, 401)
        process.terminate()


def test_of_many_that_start_at_once_all_have_one_secret(folder):
    settings = os.environ | embedded(folder) | {"PAMPS_SECURITY__SECRET_KEY": PUBLIC_SECRET}
    script = "from pamps.folder import secret_key; print(secret_key())"
    command = [sys.executable, "-c", script]
    started = [
        subprocess.Popen(command, env=settings, stdout=subprocess.PIPE, text=True) for _ in range(6)
    ]
    (secret,) = {process.communicate()[0] for process in started}
    assert len(secret.strip()) == 64
    assert list(folder.iterdir()) == [folder / "secret"]


def test_where_no_secret_can_be_kept(folder):
    folder.touch()
    variables = {"PAMPS_SECURITY__SECRET_KEY": PUBLIC_SECRET, "PAMPS_DB__embedded_dir": str(folder)}
    assert_one_red_line(pamps("serve", **variables), "security.SECRET_KEY: everybody can read it")
    # And where uvicorn is started without `pamps serve`.
    done = run([sys.executable, "-c", "import pamps.app"], **variables)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("pamps: security.SECRET_KEY: everybody can read it")


def test_the_database_is_in_the_log(folder, other_database):
    log: list[str] = []
    with served(embedded(folder), log=log) as (process, _):
        process.terminate()
    assert any(f"serving the database in {folder}" in line for line in log)
    url = make_url(other_database)
    if url.password is None:
        url = url.update_query_dict({"password": canary.WORD})
    address = url.render_as_string(hide_password=False)
    with served({"PAMPS_DB__uri": address}, log=log) as (process, _):
        process.terminate()
    assert any(f"serving the database {url.database} on " in line for line in log)
    canary.assert_unseen("".join(log))
