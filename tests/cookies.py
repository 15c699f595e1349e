"""Pages in browsers, and the cookie that they get."""

import httpx

from tests import canary
from tests.helpers import Client

OWN = "https://pamps.example"


def page(server: Client, origin: str = OWN) -> Client:
    """A page of that origin, in a browser of its own: it keeps cookies and sends `Origin`."""
    client = Client(server)
    client.base_url = origin
    client.headers["Origin"] = origin
    return client


def form(username: str = "user1", **fields: str) -> dict[str, str]:
    return {"username": username, "password": canary.password(username), "cookie": "true", **fields}


def signed_in_page(server: Client, username: str = "user1") -> Client:
    client = page(server)
    assert client.post("/token", data=form(username)).status_code == 200
    return client


def cookie_of(answer: httpx.Response) -> tuple[str, list[str]]:
    """The value of the only cookie that an answer sets, and its attributes."""
    (line,) = answer.headers.get_list("set-cookie")
    pair, *attributes = line.split("; ")
    assert pair.startswith("refresh_token=")
    return pair.removeprefix("refresh_token="), attributes
