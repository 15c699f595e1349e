"""The documentation page in a browser, behind a proxy that shows Pamps under a path."""

from tests import canary
from tests.proxies.browser import Page, chromium
from tests.proxies.servers import UNDER_API, nginx, sign_up


def one(selector: str) -> str:
    return f"document.querySelector({selector!r})"


def try_out(page: Page, method: str, path: str, body: str = "") -> tuple[str, str]:
    """Use *Try it out* of an operation; gives the status and the address that it was sent to."""
    block = f'.opblock-{method}:has([data-path="{path}"])'
    page.click(one(f"{block} .opblock-summary-control"))
    page.click(one(f"{block} .try-out__btn"))
    if body:
        page.type(one(f"{block} textarea.body-param__text"), body)
    page.click(one(f"{block} .execute"))
    row = f"{block} .live-responses-table .response"
    status = page.wait_for(f"{one(f'{row} .response-col_status')}.textContent")
    return status[:3], page.wait_for(f"{one(f'{block} .request-url pre')}.textContent")


def test_try_it_out(under_api):
    with nginx(under_api, UNDER_API["taken off"], tls=True) as client:
        sign_up(client, "/api")
        address = f"{client.base_url}"
        with chromium(f"{address}/api/docs/") as page:
            page.click(one(".auth-wrapper .btn.authorize"))
            page.type(one("#oauth_username"), "ana")
            page.type(one("#oauth_password"), canary.password("ana"))
            page.click(one(".auth-btn-wrapper .authorize"))
            page.wait_for(f"{one('.auth-btn-wrapper .btn')}.textContent == 'Logout'")
            page.click(one(".btn-done"))
            told = try_out(page, "post", "/post/", '{"text": "by hand"}')
            assert told == ("201", f"{address}/api/post/")
            assert try_out(page, "get", "/post/")[0] == "200"
        assert [post["text"] for post in client.get("/api/post/").json()] == ["by hand"]


def test_examples_as_they_stand(under_api):
    """Nothing is typed, and no field is filled in by the page with what it makes up."""
    proxy = nginx(under_api, UNDER_API["left"])
    with proxy as client, chromium(f"{client.base_url}/api/docs") as page:
        assert try_out(page, "post", "/user/")[0] == "201"
        assert try_out(page, "post", "/token")[0] == "200"
        assert try_out(page, "get", "/user/{username}/")[0] == "200"
        assert try_out(page, "get", "/post/")[0] == "200"
