"""How the web client is served: the page, its files, and what remains the API's."""

import gzip
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.servers import CHECKOUT, run

SCRIPT = "/assets/index-B3x_9aZk.js"
PAGES = ["/", "/timeline", "/@ana", "/@ana/12", "/tag/x", "/search", "/notifications", "/nowhere/x"]
FILES = {
    "index.html": (
        '<base href="/" /><meta name="post-max-length" content="255" />'
        '<script type="module" src="assets/index-B3x_9aZk.js"></script>'
    ),
    SCRIPT[1:]: "let answer = 'plain'",
    f"{SCRIPT[1:]}.br": "made by brotli",
    f"{SCRIPT[1:]}.gz": "made by gzip",
    "assets/index-C0dE1234.css": "p {}",
    "favicon.svg": "<svg/>",
    "manifest.webmanifest": "{}",
}
# As Chromium sends it.
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"

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
    build = tmp_path / "dist"
    for name, text in FILES.items():
        (build / name).parent.mkdir(parents=True, exist_ok=True)
        (build / name).write_text(text)
    return build


@pytest.fixture
def serve(build, monkeypatch) -> Callable[[], TestClient]:
    """Make an application that serves this build, and a client that accepts what browsers do."""
    from pamps import app, config

    def serve(web: bool = True) -> TestClient:
        monkeypatch.setattr(app, "find_build", lambda: build)
        monkeypatch.setitem(vars(config.settings.server), "web", web)
        client = TestClient(app.create_app(), headers={"Accept": BROWSER})
        client.headers["Accept-Encoding"] = "identity"
        return client

    return serve


@pytest.fixture
def browser(serve) -> TestClient:
    return serve()


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


def test_what_is_neither(browser):
    """Only browsers that navigate get the page; others learn that there is nothing."""
    nothing = browser.get("/@ana", headers={"Accept": "*/*"})
    assert (nothing.status_code, nothing.json()) == (404, {"detail": "Not Found"})
    missing = browser.get("/assets/index-0000.js", headers={"Accept": "*/*"})
    assert (missing.status_code, missing.json()) == (404, {"detail": "Not Found"})
    assert browser.post("/@ana").status_code == 404
    refused = browser.post("/favicon.svg")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        (SCRIPT, "text/javascript; charset=utf-8"),
        ("/assets/index-C0dE1234.css", "text/css; charset=utf-8"),
        ("/favicon.svg", "image/svg+xml"),
        ("/manifest.webmanifest", "application/manifest+json"),
    ],
)
def test_files(browser, path, media_type):
    for accept in ("*/*", BROWSER):
        file = browser.get(path, headers={"Accept": accept})
        assert (file.status_code, file.text) == (200, FILES[path[1:]])
        assert file.headers["content-type"] == media_type
        assert file.headers["content-security-policy"].startswith("default-src 'none';")
        kept = "public, max-age=31536000, immutable" if "assets" in path else "no-cache"
        assert file.headers["cache-control"] == kept
    assert browser.head(path).headers["content-length"] == str(len(file.content))


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip, deflate, br, zstd", "br"),
        ("br;q=0.5, gzip", "gzip"),
        ("br;q=0, gzip;q=0.1", "gzip"),
        ("GZIP", "gzip"),
        ("*", "br"),
        ("*;q=0, gzip", "gzip"),
        ("identity, br;q=0.5", None),
        ("br;q=0", None),
        ("deflate", None),
        ("", None),
    ],
)
def test_compressed_files(browser, accepted, encoding):
    headers = {"Accept-Encoding": accepted}
    with browser.stream("GET", SCRIPT, headers=headers) as file:
        content = b"".join(file.iter_raw())
    end = {"br": ".br", "gzip": ".gz", None: ""}[encoding]
    assert content.decode() == FILES[SCRIPT[1:] + end]
    assert file.headers.get("content-encoding") == encoding
    assert file.headers["vary"] == "Accept-Encoding"
    assert file.headers["content-type"] == "text/javascript; charset=utf-8"
    known = headers | {"If-None-Match": file.headers["etag"]}
    assert browser.get(SCRIPT, headers=known).status_code == 304
    other = "br" if encoding != "br" else "identity"
    with browser.stream("GET", SCRIPT, headers=known | {"Accept-Encoding": other}) as file:
        assert file.status_code == 200


def test_a_range_is_of_no_other_encoding(browser):
    """The whole file is a right answer to any range (RFC 9110, section 14.2)."""
    headers = {"Range": "bytes=0-3", "Accept-Encoding": "br"}
    with browser.stream("GET", SCRIPT, headers=headers) as file:
        assert (file.status_code, b"".join(file.iter_raw())) == (200, b"made by brotli")


def test_the_page_is_not_compressed(build, serve):
    """As it is not sent as it was built."""
    (build / "index.html.gz").write_bytes(gzip.compress(b"as built"))
    page = serve().get("/", headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in page.headers
    assert page.text == FILES["index.html"]


@pytest.mark.parametrize(
    "path",
    [
        "/../secret",
        "/..%2fsecret",
        "/%2e%2e/secret",
        "/assets/../../secret",
        "/assets/..%2f..%2fsecret",
        "//secret",
        "/outside",
        "/assets",
        "/assets/",
        "/.env",
        "/.git/config",
        "/a%00b",
        "/index.html%00.js",
        "/%ff%fe",
        "/" + "a" * 5000,
        "/" + "a/" * 3000,
        f"{SCRIPT}/x",
        f"{SCRIPT}%00",
    ],
)
def test_no_other_file_is_reachable(build, serve, path):
    (build.parent / "secret").write_text("secret")
    (build / "outside").symlink_to(build.parent / "secret")
    browser = serve()
    for accept, status in (("*/*", 404), (BROWSER, 200)):
        answer = browser.get(f"http://testserver{path}", headers={"Accept": accept})
        # The path of a file that is not there is not the page's either.
        status = 404 if path == "/outside" else status
        assert answer.status_code == status, answer.text
        assert "secret" not in answer.text


def test_no_limit_and_no_database(serve, rate_limits, monkeypatch):
    """Not even with a token, by which other requests are counted."""
    from pamps.middleware import rate_limit

    monkeypatch.setattr(rate_limit, "find_user", None)
    browser = serve()
    for path in ("/", "/@ana", SCRIPT, "/favicon.svg"):
        answer = browser.get(path, headers={"Authorization": "Bearer x"})
        assert answer.status_code == 200
        assert "ratelimit-limit" not in answer.headers
    assert browser.get("/post/").headers["ratelimit-remaining"] == "299"


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


def test_no_page_is_wanted(serve):
    browser = serve(web=False)
    assert browser.get("/").json()["title"] == "Pamps"
    assert browser.get("/@ana").status_code == 404
    assert browser.get(SCRIPT).status_code == 404


def test_no_page_is_built(serve, monkeypatch, caplog):
    from pamps import app

    serve()
    monkeypatch.setattr(app, "find_build", lambda: None)
    browser = TestClient(app.create_app(), headers={"Accept": BROWSER})
    assert browser.get("/").json()["title"] == "Pamps"
    (line,) = [record.message for record in caplog.records if record.name == "pamps.app"]
    assert line.startswith("there is no page")
