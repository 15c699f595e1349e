"""Searching in the browser: posts, people, and a query in the address."""

from playwright.sync_api import expect

from tests.servers import served
from tests.web.people import card

SEARCH = "/search?q=coffee"


def search(page, text):
    page.get_by_role("searchbox").fill(text)
    page.get_by_role("searchbox").press("Enter")


def test_search(open_browser, ana, bob):
    ana.write("Coffee in Lisbon")
    bob.write("coffee with milk")
    bob.write("tea")
    page = open_browser("/search")
    expect(page.get_by_role("searchbox")).to_be_focused()
    expect(page.get_by_role("heading", name="How to search")).to_be_visible()
    articles = page.get_by_role("article")
    for query, texts in (
        ("COFFEE", ["coffee with milk", "Coffee in Lisbon"]),
        ("coffee -milk", ["Coffee in Lisbon"]),
        ('"with milk"', ["coffee with milk"]),
    ):
        search(page, query)
        expect(page).to_have_title(f"{query} · Search · Pamps")
        expect(articles).to_have_count(len(texts))
        expect(articles).to_contain_text(texts)
    search(page, "nothing of the kind")
    expect(page.get_by_text("No posts found.")).to_be_visible()
    search(page, '-"')
    expect(page.get_by_text("Pamps searches for words")).to_be_visible()


def test_query_is_in_the_address(open_browser, ana):
    ana.write("Coffee in Lisbon")
    page = open_browser(SEARCH)
    field = page.get_by_role("searchbox")
    card(page, "Coffee").get_by_role("link", name="ana").click()
    expect(page).to_have_url("/@ana")
    page.go_back()
    expect(field).to_have_value("coffee")
    expect(card(page, "Coffee")).to_be_visible()
    field.fill("tea")
    # Typing alone searches for nothing.
    expect(page).to_have_url(SEARCH)
    page.reload()
    expect(field).to_have_value("coffee")
    expect(card(page, "Coffee")).to_be_visible()
    # Without a query, the page begins anew.
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Search").click()
    expect(field).to_be_focused()
    expect(field).to_have_value("")
    expect(page.get_by_role("article")).to_have_count(0)


def test_search_for_people(open_browser, ana, bob):
    page = open_browser("/search?q=an")
    kinds = page.get_by_role("navigation", name="What to search for")
    kinds.get_by_role("link", name="People").click()
    expect(page).to_have_url("/search?q=an&kind=people")
    expect(kinds.locator("[aria-current]")).to_have_text(["People"])
    expect(page.get_by_role("article")).to_contain_text(["ana"])
    search(page, "zzz")
    expect(page.get_by_text("Nobody found.")).to_be_visible()
    search(page, "")
    expect(page.get_by_role("article")).to_contain_text(["ana", "bob"])


def test_query_that_the_api_refuses(open_browser, console):
    console.expects("422")
    page = open_browser(f"/search?q={'x' * 256}")
    expect(page.get_by_role("alert")).to_have_text("At most 255 characters.")
    page.goto("/search?q=%E2%80%8B")
    expect(page.get_by_role("alert")).to_have_text("Write something that can be seen.")


def test_popular_tags_are_shown_once(open_browser, ana):
    ana.write("about #coffee")
    # The server of all tests keeps what was popular for a while.
    with served({"PAMPS_ENV": "testing"}) as (process, client):
        try:
            page = open_browser("/search", base_url=str(client.base_url))
            popular = page.get_by_role("heading", name="Popular this week")
            for width in (1280, 360, 1280):
                page.set_viewport_size({"width": width, "height": 740})
                expect(popular.filter(visible=True)).to_have_count(1)
                expect(popular).to_have_count(1)
            page.context.close()
        finally:
            process.terminate()
