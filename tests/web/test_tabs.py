"""Several tabs of a browser, which share a session, and several browsers of a user."""

from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, Route, expect

from tests.web.people import card, expect_signed_in, expect_signed_out, sign_in


@pytest.fixture
def tabs(page) -> list[Page]:
    """Two tabs of the browser that ana is signed in to."""
    other = page.context.new_page()
    other.goto("/")
    expect_signed_in(other)
    return [page, other]


def test_signing_in_is_seen_in_all_tabs(open_browser, ana):
    first = open_browser("/sign-in")
    second = first.context.new_page()
    second.goto("/")
    expect_signed_out(second)
    sign_in(first)
    expect_signed_in(second)
    expect(second.get_by_label("Write a post")).to_be_visible()


def test_tabs_renew_their_tokens_at_once(tabs, ana, bob, console):
    """Each is shown a token that has expired; they share one refresh token, which is good once."""
    from pamps.tokens import create_token

    console.expects("401")
    post = bob.write("like me, both of you")
    past = datetime.now(UTC) - timedelta(minutes=1)
    expired = create_token("access_token", ana.id, 1, past, fresh=True)

    def send_expired(route: Route) -> None:
        route.continue_(headers=route.request.headers | {"authorization": f"Bearer {expired}"})

    for tab in tabs:
        tab.reload()
        expect(card(tab, "like me")).to_be_visible()
        tab.route("**/post/*/bookmark/", send_expired, times=1)
    for tab in tabs:
        card(tab, "like me").get_by_role("button", name="Bookmark").dispatch_event("click")
    for tab in tabs:
        button = card(tab, "like me").get_by_role("button", name="Bookmark")
        expect(button).to_have_attribute("aria-pressed", "true")
    for tab in tabs:
        tab.goto("/bookmarks")
        expect(card(tab, "like me")).to_be_visible()
    assert ana.ids("/user/me/bookmarks/") == [post["id"]]
    # They still share the one session; the other is that of the client `ana`.
    assert len(ana.get("/user/me/sessions/").json()) == 2
