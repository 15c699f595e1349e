"""`pamps serve` as a process: it brings its database up, answers, and takes all down with it."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time

import httpx
from jose import jwt
from sqlalchemy import make_url

from tests import canary
from tests.helpers import USER, assert_one_red_line
from tests.servers import embedded, is_running, kill_server, pamps, run, served


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


def test_nothing_is_signed_with_the_secret_that_everybody_can_read(folder, other_database):
    settings = {"PAMPS_DB__embedded_dir": str(folder), "PAMPS_DB__uri": other_database}
    settings["PAMPS_SECURITY__SECRET_KEY"] = PUBLIC_SECRET

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


def test_the_database_and_requests_are_in_the_log(folder, other_database):
    log: list[str] = []
    with served(embedded(folder), log=log) as (process, _):
        process.terminate()
    assert any(f"serving the database in {folder}" in line for line in log)
    url = make_url(other_database)
    if url.password is None:
        url = url.update_query_dict({"password": canary.WORD})
    address = url.render_as_string(hide_password=False)
    with served({"PAMPS_DB__uri": address}, log=log) as (process, client):
        number = client.get("/post/").headers["x-request-id"]
        # Requests are there while it serves.
        deadline = time.monotonic() + 10
        while not any(number in line for line in log):
            assert time.monotonic() < deadline
        process.terminate()
    assert any(f"serving the database {url.database} on " in line for line in log)
    canary.assert_unseen("".join(log))
