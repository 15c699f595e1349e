"""The files of the web client: caching, compression, and that there are no others."""

import gzip
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.web_build import BROWSER, FILES, SCRIPT, make_build, serve


@pytest.fixture
def build(tmp_path) -> Path:
    return make_build(tmp_path)


@pytest.fixture
def browser(build, monkeypatch) -> TestClient:
    return serve(build, monkeypatch)


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


def test_the_page_is_not_compressed(build, monkeypatch):
    """As it is not sent as it was built."""
    (build / "index.html.gz").write_bytes(gzip.compress(b"as built"))
    page = serve(build, monkeypatch).get("/", headers={"Accept-Encoding": "gzip"})
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
def test_no_other_file_is_reachable(build, monkeypatch, path):
    (build.parent / "secret").write_text("secret")
    (build / "outside").symlink_to(build.parent / "secret")
    browser = serve(build, monkeypatch)
    for accept, status in (("*/*", 404), (BROWSER, 200)):
        answer = browser.get(f"http://testserver{path}", headers={"Accept": accept})
        # The path of a file that is not there is not the page's either.
        status = 404 if path == "/outside" else status
        assert answer.status_code == status, answer.text
        assert "secret" not in answer.text


def test_no_limit_and_no_database(browser, rate_limits, monkeypatch):
    """Not even with a token, by which other requests are counted."""
    from pamps.middleware import rate_limit

    monkeypatch.setattr(rate_limit, "find_user", None)
    for path in ("/", "/@ana", SCRIPT, "/favicon.svg"):
        answer = browser.get(path, headers={"Authorization": "Bearer x"})
        assert answer.status_code == 200
        assert "ratelimit-limit" not in answer.headers
    assert browser.get("/post/").headers["ratelimit-remaining"] == "299"
