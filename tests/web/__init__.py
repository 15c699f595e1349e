"""Tests of the web client in Chromium, for machines that have Chromium and the client's build."""

from tests.browser import CHROMIUM
from tests.servers import CHECKOUT

DIST = CHECKOUT / "web" / "dist" / "index.html"
AXE = CHECKOUT / "web" / "node_modules" / "axe-core" / "axe.min.js"


def missing() -> list[str]:
    """What these tests need and is not here."""
    no = [] if CHROMIUM else ["chromium (apt-get install chromium)"]
    return no + [str(file.relative_to(CHECKOUT)) for file in (DIST, AXE) if not file.exists()]
