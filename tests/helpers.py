"""Clients of the API in this process, and what many tests do with them."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from subprocess import CompletedProcess
from urllib.parse import urljoin

import httpx
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from tests import canary

USER = {"email": "ana@pamps.com", "username": "ana", "password": canary.password("ana")}


class User(httpx.Client):
    """A client that is signed in as a user, and what users do."""

    id: int
    username: str

    def follow(self, *others: "User") -> None:
        for other in others:
            assert self.post(f"/user/follow/{other.id}").status_code in (200, 201)

    def write(self, text: str = "hello", parent_id: int | None = None) -> dict:
        response = self.post("/post/", json={"text": text, "parent_id": parent_id})
        assert response.status_code == 201, response.text
        return response.json()

    def like(self, post: dict) -> None:
        assert self.post(f"/post/{post['id']}/like/").status_code in (200, 201)

    def repost(self, post: dict) -> None:
        assert self.post(f"/post/{post['id']}/repost/").status_code in (200, 201)

    def ids(self, path: str, **params: object) -> list[int]:
        response = self.get(path, params=params or None)
        assert response.status_code == 200, response.text
        return [item["id"] for item in response.json()]

    def linked(self, path: str, relation: str) -> str:
        """The path of the page that `Link` leads to, if it does."""
        response = self.get(path)
        assert response.status_code == 200, response.text
        link = response.links.get(relation, {}).get("url", "")
        return link and urljoin(path, link)

    def walk(self, path: str, relation: str = "next") -> Iterator[list[dict]]:
        """The pages of a list, as `Link` leads from one to another, until one is empty."""
        while path:
            response = self.get(path)
            assert response.status_code == 200, response.text
            yield response.json()
            link = response.links.get(relation, {}).get("url", "")
            path = urljoin(path, link) if link and response.json() else ""


class Client(User, TestClient):
    """A client of the API in this process, signed in if there is a token."""

    def __init__(self, server: TestClient, token: str | None = None, address: str = "") -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else None
        super().__init__(server.app, headers=headers, client=(address or "testclient", 1))
        self.portal = server.portal
        self.event_hooks = {"response": [Client.check]}

    @staticmethod
    def check(response: httpx.Response) -> None:
        """A refusal never has a secret in it, nor do the headers of anything but the cookie."""
        headers = dict(response.headers)
        if response.is_success and response.url.path.rstrip("/") in ("/token", "/refresh_token"):
            headers.pop("set-cookie", None)
        canary.assert_unseen(str(headers))
        if response.status_code >= 400:
            response.read()
            canary.assert_unseen(response.text)


def create_account(client: httpx.Client, username: str, **fields: str) -> tuple[int, str]:
    """Make an account, and return its id and an access token."""
    account = {"username": username, "email": f"{username}@pamps.com"}
    account["password"] = canary.password(username)
    response = client.post("/user/", json=account | fields)
    assert response.status_code == 201, response.text
    return response.json()["id"], sign_in(client, username)["access_token"]


def sign_in(client: httpx.Client, username: str, password: str | None = None) -> dict:
    form = {"username": username, "password": password or canary.password(username)}
    response = client.post("/token", data=form)
    assert response.status_code == 200, response.text
    return response.json()


def superuser(server: Client) -> Client:
    """A client that is signed in as a superuser, `root`."""
    command("create-user", "root@pamps.com", "root", "1234", "--superuser")
    return Client(server, sign_in(server, "root", "1234")["access_token"])


def invoke(*arguments: object, stdin: str = "") -> CompletedProcess[str]:
    """Runs a command in this process."""
    from pamps.cli import main

    texts = [str(argument) for argument in arguments]
    result = CliRunner().invoke(main, texts, input=stdin, env={"COLUMNS": "200"})
    canary.assert_unseen(result.output + result.stderr)
    return CompletedProcess(texts, result.exit_code, result.stdout, result.stderr)


def command(*arguments: object, stdin: str = "") -> str:
    """Runs a command in this process, and gives what it prints."""
    done = invoke(*arguments, stdin=stdin)
    assert done.returncode == 0, done.stderr
    return done.stdout


def assert_one_red_line(done: CompletedProcess[str], words: str) -> None:
    """A command has failed, and said why in one line."""
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.strip().splitlines() == [done.stderr.strip()]
    assert words in done.stderr


def at_once(*calls: Callable[[], object]) -> list:
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


def assert_told(response: httpx.Response, sent: bytes = b"") -> None:
    assert response.status_code == 422, response.text
    detail = response.json()["detail"]
    assert detail
    for item in detail:
        assert set(item) == {"type", "loc", "msg"}
    assert len(sent) < 4 or sent not in response.content


def refused_for_now(answer: httpx.Response) -> str:
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    return answer.json()["detail"]
