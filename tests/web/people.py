"""What people do in many tests, by what they see."""

import re

from playwright.sync_api import Locator, Page, expect

from tests import canary


def sign_in(page: Page, username: str = "ana") -> None:
    """Sign in on the page that asks for it."""
    page.get_by_label(re.compile("^(Username|Nome de usuário)$")).fill(username)
    page.get_by_label(re.compile("^(Password|Senha)$")).fill(canary.password(username))
    page.get_by_role("main").get_by_role("button", name=re.compile("^(Sign in|Entrar)$")).click()
    expect_signed_in(page)


def sign_out(page: Page) -> None:
    """Sign out on a wide screen."""
    page.get_by_role("navigation", name="Main").get_by_role("button", name="Sign out").click()
    expect_signed_out(page)


def expect_signed_in(page: Page) -> None:
    menu = page.get_by_role("navigation", name=re.compile("^(Main|Principal)$"))
    expect(menu.get_by_role("link", name=re.compile("^Noti"))).to_be_visible()


def expect_signed_out(page: Page) -> None:
    menu = page.get_by_role("navigation", name="Main")
    expect(menu.get_by_role("link", name="Sign in")).to_be_visible()


def write(page: Page, text: str) -> None:
    """Write a post, at the top of the home page, and see it there."""
    page.get_by_label("Write a post").fill(text)
    page.get_by_role("button", name="Post", exact=True).click()
    expect(card(page, text)).to_be_visible()


def card(page: Page, text: str) -> Locator:
    """The post with that text."""
    return page.get_by_role("article").filter(has_text=text)


def choose(card: Locator, entry: str) -> None:
    """Choose an entry of the menu of a post."""
    card.get_by_role("button", name="More").click()
    card.get_by_role("menuitem", name=entry).click()
