"""Signing up, in and out in the browser, and staying signed in."""

import re

from playwright.sync_api import expect

from tests import canary
from tests.web.people import expect_signed_in, expect_signed_out, sign_in


def test_sign_up(open_browser):
    page = open_browser()
    page.get_by_role("link", name="Sign up").filter(visible=True).click()
    page.get_by_label("Username").fill("eva")
    page.get_by_label("E-mail").fill("eva@pamps.com")
    page.get_by_label("Password").fill(canary.password("eva"))
    page.get_by_role("button", name="Create account").click()
    expect_signed_in(page)
    expect(page.get_by_label("Write a post")).to_be_visible()


def test_sign_up_that_is_refused(open_browser, ana, console):
    """Each mistake is told beside its field."""
    console.expects("409", "422")
    page = open_browser("/sign-up")
    name, email = page.get_by_label("Username"), page.get_by_label("E-mail")
    page.get_by_label("Password").fill(canary.password("eva"))
    email.fill("eva@pamps.com")
    for wrong, told in (
        ("eva!", "Only letters from A to Z, digits and _."),
        ("me", "This name is reserved."),
        ("ANA", "This username is taken."),
    ):
        name.fill(wrong)
        page.get_by_role("button", name="Create account").click()
        expect(name).to_have_accessible_description(re.compile(re.escape(told)))


def test_wrong_password(open_browser, ana):
    page = open_browser("/sign-in")
    page.get_by_label("Username").fill("ana")
    page.get_by_label("Password").fill("not this one")
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_have_text("Wrong username or password.")
    sign_in(page)


def test_page_for_users_only(open_browser, ana):
    """Whoever has to sign in first comes to the page that they wanted."""
    page = open_browser("/notifications")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    sign_in(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("Notifications")
    page.reload()
    expect_signed_in(page)


def test_sign_in_leads_to_no_other_site(open_browser, ana, site):
    for next_ in ("//evil.example/", "https://evil.example/", "\\\\evil.example", "javascript:0"):
        page = open_browser(f"/sign-in?next={next_}")
        sign_in(page)
        assert page.url.startswith(f"{site}/")


def test_sign_in_that_leads_nowhere(open_browser, ana):
    for next_ in ("", "%23here", "?next=", "/sign-in"):
        page = open_browser(f"/sign-in?next={next_}")
        sign_in(page)
        expect(page.get_by_label("Write a post")).to_be_visible()


def test_no_token_is_where_a_script_finds_it(page):
    page.reload()
    expect_signed_in(page)
    for place in (
        "JSON.stringify(localStorage)",
        "JSON.stringify(sessionStorage)",
        "document.cookie",
        "document.documentElement.outerHTML",
        "JSON.stringify(history.state)",
    ):
        canary.assert_unseen(page.evaluate(place))
    assert page.evaluate("indexedDB.databases()") == []
    assert page.evaluate("caches.keys()") == []
    (cookie,) = page.context.cookies(f"{page.url}refresh_token")
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert page.context.cookies() == [cookie]


def test_session_ended_elsewhere(page, ana):
    """The next thing that one does tells of it, and what one has typed is kept."""
    # The stream, which would tell of it before, is never answered.
    page.route("**/live/", lambda route: None)
    page.reload()
    page.get_by_label("Write a post").fill("half a th")
    sessions = ana.get("/user/me/sessions/").json()
    (other,) = (session["id"] for session in sessions if not session["current"])
    assert ana.delete(f"/user/me/sessions/{other}/").status_code == 204
    page.get_by_role("button", name="Post", exact=True).click()
    expect(page.get_by_text("You have been signed out.")).to_be_visible()
    expect_signed_out(page)
    page.get_by_role("navigation").get_by_role("link", name="Sign in").click()
    sign_in(page)
    expect(page.get_by_label("Write a post")).to_have_value("half a th")
