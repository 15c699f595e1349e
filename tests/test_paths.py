"""Paths: with and without a slash at the end, HEAD wherever GET is, and references to others."""

import re
from urllib.parse import urljoin

import pytest
from httpx import Response

from tests.helpers import Client
from tests.routes import ROUTES, UNDOCUMENTED, values
from tests.servers import signed_in

METHODS = {"get", "head", "post", "put", "patch", "delete"}
# What differs between two answers that are the same.
OWN_HEADERS = {"x-request-id", "date"}


@pytest.fixture
def paths(sign_up) -> dict[str, set[str]]:
    """Every path, about things that exist, with its methods."""
    ana = sign_up("ana")
    known = values(ana, ana.write()["id"]) | {"name": "swagger-ui.css"}
    paths: dict[str, set[str]] = {
        path.format(**known): {"get"} for path in UNDOCUMENTED if path != "/"
    }
    for route in ROUTES:
        if not route.endless:
            paths.setdefault(route.path.format(**known), set()).add(route.method.lower())
    return paths


def ask(client: Client, method: str, path: str) -> Response:
    return client.request(method, path, follow_redirects=False)


def seen(response: Response) -> tuple[int, dict[str, str], bytes]:
    headers = {name: v for name, v in response.headers.items() if name not in OWN_HEADERS}
    return response.status_code, headers, response.content


def test_a_slash_at_the_end_makes_no_difference(api_client, paths):
    """Nothing is a redirect: it would lose a body, and behind a proxy the way back."""
    for path, there in paths.items():
        bare = path.rstrip("/")
        for method in METHODS:
            answers = [ask(api_client, method, form) for form in (bare, f"{bare}/")]
            if bare != "/docs":  # whose references are relative, and so differ
                assert seen(answers[0]) == seen(answers[1]), (method, path)
            status = answers[0].status_code
            assert status == answers[1].status_code, (method, path)
            assert (status == 405) == (
                method not in there | ({"head"} if "get" in there else set())
            ), path
            assert status not in (307, 404), (method, path)
        assert ask(api_client, "get", f"{bare}//").status_code == 404, path


def test_head_is_get_without_the_body(api_client, paths, sign_up):
    bob = sign_up("bob")
    streamed = {route.path for route in ROUTES if route.streamed}
    for client in (api_client, bob):
        for path, there in paths.items():
            if "get" in there:
                status, headers, body = seen(client.get(path))
                assert seen(client.head(path)) == (status, headers, b""), path
                if path not in streamed:
                    assert headers["content-length"] == str(len(body))
            else:
                assert client.head(path).status_code == 405, path
    tag = api_client.get("/post/").headers["etag"]
    known = api_client.head("/post/", headers={"If-None-Match": tag})
    assert (known.status_code, known.content) == (304, b"")


def test_allow_names_what_there_is(api_client, paths):
    for path, there in paths.items():
        allowed = {method.upper() for method in there} | ({"HEAD"} if "get" in there else set())
        refused = api_client.request("TRACE", path)
        assert refused.status_code == 405
        assert refused.headers["allow"] == ", ".join(sorted(allowed)), path


def test_the_documentation_has_each_path_once(api_client):
    document = api_client.get("/openapi.json").json()
    paths = [path.rstrip("/") for path in document["paths"]]
    assert len(paths) == len(set(paths))
    assert not [methods for methods in document["paths"].values() if "head" in methods]
    assert document["servers"] == [{"url": "/"}]


@pytest.mark.parametrize("slash", ["", "/"])
def test_docs_load_what_they_need(api_client, slash):
    page = ask(api_client, "get", f"/docs{slash}").text
    references = re.findall('(?:src|href)="([^"]+)"', page) + re.findall("url: '([^']+)'", page)
    assert len(references) == 4
    for address in references:
        assert ask(api_client, "get", urljoin(f"/docs{slash}", address)).status_code == 200


@pytest.mark.parametrize("slash", ["", "/"])
def test_links_are_relative(sign_up, slash):
    """Resolved as RFC 3986 says, from where the client asked, in whatever form."""
    ana = sign_up("ana")
    post = ana.write()
    replies = [ana.write(str(n), post["id"])["id"] for n in range(45)]
    address, found = f"/post/{post['id']}{slash}", []
    for _ in range(3):
        answer = ask(ana, "get", address)
        items = answer.json()
        if isinstance(items, dict):
            items = items["replies"]
        found += [item["id"] for item in items]
        link = answer.headers.get("link", "")
        assert not re.search("//|^</|testserver", link)
        address = urljoin(address, answer.links["next"]["url"]) if link else address
    assert found == replies
    assert not link


def test_a_link_keeps_what_was_asked(sign_up):
    ana = sign_up("ana")
    for _ in range(3):
        ana.write()
    answer = ana.get("/post/user/ana?order=newest&limit=1&x=a%26b%20c", headers={"Host": "evil"})
    assert answer.headers["link"].startswith("<?order=newest&limit=1&x=a%26b+c&cursor=")
    assert "evil" not in str(answer.headers)


def test_links_to_a_public_address(other_database):
    """They are absolute, for clients that resolve none."""
    public = "https://pamps.example/api"
    with signed_in(other_database, SERVER__public_url=public) as client:
        posts = [client.post("/post/", json={"text": f"{n}"}).json()["id"] for n in range(3)]
        for slash in ("", "/"):
            links = client.get(f"/post{slash}?limit=2").links
            assert links["next"]["url"] == f"{public}/post/?limit=2&cursor={posts[1]}"
            assert links["prev"]["url"] == f"{public}/post/?limit=2&newer_than={posts[2]}"
        document = client.get("/openapi.json").json()
        assert document["servers"] == [{"url": public}]
        (scheme,) = document["components"]["securitySchemes"].values()
        assert scheme["flows"]["password"]["tokenUrl"] == f"{public}/token"


def test_the_index_leads_to_what_there_is(api_client_user1):
    """By references that are right under any path that a proxy shows it at."""
    index = api_client_user1.get("/")
    assert index.status_code == api_client_user1.head("/").status_code == 200
    links = index.json()["links"]
    assert {"docs", "openapi", "list_posts", "list_users", "get_timeline"} <= set(links)
    for name, link in links.items():
        assert urljoin("https://example.com/api/", link).startswith("https://example.com/api/")
        assert api_client_user1.head(urljoin("/", link)).status_code == 200, name
