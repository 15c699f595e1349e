"""References in answers lead where they should, whatever a proxy makes of addresses."""

from collections.abc import Iterator

import httpx
import pytest

from tests.proxies.servers import UNDER_API, nginx, sign_up


def walk(client: httpx.Client, address: str) -> Iterator[list[dict]]:
    """Pages of a list, as a client reads them that resolves references as RFC 3986 says."""
    while address:
        answer = client.get(address)
        assert answer.status_code == 200, (address, answer.text)
        body = answer.json()
        yield body["replies"] if isinstance(body, dict) else body
        link = answer.links.get("next")
        address = str(answer.url.join(link["url"])) if link else ""


def assert_everything_leads_on(client: httpx.Client, prefix: str = "") -> None:
    sign_up(client, prefix)
    for slash in ("", "/"):
        posts = []
        for n in range(23):
            parent = {"parent_id": posts[0]} if posts else {}
            answer = client.post(f"{prefix}/post{slash}", json={"text": f"{n}"} | parent)
            assert answer.status_code == 201  # and no redirect, which would have lost it
            posts.append(answer.json()["id"])
        for address, ids in (
            (f"{prefix}/post/{posts[0]}{slash}", posts[1:]),
            (f"{prefix}/post/{posts[0]}/replies{slash}?limit=7", posts[1:]),
            (f"{prefix}/post/user/ana{slash}?include_replies=1&order=newest&limit=9", posts[::-1]),
        ):
            found = [post["id"] for page in walk(client, address) for post in page]
            assert found[: len(ids)] == ids, address
        answer = client.get(f"{prefix}/post{slash}")
        news = client.get(answer.url.join(answer.links["prev"]["url"]))
        assert news.json() == []
        assert news.url.join(news.links["prev"]["url"]) == news.url


@pytest.mark.parametrize("tls", [False, True])
def test_a_bare_proxy_pass(pamps, tls):
    with nginx(pamps, tls=tls) as client:
        assert_everything_leads_on(client)


@pytest.mark.parametrize("location", UNDER_API.values(), ids=UNDER_API)
def test_under_a_path(under_api, location):
    with nginx(under_api, location, tls=True) as client:
        document = client.get("/api/openapi.json").json()
        assert document["servers"] == [{"url": "/api"}]
        (scheme,) = document["components"]["securitySchemes"].values()
        assert scheme["flows"]["password"]["tokenUrl"] == "/api/token"
        assert client.get("/api/docs/").status_code == client.get("/api/docs").status_code == 200
        for path in ("/api/health/live", "/api/health/ready/"):
            answer = client.get(path)
            assert answer.status_code == 200
            assert "ratelimit-limit" not in answer.headers  # which do not count
        assert "ratelimit-limit" in client.get("/api/post/").headers
        assert_everything_leads_on(client, "/api")
