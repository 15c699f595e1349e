"""The page of settings."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests import canary
from tests.web.conftest import PHONE
from tests.web.people import expect_signed_in, expect_signed_out, sign_in

NEW_PASSWORD = canary.password("changed")


@pytest.fixture
def settings(page: Page) -> Page:
    page.goto("/settings")
    return page


def section(page: Page, name: str) -> Locator:
    return page.get_by_role("region", name=name, exact=True)


def press(part: Locator | Page, name: str) -> None:
    part.get_by_role("button", name=name, exact=True).click()


def stored_drafts(page: Page) -> list[str]:
    return page.evaluate("Object.keys(localStorage).filter((name) => name.includes('draft'))")


def test_language(open_browser):
    page = open_browser("/sign-in", viewport=PHONE)
    press(page, "Português (Brasil)")
    expect(page.get_by_role("heading", level=1)).to_have_text("Entrar")
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("Entrar")
    assert page.evaluate("document.documentElement.lang") == "pt-BR"


def test_profile(settings, ana, console):
    console.expects("Failed to load resource")
    profile = section(settings, "Profile")
    picture = profile.get_by_label("Picture")
    picture.fill("https://127.0.0.1:9/ana.png")
    expect(profile.get_by_role("alert")).to_have_text("No picture could be loaded from there.")
    picture.fill("https://user:word@example.com/")
    press(profile, "Save")
    expect(profile.get_by_role("alert")).to_contain_text("This is not a web address")
    picture.fill("")
    profile.get_by_label("About you").fill("Oi!")
    press(profile, "Save")
    expect(settings.get_by_text("Saved.")).to_be_visible()
    assert ana.get("/user/ana/").json()["bio"] == "Oi!"
    profile.get_by_role("link", name="See your profile").click()
    expect(settings.get_by_role("main").get_by_text("Oi!")).to_be_visible()


def test_profile_that_was_changed_elsewhere(settings, ana, console):
    console.expects("412")
    profile = section(settings, "Profile")
    expect(profile.get_by_role("button", name="Save", exact=True)).to_be_enabled()
    assert ana.patch("/user/me/", json={"bio": "theirs"}).status_code == 200
    profile.get_by_label("About you").fill("mine")
    press(profile, "Save")
    expect(profile.get_by_role("alert")).to_contain_text("theirs")
    expect(profile.get_by_label("About you")).to_have_value("mine")
    assert ana.get("/user/ana/").json()["bio"] == "theirs"
    press(profile, "Save mine")
    expect(settings.get_by_text("Saved.")).to_be_visible()
    assert ana.get("/user/ana/").json()["bio"] == "mine"


def test_what_is_typed_outlives_the_session(settings, ana):
    profile = section(settings, "Profile")
    expect(profile.get_by_role("button", name="Save", exact=True)).to_be_enabled()
    profile.get_by_label("About you").fill("half a th")
    for session in ana.get("/user/me/sessions/").json():
        if not session["current"]:
            ana.delete(f"/user/me/sessions/{session['id']}/")
    press(profile, "Save")
    expect(settings.get_by_text("Please sign in to go on.")).to_be_visible()
    sign_in(settings)
    expect(section(settings, "Profile").get_by_label("About you")).to_have_value("half a th")


def test_email(settings, ana, bob, console):
    console.expects("409", "422")
    email = section(settings, "E-mail")
    bobs = bob.get("/user/me/").json()["email"]
    for address, password, error in (
        (bobs, "wrong", "The current password is wrong."),
        (bobs, canary.password("ana"), "This e-mail address is taken."),
        ("ana@localhost", canary.password("ana"), "This is not an e-mail address."),
    ):
        email.get_by_label("New e-mail").fill(address)
        email.get_by_label("Your password").fill(password)
        press(email, "Change e-mail")
        expect(email.get_by_role("alert")).to_have_text(error)
    sessions = len(ana.get("/user/me/sessions/").json())
    email.get_by_label("New e-mail").fill("new@example.com")
    press(email, "Change e-mail")
    expect(email.get_by_role("strong")).to_have_text("new@example.com")
    expect(email.get_by_label("Your password")).to_have_value("")
    assert ana.get("/user/me/").json()["email"] == "new@example.com"
    # What it took to prove the password leaves nothing behind.
    assert len(ana.get("/user/me/sessions/").json()) == sessions


def test_password(settings, open_browser, console):
    """It ends the other browsers' sessions, and this browser's tabs stay signed in."""
    console.expects("403")
    tab = settings.context.new_page()
    tab.goto("/")
    expect_signed_in(tab)
    elsewhere = open_browser("/sign-in")
    sign_in(elsewhere)
    password = section(settings, "Password")
    password.get_by_label("Current password").fill("wrong")
    password.get_by_label("New password").fill(NEW_PASSWORD)
    press(password, "Change password")
    expect(password.get_by_role("alert")).to_have_text("The current password is wrong.")
    password.get_by_label("Current password").fill(canary.password("ana"))
    press(password, "Change password")
    expect(settings.get_by_text("Your password is changed.")).to_be_visible()
    for each in (settings, tab):
        each.get_by_role("link", name="Bookmarks").click()
        expect(each.get_by_text("No bookmarks yet.")).to_be_visible()
    expect_signed_out(elsewhere)


def test_sessions(settings, open_browser, console):
    console.expects("403")
    elsewhere = open_browser("/sign-in")
    sign_in(elsewhere)
    settings.reload()
    sessions = section(settings, "Where you are signed in")
    expect(sessions.get_by_role("listitem")).to_have_count(3)
    current = sessions.get_by_role("listitem").filter(has_text="This browser")
    expect(current).to_contain_text("Chrome on Linux")
    expect(current.get_by_role("button")).to_have_count(0)
    sessions.get_by_role("button", name="End: Chrome on Linux").click()
    expect(sessions.get_by_role("listitem")).to_have_count(2)
    expect_signed_out(elsewhere)


def test_end_all_other_sessions(settings, open_browser, console):
    console.expects("403")
    elsewhere = open_browser("/sign-in")
    sign_in(elsewhere)
    settings.reload()
    sessions = section(settings, "Where you are signed in")
    press(sessions, "End all others")
    expect(sessions.get_by_role("listitem")).to_have_count(1)
    expect(sessions.get_by_role("listitem")).to_contain_text("This browser")
    expect_signed_out(elsewhere)


@pytest.mark.parametrize(
    ("what", "on", "off"), [("block", "Block", "Unblock"), ("mute", "Mute", "Unmute")]
)
def test_blocked_and_muted(page, ana, bob, what, on, off):
    ana.post(f"/user/{what}/{bob.id}")
    page.goto("/settings")
    hidden = section(page, "Blocked and muted")
    press(hidden, f"{off} bob")
    # It can be undone.
    expect(hidden.get_by_role("button", name=f"{on} bob", exact=True)).to_be_visible()
    page.reload()
    expect(hidden.get_by_text("You have not blocked anybody.")).to_be_visible()
    expect(hidden.get_by_text("You have muted nobody.")).to_be_visible()
    assert ana.get(f"/user/me/{what}s/").json() == []


def test_sign_out_on_a_phone(page):
    page.set_viewport_size(PHONE)
    press(page.get_by_role("navigation"), "You")
    page.get_by_role("menuitem", name="Sign out").click()
    expect(page.get_by_text("You are signed out.")).to_be_visible()
    expect_signed_out(page)
    page.reload()
    expect_signed_out(page)


def test_delete_account(page, bob):
    """All tabs are signed out and say so, and nothing of the user stays in the browser."""
    page.get_by_label("Write a post").fill("a draft")
    page.get_by_role("link", name="Settings").click()
    tab = page.context.new_page()
    tab.goto("/bookmarks")
    expect_signed_in(tab)
    delete = section(page, "Delete your account")
    for password in ("wrong", canary.password("ana")):
        delete.get_by_label("Your password").fill(password)
        press(delete, "Delete account")
        press(page.get_by_role("dialog"), "Delete account")
        if password == "wrong":
            expect(delete.get_by_role("alert")).to_have_text("The current password is wrong.")
            assert stored_drafts(page)
    expect(page.get_by_text("Your account is deleted.")).to_be_visible()
    expect_signed_out(page)
    expect(page).to_have_url(re.compile("/$"))
    expect_signed_out(tab)
    expect(tab.get_by_text("You have been signed out.")).to_be_visible()
    assert stored_drafts(page) == []
    assert bob.get("/user/ana/").status_code == 404
