"""Mail of `pamps serve`: printed in development, and sent by processes that end."""

import os
import re
import signal

import httpx
from sqlalchemy import make_url

from tests import canary
from tests.databases import execute
from tests.helpers import USER
from tests.mailbox import Mailbox
from tests.servers import free_port, served

DUE = "UPDATE mail SET next_attempt = now()"


def with_mail(database: str, port: int, **settings: str) -> dict[str, str]:
    settings = {"host": "127.0.0.1", "port": str(port), "tls": "none", **settings}
    settings.setdefault("from", "pamps@pamps.com")
    return {"PAMPS_DB__uri": database} | {f"PAMPS_MAIL__{k}": v for k, v in settings.items()}


def forget(client: httpx.Client) -> None:
    response = client.post("/password/forgot/", json={"email": USER["email"]})
    assert response.status_code == 202


def test_development_prints_it(other_database):
    """With a link to where this server listens."""
    log: list[str] = []
    port = free_port()
    settings = {"PAMPS_DB__uri": other_database, "PAMPS_SERVER__web": "false"}
    with served(settings, log=log, port=port) as (process, client):
        client.post("/user/", json=USER)
        forget(client)
        while not (found := re.search('"token": "([^"]+)"', "".join(log))):
            assert process.poll() is None
        text = "".join(log)
        assert f"\nTo: {USER['email']}\n" in text
        assert f"\nhttp://127.0.0.1:{port}/docs#/auth/reset_password\n" in text
        body = {"token": found[1], "new_password": canary.password("new")}
        assert client.post("/password/reset/", json=body).status_code == 204
        process.terminate()


def test_a_mail_survives_its_server_and_its_process(other_database):
    """It arrives once, after both are there again. Metrics tell of it."""
    database, port = make_url(other_database), free_port()
    settings = with_mail(other_database, free_port()) | {"PAMPS_METRICS__port": str(port)}

    def wait_for(*lines: str) -> None:
        while not set(lines) <= {*httpx.get(f"http://127.0.0.1:{port}/metrics").text.splitlines()}:
            assert process.poll() is None

    with served(settings) as (process, client):
        client.post("/user/", json=USER)
        forget(client)
        wait_for('pamps_mails_total{outcome="postponed"} 1.0', "pamps_mails_waiting 1.0")
        os.killpg(process.pid, signal.SIGKILL)
    with Mailbox() as mailbox:
        execute(database, DUE)
        settings["PAMPS_MAIL__port"] = str(mailbox.port)
        with served(settings, "--workers", "2") as (process, client):
            assert mailbox.get()["To"] == USER["email"]
            wait_for('pamps_mails_total{outcome="sent"} 1.0', "pamps_mails_waiting 0.0")
            process.terminate()
        assert mailbox.mails.empty()
