"""What the page does while Pamps is slow, away, or asks to wait, and what becomes of a text."""

import os
import signal

import pytest
from playwright.sync_api import expect

from tests.databases import locked
from tests.servers import free_port, served
from tests.web.people import card, sign_in, write

LOST = "net::ERR_"
UNREACHABLE = "Pamps cannot be reached. Trying again in"


@pytest.fixture
def page(open_browser, way, ana):
    page = open_browser("/sign-in", base_url=way.address)
    sign_in(page)
    return page


def texts(client) -> list[str]:
    return [post["text"] for post in client.get("/post/").json()]


def test_like_is_shown_before_the_answer(page, way, ana, bob):
    post = bob.write("like me")
    page.reload()
    way.hold(f"POST /post/{post['id']}/like/")
    like = card(page, "like me").get_by_role("button", name="Like")
    like.click()
    expect(like).to_have_attribute("aria-pressed", "true")
    assert way.arrived.wait(10)
    way.release()
    expect(page.get_by_role("alert")).to_be_hidden()
    assert ana.get(f"/post/{post['id']}/").json()["liked"]


def test_like_that_fails_is_taken_back(page, bob, console):
    console.expects("404")
    post = bob.write("gone soon")
    page.reload()
    like = card(page, "gone soon").get_by_role("button", name="Like")
    expect(like).to_be_visible()
    bob.delete(f"/post/{post['id']}/")
    like.click()
    expect(page.get_by_text("This post does not exist, or not any more.")).to_be_visible()
    expect(like).to_have_attribute("aria-pressed", "false")


def test_lost_answer(page, way, ana, console):
    """The post is sent again and stored once."""
    console.expects(LOST)
    way.lose("POST /post/")
    page.get_by_label("Write a post").fill("said once")
    page.get_by_role("button", name="Post", exact=True).click()
    expect(page.get_by_text(UNREACHABLE)).to_be_visible()
    assert texts(ana) == ["said once"]
    way.release()
    expect(card(page, "said once")).to_be_visible()
    expect(page.get_by_label("Write a post")).to_have_value("")
    expect(page.get_by_text(UNREACHABLE)).to_be_hidden()
    assert texts(ana) == ["said once"]
    write(page, "said later")
    assert texts(ana) == ["said later", "said once"]


def test_answer_that_breaks_off(page, way, ana, console):
    console.expects(LOST)
    way.cut("POST /post/")
    page.get_by_label("Write a post").fill("said once")
    page.get_by_role("button", name="Post", exact=True).click()
    expect(page.get_by_text(UNREACHABLE)).to_be_visible()
    way.release()
    expect(card(page, "said once")).to_be_visible()
    assert texts(ana) == ["said once"]


def test_answer_that_never_comes(open_browser, way, ana, console):
    """As after a phone has changed its network: the page asks again, and says so."""
    console.expects(LOST, "409")
    page = open_browser("/sign-in", base_url=way.address)
    page.clock.install()
    sign_in(page)
    way.hold("POST /post/")
    page.get_by_label("Write a post").fill("said once")
    page.get_by_role("button", name="Post", exact=True).click()
    assert way.arrived.wait(10)
    way.request = ""
    page.clock.fast_forward(30_000)
    expect(page.get_by_text(UNREACHABLE)).to_be_visible()
    page.clock.fast_forward(2_000)
    expect(card(page, "said once")).to_be_visible()
    assert texts(ana) == ["said once"]


def test_reload_before_the_answer(page, way, ana, console):
    """The draft is still there, and stored once when it is sent again."""
    console.expects(LOST)
    way.lose("POST /post/")
    page.get_by_label("Write a post").fill("said once")
    page.get_by_role("button", name="Post", exact=True).click()
    expect(page.get_by_text(UNREACHABLE)).to_be_visible()
    way.release()
    page.reload()
    expect(page.get_by_label("Write a post")).to_have_value("said once")
    page.get_by_role("button", name="Post", exact=True).click()
    expect(page.get_by_label("Write a post")).to_have_value("")
    assert texts(ana) == ["said once"]


