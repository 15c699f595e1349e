"""What happens elsewhere, shown in the browser as it happens, without asking."""

import os
import re
import signal

import pytest
from playwright.sync_api import BrowserContext, Page, Request, Route, expect

from tests.servers import free_port, served
from tests.web.people import card, expect_signed_in, expect_signed_out, sign_in, sign_out

LIVE = re.compile("/live/$")
LOST = "net::ERR_"


class Streams:
    """The streams of a browser: which tab has asked for each, and after which event."""

    def __init__(self, context: BrowserContext) -> None:
        self.requests: list[Request] = []
        context.on("request", self._add)

    def _add(self, request: Request) -> None:
        if LIVE.search(request.url):
            self.requests.append(request)

    @property
    def tabs(self) -> list[Page]:
        return [request.frame.page for request in self.requests]


def open_tab(page: Page, path: str = "/timeline") -> Page:
    tab = page.context.new_page()
    tab.goto(path)
    expect_signed_in(tab)
    if path != "/notifications":
        expect(card(tab, "first")).to_be_visible()
    return tab


def expect_news(page: Page, count: int) -> None:
    expect(page.get_by_role("button", name=f"Show {count} new", exact=True)).to_be_visible()


@pytest.fixture
def page(open_browser, ana, bob) -> Page:
    """The timeline of Ana, who follows Bob, with a post of his. Its stream is open."""
    ana.follow(bob)
    bob.write("first")
    page = open_browser("/sign-in")
    sign_in(page)
    with page.expect_response(LIVE):
        page.goto("/timeline")
    expect(card(page, "first")).to_be_visible()
    return page


def test_new_entries_are_announced(page, bob):
    """They come when one wants them, and not under one's finger."""
    bob.write("second")
    expect_news(page, 1)
    bob.write("third")
    expect_news(page, 2)
    expect(page.get_by_role("article")).to_have_count(1)
    page.get_by_role("button", name="Show 2 new").click()
    expect(page.get_by_role("article")).to_contain_text(["third", "second", "first"])
    expect(page.get_by_role("button", name=re.compile("^Show"))).to_have_count(0)


def test_home_and_an_empty_timeline(open_browser, ana, bob, sign_up):
    cid = sign_up("cid")
    ana.follow(bob)
    page = open_browser("/sign-in")
    sign_in(page)
    with page.expect_response(LIVE):
        page.goto("/timeline")
    expect(page.get_by_text("Nothing here yet")).to_be_visible()
    post = bob.write("the first of all")
    expect(card(page, "the first of all")).to_be_visible()
    page.get_by_role("link", name="Home").click()
    expect(card(page, "the first of all")).to_be_visible()
    bob.repost(cid.write("of a stranger"))
    bob.write("a reply", post["id"])
    bob.write("another")
    expect_news(page, 1)
    page.get_by_role("link", name="Timeline").click()
    expect_news(page, 3)


def test_unread_count(page, ana, bob):
    bob.write("hello @ana")
    expect(page).to_have_title("(1) Timeline · Pamps")
    tab = open_tab(page, "/notifications")
    expect(tab.get_by_text("bob mentioned you")).to_be_visible()
    expect(tab).to_have_title("Notifications · Pamps")
    bob.follow(ana)
    expect(tab.get_by_role("button", name="Show 1 new")).to_be_visible()


def test_edited_and_deleted_posts(page, bob):
    edited, deleted = bob.write("with a typpo"), bob.write("regretted")
    page.get_by_role("button", name="Show 2 new").click()
    expect(card(page, "typpo")).to_be_visible()
    tab = open_tab(page)
    bob.patch(f"/post/{edited['id']}/", json={"text": "without #errors"})
    bob.delete(f"/post/{deleted['id']}/")
    for each in (page, tab):
        expect(card(each, "without").get_by_role("link", name="#errors")).to_be_visible()
        expect(card(each, "without").get_by_text("edited")).to_be_visible()
        expect(each.get_by_text("This post was deleted.")).to_be_visible()
        expect(each.get_by_text("regretted")).to_have_count(0)


