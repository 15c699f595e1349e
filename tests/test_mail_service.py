"""Mail of `pamps serve`: where there is none, processes that end, metrics."""

import os
import re
import signal

import httpx
from sqlalchemy import make_url

from tests import canary
from tests.databases import execute
from tests.helpers import USER
from tests.mailbox import Mailbox
from tests.servers import PRODUCTION, free_port, pamps, served

PATHS = "/password/forgot/", "/password/reset/", "/email/verify/", "/user/me/email/verify/"
WAITING = "SELECT count(*) FROM mail WHERE next_attempt > now()"
# Of a server that looks for waiting mails when it starts.
DUE = "UPDATE mail SET next_attempt = now()"


def with_mail(database: str, port: int, **settings: str) -> dict[str, str]:
    settings = {"host": "127.0.0.1", "port": str(port), "tls": "none", **settings}
    settings.setdefault("from", "pamps@pamps.com")
    return {"PAMPS_DB__uri": database} | {f"PAMPS_MAIL__{k}": v for k, v in settings.items()}


def forget(client: httpx.Client) -> None:
    response = client.post("/password/forgot/", json={"email": USER["email"]})
    assert response.status_code == 202


def test_without_a_mail_server_there_are_no_routes(other_database):
    settings = PRODUCTION | {"PAMPS_DB__uri": other_database}
    with served(settings) as (process, client):
        assert client.post("/user/", json=USER).status_code == 201
        token = client.post("/token", data=USER).json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        for path in PATHS:
            assert client.post(path, json={}).status_code in (404, 405), path
        documented = client.get("/openapi.json").json()["paths"]
        assert not {*PATHS} & {*documented}
        changed = client.patch("/user/me/", json={"email": "other@pamps.com"})
        assert changed.json()["email_verified"] is False
        process.terminate()
    assert execute(make_url(other_database), "SELECT count(*) FROM mail") == [(0,)]


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
    """It arrives once, after both are there again."""
    database, port = make_url(other_database), free_port()
    settings = with_mail(other_database, port)
    with served(settings) as (process, client):
        client.post("/user/", json=USER)
        forget(client)
        while execute(database, f"{WAITING} AND attempts = 1") != [(1,)]:
            assert process.poll() is None
        os.killpg(process.pid, signal.SIGKILL)
    with Mailbox() as mailbox:
        execute(database, DUE)
        settings["PAMPS_MAIL__port"] = str(mailbox.port)
        with served(settings, "--workers", "2") as (process, client):
            assert mailbox.get()["To"] == USER["email"]
            process.terminate()
        assert mailbox.mails.empty()
    assert execute(database, WAITING) == [(0,)]


def test_a_process_that_stops_finishes_what_it_sends(other_database):
    """But does not wait for a server that hangs."""
    database, log = make_url(other_database), []
    with Mailbox() as mailbox:
        with served(with_mail(other_database, mailbox.port), log=log) as (process, client):
            client.post("/user/", json=USER)
            mailbox.replies["DATA"] = Mailbox.HANG
            forget(client)
            mailbox.get()
            process.terminate()
        assert execute(database, WAITING) == [(1,)]
        assert any("mail cannot be sent yet" in line for line in log)


def test_metrics(other_database):
    port = free_port()
    with Mailbox() as mailbox:
        settings = with_mail(other_database, mailbox.port) | {"PAMPS_METRICS__port": str(port)}
        with served(settings) as (process, client):
            client.post("/user/", json=USER)
            forget(client)
            mailbox.get()
            expected = 'pamps_mails_total{outcome="sent"} 1.0'
            while expected not in httpx.get(f"http://127.0.0.1:{port}/metrics").text:
                assert process.poll() is None
            mailbox.replies["DATA"] = "451 try later"
            forget(client)
            while not re.search(
                "^pamps_mails_waiting 1.0$",
                httpx.get(f"http://127.0.0.1:{port}/metrics").text,
                re.MULTILINE,
            ):
                assert process.poll() is None
            process.terminate()


def test_wrong_settings(tmp_path):
    for variables, line in (
        ({"host": "x"}, "mail.from: is missing"),
        ({"host": "x y"}, "mail.host: must be empty or a host name or address"),
        ({"port": "0"}, "mail.port: must be from 1 to 65535"),
        ({"tls": "ssl"}, "mail.tls: must be one of none, starttls, tls"),
        ({"from": "x"}, "mail.from: must be an address, or like Pamps <pamps@example.com>"),
        ({"from": "a@b.c\nBcc: d@e.f"}, "mail.from: must be an address, or like"),
        ({"from": "a@b.c, d@e.f"}, "mail.from: must be an address, or like"),
        ({"username": "x"}, "mail.password: must be set if mail.username is, and only then"),
        ({"password": canary.WORD}, "mail.password: must be set if mail.username is"),
    ):
        named = {f"PAMPS_MAIL__{name}": value for name, value in variables.items()}
        done = pamps("user-list", PAMPS_ENV="development", **named)
        assert done.returncode == 1
        assert done.stderr.startswith(f"pamps: {line}"), done.stderr
        assert done.stderr.count("\n") == 1
    named = {"PAMPS_MAIL__host": "mx", "PAMPS_MAIL__from": "a@b.c"}
    done = pamps("user-list", **PRODUCTION, **named)
    assert done.stderr == (
        "pamps: mail: needs server.public_url, with which the links in mails begin\n"
    )


def test_the_password_is_in_no_repr():
    from pamps.config import settings

    mail = settings.mail.model_copy(update={"password": canary.WORD})
    assert canary.WORD not in repr(mail) + str(mail)
