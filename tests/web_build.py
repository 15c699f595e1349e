"""A web client of a few files, and the application that serves it."""

from pathlib import Path

import pytest
from fastapi.testclient import TestClient

SCRIPT = "/assets/index-B3x_9aZk.js"
FILES = {
    "index.html": (
        '<base href="/" /><meta name="post-max-length" content="255" />'
        '<meta name="mail" content="yes" />'
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


def make_build(folder: Path) -> Path:
    build = folder / "dist"
    for name, text in FILES.items():
        (build / name).parent.mkdir(parents=True, exist_ok=True)
        (build / name).write_text(text)
    return build


def serve(build: Path | None, monkeypatch: pytest.MonkeyPatch, web: bool = True) -> TestClient:
    """Make an application that serves this build, and a client that accepts what browsers do."""
    from pamps import app, config

    monkeypatch.setattr(app, "find_build", lambda: build)
    monkeypatch.setitem(vars(config.settings.server), "web", web)
    return TestClient(app.create_app(), headers={"Accept": BROWSER, "Accept-Encoding": "identity"})
