"""Which pages may use the cookie, and what the address of Pamps makes of it."""

import re

import pytest

from tests.cookies import OWN, cookie_of, form, page, signed_in_page
from tests.helpers import USER
from tests.servers import PRODUCTION, served

FOREIGN = [
    None,
    "null",
    "http://pamps.example",
    "https://pamps.example:8443",
    "https://www.pamps.example",
    "https://pamps.example.evil.example",
    "https://evil.example",
]


@pytest.mark.parametrize("origin", FOREIGN)
def test_pages_of_other_origins(api_client, api_client_user1, origin):
    """They cannot sign anybody in, and the session goes on as if nothing had been sent."""
    tab = signed_in_page(api_client)
    tab.headers.pop("Origin")
    headers = {"Origin": origin} if origin else {}
    for answer in (
        tab.post("/refresh_token", headers=headers),
        tab.post("/token", data=form(), headers=headers),
    ):
        assert answer.status_code == 403
        assert answer.json()["detail"].startswith("Origin must be that of this server")
        assert "set-cookie" not in answer.headers
    assert answer.json()["error"] == "invalid_grant"
    assert tab.post("/refresh_token", headers={"Origin": OWN}).status_code == 200


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://pamps.example", "Pamps.Example"),
        ("https://pamps.example", "pamps.example:443"),
        ("https://pamps.example:8443", "pamps.example:8443"),
        ("http://pamps.example", "pamps.example:80"),
        ("http://[::1]:8000", "[::1]:8000"),
        # From a proxy that speaks HTTPS, and is not trusted to tell.
        ("https://pamps.example", "pamps.example"),
    ],
)
def test_pages_of_this_origin(api_client, api_client_user1, origin, host):
    client = page(api_client, f"http://{host}")
    client.headers["Origin"] = origin
    client.headers["Host"] = host
    assert client.post("/token", data=form()).status_code == 200


@pytest.mark.parametrize("host", ["[", "", "pamps.example:x", "]:443"])
def test_hosts_that_are_none(api_client, api_client_user1, host):
    client = page(api_client)
    answer = client.post("/token", data=form(), headers={"Host": host})
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:8000", "127.0.0.1:8000", "127.1.2.3", "[::1]", "[::1]:8000"]
    + ["localhost.example", "127.0.0.1.example", "192.168.0.1:8000", "127.0.0.1-x", "[::2]"],
)
def test_which_hosts_need_no_https(api_client, api_client_user1, host):
    """A browser would not send a cookie back that is `Secure`, which others must be."""
    answer = page(api_client, f"http://{host}").post("/token", data=form())
    loopback = re.fullmatch(r"localhost|localhost:8000|127[0-9.]+(:8000)?|\[::1\](:8000)?", host)
    assert ("Secure" in cookie_of(answer)[1]) == (not loopback)


def test_the_public_url(api_client, api_client_user1, monkeypatch):
    """It says what the origin is, whatever a proxy makes of `Host`."""
    from pamps.config import settings

    monkeypatch.setitem(vars(settings.server), "public_url", "https://Pamps.example:443")
    client = page(api_client, "http://127.0.0.1:8000")
    assert client.post("/token", data=form()).status_code == 403
    client.headers["Origin"] = OWN
    answer = client.post("/token", data=form())
    assert "Secure" in cookie_of(answer)[1]
    client.headers["Origin"] = "http://pamps.example"
    assert client.post("/token", data=form()).status_code == 403


@pytest.mark.parametrize(
    ("settings", "prefix"),
    [
        ({"PAMPS_SERVER__root_path": "/api"}, "/api"),
        ({"PAMPS_SERVER__public_url": "https://pamps.example/v1"}, ""),
    ],
)
def test_behind_a_trusted_proxy_in_production(other_database, settings, prefix):
    settings = PRODUCTION | settings | {"PAMPS_DB__uri": other_database}
    settings["PAMPS_SERVER__trusted_proxies"] = '["127.0.0.1"]'
    path = "/api/refresh_token" if prefix else "/v1/refresh_token"
    fields = USER | {"cookie": "true"}
    with served(settings) as (process, client):
        client.headers.update(
            {"X-Forwarded-Proto": "https", "Host": "pamps.example", "Origin": OWN}
        )
        client.post(f"{prefix}/user/", json=USER)
        answer = client.post(f"{prefix}/token", data=fields)
        token, attributes = cookie_of(answer)
        assert f"Path={path}" in attributes
        assert "Secure" in attributes
        cookie = {"Cookie": f"refresh_token={token}"}
        plain = cookie | {"Origin": "http://pamps.example"}
        assert client.post(f"{prefix}/refresh_token", headers=plain).status_code == 403
        answer = client.post(f"{prefix}/refresh_token", headers=cookie)
        assert answer.status_code == 200
        access = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        _, attributes = cookie_of(client.post(f"{prefix}/logout", headers=access))
        assert {"Max-Age=0", f"Path={path}", "Secure"} <= set(attributes)
        process.terminate()
