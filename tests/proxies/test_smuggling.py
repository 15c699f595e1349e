"""What one client sends through a proxy is never another one's request, nor the proxy's word."""

import re
import socket

import httpx

from tests import canary
from tests.proxies.servers import haproxy, nginx

USER = {"email": "ana@pamps.com", "username": "ana", "password": canary.password("ana")}
# As nginx's own manual has it for WebSockets, on connections that are kept.
MAP = "map $http_upgrade $connection_upgrade { default upgrade; '' ''; }"
LOCATION = """
location / {
    proxy_pass http://pamps;
    proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection $connection_upgrade;
}
"""


def test_a_body_is_not_the_next_request_of_the_connection(pamps):
    with nginx(pamps, server=LOCATION, http=MAP) as client:
        assert client.post("/user/", json=USER).status_code == 201
        token = client.post("/token", data=USER).json()["access_token"]
        # It lacks headers: those of the next request, which is somebody else's. It is so long that
        # nginx sends it apart from its head.
        body = "\r\n" * 20_000 + "DELETE /user/me/ HTTP/1.1\r\nHost: pamps\r\nX: "
        for protocol in "websocket", "h2c", "TLS/1.0":
            offer = {"Connection": "Upgrade", "Upgrade": protocol}
            assert client.post("/token", content=body, headers=offer).status_code == 422
            authorization = {"Authorization": f"Bearer {token}"}
            assert client.get("/user/me/", headers=authorization).status_code == 200


def post_with_trailer(client: httpx.Client, body: str, trailer: str) -> int:
    """The status of a sign-in with a trailer, which httpx cannot send."""
    request = "POST /token HTTP/1.1\r\nHost: pamps\r\nConnection: close\r\n"
    request += "Content-Type: application/x-www-form-urlencoded\r\n"
    request += (
        f"Transfer-Encoding: chunked\r\n\r\n{len(body):x}\r\n{body}\r\n0\r\n{trailer}\r\n\r\n"
    )
    address = client.base_url.host, client.base_url.port
    with socket.create_connection(address, timeout=20) as connection:
        connection.sendall(request.encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    return int(re.match(rb"HTTP/1\.1 (\d{3}) ", answer)[1])


def test_a_trailer_is_no_word_of_the_proxy(pamps):
    """Who fails to sign in is limited, whatever address a trailer has."""
    with haproxy(pamps, frontend="option forwardfor") as client:
        statuses = [
            post_with_trailer(
                client, "username=ana&password=wrong", f"X-Forwarded-For: 198.51.100.{n}"
            )
            for n in range(9)
        ]
    assert statuses == [401] * 5 + [429] * 4
