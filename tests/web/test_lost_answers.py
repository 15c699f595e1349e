"""Requests that Pamps has processed, of which the page gets no answer."""

import pytest
from playwright.sync_api import Page, Route, expect

from tests import canary
from tests.web.people import card, expect_signed_in, expect_signed_out, sign_in
from tests.web.test_connection import LOST

NEW_PASSWORD = canary.password("changed")


@pytest.fixture
def page(open_browser, way, ana, console):
    console.expects(LOST)
    page = open_browser("/sign-in", base_url=way.address)
    sign_in(page)
    return page


@pytest.fixture
def sign_up_page(open_browser, way, console):
    """The form for signing up, filled in."""
    console.expects(LOST)
    page = open_browser("/sign-up", base_url=way.address)
    page.get_by_label("Username").fill("eva")
    page.get_by_label("E-mail").fill("eva@pamps.com")
    page.get_by_label("Password").fill(canary.password("eva"))
    return page


def expect_refused(page: Page) -> None:
    expect(page.get_by_role("alert")).to_have_text("Pamps could not be reached.")


@pytest.mark.parametrize("request_", ["POST /user/", "POST /token"])
def test_sign_up(sign_up_page, way, request_):
    """Trying again signs in, as it is the same sign-up."""
    way.lose(request_)
    sign_up_page.get_by_role("button", name="Create account").click()
    expect_refused(sign_up_page)
    way.release()
    sign_up_page.get_by_role("button", name="Create account").click()
    expect_signed_in(sign_up_page)


def test_deletion_of_the_account(page, way, bob, console):
    console.expects("404")
    page.goto("/settings")
    deletion = page.get_by_role("region", name="Delete your account", exact=True)
    deletion.get_by_label("Your password").fill(canary.password("ana"))
    way.lose("DELETE /user/me/")
    deletion.get_by_role("button", name="Delete account").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete account").click()
    expect(page.get_by_text("Your account is deleted.")).to_be_visible()
    expect_signed_out(page)
    assert bob.get("/user/ana/").status_code == 404


def test_change_of_the_password(page, way):
    page.goto("/settings")
    password = page.get_by_role("region", name="Password", exact=True)
    password.get_by_label("Current password").fill(canary.password("ana"))
    password.get_by_label("New password").fill(NEW_PASSWORD)
    way.lose("PUT /user/me/password/")
    password.get_by_role("button", name="Change password").click()
    expect(page.get_by_text("Your password is changed.")).to_be_visible()
    page.reload()
    expect_signed_in(page)


def test_like_of_a_post_that_is_read_meanwhile(page, bob):
    """What was read before the like is not what is true after it."""
    post = bob.write("like me")
    page.reload()
    held: list[Route] = []
    page.route("**/like/", lambda route: held.append(route), times=1)
    card(page, "like me").get_by_role("button", name="Like").click()
    with page.expect_response(f"**/post/{post['id']}/"):
        card(page, "like me").get_by_text("like me").click()
    held[0].continue_()
    like = card(page, "like me").get_by_role("button", name="Like")
    expect(like).to_have_attribute("aria-pressed", "true")
    expect(like).to_have_accessible_name("Like: 1 like")
