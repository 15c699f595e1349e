"""All pages of the client, and people whose pages have something of everything."""

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.helpers import User

LOADING = re.compile("^(Loading|Carregando)…")
# Pages for everybody, those for nobody who is signed in, and those for ana alone.
PUBLIC = (
    "/",
    "/@bob",
    "/@bob/{post}",
    "/@bob/{post}/likes",
    "/@bob/{post}/reposts",
    "/@bob/followers",
    "/@bob/following",
    "/@nobody",
    "/@bob/9999999",
    "/tag/pamps",
    "/tag/nothing",
    "/search",
    "/search?q=hello",
    "/there/is/no/such/page",
)
ANONYMOUS = (
    "/sign-in",
    "/sign-up",
    "/sign-in?next=/settings",
    "/forgot-password",
    "/reset-password",
    "/reset-password#token=x",
    "/verify-email#token=x",
)
SIGNED_IN = ("/timeline", "/@ana", "/notifications", "/bookmarks", "/settings")


def populate(sign_up: Callable[..., User]) -> dict[str, int]:
    """Have ana, bob and cy write and react; return what the addresses of pages contain."""
    ana, bob, cy = (sign_up(name, bio=f"I am {name}. #pamps") for name in ("ana", "bob", "cy"))
    ana.follow(bob, cy)
    bob.follow(ana)
    cy.follow(ana, bob)
    post = bob.write("hello @ana, what is #pamps? See https://example.com/a?b=c#d")
    reply = ana.write("a place for short posts", post["id"])
    own = ana.write("hello\n\nworld " + "wide" * 40)
    cy.write("@ana hello", own["id"])
    for user in (ana, cy):
        user.like(post)
        user.repost(post)
    for user in (bob, cy):
        user.like(own)
        user.like(reply)
    assert ana.post(f"/post/{post['id']}/bookmark/").status_code == 201
    assert ana.post(f"/user/mute/{cy.id}").status_code == 201
    bob.patch(f"/post/{post['id']}/", json={"text": post["text"] + " (edited)"})
    return {"post": post["id"]}


def visit(page: Page, path: str) -> None:
    """Go to a page, and return when all is there."""
    page.goto(path)
    settle(page)


def settle(page: Page) -> None:
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.locator("[aria-busy=true]")).to_have_count(0)
    expect(page.get_by_text(LOADING)).to_have_count(0)
