"""Several tabs of a browser, which share a session, and several browsers of a user."""

from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, Route, expect

from tests.web.people import card, expect_signed_in, expect_signed_out, sign_in, sign_out


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


def test_tabs_renew_their_tokens_at_once(tabs, ana, bob):
    """Each is shown a token that has expired; they share one refresh token, which is good once."""
    from pamps.tokens import create_token

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


@pytest.fixture
def four(tabs, open_browser) -> list[Page]:
    """These, and two tabs of another browser of ana's."""
    third = open_browser("/sign-in")
    sign_in(third)
    fourth = third.context.new_page()
    fourth.goto("/@ana")
    expect_signed_in(fourth)
    return [*tabs, third, fourth]


def test_signing_out_is_seen_in_all_tabs_of_the_browser(four, ana):
    first, second, third, fourth = four
    ana.write("by myself")
    second.goto("/bookmarks")
    sign_out(first)
    expect_signed_out(second)
    # A page for users only is left, and a reload does not bring anybody back.
    expect(second.get_by_role("heading", level=1)).to_have_text("Sign in")
    second.goto("/")
    expect_signed_out(second)
    expect(card(second, "by myself").get_by_role("button", name="More")).to_be_hidden()
    for tab in (third, fourth):
        expect_signed_in(tab)
        tab.reload()
        expect_signed_in(tab)


def test_another_user_in_one_tab_is_that_user_in_all(tabs, bob):
    """What is on the page of the other tab is what bob may see and do."""
    first, second = tabs
    bob.write("by bob")
    second.goto("/")
    expect(card(second, "by bob").get_by_role("button", name="More")).to_be_hidden()
    second.get_by_label("Write a post").fill("ana's words")
    sign_out(first)
    first.goto("/sign-in")
    sign_in(first, "bob")
    expect(card(second, "by bob").get_by_role("button", name="More")).to_be_visible()
    expect(second.get_by_label("Write a post")).to_have_value("")
    second.get_by_role("link", name="Profile").click()
    expect(second.get_by_role("heading", level=1)).to_have_text("bob")


def test_deleted_account(four, ana, console):
    """A tab of each browser learns of it when it asks for anything, the other from it."""
    console.expects("404")
    assert ana.delete("/user/me/").status_code == 204
    for tab, other in (four[:2], four[2:]):
        tab.goto("/notifications")
        expect(tab.get_by_role("heading", level=1)).to_have_text("Sign in")
        expect_signed_out(other)
        expect(other.get_by_text("You have been signed out.")).to_be_visible()


def test_tabs_share_a_draft(tabs, ana):
    """What is typed in one is in the other, so none overwrites it, and it is sent once."""
    first, second = (tab.get_by_label("Write a post") for tab in tabs)
    first.fill("begun here")
    expect(second).to_have_value("begun here")
    second.press("End")
    second.press_sequentially(", sent there")
    expect(first).to_have_value("begun here, sent there")
    tabs[1].get_by_role("button", name="Post", exact=True).click()
    expect(card(tabs[1], "begun here, sent there")).to_be_visible()
    expect(first).to_have_value("")
    assert len(ana.get("/post/").json()) == 1


def test_text_that_goes_on_in_another_tab(tabs):
    """Sending takes away the text that was sent, not what was typed meanwhile."""
    first, second = (tab.get_by_label("Write a post") for tab in tabs)
    sent: list[Route] = []
    tabs[0].route("**/post/", lambda route: sent.append(route), times=1)
    first.fill("sent")
    with tabs[0].expect_request("**/post/"):
        tabs[0].get_by_role("button", name="Post", exact=True).click()
    second.press("End")
    second.press_sequentially(" and more")
    expect(first).to_have_value("sent and more")
    sent[0].continue_()
    expect(card(tabs[0], "sent").first).to_be_visible()
    expect(first).to_have_value("sent and more")


def test_another_user_switches_what_the_former_is_switching(tabs, ana, bob):
    post = ana.write("like me")
    first, second = tabs
    first.reload()
    held: list[Route] = []
    like = card(first, "like me").get_by_role("button", name="Like")
    first.route("**/like/", lambda route: held.append(route), times=1)
    with first.expect_request("**/like/"):
        like.click()
    sign_out(second)
    second.goto("/sign-in")
    sign_in(second, "bob")
    expect(like).to_have_attribute("aria-pressed", "false")
    with first.expect_response("**/like/") as response:
        like.click()
    assert response.value.status == 201
    held[0].continue_()
    assert bob.get(f"/post/{post['id']}/").json()["liked"]
    assert not ana.get(f"/post/{post['id']}/").json()["liked"]