def test_block(page, ana, bob, sign_up):
    cid = sign_up("cid")
    ana.follow(cid)
    bob.post(f"/user/block/{ana.id}")
    bob.write("not for ana")
    cid.write("for ana")
    expect_news(page, 1)


def test_nothing_is_missed_before_the_stream(open_browser, ana, bob):
    ana.follow(bob)
    bob.write("first")
    held: list[Route] = []
    page = open_browser("/sign-in")
    page.route(LIVE, lambda route: held.append(route))
    sign_in(page)
    page.goto("/timeline")
    expect(card(page, "first")).to_be_visible()
    bob.write("hello @ana")
    for route in held:
        route.continue_()
    expect_news(page, 1)
    expect(page).to_have_title("(1) Timeline · Pamps")


def test_tabs_share_a_stream(page, bob):
    streams = Streams(page.context)
    tabs = [page, open_tab(page), open_tab(page, "/")]
    bob.write("second")
    for tab in tabs:
        expect_news(tab, 1)
    assert streams.requests == []


def test_two_browsers(page, open_browser, bob):
    other = open_browser("/sign-in")
    sign_in(other)
    with other.expect_response(LIVE):
        other.goto("/timeline")
    expect(card(other, "first")).to_be_visible()
    bob.write("second")
    expect_news(page, 1)
    expect_news(other, 1)


def test_another_tab_goes_on_when_the_reader_is_closed(page, bob):
    """It misses nothing, though no event has come since it was opened."""
    first, second = open_tab(page), open_tab(page)
    streams = Streams(page.context)

    def write_and_continue(route: Route) -> None:
        bob.write("while nobody reads")
        route.continue_()

    page.context.route(LIVE, write_and_continue)
    page.close()
    for tab in (first, second):
        expect_news(tab, 1)
    first.close()
    expect_news(second, 2)
    assert streams.tabs == [first, second]
    assert all("last-event-id" in request.headers for request in streams.requests)


def test_sign_out_ends_the_stream(page):
    tab = open_tab(page)
    with page.expect_event("requestfailed", lambda request: LIVE.search(request.url)):
        sign_out(tab)
    expect_signed_out(page)
    streams = Streams(page.context)
    page.reload()
    expect_signed_out(page)
    assert streams.requests == []


def test_session_that_is_ended_elsewhere(page, ana, console):
    """The stream ends with it, so that the page says so at once."""
    console.expects("403")
    for session in ana.get("/user/me/sessions/").json():
        if not session["current"]:
            ana.delete(f"/user/me/sessions/{session['id']}/")
    expect_signed_out(page)
    expect(page.get_by_text("You have been signed out.")).to_be_visible()


@pytest.mark.parametrize("signal_", [signal.SIGTERM, signal.SIGKILL])
def test_server_that_is_started_again(open_browser, ana, bob, console, signal_):
    console.expects(LOST)
    ana.follow(bob)
    bob.write("first")
    port = free_port()
    with served({"PAMPS_ENV": "testing"}, port=port) as (process, client):
        page = open_browser("/sign-in", base_url=str(client.base_url))
        sign_in(page)
        with page.expect_response(LIVE):
            page.goto("/timeline")
        expect(card(page, "first")).to_be_visible()
        os.killpg(process.pid, signal_)
    bob.write("while it was away")
    with served({"PAMPS_ENV": "testing"}, port=port) as (process, _):
        try:
            # Without the pause, which may be as long as 15 s.
            page.evaluate("dispatchEvent(new Event('online'))")
            expect_news(page, 1)
            bob.write("afterwards")
            expect_news(page, 2)
            page.context.close()
        finally:
            process.terminate()


def test_without_locks_the_page_asks(open_browser, ana, bob):
    """As on an origin that is not secure."""
    ana.follow(bob)
    page = open_browser("/sign-in")
    page.context.add_init_script("Object.defineProperty(navigator, 'locks', {value: undefined})")
    streams = Streams(page.context)
    page.clock.install()
    page.goto("/sign-in")
    sign_in(page)
    page.goto("/timeline")
    expect(page.get_by_text("Nothing here yet")).to_be_visible()
    bob.write("first")
    page.clock.run_for(61_000)
    expect(card(page, "first")).to_be_visible()
    assert streams.requests == []
