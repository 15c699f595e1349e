"""The page of the web client: who gets it, and what remains the API's."""

import re
import sys
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.servers import CHECKOUT, run
from tests.web_build import BROWSER, FILES, SCRIPT, make_build, serve

PAGES = ["/", "/timeline", "/@ana", "/@ana/12", "/tag/x", "/search", "/notifications", "/nowhere/x"]
# Prints what browsers get at some paths, by the settings in the environment.
GET = """
import sys
from pathlib import Path
from pamps.middleware import web
web.PLACES = [Path(sys.argv[1])]
from fastapi.testclient import TestClient
from pamps.app import app
for path in sys.argv[2:]:
    page = TestClient(app).get(path, headers={"Accept": "text/html"})
    print(page.headers["etag"], page.text)
"""


@pytest.fixture
def build(tmp_path) -> Path:
    return make_build(tmp_path)


@pytest.fixture
def browser(build, monkeypatch) -> TestClient:
    return serve(build, monkeypatch)


@pytest.mark.parametrize("path", PAGES)
def test_browsers_get_the_page(browser, path):
    page = browser.get(path)
    assert (page.status_code, page.text) == (200, FILES["index.html"])
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["cache-control"] == "no-cache"
    assert page.headers["vary"] == "Accept"
    assert page.headers["referrer-policy"] == "same-origin"
    assert page.headers["x-content-type-options"] == "nosniff"
    (policy,) = page.headers.get_list("content-security-policy")
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    head = browser.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(page.content))


def test_no_page_of_the_client_is_a_path_of_the_api(browser):
    router = (CHECKOUT / "web/src/router.ts").read_text()
    paths = {
        re.sub(r":\w+(\([^/]*\))?\*?", "1", path) for path in re.findall('path: "(/.*?)"', router)
    }
    assert {"/", "/timeline", "/@1", "/@1/1", "/tag/1", "/1"} <= paths
    for path in paths:
        assert browser.get(path).text == FILES["index.html"], path


@pytest.mark.parametrize(
    ("accept", "is_page"),
    [
        (BROWSER, True),
        ("TEXT/HTML", True),
        ("text/html;q=0.5, */*", True),
        ("application/json;q=0.5, text/html;q=0.4", False),
        ("text/html;q=0, */*", False),
        ("text/html;q=x", False),
        ("application/json", False),
        ("*/*", False),
        ("", False),
    ],
)
def test_the_index_and_the_page_share_an_address(browser, accept, is_page):
    answer = browser.get("/", headers={"Accept": accept})
    assert ("<base" in answer.text) is is_page
    assert is_page or answer.json()["title"] == "Pamps"
    assert "Accept" in answer.headers["vary"].split(", ")
    known = {"Accept": accept, "If-None-Match": answer.headers["etag"]}
    assert browser.get("/", headers=known).status_code == 304
    other = "*/*" if is_page else BROWSER
    assert browser.get("/", headers=known | {"Accept": other}).status_code == 200


def test_caches_keep_the_page_and_the_404_of_an_address_apart(browser):
    for path in ("/timeline", "/@ana"):
        unknown = browser.get(path, headers={"Accept": "*/*"})
        assert (unknown.status_code, unknown.headers["vary"]) == (404, "Accept")
    assert "vary" not in browser.get("/user/nobody/").headers


def test_a_304_has_what_a_cache_needs(browser):
    page = browser.get("/@ana")
    known = browser.get("/", headers={"If-None-Match": page.headers["etag"]})
    assert (known.status_code, known.content) == (304, b"")
    for name in ("etag", "vary", "cache-control", "content-security-policy"):
        assert known.headers[name] == page.headers[name]


def test_the_api_keeps_its_paths(browser):
    """Whatever a client accepts."""
    for path, status in (
        ("/post/", 200),
        ("/post", 200),
        ("/user/nobody/", 404),
        ("/post/x/", 422),
        ("/user/me/", 401),
        ("/token", 405),
        ("/health/live", 200),
        ("/openapi.json", 200),
    ):
        answer = browser.get(path)
        assert (answer.status_code, answer.json() is not None) == (status, True), path
    assert "swagger" in browser.get("/docs").text


def test_neither_page_nor_api(browser):
    """Only browsers that navigate get the page; others learn that there is nothing."""
    nothing = browser.get("/@ana", headers={"Accept": "*/*"})
    assert (nothing.status_code, nothing.json()) == (404, {"detail": "Not Found"})
    missing = browser.get("/assets/index-0000.js", headers={"Accept": "*/*"})
    assert (missing.status_code, missing.json()) == (404, {"detail": "Not Found"})
    assert browser.post("/@ana").status_code == 404
    refused = browser.post("/favicon.svg")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    ("root_path", "public_url", "base"),
    [
        ("", "", "/"),
        ("/api", "", "/api/"),
        ("", "https://pamps.example/a/b", "/a/b/"),
        ("/api", "https://pamps.example", "/"),
        ("/api", "https://pamps.example/api", "/api/"),
    ],
)
def test_the_base_of_the_page(build, browser, root_path, public_url, base):
    """It is where the browser is; a proxy may strip the path, and need not."""
    settings = {"PAMPS_SERVER__root_path": root_path, "PAMPS_SERVER__public_url": public_url}
    paths = ["/", "/@ana", f"{root_path}/", f"{root_path}/@ana", root_path or "/"]
    done = run([sys.executable, "-c", GET, str(build), *paths], **settings)
    pages = {tuple(line.split(maxsplit=1)) for line in done.stdout.splitlines()}
    page = FILES["index.html"].replace('"/"', f'"{base}"')
    ((etag, text),) = pages
    assert text == page, done.stderr
    assert (etag == browser.get("/").headers["etag"]) is (base == "/")


def test_the_page_knows_the_length_of_posts(build):
    done = run([sys.executable, "-c", GET, str(build), "/"], PAMPS_POST__max_length="1000")
    assert '<base href="/" /><meta name="post-max-length" content="1000" />' in done.stdout


@pytest.mark.parametrize(("environment", "has"), [("development", "yes"), ("testing", "no")])
def test_the_page_knows_whether_there_is_mail(build, environment, has):
    settings = {"PAMPS_ENV": environment, "PAMPS_MAIL__host": ""}
    done = run([sys.executable, "-c", GET, str(build), "/"], **settings)
    assert f'<meta name="mail" content="{has}" />' in done.stdout


def test_without_the_setting(build, monkeypatch):
    browser = serve(build, monkeypatch, web=False)
    assert browser.get("/").json()["title"] == "Pamps"
    assert browser.get("/@ana").status_code == 404
    assert browser.get(SCRIPT).status_code == 404


def test_no_page_is_built(monkeypatch, caplog):
    assert serve(None, monkeypatch).get("/").json()["title"] == "Pamps"
    (line,) = [record.message for record in caplog.records if record.name == "pamps.app"]
    assert line.startswith("there is no page")
