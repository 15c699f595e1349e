"""The pages of Pamps in a browser, behind a proxy that shows it under a path."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests import canary
from tests.browser import chromium
from tests.proxies.servers import UNDER_API, nginx, sign_up
from tests.servers import CHECKOUT


@pytest.fixture
def page() -> Iterator[Page]:
    with chromium() as browser:
        yield browser.new_page(ignore_https_errors=True)


def try_out(page: Page, method: str, path: str, body: str = "") -> tuple[str, str]:
    """Use *Try it out* of an operation; gives the status and the address that it was sent to."""
    block = page.locator(f'.opblock-{method}:has([data-path="{path}"])')
    block.locator(".opblock-summary-control").click()
    block.get_by_role("button", name="Try it out").click()
    if body:
        block.locator("textarea.body-param__text").fill(body)
    block.get_by_role("button", name="Execute").click()
    status = block.locator(".live-responses-table .response .response-col_status")
    return status.inner_text()[:3], block.locator(".request-url pre").inner_text()


def test_try_it_out(page, under_api):
    with nginx(under_api, UNDER_API["taken off"], tls=True) as client:
        sign_up(client, "/api")
        address = f"{client.base_url}"
        page.goto(f"{address}/api/docs/")
        page.locator(".auth-wrapper .btn.authorize").click()
        page.get_by_label("username:").fill("ana")
        page.get_by_label("password:").fill(canary.password("ana"))
        form = page.locator(".auth-btn-wrapper")
        form.get_by_role("button", name="Apply given OAuth2 credentials").click()
        expect(form.get_by_role("button", name="Remove authorization")).to_be_visible()
        page.get_by_role("button", name="Close").last.click()
        told = try_out(page, "post", "/post/", '{"text": "by hand"}')
        assert told == ("201", f"{address}/api/post/")
        assert try_out(page, "get", "/post/")[0] == "200"
        assert [post["text"] for post in client.get("/api/post/").json()] == ["by hand"]


def test_examples_as_they_stand(page, under_api):
    """Nothing is typed, and no field is filled in by the page with what it makes up."""
    with nginx(under_api, UNDER_API["left"]) as client:
        page.goto(f"{client.base_url}/api/docs")
        assert try_out(page, "post", "/user/")[0] == "201"
        assert try_out(page, "post", "/token")[0] == "200"
        assert try_out(page, "get", "/user/{username}/")[0] == "200"
        assert try_out(page, "get", "/post/")[0] == "200"


# Without Node or the npm registry there is no build; then the report also says so of tests/web.
@pytest.mark.skipif(not (CHECKOUT / "web/dist/index.html").is_file(), reason="it is not built")
@pytest.mark.parametrize("location", UNDER_API.values(), ids=UNDER_API)
def test_the_web_client(page, under_api, location):
    """Its files, its requests and its own addresses are all under that path."""
    requested = []
    page.on("request", lambda request: requested.append(request.url))
    with nginx(under_api, location, tls=True) as client:
        page.goto(f"{client.base_url}/api")
        page.get_by_role("link", name="Sign in").first.click()
        expect(page.get_by_role("textbox", name="Username")).to_be_visible()
        assert page.url == f"{client.base_url}/api/sign-in"
        page.reload()
        expect(page.get_by_role("textbox", name="Username")).to_be_visible()
        assert any(url.endswith(".js") for url in requested)
        assert any("/post" in url for url in requested)
        assert [url for url in requested if not url.startswith(f"{client.base_url}/api")] == []
