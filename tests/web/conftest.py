"""Fixtures of the browser tests: the real server, Chromium, and a page in it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, WebError, expect

from tests.browser import chromium
from tests.helpers import Client
from tests.servers import served
from tests.web.people import sign_in
from tests.web.relay import Relay, relay

# A page waits for a server that shares its cores with other tests.
SECONDS = 15
# None of them is the default of Chromium.
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 360, "height": 740}


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=SECONDS * 1000)
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="package")
def site() -> Iterator[str]:
    """The address of Pamps, which works on the database of this process as `sign_up` does."""
    with served({"PAMPS_ENV": "testing"}) as (process, client):
        try:
            yield str(client.base_url)
        finally:
            process.terminate()


@dataclass
class Console:
    """What went wrong in pages: errors on the console, refusals by the policy, exceptions.

    Chromium logs each answer of 400 and above, and each request without an answer. A test says
    which of them it expects, by a part of the text. 401 is how a page learns that its access token
    or session has ended, and as live events make pages ask by themselves, it may come at any time.
    """

    expected: list[str] = field(default_factory=lambda: ["401"])
    errors: list[str] = field(default_factory=list)

    def expects(self, *texts: str) -> None:
        self.expected += texts

    def add(self, text: str) -> None:
        if not any(part in text for part in self.expected):
            self.errors.append(text)

    def watch(self, context: BrowserContext) -> None:
        def message(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning"):
                self.add(f"{message.text} ({message.location['url']})")

        def exception(error: WebError) -> None:
            self.add(f"uncaught: {error.error}")

        context.on("console", message)
        context.on("weberror", exception)


@pytest.fixture
def console() -> Iterator[Console]:
    """What pages log. The test fails if there is anything that it does not expect."""
    console = Console()
    yield console
    assert console.errors == []


@pytest.fixture
def open_browser(browser: Browser, console: Console, site: str) -> Iterator[Callable[..., Page]]:
    """Opens a page in a browser of its own: nothing is stored in it, and nobody is signed in."""
    contexts = []

    def open_browser(path: str = "/", **options: object) -> Page:
        settings = {"base_url": site, "locale": "en-US", "viewport": DESKTOP} | options
        context = browser.new_context(**settings)
        context.set_default_timeout(SECONDS * 1000)
        contexts.append(context)
        console.watch(context)
        page = context.new_page()
        page.goto(path)
        return page

    yield open_browser
    for context in contexts:
        context.close()


@pytest.fixture
def ana(sign_up: Callable[..., Client]) -> Client:
    """Ana, as a client of the API beside her page."""
    return sign_up("ana")


@pytest.fixture
def bob(sign_up: Callable[..., Client]) -> Client:
    return sign_up("bob")


@pytest.fixture
def page(open_browser: Callable[..., Page], ana: Client) -> Page:
    """A page that Ana is signed in to."""
    page = open_browser("/sign-in")
    sign_in(page)
    return page


@pytest.fixture
def way(site) -> Iterator[Relay]:
    """A way to the server that can be slow, and on which answers get lost."""
    with relay(int(site.rpartition(":")[2])) as way:
        yield way
