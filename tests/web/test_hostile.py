"""Texts and names of people who mean harm."""

import re

import pytest
from playwright.sync_api import expect

from tests.web.pages import settle, visit

SCRIPTS = [
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "<svg/onload=alert(1)>",
    "{{constructor.constructor('alert(1)')()}}",
    "javascript:alert(1)",
    "https://x.example/\"onmouseover='alert(1)'",
    "[x](javascript:alert(1)) &lt;b&gt;",
    "</textarea></title></style><iframe srcdoc=<script>alert(1)</script>>",
]
# Overrides of the direction of writing, isolates that are never closed, and what has no width.
TRICKS = [
    "\u202etxt.exe \u202d\u2066\u2067 never closed",
    "\u200b\u200b\u200d\ufeff\u2060zero\u200bwidth",
    "שלום @ana مرحبا #tag\u202e",
    "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L̠ͨͧͩ͘G̴̻͈͍͔̹̑͗̎̅͛́Ǫ̵̹̻̝̳͂̌̌͘!͖̬̰̙̗̿̋ͥͥ̂ͣ̐́́͜͞" + "́" * 150,
    "W" * 255,
    "\n".join("\n" * 10 + "." for _ in range(8)),
    "﷽" * 60,
    "👩‍👩‍👧‍👦" * 30,
]
# Where the text of a card is drawn besides its own box.
OUTSIDE = """(article) => {
    const box = article.getBoundingClientRect();
    return [...article.querySelectorAll("*")].filter((element) => {
        const {left, right, width} = element.getBoundingClientRect();
        return width > 1 && (left < box.left - 1 || right > box.right + 1);
    }).map((element) => element.outerHTML.slice(0, 200));
}"""


@pytest.fixture
def page(page):
    """A page in which a script of somebody else's is noticed."""
    ran = []
    page.on("dialog", lambda dialog: ran.append(dialog.message) or dialog.dismiss())
    page.add_init_script("window.alert = (text) => { throw new Error(`a script ran: ${text}`) }")
    yield page
    assert ran == []


def write_everywhere(sign_up, ana, texts: list[str]) -> list[str]:
    """Have each text written wherever ana sees what others write; return the pages of it."""
    paths = ["/", "/timeline", "/@ana/followers", "/notifications", "/search?q=mallory&kind=people"]
    own = ana.write("hello")
    for number, text in enumerate(texts):
        name = f"mallory_{number}"
        mallory = sign_up(name, bio=text)
        post = mallory.write(text)
        reply = mallory.write(f"{text[:250]} @ana", own["id"])
        mallory.like(own)
        mallory.repost(own)
        mallory.follow(ana)
        ana.follow(mallory)
        paths += [f"/@{name}", f"/@{name}/{post['id']}", f"/@{name}/{reply['id']}"]
    return paths


def test_nothing_runs(page, ana, sign_up):
    for path in write_everywhere(sign_up, ana, SCRIPTS):
        visit(page, path)
        for link in page.get_by_role("link").all():
            assert re.match("/|#main$|https?://", link.get_attribute("href") or "")
        expect(page.locator("main :is(script, style, iframe, object, embed)")).to_have_count(0)
        expect(page.locator("[onerror], [onload], [onmouseover]")).to_have_count(0)
    visit(page, "/")
    for text in SCRIPTS:
        expect(page.get_by_role("article").get_by_text(text, exact=True)).to_be_attached()


def test_nothing_leaves_its_card(page, ana, sign_up):
    for path in write_everywhere(sign_up, ana, TRICKS):
        visit(page, path)
        for width in (320, 1280):
            page.set_viewport_size({"width": width, "height": 700})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            for article in page.get_by_role("article").all():
                assert article.evaluate(OUTSIDE) == []


def test_strange_addresses(page, console):
    console.expects("404", "422")
    for path in (
        "/search?q=<img src=x onerror=alert(1)>",
        "/search?q=%22onmouseover=alert(1)",
        "/tag/<script>alert(1)<\u2215script>",
        "/@<img src=x onerror=alert(1)>",
        "/@ana/99999999999999999999",
        "/tag/%E2%80%AE%00",
        "/search?q=%00",
        "/search?q=%F0%9F",
    ):
        page.goto(path)
        settle(page)