def test_killed_server(open_browser, ana, console):
    """Somebody types and sends while the server is dead: nothing is lost, nothing sent twice."""
    console.expects(LOST)
    port = free_port()
    with served({"PAMPS_ENV": "testing"}, port=port) as (process, client):
        page = open_browser("/sign-in", base_url=str(client.base_url))
        sign_in(page)
        field = page.get_by_label("Write a post")
        field.press_sequentially("typed before, ")
        os.killpg(process.pid, signal.SIGKILL)
    field.press_sequentially("and after")
    page.get_by_role("button", name="Post", exact=True).click()
    expect(page.get_by_text(UNREACHABLE)).to_be_visible()
    expect(field).to_have_value("typed before, and after")
    with served({"PAMPS_ENV": "testing"}, port=port) as (process, _):
        try:
            expect(card(page, "typed before, and after")).to_be_visible()
            expect(page.get_by_text(UNREACHABLE)).to_be_hidden()
            assert texts(ana) == ["typed before, and after"]
            page.context.close()
        finally:
            process.terminate()


def test_offline(page, ana, bob, console):
    console.expects(LOST)
    post = bob.write("like me")
    page.reload()
    like = card(page, "like me").get_by_role("button", name="Like")
    expect(like).to_be_visible()
    page.context.set_offline(True)
    offline = page.get_by_text("You are offline.")
    expect(offline).to_be_visible()
    like.click()
    expect(like).to_have_attribute("aria-pressed", "true")
    with page.expect_response(lambda response: "/like/" in response.url and response.ok):
        page.context.set_offline(False)
    expect(offline).to_be_hidden()
    assert ana.get(f"/post/{post['id']}/").json()["liked"]


def test_page_that_cannot_be_loaded(page, console):
    """Its file is asked for when one first goes there."""
    console.expects(LOST, "preload", "dynamically imported")
    page.context.set_offline(True)
    page.get_by_role("link", name="Settings").click()
    expect(page.get_by_text("You are offline.")).to_be_visible()
    page.context.set_offline(False)
    expect(page.get_by_role("heading", level=1)).to_have_text("Settings")


def test_page_of_another_version(page, console):
    """Pamps was updated since the page was loaded, and has no such file any more."""
    console.expects("404", "preload", "dynamically imported")
    page.get_by_label("Write a post").fill("half a th")
    page.route("**/assets/SettingsView*", lambda route: route.fulfill(status=404), times=2)
    page.get_by_role("link", name="Settings").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Settings")
    page.get_by_role("link", name="Home").click()
    expect(page.get_by_label("Write a post")).to_have_value("half a th")


def test_too_many_requests(open_browser, ana, console):
    """The page says so, waits for as long as the server asks, and goes on."""
    console.expects("429")
    ana.write("worth the wait")
    limit = {"PAMPS_RATE_LIMIT__enabled": "true", "PAMPS_RATE_LIMIT__requests": "9/5 seconds"}
    with served({"PAMPS_ENV": "testing"} | limit) as (process, client):
        try:
            while client.get("/post/").status_code != 429:
                pass
            page = open_browser(base_url=str(client.base_url))
            expect(page.get_by_text("Too many requests. Going on in")).to_be_visible()
            expect(card(page, "worth the wait")).to_be_visible()
            expect(page.get_by_text("Too many requests")).to_be_hidden()
            page.context.close()
        finally:
            process.terminate()


def test_busy(page, ana, console):
    """The database makes a write wait for too long."""
    console.expects("503")
    page.get_by_label("Write a post").fill("worth the wait")
    with locked(os.environ["PAMPS_DB__uri"], "LOCK TABLE post IN EXCLUSIVE MODE"):
        page.get_by_role("button", name="Post", exact=True).click()
        expect(page.get_by_text("Pamps is busy. Trying again in")).to_be_visible()
    expect(card(page, "worth the wait")).to_be_visible()
    assert texts(ana) == ["worth the wait"]
